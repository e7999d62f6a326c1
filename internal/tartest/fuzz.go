package tartest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// FuzzSize bounds what fuzzing unpacks, in bytes: it looks for what is wrong, not
// for what takes time.
const FuzzSize = 4 << 20

// maxContent is what a layer may hold, in bytes: extract refuses more at once.
const maxContent = 1000 << 20

// Repair makes the checksums in a tar right, and in the tars in it: without, all
// that a fuzzer changes in a header comes to the same end.
func Repair(b []byte) {
	for len(b) >= 512 {
		if !bytes.HasPrefix(b[257:], []byte("ustar")) {
			b = b[512:]
			continue
		}
		checksum(b)
		size, err := strconv.ParseInt(strings.Trim(string(b[124:136]), " \x00"), 8, 64)
		b = b[512:]
		if err == nil && size > 0 && size <= int64(len(b)) {
			Repair(b[:size])
			b = b[min(int64(len(b)), (size+511)&^511):]
		}
	}
}

// Unpacked returns the content of a layer; false if there is too much of it, or
// if it cannot be unpacked.
func Unpacked(layer []byte) ([]byte, bool) {
	var r io.Reader = bytes.NewReader(layer)
	switch {
	case bytes.HasPrefix(layer, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, false
		}
		r = z
	case bytes.HasPrefix(layer, []byte{0x28, 0xb5, 0x2f, 0xfd}), len(layer) >= 4 && layer[0]&0xf0 == 0x50 && string(layer[1:4]) == "\x2a\x4d\x18":
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(128<<20))
		if err != nil {
			return nil, false
		}
		defer z.Close()
		r = z
	}
	b, err := io.ReadAll(io.LimitReader(r, FuzzSize+1))
	return b, err == nil && len(b) <= FuzzSize
}

// TooMuch reports whether the files in a tar, holes among them, are more than is
// to be unpacked.
func TooMuch(b []byte) bool {
	var sum int64
	for t := tar.NewReader(bytes.NewReader(b)); ; {
		h, err := t.Next()
		if err != nil {
			return false
		}
		if sum += h.Size; sum > FuzzSize && sum <= maxContent { // more is refused at once
			return true
		}
	}
}
