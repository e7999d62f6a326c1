package extract

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/ziptest"
)

// thorough makes tests with many cases go through all of them, where by default
// they take some at random (-seed).
var thorough = os.Getenv("IMG2LAMBDA_TEST_LONG") != ""

// random is the source of a test's choices. Its seed is logged, and -seed sets
// it.
func random(t testing.TB, stream uint64) *rand.Rand {
	t.Logf("-seed %d", *seed)
	return rand.New(rand.NewPCG(*seed, stream))
}

// points is how many random places a fault is put to, for each kind of fault.
func points() int {
	if thorough {
		return 5000
	}
	return 60
}

// memoryDir returns a new directory, in memory where that can be had: making
// and removing small files is most of what a small image costs.
func memoryDir(t testing.TB) string {
	dir, err := os.MkdirTemp("/dev/shm", "img2lambda-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// zipsOf converts an image and returns the zips by name.
func zipsOf(ctx context.Context, t testing.TB, src Source) (map[string]string, error) {
	dir := memoryDir(t)
	_, err := Convert(ctx, src, "test", Options{Dir: dir, Progress: silent{}, Warn: func(string) {}})
	if err != nil {
		checkEmpty(t, dir)
	}
	return ziptest.Read(t, dir), err
}

// checkEmpty fails if there is anything in dir.
func checkEmpty(t testing.TB, dir string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for _, f := range files {
		t.Errorf("%s was left behind", f.Name())
	}
}

// content makes bytes that shrink well, a little, or not.
func content(rng *rand.Rand, kind string, n int) string {
	b := make([]byte, n)
	for i := range b {
		switch kind {
		case "random":
			b[i] = byte(rng.Uint32())
		case "text":
			b[i] = "etaoin shrdlu\n"[rng.IntN(14)]
		case "mixed": // each block different
			if i/blockSize%2 == 0 {
				b[i] = byte(rng.Uint32())
			}
		}
	}
	return string(b)
}

// sha256Base64 is a digest in the form that Lambda gives it.
func sha256Base64(b []byte) string {
	sum := sha256.Sum256(b)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// gzipOf compresses b.
func gzipOf(t testing.TB, b []byte) []byte {
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

func zstdOf(t testing.TB, b []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll(b, nil)
}

// flipped returns b with a bit in the middle changed.
func flipped(b []byte) []byte {
	b = slices.Clone(b)
	b[len(b)/2] ^= 1
	return b
}
