package source

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/imagetest"
	"github.com/awslabs/aws-lambda-container-image-converter/internal/ziptest"
	"github.com/awslabs/aws-lambda-container-image-converter/types"
)

// dockerfile makes an image with a layer for each of its instructions. Its tool
// is the program in testdata/tool.
const dockerfile = `
FROM scratch
ARG name
LABEL img2lambda-test=$name
COPY tool /tool
COPY opt /opt
RUN ["/tool", \
	"mkdir /usr/lib", "fill /usr/lib/shared 2000000", "write /usr/lib/small small", \
	"mkdir /opt/bin", "write /opt/bin/run run", "chmod 4711 /opt/bin/run", "link /opt/bin/run /opt/bin/again", \
	"symlink bin/run /opt/run", "symlink /nowhere /opt/dangling", "symlink .. /opt/up", \
	"mkdir /opt/empty/below", "chmod 1777 /opt/empty", "touch 1000000001 /opt/empty/below", \
	"mkfifo /opt/pipe", \
	"mkdir /var/task/lib", "write /var/task/index.js one", "write /var/task/lib/gone gone"]
RUN ["/tool", \
	"link /usr/lib/shared /opt/shared", "link /usr/lib/small /opt/bin/small", "touch 86399 /opt/bin/small", \
	"mkdir /opt/hidden", "write /opt/hidden/a a", "mkdir /opt/again", "write /opt/again/a a", "rm /opt/from-context/deleted", "rm /opt/from-context/tree", \
	"mkdir /opt/kinds", "write /opt/kinds/file-dir 1", "mkdir /opt/kinds/dir-file/below", \
	"write /opt/kinds/file-link 1", "symlink file-link /opt/kinds/link-file", \
	"mkdir /opt/kinds/dir-link", "write /opt/kinds/dir-link/a 1", "symlink . /opt/kinds/link-dir", \
	"write /opt/kinds/file-fifo 1", "mkfifo /opt/kinds/fifo-file"]
RUN ["/tool", \
	"rm /opt/kinds/file-dir", "mkdir /opt/kinds/file-dir", "write /opt/kinds/file-dir/in 2", \
	"rm /opt/kinds/dir-file", "write /opt/kinds/dir-file 2", \
	"rm /opt/kinds/file-link", "symlink /etc /opt/kinds/file-link", \
	"rm /opt/kinds/link-file", "write /opt/kinds/link-file 2", \
	"rm /opt/kinds/dir-link", "symlink file-dir /opt/kinds/dir-link", \
	"rm /opt/kinds/link-dir", "mkdir /opt/kinds/link-dir", \
	"rm /opt/kinds/file-fifo", "mkfifo /opt/kinds/file-fifo", \
	"rm /opt/kinds/fifo-file", "write /opt/kinds/fifo-file 2", \
	"rm /opt/hidden", "rm /opt/again", "mkdir /opt/again", "write /opt/again/b b", "mv /opt/from-context/moved /opt/was-moved", \
	"rm /opt/bin/again", "write /opt/bin/run changed", \
	"write /var/task/index.js two", "rm /var/task/lib/gone", "link /opt/bin/run /var/task/run", \
	"write /etc/not-ours 1"]
RUN ["/tool", "write /etc/nothing-of-ours 1"]
RUN ["/tool", "mkdir /opt/hidden", "write /opt/hidden/b b", "rm /opt/from-context/deleted-later", "rm /usr/lib/shared"]
`

// TestDockerEngine compares with a real Docker engine: it builds an image, and
// the zips have to restore what `docker export` says of a container of it.
func TestDockerEngine(t *testing.T) {
	t.Parallel()
	requireDocker(t)
	name := "img2lambda-test-" + strings.ToLower(rand.Text())
	buildImage(t, name)

	dir, result, warnings := convertReference(t, name)
	tree := flattenContainer(t, name)
	if n := len(ziptest.Below(tree, "opt")); n < 20 {
		t.Fatalf("only %d paths below /opt: this is another image", n)
	}
	var zips []string
	for _, l := range result.Layers {
		zips = append(zips, filepath.Join(dir, l.File))
	}
	function := filepath.Join(dir, result.Function.File)
	ziptest.Compare(t, ziptest.Restore(t, zips...), ziptest.Below(tree, "opt"))
	ziptest.Compare(t, ziptest.Restore(t, function), ziptest.Below(tree, "var/task"))
	ziptest.CheckUnzip(t, zips...)
	ziptest.CheckUnzip(t, function)
	for _, p := range []string{"/opt/pipe", "/opt/kinds/file-fifo"} {
		if all := strings.Join(warnings, "\n"); !strings.Contains(all, p) {
			t.Errorf("no warning names %s:\n%s", p, all)
		}
	}

	// by its ID, and by way of a file
	id := strings.TrimSpace(string(dockerCLI(t, "inspect", "--format", "{{.Id}}", name)))
	file := filepath.Join(t.TempDir(), "image.tar")
	dockerCLI(t, "save", "--output", file, name)
	for _, reference := range []string{id, strings.TrimPrefix(id, "sha256:"), "docker-archive:" + file, "docker-archive:" + file + ":" + name} {
		_, other, _ := convertReference(t, reference)
		if other.ID != result.ID || other.Platform != result.Platform {
			t.Errorf("%s: image %s, %s; want %s, %s", reference, other.ID, other.Platform, result.ID, result.Platform)
		}
		if diff := gocmp.Diff(result.Layers, other.Layers); diff != "" {
			t.Errorf("%s gives other layers (+) than %s (-):\n%s", reference, name, diff)
		}
		if diff := gocmp.Diff(result.Function, other.Function); diff != "" {
			t.Errorf("%s gives another function (+) than %s (-):\n%s", reference, name, diff)
		}
	}
}

