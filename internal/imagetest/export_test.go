package imagetest

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// sample is an image of four layers, of which the first is there twice.
func sample(o Options) v1.Image {
	first := Tar(Dir("opt/"), File("opt/a", "a"), Symlink("opt/l", "a"))
	return Image(o, first, Tar(Dir("opt/"), Whiteout("opt/a")), first, Tar(Dir("opt/"), File("opt/b", "b")))
}

func TestExportIsReadByOthers(t *testing.T) {
	t.Parallel()
	for _, format := range Formats {
		for _, c := range []Compression{None, Gzip, Zstd} {
			t.Run(format.String()+"/"+c.String(), func(t *testing.T) {
				t.Parallel()
				img := sample(Options{OCI: true, Compression: c})
				file := filepath.Join(t.TempDir(), "image.tar")
				if err := WriteDockerArchive(file, format, Ref{Name: "example.com/app:v1", Content: img}, Ref{Name: "app", Content: img}); err != nil {
					t.Fatal(err)
				}
				for _, ref := range []string{"example.com/app:v1", "app"} {
					tag := must(name.NewTag(ref))
					got, err := tarball.ImageFromPath(file, &tag)
					if err != nil {
						t.Fatal(err)
					}
					checkImage(t, got)
					if diff := cmp.Diff(diffIDs(img), diffIDs(got)); diff != "" {
						t.Errorf("DiffIDs (-want +got):\n%s", diff)
					}
				}
				if format == DockerOCI || format == DockerContainerd {
					checkLayout(t, untar(t, file), 2)
				}
			})
		}
	}
}

func TestOCIWriters(t *testing.T) {
	t.Parallel()
	amd64 := sample(Options{OCI: true, Compression: Zstd})
	arm64 := sample(Options{OCI: true, Architecture: "arm64", Variant: "v8", Compression: Gzip})
	for what, content := range map[string]Content{
		"image":        amd64,
		"index":        Index(amd64, arm64),
		"attestations": IndexWithAttestations(amd64, arm64),
		"docker index": Index(sample(Options{}), sample(Options{Architecture: "arm64"})),
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "new", "layout")
			for i, tag := range []string{"v1", "v2"} {
				if err := WriteOCILayout(dir, tag, content); err != nil {
					t.Fatal(err)
				}
				checkLayout(t, dir, i+1)
			}
			file := filepath.Join(t.TempDir(), "layout.tar")
			if err := WriteOCIArchive(file, "v1", content); err != nil {
				t.Fatal(err)
			}
			checkLayout(t, untar(t, file), 1)
		})
	}
}

// TestExportIndex checks that an archive of an index describes the host's image
// in manifest.json, and that only containerd's has the others.
func TestExportIndex(t *testing.T) {
	t.Parallel()
	amd64 := sample(Options{OCI: true, Compression: Gzip})
	arm64 := Image(Options{OCI: true, Architecture: "arm64", Variant: "v8"}, Tar(File("opt/arm", "arm")))
	idx := IndexWithAttestations(arm64, amd64)
	for _, format := range Formats {
		var buf bytes.Buffer
		if err := Export(&buf, format, Ref{Name: "app", Content: idx}); err != nil {
			t.Fatal(err)
		}
		got, err := tarball.Image(func() (io.ReadCloser, error) { return reader(buf.Bytes()), nil }, nil)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(diffIDs(amd64), diffIDs(got)); diff != "" {
			t.Errorf("%v: DiffIDs (-want +got):\n%s", format, diff)
		}
		other := bytes.Contains(buf.Bytes(), []byte(blobName(must(arm64.Digest()))))
		if other != (format == DockerContainerd) {
			t.Errorf("%v: has the other image: %v", format, other)
		}
	}
}

func TestExportErrors(t *testing.T) {
	t.Parallel()
	arm64 := Index(sample(Options{Architecture: "arm64"}))
	for _, format := range Formats {
		if err := Export(io.Discard, format, Ref{Name: "app", Content: arm64}); !errors.Is(err, ErrNoPlatform) {
			t.Errorf("%v: index without the host's platform: %v", format, err)
		}
		if err := Export(io.Discard, format, Ref{Name: "Not A Name", Content: sample(Options{})}); err == nil {
			t.Errorf("%v: a bad name is no error", format)
		}
	}
}

func checkLayout(t *testing.T, dir string, images int) {
	t.Helper()
	idx, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := idx.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(manifest.Manifests) != images {
		t.Errorf("index.json has %d entries, want %d", len(manifest.Manifests), images)
	}
	checkIndex(t, idx)
}

// checkIndex checks the digests of all that idx refers to.
func checkIndex(t *testing.T, idx v1.ImageIndex) {
	t.Helper()
	manifest, err := idx.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	for _, desc := range manifest.Manifests {
		child, err := manifestOf(idx, desc)
		if err != nil {
			t.Fatal(err)
		}
		if digest, err := child.Digest(); err != nil || digest != desc.Digest {
			t.Errorf("manifest %v has the digest %v (%v)", desc.Digest, digest, err)
		}
		switch child := child.(type) {
		case v1.ImageIndex:
			checkIndex(t, child)
		case v1.Image:
			checkImage(t, child)
		}
	}
}

// checkImage checks the digests of the image's config and layers, and the
// DiffIDs. It is not validate.Image, which takes all layers for gzip.
func checkImage(t *testing.T, img v1.Image) {
	t.Helper()
	manifest, err := img.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	if raw, err := img.RawConfigFile(); err != nil || sha256Of(raw) != manifest.Config.Digest {
		t.Errorf("config is not %v (%v)", manifest.Config.Digest, err)
	}
	ids := diffIDs(img)
	if len(manifest.Layers) == 0 || len(manifest.Layers) != len(ids) {
		t.Errorf("%d layers with %d DiffIDs", len(manifest.Layers), len(ids))
	}
	for i, desc := range manifest.Layers {
		l, err := img.LayerByDigest(desc.Digest)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := readAll(l.Compressed); err != nil || sha256Of(b) != desc.Digest || int64(len(b)) != desc.Size {
			t.Errorf("layer %d is not %v (%v)", i, desc.Digest, err)
		}
		if b, err := readAll(l.Uncompressed); err != nil || sha256Of(b) != ids[i] {
			t.Errorf("uncompressed layer %d is not %v (%v)", i, ids[i], err)
		}
	}
}

// untar unpacks directories and files, which is all that an OCI layout has.
func untar(t *testing.T, file string) string {
	t.Helper()
	dir := t.TempDir()
	for r := tar.NewReader(bytes.NewReader(read(t, file))); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return dir
		} else if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, h.Name)
		if h.Typeflag == tar.TypeDir {
			err = os.Mkdir(path, 0o755)
		} else {
			err = os.WriteFile(path, must(io.ReadAll(r)), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func diffIDs(img v1.Image) []v1.Hash { return slices.Clone(must(img.ConfigFile()).RootFS.DiffIDs) }

func read(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
