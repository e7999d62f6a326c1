package integration

import (
	"archive/tar"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/imagetest"
)

// TestImageIDs guards against an image that is not found by one of its digests:
// what an engine calls an image depends on its store, and people have digests from
// elsewhere.
func TestImageIDs(t *testing.T) {
	t.Parallel()
	eachDocker(t, func(t *testing.T, d dockerEngine) {
		name := newName()
		img := newImage(t, "file opt/a "+name)
		file := filepath.Join(t.TempDir(), "image.tar")
		d.load(t, file, imagetest.DockerOCI, name, img)
		id := d.id(t, name)
		config, err := img.ConfigName()
		if err != nil {
			t.Fatal(err)
		}

		names := []string{name + ":latest", id, config.String()}
		if d.containerd {
			names = append(names, name+"@"+id)
		}
		for _, digest := range []string{id, config.String()} {
			names = append(names, strings.TrimPrefix(digest, "sha256:"))
		}
		names = append(names, id[:len("sha256:")+12], id[len("sha256:"):][:12])
		_, want := d.convert(t, 0, name)
		for _, other := range names {
			o, got := d.convert(t, 0, other)
			if diff := cmp.Diff(imageFiles(t, want), imageFiles(t, got)); diff != "" {
				t.Errorf("%s is other (+) than %s (-):\n%s", other, name, diff)
			}
			if head := other + " (" + id[len("sha256:"):][:12] + ", linux/amd64)\n"; !strings.HasPrefix(o.stdout, head) {
				t.Errorf("the report begins with %q, want %q", o.stdout, head)
			}
		}
	})
}

// imageFiles is all that a run has written, without what the user called the
// image.
func imageFiles(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := files(t, dir)
	var report map[string]any
	if err := json.Unmarshal([]byte(all["report.json"]), &report); err != nil {
		t.Fatal(err)
	}
	delete(report, "image")
	b, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	all["report.json"] = string(b)
	return all
}

// TestManifestDigests is likewise for digests that an engine has from a registry.
func TestManifestDigests(t *testing.T) {
	t.Parallel()
	d := dockerEngine{host: ownDocker(t)}
	if !strings.HasPrefix(d.host, "unix://") {
		t.Skip("the engine is on another machine, and cannot reach a registry on loopback")
	}
	registry := serve(t, newRegistry(), false).Listener.Addr().String()
	name := newName()
	img := newImage(t, "file opt/a "+name)
	file := filepath.Join(t.TempDir(), "image.tar")
	d.load(t, file, imagetest.DockerOCI, name, img)
	pushed := registry + "/" + name
	d.run(t, "tag", name, pushed)
	t.Cleanup(func() { d.run(t, "image", "rm", "--force", pushed) })
	d.run(t, "push", "--quiet", pushed)
	named := strings.Trim(d.run(t, "image", "inspect", "--format", "{{index .RepoDigests 0}}", pushed), "\n")
	_, digest, ok := strings.Cut(named, "@")
	if !ok || !strings.HasPrefix(named, pushed) {
		t.Fatalf("it was pushed as %s", named)
	}
	_, want := d.convert(t, 0, name)
	for _, other := range []string{named, pushed + ":latest@" + digest, digest, strings.TrimPrefix(digest, "sha256:")} {
		_, got := d.convert(t, 0, other)
		if diff := cmp.Diff(imageFiles(t, want), imageFiles(t, got)); diff != "" {
			t.Errorf("%s is other (+) than %s (-):\n%s", other, name, diff)
		}
	}
	o, _ := d.convert(t, 1, name+"-other@"+digest)
	o.oneLine(t, "has no image "+name+"-other@"+digest)
}

// TestEmptyLayer guards against layers of 0 bytes that are not found: there are
// such images in Docker Hub.
func TestEmptyLayer(t *testing.T) {
	t.Parallel()
	eachDocker(t, func(t *testing.T, d dockerEngine) {
		name := newName()
		img := imagetest.Image(imagetest.Options{}, imagetest.Tar(imagetest.File("opt/a", name)), nil)
		file := filepath.Join(t.TempDir(), "image.tar")
		d.load(t, file, imagetest.DockerLegacy, name, img)
		_, fromEngine := d.convert(t, 0, name)
		_, fromFile := d.convert(t, 0, "docker-archive:"+file)
		if diff := cmp.Diff(imageFiles(t, fromFile), imageFiles(t, fromEngine)); diff != "" {
			t.Errorf("the engine's (+) is other than the archive's (-):\n%s", diff)
		}
	})
}

