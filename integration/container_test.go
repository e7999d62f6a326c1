package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/imagetest"
	"github.com/awslabs/aws-lambda-container-image-converter/internal/ziptest"
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

// TestContainer compares with real Docker engines: the zips of an image have to
// restore what `docker export` says of a container of it. The machine's engine
// builds it; others get it from there, as they may have no network.
func TestContainer(t *testing.T) {
	t.Parallel()
	own := dockerEngine{host: ownDocker(t)}
	name := newName()
	own.build(t, name)
	file := filepath.Join(t.TempDir(), "image.tar")
	own.run(t, "save", "--output", file, name)
	eachDocker(t, func(t *testing.T, d dockerEngine) {
		if d.host != own.host {
			t.Cleanup(func() { d.run(t, "image", "rm", "--force", name) })
			d.run(t, "load", "--quiet", "--input", file)
		}
		o, dir := d.convert(t, 0, name)
		tree := d.flatten(t, name)
		if n := len(ziptest.Below(tree, "opt")); n < 20 {
			t.Fatalf("only %d paths below /opt: this is another image", n)
		}
		zips, err := filepath.Glob(filepath.Join(dir, "layer-*.zip"))
		if err != nil {
			t.Fatal(err)
		}
		function := filepath.Join(dir, "function.zip")
		ziptest.Compare(t, ziptest.Restore(t, zips...), ziptest.Below(tree, "opt"))
		ziptest.Compare(t, ziptest.Restore(t, function), ziptest.Below(tree, "var/task"))
		ziptest.CheckUnzip(t, zips...)
		ziptest.CheckUnzip(t, function)
		for _, p := range []string{"/opt/pipe", "/opt/kinds/file-fifo"} {
			if !strings.Contains(o.stderr, p) {
				t.Errorf("no warning names %s:\n%s", p, o.stderr)
			}
		}
		for _, reference := range []string{d.id(t, name), "docker-archive:" + file, "docker-archive:" + file + ":" + name} {
			_, other := d.convert(t, 0, reference)
			if diff := gocmp.Diff(imageFiles(t, dir), imageFiles(t, other)); diff != "" {
				t.Errorf("%s is other (+) than %s (-):\n%s", reference, name, diff)
			}
		}
	})
}

// build makes the image of the dockerfile.
func (d dockerEngine) build(t *testing.T, name string) {
	t.Helper()
	dir := t.TempDir()
	tool := exec.Command("go", "build", "-o", filepath.Join(dir, "tool"), "./testdata/tool")
	tool.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
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
		images := strings.Fields(d.run(t, "image", "ls", "--quiet", "--filter", "label=img2lambda-test="+name))
		if len(images) > 0 {
			d.run(t, append([]string{"image", "rm", "--force"}, images...)...)
		}
	})
	d.run(t, "build", "--network", "none", "--force-rm", "--build-arg", "name="+name, "--tag", name, dir)
}

// flatten returns the tree that a container of the image has.
func (d dockerEngine) flatten(t *testing.T, name string) map[string]imagetest.Node {
	t.Helper()
	container := strings.TrimSpace(d.run(t, "create", "--network", "none", name, "/tool"))
	t.Cleanup(func() { d.run(t, "rm", "--force", container) })
	tree, err := imagetest.FlattenExport(strings.NewReader(d.run(t, "export", container)))
	if err != nil {
		t.Fatal(err)
	}
	return tree
}
