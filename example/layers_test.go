package example

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/fakelambda"
)

// A file is what a path of an image is. Paths have no slash in front.
type file struct {
	mode    fs.FileMode
	modTime int64 // seconds since 1970
	link    string
	body    string
}

func (f file) String() string {
	return fmt.Sprintf("%v %v %q and %d bytes", f.mode, time.Unix(f.modTime, 0).UTC(), f.link, len(f.body))
}

// TestLayers lives through what the README promises: what img2lambda publishes of the
// image is what the image has below /opt and /var/task, and it serves invocations with
// nothing else around it.
func TestLayers(t *testing.T) {
	t.Parallel()
	image := exampleImage(t)
	want, got := imageTree(t, image), publishedTree(t, image)
	paths := maps.Clone(want)
	maps.Copy(paths, got)
	for p := range paths {
		if want[p] != got[p] {
			t.Errorf("/%s: published as %v, in the image %v", p, got[p], want[p])
		}
	}
	testRuntime(t, image, got)
}

// publishedTree publishes the image's layers, takes them back, and unpacks them in the
// order of their ARNs, and function.zip.
func publishedTree(t *testing.T, image string) map[string]file {
	t.Helper()
	api := fakelambda.New()
	endpoint := api.Start()
	t.Cleanup(api.Close)
	program, dir := builtProgram(t), t.TempDir()
	publish := func() []string {
		cmd := command(t.Context(), program, "--image", image, "--quiet", "--output-directory", dir)
		cmd.Env = append(withoutAWS(cmd.Env), "AWS_ENDPOINT_URL="+endpoint, "AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test",
			"AWS_CONFIG_FILE="+os.DevNull, "AWS_SHARED_CREDENTIALS_FILE="+os.DevNull)
		return strings.Fields(output(t, cmd))
	}

	published := publish()
	if len(published) != 2 {
		t.Errorf("layers %q, want two", published)
	}
	tree := map[string]file{}
	for _, arn := range published {
		i := slices.IndexFunc(api.Versions(), func(v fakelambda.Version) bool { return v.ARN() == arn })
		if i < 0 {
			t.Fatalf("the API does not have %s", arn)
		}
		unzip(t, tree, "opt", api.Versions()[i].Zip)
	}
	function, err := os.ReadFile(filepath.Join(dir, "function.zip"))
	if err != nil {
		t.Fatal(err)
	}
	unzip(t, tree, "var/task", function)

	// A machine that stands still for minutes may lose an answer, and publish twice.
	before := len(api.Versions())
	if again := publish(); !slices.Equal(again, published) || len(api.Versions()) != before {
		t.Errorf("a second run gave %q, not %q, and the API has %d layer versions, not %d", again, published, len(api.Versions()), before)
	}
	return tree
}

// withoutAWS returns an environment without what users configure of AWS in theirs.
func withoutAWS(env []string) []string {
	return slices.DeleteFunc(env, func(s string) bool { return strings.HasPrefix(s, "AWS_") })
}

// unzip unpacks a zip over what dir has already, as Lambda does.
func unzip(t *testing.T, tree map[string]file, dir string, content []byte) {
	t.Helper()
	archive, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range archive.File {
		r, err := entry.Open()
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r)
		if err != nil {
			t.Fatalf("%s: %v", entry.Name, err)
		}
		f := file{mode: entry.Mode(), modTime: entry.Modified.Unix(), body: string(body)}
		if f.mode.Type() == fs.ModeSymlink {
			f.link, f.body = f.body, ""
		}
		tree[path.Join(dir, entry.Name)] = f
	}
}

// imageTree returns what a container of the image has below /opt and /var/task.
func imageTree(t *testing.T, image string) map[string]file {
	t.Helper()
	container := strings.TrimSpace(docker(t, "create", "--network", "none", image))
	t.Cleanup(func() { cleanUp(t, "rm", "--force", container) })
	tree := map[string]file{}
	for _, dir := range []string{"opt", "var/task"} {
		readTree(t, tree, path.Dir(dir), docker(t, "cp", container+":/"+dir, "-"))
	}
	return tree
}

// readTree adds to tree what a tar of docker cp holds. Of what was copied, dir is the
// directory that it is in.
func readTree(t *testing.T, tree map[string]file, dir, archive string) {
	t.Helper()
	for r := tar.NewReader(strings.NewReader(archive)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		name := path.Join(dir, h.Name)
		if name == "opt" || name == "var/task" {
			continue
		}
		if h.Typeflag == tar.TypeLink {
			tree[name] = tree[path.Join(dir, h.Linkname)]
			continue
		}
		tree[name] = file{h.FileInfo().Mode(), h.ModTime.Unix(), h.Linkname, string(body)}
	}
}

// importTree makes an image of just these files, for the length of the test.
func importTree(t *testing.T, tree map[string]file) string {
	t.Helper()
	tree = maps.Clone(tree)
	for name := range tree {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			if _, ok := tree[dir]; !ok {
				tree[dir] = file{mode: fs.ModeDir | 0o755}
			}
		}
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, name := range slices.Sorted(maps.Keys(tree)) {
		f := tree[name]
		h := tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: int64(f.mode.Perm()), Linkname: f.link, Size: int64(len(f.body))}
		switch f.mode.Type() {
		case fs.ModeDir:
			h.Typeflag = tar.TypeDir
		case fs.ModeSymlink:
			h.Typeflag = tar.TypeSymlink
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, f.body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := command(t.Context(), "docker", "import", "-")
	cmd.Stdin = &archive
	image := strings.TrimSpace(output(t, cmd))
	t.Cleanup(func() { cleanUp(t, "rmi", "--force", image) })
	return image
}
