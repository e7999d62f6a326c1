package extract

import (
	"archive/tar"
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/imagetest"
	"github.com/awslabs/aws-lambda-container-image-converter/internal/tartest"
	"github.com/awslabs/aws-lambda-container-image-converter/internal/ziptest"
)

// FuzzRepack takes any bytes for a layer. The end is an error, or zips that are
// good.
func FuzzRepack(f *testing.F) {
	for _, layer := range []string{
		"", "\x1f\x8b", "\x28\xb5\x2f\xfd", string(tartest.EndOfTar),
		string(imagetest.Tar(imagetest.Dir("opt/"), imagetest.File("opt/a", "some content"), imagetest.Hardlink("opt/b", "opt/a"), imagetest.Symlink("opt/c", "../a"))),
		string(imagetest.Tar(imagetest.File("opt/"+long, "x", imagetest.GNU()), imagetest.Hardlink("opt/b", "opt/"+long, imagetest.GNU()))),
		string(imagetest.Tar(imagetest.File("opt/"+long, "x", imagetest.PAX("comment", "x")))),
		string(imagetest.Tar(imagetest.Whiteout("opt/a"), imagetest.Opaque("opt"), imagetest.Fifo("opt/f"), imagetest.CharDev("opt/d"), imagetest.File("var/task/x", strings.Repeat("x", 1000)))),
		string(append(tartest.Sparse("opt/a", 1<<20), tartest.EndOfTar...)),
		string(append(tartest.PAXSparse("opt/a", 1<<20), tartest.EndOfTar...)),
		string(slices.Concat(tartest.Header("opt/a", 'Z', 0, nil), tartest.Header("opt/../../b", tar.TypeReg, 0, nil), tartest.Header("opt/a", tar.TypeLink, 0, func(b []byte) { copy(b[157:], "opt/a") }), tartest.EndOfTar)),
	} {
		f.Add([]byte(layer), true)
		f.Add(tartest.Gzip(f, []byte(layer)), false)
		f.Add(tartest.Zstd(f, []byte(layer)), false)
	}
	f.Fuzz(func(t *testing.T, layer []byte, right bool) {
		if right {
			layer = slices.Clone(layer)
			tartest.Repair(layer)
		}
		content, ok := tartest.Unpacked(layer)
		if ok && tartest.TooMuch(content) || !ok && len(content) > tartest.FuzzSize {
			t.Skip()
		}
		l, _, err := repackOne(t, t.Context(), bytes.NewReader(layer))
		if err == nil && (!ok || l.diffID() != digest.FromBytes(content)) {
			t.Errorf("the layer is taken for %s, but it is %s (%t)", l.diffID(), digest.FromBytes(content), ok)
		}
		zips, err := zipsOf(t.Context(), t, generatedLayers{func() io.Reader { return bytes.NewReader(layer) }})
		ziptest.CheckAll(t, zips, err)
	})
}
