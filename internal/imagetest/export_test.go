package imagetest

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
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
// in manifest.json, and leaves out what is not in the store.
func TestExportIndex(t *testing.T) {
	t.Parallel()
	amd64 := sample(Options{OCI: true, Compression: Gzip})
	arm64 := Image(Options{OCI: true, Architecture: "arm64", Variant: "v8"}, Tar(File("opt/arm", "arm")))
	idx := IndexWithAttestations(arm64, amd64)
	pulled := []v1.Platform{{OS: "linux", Architecture: "arm64"}}
	for _, test := range []struct {
		what    string
		format  Format
		present []v1.Platform
		want    v1.Image
		blobs   int
	}{
		{"legacy", DockerLegacy, nil, amd64, 0},
		{"graph driver", DockerOCI, nil, amd64, 9},             // manifest, config, 3 layers, 4 of the old metadata
		{"built", DockerContainerd, nil, amd64, 1 + 5 + 3 + 6}, // index, images, attestations
		{"pulled", DockerContainerd, pulled, arm64, 1 + 3},     // index, image
		{"podman", Podman, nil, amd64, 0},
	} {
		t.Run(test.what, func(t *testing.T) {
			t.Parallel()
			var buf bytes.Buffer
			if err := Export(&buf, test.format, Ref{Name: "app", Content: idx, Present: test.present}); err != nil {
				t.Fatal(err)
			}
			got, err := tarball.Image(func() (io.ReadCloser, error) { return reader(buf.Bytes()), nil }, nil)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(diffIDs(test.want), diffIDs(got)); diff != "" {
				t.Errorf("DiffIDs (-want +got):\n%s", diff)
			}
			blobs := 0
			for _, m := range members(t, buf.Bytes()) {
				if strings.HasPrefix(m.Name, "blobs/sha256/") && m.Type == "0" {
					blobs++
				}
			}
			if blobs != test.blobs {
				t.Errorf("%d blobs, want %d", blobs, test.blobs)
			}
		})
	}
}

func TestExportErrors(t *testing.T) {
	t.Parallel()
	arm64 := Index(sample(Options{Architecture: "arm64"}))
	for _, format := range []Format{DockerLegacy, DockerOCI, Podman} {
		if err := Export(io.Discard, format, Ref{Name: "app", Content: arm64}); !errors.Is(err, ErrNoPlatform) {
			t.Errorf("%v: index without the host's platform: %v", format, err)
		}
		if err := Export(io.Discard, format, Ref{Name: "Not A Name", Content: sample(Options{})}); err == nil {
			t.Errorf("%v: a bad name is no error", format)
		}
	}
}

