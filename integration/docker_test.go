package integration

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/imagetest"
	"github.com/awslabs/aws-lambda-container-image-converter/internal/testrun"
)

// dockerEngine is a real Docker engine.
type dockerEngine struct {
	host       string
	containerd bool // it keeps images in containerd, and not in a graph driver
}

// eachDocker runs a test with the engine of this machine, and with those that
// IMG2LAMBDA_TEST_ENGINES has the addresses of. .ci/run starts two: Docker 29 with
// each of its image stores.
func eachDocker(t *testing.T, test func(t *testing.T, d dockerEngine)) {
	t.Helper()
	hosts := strings.Fields(os.Getenv("IMG2LAMBDA_TEST_ENGINES"))
	if len(hosts) == 0 {
		t.Run("current", func(t *testing.T) {
			t.Skip("IMG2LAMBDA_TEST_ENGINES names no engines: .ci/engine starts some")
		})
	}
	for _, host := range append([]string{""}, hosts...) {
		t.Run(cmp.Or(host, "own"), func(t *testing.T) {
			t.Parallel()
			d := dockerEngine{host: host}
			if host == "" {
				d.host = ownDocker(t)
			}
			d.containerd = strings.Contains(d.run(t, "info", "--format", "{{.DriverStatus}}"), "io.containerd.snapshotter")
			test(t, d)
		})
	}
}

// ownDocker returns the address of this machine's engine; without one, the test is
// skipped.
func ownDocker(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(testrun.Deadline(t), "docker", "version", "--format", "{{.Server.Version}}").CombinedOutput()
	switch {
	case err == nil:
		host := dockerEngine{host: os.Getenv("DOCKER_HOST")}.run(t, "context", "inspect", "--format", "{{.Endpoints.docker.Host}}")
		return strings.TrimSpace(host)
	case os.Getenv("IMG2LAMBDA_TEST_DOCKER") == "required":
		t.Fatalf("no Docker engine, and IMG2LAMBDA_TEST_DOCKER=required: %v\n%s", err, out)
	default:
		t.Skipf("no Docker engine: %v %s", err, bytes.TrimSpace(out))
	}
	return ""
}

// run runs the docker command and returns what it prints.
func (d dockerEngine) run(t *testing.T, args ...string) string {
	t.Helper()
	c := exec.Command("docker", args...)
	c.Env = append(os.Environ(), "DOCKER_BUILDKIT=0", "DOCKER_HOST="+d.host)
	return output(t, c)
}

// output runs a command that must not fail.
func output(t *testing.T, c *exec.Cmd) string {
	t.Helper()
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s%s", c, err, out, &stderr)
	}
	return string(out)
}

// load writes an archive of an image and loads it.
func (d dockerEngine) load(t *testing.T, file string, format imagetest.Format, name string, img v1.Image) {
	t.Helper()
	if err := imagetest.WriteDockerArchive(file, format, imagetest.Ref{Name: name, Content: img}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.run(t, "image", "rm", "--force", name) })
	d.run(t, "load", "--quiet", "--input", file)
}

// id is what `docker images` calls the image.
func (d dockerEngine) id(t *testing.T, name string) string {
	t.Helper()
	return strings.TrimSpace(d.run(t, "images", "--quiet", "--no-trunc", name))
}

// convert converts an image in the engine, and returns the outcome and the
// directory of the zips.
func (d dockerEngine) convert(t *testing.T, exit int, name string, args ...string) (outcome, string) {
	t.Helper()
	dir := t.TempDir()
	r := run{dir: dir, env: []string{"DOCKER_HOST=" + d.host}, args: append([]string{"-d", "-i", name}, args...)}
	return r.exits(t, exit), filepath.Join(dir, "output")
}

// newName is a name, or content, that nothing else has.
func newName() string { return "img2lambda-test-" + strings.ToLower(rand.Text()) }