// requireDocker skips the test where no engine answers.
func requireDocker(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "docker", "version", "--format", "{{.Server.Version}}").CombinedOutput()
	switch {
	case err == nil:
		t.Logf("Docker engine %s", bytes.TrimSpace(out))
	case os.Getenv("IMG2LAMBDA_TEST_DOCKER") == "required":
		t.Fatalf("no Docker engine, and IMG2LAMBDA_TEST_DOCKER=required: %v\n%s", err, out)
	default:
		t.Skipf("no Docker engine: %v %s", err, bytes.TrimSpace(out))
	}
}

// dockerCLI runs the docker CLI and returns what it prints.
func dockerCLI(t *testing.T, args ...string) []byte {
	t.Helper()
	c := exec.Command("docker", args...)
	// The legacy builder needs nothing but the engine.
	c.Env = append(os.Environ(), "DOCKER_BUILDKIT="+cmp.Or(os.Getenv("DOCKER_BUILDKIT"), "0"))
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s%s", c, err, out, &stderr)
	}
	return out
}

// buildImage makes the image of the dockerfile.
func buildImage(t *testing.T, name string) {
	t.Helper()
	dir := t.TempDir()
	tool := exec.Command("go", "build", "-o", filepath.Join(dir, "tool"), "./testdata/tool")
	tool.Env = append(slices.Clone(shell), "CGO_ENABLED=0", "GOOS=linux")
	if out, err := tool.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", tool, err, out)
	}
	for file, content := range map[string]string{
		"Dockerfile":                      dockerfile,
		"opt/from-context/file":           "from context",
		"opt/from-context/deleted":        "1",
		"opt/from-context/deleted-later":  "1",
		"opt/from-context/tree/deep/down": "1",
		"opt/from-context/moved":          "moved",
		"opt/from-context/日本 é":           "names",
		"opt/from-context/" + strings.Repeat("long", 30) + "/" + strings.Repeat("name", 30): "long",
	} {
		file = filepath.Join(dir, file)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(dir, "opt/from-context/file"), 0o600); err != nil {
		t.Fatal(err)
	}
	odd := time.Date(2001, 2, 3, 4, 5, 7, 0, time.UTC)
	if err := os.Chtimes(filepath.Join(dir, "opt/from-context/file"), odd, odd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // what a build that fails leaves, too
		images := strings.Fields(string(dockerCLI(t, "image", "ls", "--quiet", "--filter", "label=img2lambda-test="+name)))
		if len(images) > 0 {
			dockerCLI(t, append([]string{"image", "rm", "--force"}, images...)...)
		}
	})
	dockerCLI(t, "build", "--network", "none", "--force-rm", "--build-arg", "name="+name, "--tag", name, dir)
}

// convertReference converts an image as the program does.
func convertReference(t *testing.T, reference string) (dir string, result *types.Image, warnings []string) {
	t.Helper()
	dir = t.TempDir()
	result, warnings, err := convert(t.Context(), parsed(t, reference), dir)
	if err != nil {
		t.Fatalf("%s: %v", reference, err)
	}
	return dir, result, warnings
}

// flattenContainer returns the tree that a container of the image has.
func flattenContainer(t *testing.T, name string) map[string]imagetest.Node {
	t.Helper()
	container := strings.TrimSpace(string(dockerCLI(t, "create", "--network", "none", name, "/tool")))
	t.Cleanup(func() { dockerCLI(t, "rm", "--force", container) })
	tree := map[string]imagetest.Node{}
	for r := tar.NewReader(bytes.NewReader(dockerCLI(t, "export", container))); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return tree
		} else if err != nil {
			t.Fatal(err)
		}
		n := imagetest.Node{Mode: h.Mode & 0o7777, ModTime: h.ModTime.Unix()}
		switch h.Typeflag {
		case tar.TypeReg:
			n.Kind = imagetest.KindFile
			body, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			n.Body = string(body)
		case tar.TypeDir:
			n.Kind = imagetest.KindDir
		case tar.TypeSymlink:
			n.Kind, n.Linkname = imagetest.KindSymlink, h.Linkname
		case tar.TypeLink:
			target, ok := tree[cleanPath(h.Linkname)]
			if !ok {
				t.Fatalf("docker export has the hard link %s before its target %s", h.Name, h.Linkname)
			}
			n.Kind, n.Body, n.Linkname = target.Kind, target.Body, target.Linkname
		default:
			n.Kind = imagetest.KindSpecial
		}
		tree[strings.Trim(h.Name, "/")] = n
	}
}
