package extract

import (
	"archive/zip"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/tartest"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/imagetest"
	"github.com/awslabs/aws-lambda-container-image-converter/types"
)

// TestOneLayerEach is which Lambda layers there are, and from which image
// layers: none for layers of which nothing is seen, one for the same layer
// twice.
func TestOneLayerEach(t *testing.T) {
	t.Parallel()
	base := []imagetest.Entry{imagetest.File("opt/base", "1"), imagetest.File("opt/a", "1")}
	hidden := []imagetest.Entry{imagetest.File("opt/b", "2"), imagetest.Dir("opt/c/"), imagetest.File("opt/c/d", "2")}
	other := []imagetest.Entry{imagetest.File("etc/b", "3")}
	hides := []imagetest.Entry{imagetest.Whiteout("opt/b"), imagetest.Symlink("opt/c", "a")}
	tests := []struct {
		name   string
		layers layers
		want   []int // places in layers of those that have a zip
	}{
		{"a layer that is wholly hidden", layers{base, hidden, other, hides}, []int{0, 3}},
		{"a layer that is wholly deleted", layers{hidden, {imagetest.Opaque("opt")}, base}, []int{2}},
		{"the same layer twice", layers{base, hidden, base}, []int{1, 2}},
		{"the same layer twice, neighbours", layers{base, base}, []int{1}},
		{"the same layer three times", layers{base, hidden, base, other, base}, []int{1, 4}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir, result, _, err := convertLayers(t, 0, test.layers...)
			if err != nil {
				t.Fatal(err)
			}
			checkRestored(t, dir, result, test.layers)
			var got, want []string
			for _, l := range result.Layers {
				got = append(got, l.File+" "+l.Digest.String())
				if len(l.DiffIDs) != 1 || l.DiffIDs[0] != l.Digest {
					t.Errorf("%s: DiffIDs %v, digest %v", l.File, l.DiffIDs, l.Digest)
				}
			}
			for i, place := range test.want {
				want = append(want, fmt.Sprintf("layer-%d.zip %s", i+1, digest.FromBytes(imagetest.Tar(test.layers[place]...))))
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("layers (+) are not as expected (-):\n%s", diff)
			}
		})
	}
}

// TestFigures is what the result says of a zip.
func TestFigures(t *testing.T) {
	t.Parallel()
	dir, result, _, err := convertLayers(t, 0, []imagetest.Entry{
		imagetest.Dir("opt/d/"),
		imagetest.File("opt/d/a", strings.Repeat("a", 1000)),
		imagetest.Hardlink("opt/b", "opt/d/a"),
		imagetest.Symlink("opt/c", "d/a"),
		imagetest.File("var/task/f", "12345"),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		got         types.Zip
		files, size int
	}{
		{result.Layers[0].Zip, 3, 2003},
		{*result.Function, 1, 5},
	} {
		b, err := os.ReadFile(filepath.Join(dir, test.got.File))
		if err != nil {
			t.Fatal(err)
		}
		if test.got.Files != test.files || test.got.UncompressedSize != int64(test.size) {
			t.Errorf("%s: got %d files of %d bytes, want %d of %d", test.got.File, test.got.Files, test.got.UncompressedSize, test.files, test.size)
		}
		if want := sha256Base64(b); test.got.CodeSize != int64(len(b)) || test.got.CodeSha256 != want {
			t.Errorf("%s: got %d bytes, SHA-256 %s; want %d, %s", test.got.File, test.got.CodeSize, test.got.CodeSha256, len(b), want)
		}
	}
}

// TestSharedBase is that a base layer of which the layers above hide nothing is
// the same zip in all images, so that Lambda has it once.
func TestSharedBase(t *testing.T) {
	t.Parallel()
	base := []imagetest.Entry{
		imagetest.Dir("opt/"),
		imagetest.Dir("opt/d/"),
		imagetest.File("opt/d/a", tartest.Content(rand.New(rand.NewPCG(1, 2)), "text", 3*windowSize)),
		imagetest.Hardlink("opt/b", "usr/b"),
		imagetest.Symlink("opt/c", "d/a"),
	}
	below := []imagetest.Entry{imagetest.File("usr/b", "1")}
	var first types.Zip
	for i, top := range [][]imagetest.Entry{
		{},
		{imagetest.File("etc/a", "2")},
		{imagetest.File("opt/more", "2"), imagetest.File("opt/d/more", "2")},
		{imagetest.Dir("opt/d/", imagetest.Mode(0o700)), imagetest.File("opt/d/a", "2"), imagetest.File("opt/b", "2")},
		{imagetest.Whiteout("opt/never"), imagetest.Opaque("opt/new")},
	} {
		_, result, _, err := convertLayers(t, 0, below, base, top)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = result.Layers[0].Zip
		}
		if diff := cmp.Diff(first, result.Layers[0].Zip); diff != "" {
			t.Errorf("below layer %d, the base (+) is not as it was (-):\n%s", i, diff)
		}
	}
	_, result, _, err := convertLayers(t, 0, below, base, []imagetest.Entry{imagetest.Whiteout("opt/d")})
	if err != nil {
		t.Fatal(err)
	}
	if result.Layers[0].CodeSha256 == first.CodeSha256 {
		t.Error("below a layer that hides something, the base is as it was")
	}
}

// TestRawCopy is that a zip which is written again, as a layer above hides some
// of it, has the compressed bytes that it had before: compressing is most of
// the work.
func TestRawCopy(t *testing.T) {
	t.Parallel()
	base := []imagetest.Entry{
		imagetest.File("opt/gone", "1"),
		imagetest.File("opt/big", tartest.Content(rand.New(rand.NewPCG(1, 2)), "mixed", 3*blockSize+1)),
		imagetest.File("opt/small", "22222222222222222222222222222222222222"),
		imagetest.Symlink("opt/link", "big"),
	}
	compressed := func(layers layers) map[string]string {
		dir, _, _, err := convertLayers(t, 0, layers...)
		if err != nil {
			t.Fatal(err)
		}
		z, err := zip.OpenReader(filepath.Join(dir, "layer-1.zip"))
		if err != nil {
			t.Fatal(err)
		}
		defer z.Close()
		raw := map[string]string{}
		for _, f := range z.File {
			r, err := f.OpenRaw()
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			raw[f.Name] = fmt.Sprint(f.Method, " ", len(b), " ", sha256Base64(b))
		}
		return raw
	}
	want := compressed(layers{base})
	delete(want, "gone")
	got := compressed(layers{base, {imagetest.Whiteout("opt/gone"), imagetest.File("opt/new", "2")}})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("compressed again (+), not as it was (-):\n%s", diff)
	}
}
