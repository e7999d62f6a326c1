package example

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// TestDockerRun has the misuse that people will try first.
func TestDockerRun(t *testing.T) {
	t.Parallel()
	image := exampleImage(t)
	for name, tt := range map[string]struct {
		args   []string
		stderr string
		status int
	}{
		"no handler":     {nil, "usage: bootstrap FILE.FUNCTION [EVENT]", 2},
		"event not JSON": {[]string{"functions.hello", "{"}, "the event is not JSON", 2},
		"no file":        {[]string{"nope.hello"}, "there is no file /var/task/src/nope.php", 1},
		"no function":    {[]string{"functions.nope"}, "there is no function nope in", 1},
		"no dot":         {[]string{"hello"}, "not of the form FILE.FUNCTION", 1},
		"climbing":       {[]string{"../../opt/bootstrap.load"}, "not of the form FILE.FUNCTION", 1},
		"throws":         {[]string{"functions.goodbye"}, `InvalidArgumentException: the event has no "name"`, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := command(t.Context(), "docker", append([]string{"run", "--rm", "--network", "none", image}, tt.args...)...)
			var stderr strings.Builder
			cmd.Stderr = &stderr
			stdout, err := cmd.Output()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != tt.status || len(stdout) > 0 || !strings.Contains(stderr.String(), tt.stderr) {
				t.Errorf("%v, stdout %q, stderr %q; want status %d and %q", err, stdout, stderr.String(), tt.status, tt.stderr)
			}
		})
	}
}

// TestREADME runs the docker run commands that the README shows, and checks that what
// it shows of their output is what they write.
func TestREADME(t *testing.T) {
	t.Parallel()
	image := exampleImage(t)
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := regexp.MustCompile(`(?m)^\$ docker run --rm lambda-php (.*)\n((?:[^$`+"`"+`].*\n)+)`).FindAllStringSubmatch(string(readme), -1)
	if len(shown) != 3 {
		t.Errorf("%d commands in the README, want 3", len(shown))
	}
	for _, example := range shown {
		arguments, want := example[1], example[2]
		t.Run(arguments, func(t *testing.T) {
			t.Parallel()
			// Fails where the README shows an error.
			out, _ := command(t.Context(), "sh", "-c", "docker run --rm --network none "+image+" "+arguments).CombinedOutput()
			if !strings.HasPrefix(string(out), want) {
				t.Errorf("it writes\n%s\nand not\n%s", out, want)
			}
		})
	}
}

// exampleImage returns the ID of the example's image, or skips the test where there
// is no Docker engine to build it with. IMG2LAMBDA_TEST_DOCKER=required makes that a
// failure.
func exampleImage(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("building the image takes a minute the first time")
	}
	image, err := built()
	if errors.Is(err, errNoEngine) && os.Getenv("IMG2LAMBDA_TEST_DOCKER") != "required" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// errNoEngine is the error of a build that could not begin.
var errNoEngine = errors.New("no Docker engine with a base image")

// built builds the image once for all tests. It gets no name, over which two runs
// would fight, and is not removed: with it, the next run's build takes a second.
var built = sync.OnceValues(func() (string, error) {
	for _, needed := range [][]string{{"docker", "version"}, {"./base.sh"}} {
		cmd := command(context.Background(), needed[0], needed[1:]...)
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("%w: %v: %w\n%s", errNoEngine, cmd, err, out)
		}
	}
	dir, err := os.MkdirTemp("", "img2lambda-test-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	idFile := filepath.Join(dir, "id")
	args := []string{"build", "--network", "host", "--iidfile", idFile}
	for _, proxy := range []string{"http_proxy", "https_proxy", "no_proxy"} {
		args = append(args, "--build-arg", proxy) // of the environment, if it has it
	}
	cmd := command(context.Background(), "docker", append(args, ".")...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%v: %w\n%s", cmd, err, out)
	}
	id, err := os.ReadFile(idFile)
	return string(id), err
})

// docker runs a docker command that must succeed, and returns its stdout.
func docker(t *testing.T, args ...string) string {
	t.Helper()
	return output(t, command(t.Context(), "docker", args...))
}

// output runs a command that must succeed, and returns its stdout.
func output(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s%s", cmd, err, out, stderr.String())
	}
	return string(out)
}

// command is a command that speaks to the engine of DOCKER_HOST or of this machine,
// and not of the docker context that somebody chose for their own work: the runtimes
// have to reach this machine's loopback.
func command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "DOCKER_CONTEXT=default")
	return cmd
}

// cleanUp is docker for when the test's context is over.
func cleanUp(t *testing.T, args ...string) {
	if out, err := command(context.Background(), "docker", args...).CombinedOutput(); err != nil {
		t.Logf("docker %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}