// TestPulledPlatforms guards against an image of which the platforms that were not
// pulled count, or of which the pulled one is not found.
func TestPulledPlatforms(t *testing.T) {
	t.Parallel()
	eachDocker(t, func(t *testing.T, d dockerEngine) {
		if !d.containerd {
			t.Skip("a graph driver keeps one platform of an image")
		}
		name := newName()
		platforms := map[string]v1.Image{}
		for _, architecture := range []string{runtime.GOARCH, "riscv64", "s390x"} {
			platforms[architecture] = imagetest.Image(
				imagetest.Options{Architecture: architecture, OCI: true},
				imagetest.Tar(imagetest.File("opt/a", name+architecture)))
		}
		index := imagetest.IndexWithAttestations(platforms[runtime.GOARCH], platforms["riscv64"], platforms["s390x"])
		one := loadParts(t, d, index, platforms[runtime.GOARCH], platforms["s390x"])
		o, got := d.convert(t, 0, one)
		if !strings.HasPrefix(o.stderr, "img2lambda: warning: the image is for linux/riscv64, and this machine is linux/") {
			t.Errorf("stderr %q: which platform it took", o.stderr)
		}
		layout := filepath.Join(t.TempDir(), "layout")
		if err := imagetest.WriteOCILayout(layout, "", platforms["riscv64"]); err != nil {
			t.Fatal(err)
		}
		_, want := d.convert(t, 0, "oci:"+layout)
		sameZips(t, want, got)
		o, got = d.convert(t, 0, one, "--platform", "linux/riscv64")
		if strings.Contains(o.stderr, "warning") {
			t.Errorf("stderr %q", o.stderr)
		}
		sameZips(t, want, got)
		o, _ = d.convert(t, 1, one, "--platform", "linux/s390x")
		o.oneLine(t, "the image has no linux/s390x variant, only linux/riscv64: ", "`docker pull --platform linux/s390x "+one+"`")

		manifest, err := platforms["riscv64"].Digest()
		if err != nil {
			t.Fatal(err)
		}
		_, got = d.convert(t, 0, manifest.String())
		sameZips(t, want, got)
		absent, err := platforms[runtime.GOARCH].Digest()
		if err != nil {
			t.Fatal(err)
		}
		o, _ = d.convert(t, 1, absent.String())
		o.oneLine(t, "has only parts of "+absent.String())

		two := loadParts(t, d, index, platforms[runtime.GOARCH])
		o, _ = d.convert(t, 1, two)
		o.oneLine(t, "variant, only linux/riscv64, linux/s390x: choose with --platform")
		_, got = d.convert(t, 0, two, "--platform", "linux/riscv64")
		sameZips(t, want, got)
	})
}

// loadParts loads a multi-platform image without what some of its images consist
// of, as `docker pull --platform` leaves it, and returns a name for it.
func loadParts(t *testing.T, d dockerEngine, index v1.ImageIndex, without ...v1.Image) string {
	t.Helper()
	dir := t.TempDir()
	if err := imagetest.WriteOCILayout(dir, "", index); err != nil {
		t.Fatal(err)
	}
	for _, img := range without {
		manifest, err := img.Manifest()
		if err != nil {
			t.Fatal(err)
		}
		digest, err := img.Digest()
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range []v1.Hash{digest, manifest.Config.Digest, manifest.Layers[0].Digest} {
			if err := os.Remove(filepath.Join(dir, "blobs", "sha256", h.Hex)); err != nil {
				t.Fatal(err)
			}
		}
	}
	file := filepath.Join(t.TempDir(), "image.tar")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := tar.NewWriter(f)
	if err := w.AddFS(os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	digest, err := index.Digest()
	if err != nil {
		t.Fatal(err)
	}
	name := newName() + ":1"
	d.run(t, "load", "--quiet", "--input", file)
	d.run(t, "tag", digest.String(), name)
	t.Cleanup(func() { d.run(t, "image", "rm", "--force", name) })
	return name
}

// sameZips fails unless two directories have the same zips.
func sameZips(t *testing.T, want, got string) {
	t.Helper()
	zips := func(dir string) map[string]string {
		all := files(t, dir)
		delete(all, "report.json")
		return all
	}
	if diff := cmp.Diff(zips(want), zips(got)); diff != "" || len(zips(got)) < 2 {
		t.Errorf("other zips (+), want (-):\n%s", diff)
	}
}

// TestBuildx guards against what buildx adds to an image: with the containerd
// store its provenance, as if for another platform.
func TestBuildx(t *testing.T) {
	t.Parallel()
	eachDocker(t, func(t *testing.T, d dockerEngine) {
		config := filepath.Join(filepath.Dir(strings.TrimPrefix(d.host, "unix://")), "cli")
		if _, err := os.Stat(filepath.Join(config, "cli-plugins", "docker-buildx")); err != nil {
			t.Skip("the engine was not started by .ci/engine, which brings buildx")
		}
		dir, name := t.TempDir(), newName()
		for file, content := range map[string]string{"Dockerfile": "FROM scratch\nCOPY a /opt/a\n", "a": name} {
			if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		t.Cleanup(func() { d.run(t, "image", "rm", "--force", name) })
		d.run(t, "--config", config, "buildx", "build", "--quiet", "--load", "--network", "none", "--tag", name, dir)
		file := filepath.Join(dir, "image.tar")
		d.run(t, "save", "--output", file, name)
		_, want := d.convert(t, 0, "docker-archive:"+file)
		o, got := d.convert(t, 0, name)
		sameZips(t, want, got)
		if id := d.id(t, name)[len("sha256:"):][:12]; !strings.HasPrefix(o.stdout, name+" ("+id+", ") {
			t.Errorf("the report begins with %q, want %s", o.stdout, id)
		}
		if d.containerd {
			manifests := d.run(t, "image", "inspect", "--format", "{{.Descriptor.mediaType}}", name)
			if !strings.Contains(manifests, "index") {
				t.Errorf("it is a %s: buildx has added nothing", manifests)
			}
		}
	})
}