// TestLegacyMatchesEngine has the real engine save images and expects of Export
// the same archive, byte for byte but for the owners' names.
func TestLegacyMatchesEngine(t *testing.T) {
	requireEngine(t)
	version := docker(t, "version", "--format", "{{.Server.Version}}")
	if major, err := strconv.Atoi(strings.Split(version, ".")[0]); err != nil || major > 24 {
		t.Skipf("Docker %s saves in another format", strings.TrimSpace(version))
	}
	dir := t.TempDir()

	t.Run("loaded", func(t *testing.T) {
		const tag = "imagetest-loaded:v1"
		img := sample(Options{Config: v1.Config{
			Env:          []string{"A=<&>"},
			Entrypoint:   []string{"/opt/b"},
			Labels:       map[string]string{"b": "2", "a": "1"},
			ExposedPorts: map[string]struct{}{"80/tcp": {}},
			WorkingDir:   "/opt",
			StopSignal:   "SIGINT",
		}})
		file := filepath.Join(dir, "loaded.tar")
		if err := WriteDockerArchive(file, DockerLegacy, Ref{Name: tag, Content: img}); err != nil {
			t.Fatal(err)
		}
		docker(t, "load", "-i", file)
		t.Cleanup(func() { docker(t, "rmi", tag) })
		saved := filepath.Join(dir, "saved.tar")
		docker(t, "save", "-o", saved, tag)
		compareArchives(t, read(t, saved), read(t, file))
	})

	t.Run("built", func(t *testing.T) {
		const tag = "imagetest-built:v1"
		build := t.TempDir()
		for name, content := range map[string]string{
			"a":          "hello",
			"Dockerfile": "FROM scratch\nCOPY a /opt/a\nENV X=y\nCOPY a /opt/b\nCMD [\"/opt/a\"]\n",
		} {
			if err := os.WriteFile(filepath.Join(build, name), []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		docker(t, "build", "-q", "-t", tag, build)
		t.Cleanup(func() { docker(t, "rmi", tag) })
		saved := filepath.Join(dir, "built.tar")
		docker(t, "save", "-o", saved, tag)
		img, err := tarball.ImageFromPath(saved, nil)
		if err != nil {
			t.Fatal(err)
		}
		var buf bytes.Buffer
		if err := Export(&buf, DockerLegacy, Ref{Name: tag, Content: img}); err != nil {
			t.Fatal(err)
		}
		compareArchives(t, read(t, saved), buf.Bytes())
	})
}

// TestPodmanMatchesSkopeo has skopeo, which shares the code with Podman, write
// the archive that Export writes.
func TestPodmanMatchesSkopeo(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("skopeo"); err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	img := sample(Options{OCI: true, Compression: Gzip})
	if err := WriteOCILayout(filepath.Join(dir, "oci"), "v1", img); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "podman.tar")
	cmd := exec.Command("skopeo", "copy", "--insecure-policy", "oci:"+filepath.Join(dir, "oci")+":v1", "docker-archive:"+file+":example.com/app:v1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var buf bytes.Buffer
	if err := Export(&buf, Podman, Ref{Name: "example.com/app:v1", Content: img}); err != nil {
		t.Fatal(err)
	}
	compareArchives(t, read(t, file), buf.Bytes())
}

// member is what counts of a member of an archive.
type member struct {
	Name, Type, Link string
	Mode, ModTime    int64
	Body             string
}

func members(t *testing.T, archive []byte) []member {
	t.Helper()
	var all []member
	tr := tar.NewReader(bytes.NewReader(archive))
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, member{h.Name, string(h.Typeflag), h.Linkname, h.Mode & 0o777, h.ModTime.Unix(), string(body)})
	}
}

func compareArchives(t *testing.T, want, got []byte) {
	t.Helper()
	if len(members(t, want)) == 0 {
		t.Fatal("the other archive is empty")
	}
	if diff := cmp.Diff(dropTimes(members(t, want)), dropTimes(members(t, got))); diff != "" {
		t.Errorf("archives (-theirs +ours):\n%s", diff)
	}
}

// dropTimes sets to 0 the times in the directory of a layer that is a link: there
// Docker leaves the time at which it made the archive.
func dropTimes(all []member) []member {
	linked := map[string]bool{}
	for _, m := range all {
		linked[filepath.Dir(m.Name)] = linked[filepath.Dir(m.Name)] || m.Type == string(tar.TypeSymlink)
	}
	for i, m := range all {
		if linked[filepath.Dir(m.Name)] || linked[filepath.Clean(m.Name)] {
			all[i].ModTime = 0
		}
	}
	return all
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
	var l struct{ ImageLayoutVersion string }
	if err := json.Unmarshal(read(t, filepath.Join(dir, "oci-layout")), &l); err != nil || l.ImageLayoutVersion != "1.0.0" {
		t.Errorf("oci-layout: version %q, %v", l.ImageLayoutVersion, err)
	}
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
	for _, m := range members(t, read(t, file)) {
		path := filepath.Join(dir, m.Name)
		var err error
		if m.Type == string(tar.TypeDir) {
			err = os.Mkdir(path, 0o755)
		} else {
			err = os.WriteFile(path, []byte(m.Body), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
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

// requireEngine skips the test where no Docker engine answers, or fails it where
// one has to.
func requireEngine(t *testing.T) {
	t.Helper()
	out, err := exec.Command("docker", "version", "--format", "{{.Server.Version}}").CombinedOutput()
	if err == nil {
		return
	}
	if os.Getenv("IMG2LAMBDA_TEST_DOCKER") == "required" {
		t.Fatalf("no Docker engine: %v: %s", err, out)
	}
	t.Skipf("no Docker engine: %v", err)
}

func docker(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command("docker", args...)
	cmd.Env = append(os.Environ(), "DOCKER_BUILDKIT=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("docker %s: %v: %s", strings.Join(args, " "), err, &stderr)
	}
	return string(out)
}
