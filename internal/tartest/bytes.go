package tartest

import (
	"bytes"
	"compress/gzip"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// Content makes bytes that shrink well, a little, or not.
func Content(rng *rand.Rand, kind string, n int) string {
	b := make([]byte, n)
	for i := range b {
		switch kind {
		case "random":
			b[i] = byte(rng.Uint32())
		case "text":
			b[i] = "etaoin shrdlu\n"[rng.IntN(14)]
		case "mixed": // each block different
			if i/(512<<10)%2 == 0 {
				b[i] = byte(rng.Uint32())
			}
		}
	}
	return string(b)
}

// Gzip compresses b.
func Gzip(t testing.TB, b []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// Zstd compresses b.
func Zstd(t testing.TB, b []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll(b, nil)
}

// Flipped returns b with a bit in the middle changed.
func Flipped(b []byte) []byte {
	b = slices.Clone(b)
	b[len(b)/2] ^= 1
	return b
}
