package extract

import (
	"archive/tar"
	"bytes"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/imagetest"
	"github.com/awslabs/aws-lambda-container-image-converter/internal/ziptest"
)

// fuzzSize bounds what fuzzing unpacks, in bytes: it looks for what is wrong,
// not for what takes time.
const fuzzSize = 4 << 20

// repair makes the checksums in a tar right, and in the tars in it: without, all
// that a fuzzer changes in a header comes to the same end.
func repair(b []byte) {
	for len(b) >= 512 {
		if !bytes.HasPrefix(b[257:], []byte("ustar")) {
			b = b[512:]
			continue
		}
		checksum(b)
		size, err := strconv.ParseInt(strings.Trim(string(b[124:136]), " \x00"), 8, 64)
		b = b[512:]
		if err == nil && size > 0 && size <= int64(len(b)) {
			repair(b[:size])
			b = b[min(int64(len(b)), (size+511)&^511):]
		}
	}
}

// unpacked returns the content of a layer; false if there is too much of it, or
// if it cannot be unpacked.
func unpacked(layer []byte) ([]byte, bool) {
	var r io.Reader = bytes.NewReader(layer)
	switch {
	case bytes.HasPrefix(layer, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, false
		}
		r = z
	case bytes.HasPrefix(layer, []byte{0x28, 0xb5, 0x2f, 0xfd}), len(layer) >= 4 && layer[0]&0xf0 == 0x50 && string(layer[1:4]) == "\x2a\x4d\x18":
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, false
		}
		defer z.Close()
		r = z
	}
	b, err := io.ReadAll(io.LimitReader(r, fuzzSize+1))
	return b, err == nil && len(b) <= fuzzSize
}

// tooMuch reports whether the files in a tar, holes among them, are more than is
// to be unpacked.
func tooMuch(b []byte) bool {
	var sum int64
	for t := tar.NewReader(bytes.NewReader(b)); ; {
		h, err := t.Next()
		if err != nil {
			return false
		}
		if sum += h.Size; sum > fuzzSize && sum <= maxContent { // more is refused at once
			return true
		}
	}
}

// FuzzRepack takes any bytes for a layer. The end is an error, or zips that are
// good.
func FuzzRepack(f *testing.F) {
	for _, layer := range []string{
		"", "\x1f\x8b", "\x28\xb5\x2f\xfd", string(endOfTar),
		string(imagetest.Tar(imagetest.Dir("opt/"), imagetest.File("opt/a", "some content"), imagetest.Hardlink("opt/b", "opt/a"), imagetest.Symlink("opt/c", "../a"))),
		string(imagetest.Tar(imagetest.File("opt/"+long, "x", imagetest.GNU()), imagetest.Hardlink("opt/b", "opt/"+long, imagetest.GNU()))),
		string(imagetest.Tar(imagetest.File("opt/"+long, "x", imagetest.PAX("comment", "x")))),
		string(imagetest.Tar(imagetest.Whiteout("opt/a"), imagetest.Opaque("opt"), imagetest.Fifo("opt/f"), imagetest.CharDev("opt/d"), imagetest.File("var/task/x", strings.Repeat("x", 1000)))),
		string(append(sparse("opt/a", 1<<20), endOfTar...)),
		string(append(paxSparse("opt/a", 1<<20), endOfTar...)),
		string(slices.Concat(header("opt/a", 'Z', 0, nil), header("opt/../../b", tar.TypeReg, 0, nil), header("opt/a", tar.TypeLink, 0, func(b []byte) { copy(b[157:], "opt/a") }), endOfTar)),
	} {
		f.Add([]byte(layer), true)
		f.Add(gzipOf(f, []byte(layer)), false)
		f.Add(zstdOf(f, []byte(layer)), false)
	}
	f.Fuzz(func(t *testing.T, layer []byte, right bool) {
		if right {
			layer = slices.Clone(layer)
			repair(layer)
		}
		content, ok := unpacked(layer)
		if ok && tooMuch(content) || !ok && len(content) > fuzzSize {
			t.Skip()
		}
		l, _, err := repackOne(t, t.Context(), bytes.NewReader(layer))
		if err == nil && (!ok || l.diffID != digest.FromBytes(content)) {
			t.Errorf("the layer is taken for %s, but it is %s (%t)", l.diffID, digest.FromBytes(content), ok)
		}
		zips, err := zipsOf(t.Context(), t, generatedLayers{func() io.Reader { return bytes.NewReader(layer) }})
		checkAll(t, zips, err)
	})
}

// checkAll fails unless there is an error and nothing else, or there are good
// zips.
func checkAll(t testing.TB, zips map[string]string, err error) {
	t.Helper()
	if err != nil {
		if strings.Contains(err.Error(), "left behind") {
			t.Error(err)
		}
		return
	}
	if len(zips) == 0 {
		t.Error("neither an error nor a zip")
	}
	for name, content := range zips {
		if len(ziptest.Check(t, content)) == 0 {
			t.Errorf("%s is empty", name)
		}
	}
}
