package integration

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/imagetest"
)

// TestSaved guards against zips of what `docker save` or crane writes that are
// other than those of the image itself.
func TestSaved(t *testing.T) {
	t.Parallel()
	eachDocker(t, func(t *testing.T, d dockerEngine) {
		tag := newName() + ":1"
		img := newImage(t, "dir opt/; file opt/a "+tag, "whiteout opt/a; file opt/b 2; file var/task/f f")
		dir := t.TempDir()
		d.load(t, filepath.Join(dir, "image.tar"), imagetest.DockerOCI, tag, img)
		_, want := d.convert(t, 0, tag)
		saved := filepath.Join(dir, "saved.tar")
		d.run(t, "save", "--output", saved, tag)
		sameAs(t, want, "docker-archive:"+saved)
		sameAs(t, want, "docker-archive:"+saved+":"+tag)
		content, err := os.ReadFile(saved)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(content, []byte("index.json")) { // from Docker 25 on
			sameAs(t, want, "oci-archive:"+saved+":"+tag)
		}
		crane := filepath.Join(dir, "crane.tar")
		writeTarball(t, crane, tag, img)
		sameAs(t, want, "docker-archive:"+crane)
	})
}

// sameAs fails unless an image makes the zips that are in want.
func sameAs(t *testing.T, want, image string) {
	t.Helper()
	dir := t.TempDir()
	run{dir: dir, args: []string{"-d", "-q", "-i", image}}.exits(t, 0)
	sameZips(t, want, filepath.Join(dir, "output"))
}

// writeTarball writes what `crane pull` does.
func writeTarball(t *testing.T, file, tag string, img v1.Image) {
	t.Helper()
	ref, err := name.NewTag(tag)
	if err != nil {
		t.Fatal(err)
	}
	if err := tarball.WriteToFile(file, ref, img); err != nil {
		t.Fatal(err)
	}
}
