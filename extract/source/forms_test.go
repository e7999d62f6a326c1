package source

import (
	"archive/tar"
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/awslabs/aws-lambda-container-image-converter/extract"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/testrun"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/imagetest"
)

// form is an image in one of the ways in which the program gets it.
type form struct {
	name    string
	content []byte // a tar
	// open opens what has become of content.
	open func(work string, content []byte) (extract.Source, error)
	// exact are the digests of the files in content of which every bit matters,
	// layers of those that are a layer.
	exact, layers []v1.Hash
}

// parts lists the members of the form's tar.
func (f form) parts(t testing.TB) (parts []part) {
	t.Helper()
	r := bytes.NewReader(f.content)
	end := 0
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if err == io.EOF {
			return parts
		} else if err != nil {
			t.Fatal(err)
		}
		p := part{name: h.Name, header: end, start: len(f.content) - r.Len()}
		p.end = p.start + int(h.Size)
		end = (p.end + 511) &^ 511
		sum, _, err := v1.SHA256(bytes.NewReader(f.content[p.start:p.end]))
		if err != nil {
			t.Fatal(err)
		}
		p.exact = h.Size > 0 && slices.Contains(f.exact, sum)
		p.ofALayer = h.Size > 0 && slices.Contains(f.layers, sum)
		parts = append(parts, p)
	}
}

// check converts a damaged image. Either it is refused, or the damage is to
// what does not matter: the zips are those of the undamaged image.
func (f form) check(t *testing.T, dir string, want map[string]string, d damage) (refused bool) {
	t.Helper()
	got, err := zipsOf(t.Context(), dir, func(work string) (extract.Source, error) { return f.open(work, d.content) })
	switch {
	case err != nil && strings.Contains(err.Error(), "was left behind"),
		err != nil && d.layer && !namesLayer.MatchString(err.Error()):
		t.Errorf("%s: got error %v", d.name, err)
	case err == nil && d.refused:
		t.Errorf("%s: was not refused", d.name)
	case err == nil && !cmp.Equal(got, want):
		t.Errorf("%s: was not refused, and the zips are others", d.name)
	}
	return err != nil
}

// forms are two images in all forms: small, so that every byte can be damaged in
// turn.
func forms(t testing.TB) (all []form) {
	t.Helper()
	tars := [][]byte{
		imagetest.Tar(imagetest.Dir("opt/"), imagetest.File("opt/a", "some content"), imagetest.Hardlink("opt/b", "opt/a")),
		imagetest.Tar(imagetest.Whiteout("opt/b"), imagetest.Symlink("opt/c", "a"), imagetest.File("var/task/f", "a function")),
	}
	dir := testrun.MemoryDir(t)
	file := func(name string, write func(file string) error) []byte {
		name = filepath.Join(dir, name)
		if err := write(name); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	archive := func(transport string) func(string, []byte) (extract.Source, error) {
		return func(work string, content []byte) (extract.Source, error) {
			file, err := os.CreateTemp(dir, "archive-")
			if err != nil {
				return nil, err
			}
			defer os.Remove(file.Name())
			defer file.Close()
			if _, err := file.Write(content); err != nil {
				return nil, err
			}
			return Open(context.Background(), parsed(t, transport+file.Name()), Options{Dir: work})
		}
	}
	stream := func(_ string, content []byte) (extract.Source, error) {
		return streamed{bytes.NewReader(content)}, nil
	}
	for _, c := range []imagetest.Compression{imagetest.None, imagetest.Gzip, imagetest.Zstd} {
		img := imagetest.Image(imagetest.Options{OCI: true, Compression: c}, tars...)
		manifest, config, layers, diffIDs := digests(t, img)
		exact := slices.Concat([]v1.Hash{manifest, config}, layers)
		all = append(all, form{
			"oci-archive " + c.String(),
			file(c.String()+".oci.tar", func(f string) error { return imagetest.WriteOCIArchive(f, "", img) }),
			archive("oci-archive:"), exact, layers,
		})
		formats := []imagetest.Format{imagetest.DockerContainerd}
		if c == imagetest.None {
			formats = imagetest.Formats
		}
		for _, format := range formats {
			// Of a compressed layer, what is in it counts: gzip's own header
			// has a time in it.
			exact := append(slices.Clone(diffIDs), config)
			content := file(format.String(), func(f string) error {
				return imagetest.WriteDockerArchive(f, format, imagetest.Ref{Name: "app", Content: img})
			})
			name := format.String() + " " + c.String()
			all = append(all,
				form{"docker-archive " + name, content, archive("docker-archive:"), exact, append(layers, diffIDs...)},
				form{"engine " + name, content, stream, exact, append(layers, diffIDs...)})
		}
	}
	return all
}

// part is a member of a tar.
type part struct {
	name            string
	header          int // where its header begins
	start, end      int // of its content
	exact, ofALayer bool
}

// streamed is an image as an engine sends it, without the engine.
type streamed struct{ io.Reader }

func (s streamed) Read(ctx context.Context, repack extract.LayerFunc) (*extract.Image, error) {
	return readExport(ctx, s.Reader, Platform{}, repack)
}

func (streamed) Close() error { return nil }

func digests(t testing.TB, img v1.Image) (manifest, config v1.Hash, layers, diffIDs []v1.Hash) {
	t.Helper()
	must := func(h v1.Hash, err error) v1.Hash {
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	all, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range all {
		layers = append(layers, must(l.Digest()))
		diffIDs = append(diffIDs, must(l.DiffID()))
	}
	return must(img.Digest()), must(img.ConfigName()), layers, diffIDs
}

// namesLayer matches an error that says which layer it is about: by digest, by
// place, or by what an engine calls it.
var namesLayer = regexp.MustCompile(`layer (sha256:)?[0-9a-f]{64}|layer blobs/sha256/[0-9a-f]{64}|layer [12] of 2|[0-9a-f]{64}/layer\.tar`)
