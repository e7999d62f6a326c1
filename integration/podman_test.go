package integration

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/testrun"
)

// require skips a test that needs programs that are not there, unless the variable
// IMG2LAMBDA_TEST_name says that they have to be.
func require(t *testing.T, name string, programs ...string) {
	t.Helper()
	for _, program := range programs {
		_, err := exec.LookPath(program)
		if err != nil && os.Getenv("IMG2LAMBDA_TEST_"+name) == "required" {
			t.Fatalf("%v, and IMG2LAMBDA_TEST_%s=required", err, name)
		} else if err != nil {
			t.Skip(err)
		}
	}
}

// background starts a program for the length of a test, until it ends by itself or
// is killed.
func background(t *testing.T, c *exec.Cmd) {
	t.Helper()
	var out strings.Builder
	c.Stdout, c.Stderr = &out, &out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
		if t.Failed() {
			t.Logf("%v:\n%s", c, &out)
		}
	})
}

// await waits until a server takes connections.
func await(t *testing.T, network, address string) {
	t.Helper()
	for ctx := testrun.Deadline(t); ; {
		c, err := net.Dial(network, address)
		if err == nil {
			c.Close()
			return
		}
		select {
		case <-ctx.Done():
			t.Fatal(err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// TestPodman guards against images that Podman's API has in another way than an
// engine of Docker's: podman and buildah have built them.
func TestPodman(t *testing.T) {
	t.Parallel()
	require(t, "PODMAN", "podman", "buildah")
	if os.Getuid() != 0 {
		t.Skip("podman needs root, or a machine that is set up for users' containers")
	}
	dir := t.TempDir()
	store := []string{"--root", filepath.Join(dir, "root"), "--runroot", filepath.Join(dir, "runroot"), "--storage-driver", "vfs"}
	tool := func(name string, args ...string) string {
		t.Helper()
		c := exec.Command(name, append(append([]string{}, store...), args...)...)
		c.Dir = dir
		return strings.TrimSpace(output(t, c))
	}
	for name, content := range map[string]string{
		"opt/bin/run": "run", "opt/gone": "1", "task/index.js": "one", "Containerfile": "FROM scratch\nCOPY opt /opt\nCOPY task /var/task\n",
	} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	tool("podman", "build", "--quiet", "--layers", "--network", "none", "--tag", "by-podman", "--file", "Containerfile", ".")
	container := tool("buildah", "from", "scratch")
	tool("buildah", "copy", "--quiet", container, "opt", "/opt")
	tool("buildah", "copy", "--quiet", container, "task", "/var/task")
	tool("buildah", "commit", "--quiet", container, "by-buildah")

	socket := filepath.Join(shortDir(t), "podman.sock")
	background(t, exec.Command("podman", append(append([]string{}, store...), "system", "service", "--time", "0", "unix://"+socket)...))
	await(t, "unix", socket)
	podman := dockerEngine{host: "unix://" + socket}
	for _, name := range []string{"by-podman", "by-buildah"} {
		id := tool("podman", "image", "inspect", "--format", "{{.Id}}", "localhost/"+name)
		archive := filepath.Join(dir, name+".tar")
		tool("podman", "save", "--quiet", "--output", archive, "localhost/"+name)
		_, want := podman.convert(t, 0, "docker-archive:"+archive)
		for _, reference := range []string{name, "localhost/" + name + ":latest", id, "sha256:" + id, id[:12]} {
			o, got := podman.convert(t, 0, reference)
			if diff := cmp.Diff(imageFiles(t, want), imageFiles(t, got)); diff != "" {
				t.Errorf("%s is other (+) than what podman saves (-):\n%s", reference, diff)
			}
			if !strings.HasPrefix(o.stdout, reference+" ("+id[:12]+", linux/") {
				t.Errorf("the report begins with %q, want %s", o.stdout, id[:12])
			}
		}
	}
	o, _ := podman.convert(t, 1, "missing")
	o.oneLine(t, "the Docker engine has no image missing:latest: ")
}

// shortDir is a directory with a path short enough for sockets, which have room
// for about 100 bytes.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// TestPodmanSocket guards against an engine that is there and not told of.
func TestPodmanSocket(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	if err := os.Mkdir(filepath.Join(dir, "podman"), 0o755); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "podman", "podman.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	nowhere := run{dir: dir, env: []string{"DOCKER_HOST=unix://" + dir + "/no.sock"}, args: []string{"-d", "-i", "app"}}
	nowhere.do(t).oneLine(t, "no Docker engine answers at unix://"+dir+"/no.sock: ", "for Podman, export DOCKER_HOST=unix://"+socket)
	l.Close()
	if o := nowhere.do(t); strings.Contains(o.stderr, "Podman") {
		t.Errorf("stderr %q, and there is no Podman", o.stderr)
	}
}
