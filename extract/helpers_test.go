package extract

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
)

// thorough makes tests with many cases go through all of them, where by default
// they take some at random (-seed).
var thorough = os.Getenv("IMG2LAMBDA_TEST_LONG") != ""

var seed = flag.Uint64("seed", uint64(time.Now().UnixNano()), "what random tests choose by")

// random is the source of a test's choices, and of no other test's: they may be
// parallel.
func random(t testing.TB) *rand.Rand {
	t.Helper()
	sayHowToRepeat(t, fmt.Sprint("-seed ", *seed))
	name := fnv.New64a()
	name.Write([]byte(t.Name()))
	return rand.New(rand.NewPCG(*seed, name.Sum64()))
}

// sayHowToRepeat makes a test that fails say the command that runs it alone, with
// the same choices.
func sayHowToRepeat(t testing.TB, flags string) {
	t.Helper()
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		long := ""
		if thorough {
			long = "IMG2LAMBDA_TEST_LONG=1 "
		}
		name := strings.ReplaceAll(regexp.QuoteMeta(t.Name()), "/", "$/^")
		t.Logf("to repeat it: %sgo test %s -run '^%s$' %s", long, reflect.TypeFor[memory]().PkgPath(), name, flags)
	})
}

// alone says that a test changes what others rely on, or looks at all of the
// memory. It panics in a parallel one, as t.Setenv does.
func alone(t testing.TB) {
	t.Helper()
	t.Setenv("IMG2LAMBDA_TEST_ALONE", "1")
}

// points is how many random places a fault is put to, for each kind of fault.
func points() int {
	if thorough {
		return 5000
	}
	return 20
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
func zipsOf(ctx context.Context, dir string, open func(work string) (source, error)) (map[string]string, error) {
	out, err := os.MkdirTemp(dir, "out-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(out)
	work := filepath.Join(out, "work")
	if err := os.Mkdir(work, 0o700); err != nil {
		return nil, err
	}
	src, err := open(work)
	if err == nil {
		defer src.close()
		_, err = convert(ctx, "test", src, work, Options{Dir: out, Progress: silent{}, Warn: func(string) {}})
	}
	files, problem := os.ReadDir(out)
	if problem != nil {
		return nil, problem
	}
	zips := make(map[string]string)
	for _, f := range files {
		if f.Name() == "work" {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%w; and %s was left behind", err, f.Name())
		}
		b, problem := os.ReadFile(filepath.Join(out, f.Name()))
		if problem != nil {
			return nil, problem
		}
		zips[f.Name()] = string(b)
	}
	return zips, err
}

// checkEmpty fails if there is anything in dir besides the place for temporary
// files.
func checkEmpty(t testing.TB, dir string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.Name() != "work" {
			t.Errorf("%s was left behind", f.Name())
		}
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
