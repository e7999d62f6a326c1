package example

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/fakelambda"
	"github.com/awslabs/aws-lambda-container-image-converter/internal/runtimeapi"
)

// testImage is what the tests build the example as. It is kept afterwards: the
// next build then takes a second instead of a minute.
const testImage = "img2lambda-test/lambda-php"

// patience is how long a container may take for anything that it does.
const patience = time.Minute

// TestImage lives through what the README promises, as far as the image goes: it is
// built, answers with docker run, and what it has below /opt and /var/task serves
// invocations on its own.
func TestImage(t *testing.T) {
	build(t)
	testRuntime(t, testImage, copyRoot)
}

// TestLayers does the same with what img2lambda publishes of the image: the zips as
// the Lambda API has them, and function.zip.
func TestLayers(t *testing.T) {
	build(t)
	testRuntime(t, testImage, publishedRoot)
}

// publishedRoot publishes the image's layers, takes them back, and unpacks them in the
// order of their ARNs.
func publishedRoot(t *testing.T, image string) string {
	api := fakelambda.New()
	t.Setenv("AWS_ENDPOINT_URL", api.Start())
	t.Cleanup(api.Close)
	t.Setenv("AWS_ACCESS_KEY_ID", "test")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "test")
	program := filepath.Join(t.TempDir(), "img2lambda")
	run(t, "go", "build", "-o", program, "..")
	output, zips, root := t.TempDir(), t.TempDir(), t.TempDir()

	arns := strings.Fields(run(t, program, "--image", image, "--quiet", "--output-directory", output))
	if len(arns) != 2 {
		t.Errorf("layers %q, want two", arns)
	}
	for _, arn := range arns {
		i := slices.IndexFunc(api.Versions(), func(v fakelambda.Version) bool { return v.ARN() == arn })
		if i < 0 {
			t.Fatalf("the API does not have %s", arn)
		}
		file := filepath.Join(zips, "layer.zip")
		if err := os.WriteFile(file, api.Versions()[i].Zip, 0o600); err != nil {
			t.Fatal(err)
		}
		unzip(t, file, filepath.Join(root, "opt"))
	}
	unzip(t, filepath.Join(output, "function.zip"), filepath.Join(root, "var/task"))

	again := run(t, program, "--image", image, "--quiet", "--output-directory", output)
	if strings.Join(strings.Fields(again), " ") != strings.Join(arns, " ") || len(api.Versions()) != len(arns) {
		t.Errorf("a second run gave %s, and the API has %d layer versions", again, len(api.Versions()))
	}
	return root
}

// TestDockerRun has the misuse that people will try first.
func TestDockerRun(t *testing.T) {
	build(t)
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
			cmd := exec.CommandContext(t.Context(), "docker", append([]string{"run", "--rm", testImage}, tt.args...)...)
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
	build(t)
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := regexp.MustCompile(`(?m)^\$ (docker run .*)\n((?:[^$`+"`"+`].*\n)+)`).FindAllStringSubmatch(string(readme), -1)
	if len(shown) != 3 {
		t.Errorf("%d commands in the README, want 3", len(shown))
	}
	for _, command := range shown {
		script := strings.ReplaceAll(command[1], " lambda-php ", " "+testImage+" ")
		// Fails where it shows an error.
		out, _ := exec.CommandContext(t.Context(), "sh", "-c", script).CombinedOutput()
		if !strings.HasPrefix(string(out), command[2]) {
			t.Errorf("%s writes\n%s", command[0], out)
		}
	}
}

// testRuntime checks that the two functions give the same answers with docker run of
// the image and in a root with nothing but what rootfs returns: a folder that holds
// the image's opt and var/task, come by one way or another.
func testRuntime(t *testing.T, image string, rootfs func(t *testing.T, image string) string) {
	root := rootfs(t, image)
	addProbes(t, root)
	bare := importRoot(t, root)

	for _, handler := range []string{"functions.hello", "functions.goodbye"} {
		t.Run(handler, func(t *testing.T) {
			r := startRuntime(t, bare, handler)
			for _, event := range []string{`{"name": "World"}`, `{"name": "<Zoë> 世界"}`} {
				want := docker(t, "run", "--rm", image, handler, event)
				if got := r.answer(event) + "\n"; got != want {
					t.Errorf("%s: answer\n%s\nbut docker run's\n%s", event, got, want)
				}
			}
			r.fails(`{}`, "InvalidArgumentException", `the event has no "name"`)
			r.fails(`{"name": 5}`, "TypeError", "name(): Return value must be of type string, int returned")
			if got := r.answer(`{"name": "again"}`); !strings.Contains(got, "again") {
				t.Errorf("after an error: %s", got)
			}
			r.stop(0)
		})
	}

	t.Run("context", func(t *testing.T) {
		r := startRuntime(t, bare, "probe.context")
		deadline := time.UnixMilli(4102444800123)
		for _, trace := range []string{"Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1", ""} {
			got := r.invoke(runtimeapi.Event{Payload: `{}`, Deadline: deadline, TraceID: trace})
			want := fmt.Sprintf(`["%s","%s",%d,"%s"]`, got.RequestID, runtimeapi.FunctionARN, deadline.UnixMilli(), trace)
			if got.Answer != want {
				t.Errorf("answer %s, want %s", got.Answer, want)
			}
		}
		r.stop(0)
	})

	// What a function prints is kept apart from its answer.
	t.Run("output", func(t *testing.T) {
		r := startRuntime(t, bare, "probe.prints")
		if got := r.answer(`{}`); got != `"done/é"` {
			t.Errorf("answer %s", got)
		}
		r.stop(0)
		if logs := r.logs(); logs != "printed by the function\n" {
			t.Errorf("logs %q", logs)
		}
		if stdout := docker(t, "logs", r.container); stdout != "" {
			t.Errorf("stdout %q", stdout)
		}
	})

	// Data that Debian has elsewhere in the system, and Lambda has not.
	for handler, want := range map[string]string{
		"probe.zones":        `["UTC","2025-07-01T14:00:00+02:00 CEST"]`,
		"probe.certificates": `true`,
	} {
		t.Run(handler, func(t *testing.T) {
			r := startRuntime(t, bare, handler)
			if got := r.answer(`{}`); got != want {
				t.Errorf("answer %s, want %s", got, want)
			}
			r.stop(0)
		})
	}

	t.Run("not JSON", func(t *testing.T) {
		r := startRuntime(t, bare, "probe.binary")
		r.fails(`{}`, "JsonException", "Malformed UTF-8 characters, possibly incorrectly encoded")
		r.stop(0)
	})

	t.Run("too large", func(t *testing.T) {
		r := startRuntime(t, bare, "probe.repeats")
		size := strconv.Itoa(runtimeapi.MaxAnswer)
		if got := r.invoke(runtimeapi.Event{Payload: size}); got.Error == nil || got.Error.Type != "Function.ResponseSizeTooLarge" {
			t.Errorf("outcome %.100v", got)
		}
		if got := r.answer(`3`); got != `"xxx"` {
			t.Errorf("after that: %s", got)
		}
		r.stop(0)
	})

	// What ends the process is reported first.
	for handler, message := range map[string]string{
		"probe.exits": "the function called exit",
		"probe.fatal": "Cannot redeclare fatal()",
	} {
		t.Run(handler, func(t *testing.T) {
			r := startRuntime(t, bare, handler)
			got := r.invoke(runtimeapi.Event{Payload: `{}`})
			if got.Error == nil || got.Error.Type != "Runtime.ExitError" || !strings.Contains(got.Error.Message, message) {
				t.Errorf("outcome %+v, want %s", got, message)
			}
			r.ends(1)
		})
	}

	for handler, errorType := range map[string]string{
		"missing.hello":     "Runtime.NoSuchFile",
		"functions.missing": "Runtime.NoSuchHandler",
		"functions":         "Runtime.InvalidHandler",
		"broken.hello":      "ParseError",
		"throws.hello":      "LogicException",
		"leaves.hello":      "Runtime.ExitError",
	} {
		t.Run("init "+handler, func(t *testing.T) {
			r := startRuntime(t, bare, handler)
			got, err := r.api.InitError(r.ctx)
			if err != nil {
				t.Fatalf("%v; logs:\n%s", err, r.logs())
			}
			if header := got.Header.Get("Lambda-Runtime-Function-Error-Type"); got.Error.Type != errorType || header != errorType {
				t.Errorf("error %+v, header %q, want %s", got.Error, header, errorType)
			}
			r.ends(1)
		})
	}

	// Lambda's LD_LIBRARY_PATH leads to the libraries of its own system: none of
	// them may get into php, nor php's into a program that a function starts.
	t.Run("foreign libraries", func(t *testing.T) {
		r := startRuntime(t, bare, "functions.goodbye", "--env", "LD_LIBRARY_PATH=/decoys")
		if got := r.answer(`{"name": "World"}`); !strings.Contains(got, "World") {
			t.Errorf("answer %s", got)
		}
		r.stop(0)
	})
	t.Run("child", func(t *testing.T) {
		r := startRuntime(t, bare, "probe.child", "--env", "LD_LIBRARY_PATH=/decoys", "--env", "PATH=/opt/bin")
		want := `"[\"/opt/php/bin/php\",\"/opt/php/bin/php.ini\",\"/decoys\"]"`
		if got := r.answer(`{}`); got != want {
			t.Errorf("answer %s, want %s", got, want)
		}
		r.stop(0)
	})

	// A proxy is for what the function reaches, not for the API.
	t.Run("proxy", func(t *testing.T) {
		r := startRuntime(t, bare, "functions.hello", "--env", "http_proxy=http://127.0.0.1:1", "--env", "ALL_PROXY=http://127.0.0.1:1")
		r.answer(`{"name": "World"}`)
		r.stop(0)
	})

	t.Run("terminated at work", func(t *testing.T) {
		r := startRuntime(t, bare, "probe.terminates")
		if got := r.answer(`{}`); got != `"finished"` {
			t.Errorf("answer %s", got)
		}
		r.ends(0)
	})

	t.Run("API gone", func(t *testing.T) {
		r := startRuntime(t, bare, "functions.hello")
		if err := r.api.WaitIdle(r.ctx); err != nil {
			t.Fatal(err)
		}
		r.api.Close()
		r.ends(1)
		if logs := r.logs(); strings.Count(logs, "\n") != 1 || !strings.Contains(logs, "no runtime API at "+r.api.Addr()) {
			t.Errorf("logs %q", logs)
		}
	})
}

// addProbes adds functions that look at the runtime from within, handler files that
// cannot be loaded, and a folder of libraries that no program can use.
func addProbes(t *testing.T, root string) {
	files := map[string]string{
		"var/task/src/probe.php": `<?php
			function context(array $event, object $context) {
				return [$context->requestId, $context->functionArn, $context->deadlineMs, getenv('_X_AMZN_TRACE_ID')];
			}
			function prints(array $event) {
				echo "printed by the function\n";
				return "done/é";
			}
			function binary() { return "\xff"; }
			function repeats(int $times) { return str_repeat('x', $times); }
			function exits() { exit(0); }
			function fatal() { eval('function fatal() {}'); }
			function zones() {
				$berlin = (new DateTime('@1751371200'))->setTimezone(new DateTimeZone('Europe/Berlin'));
				return [date_default_timezone_get(), $berlin->format('c T')];
			}
			function certificates() {
				return openssl_x509_read(file_get_contents(ini_get('curl.cainfo'))) !== false
					&& ini_get('openssl.cafile') === ini_get('curl.cainfo');
			}
			function child() {
				return output(['php', '-r', 'echo json_encode([PHP_BINARY, php_ini_loaded_file(), getenv("LD_LIBRARY_PATH")], JSON_UNESCAPED_SLASHES);']);
			}
			function output(array $command) {
				$process = proc_open($command, [1 => ['pipe', 'w']], $pipes);
				$output = stream_get_contents($pipes[1]);
				proc_close($process);
				return $output;
			}
			function terminates() {
				posix_kill(getmypid(), SIGTERM);
				return 'finished';
			}`,
		"var/task/src/broken.php": `<?php function {`,
		"var/task/src/throws.php": `<?php throw new LogicException('not today');`,
		"var/task/src/leaves.php": `<?php exit(0);`,
	}
	libraries, err := os.ReadDir(filepath.Join(root, "opt/php/lib"))
	if err != nil {
		t.Fatal(err)
	}
	for _, library := range libraries {
		files["decoys/"+library.Name()] = "not a library"
	}
	for name, content := range files {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// copyRoot takes /opt and /var/task out of an image with docker cp.
func copyRoot(t *testing.T, image string) string {
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "var"), 0o755); err != nil {
		t.Fatal(err)
	}
	container := strings.TrimSpace(docker(t, "create", image))
	defer docker(t, "rm", container)
	docker(t, "cp", "--quiet", container+":/opt", filepath.Join(root, "opt"))
	docker(t, "cp", "--quiet", container+":/var/task", filepath.Join(root, "var/task"))
	return root
}

// unzip unpacks a zip over what a folder has already, as Lambda does.
func unzip(t *testing.T, file, dir string) {
	archive, err := zip.OpenReader(file)
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	for _, entry := range archive.File {
		if err := restore(entry, filepath.Join(dir, entry.Name)); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
	}
}

func restore(entry *zip.File, name string) error {
	mode := entry.Mode()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	if mode.IsDir() {
		return errors.Join(os.MkdirAll(name, 0o755), os.Chmod(name, mode.Perm()))
	}
	r, err := entry.Open()
	if err != nil {
		return err
	}
	content, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if mode&fs.ModeSymlink != 0 {
		return os.Symlink(string(content), name)
	}
	return errors.Join(os.WriteFile(name, content, mode.Perm()), os.Chmod(name, mode.Perm()))
}

// importRoot makes an image of just the files in a folder, for the length of the test.
func importRoot(t *testing.T, root string) string {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	if err := w.AddFS(os.DirFS(root)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "docker", "import", "-")
	cmd.Stdin = &archive
	id, err := cmd.Output()
	if err != nil {
		t.Fatalf("docker import: %v", err)
	}
	image := strings.TrimSpace(string(id))
	t.Cleanup(func() { cleanUp(t, "rmi", "--force", image) })
	return image
}

// runtime is a container that runs /opt/bootstrap against an API of its own.
type runtime struct {
	t         *testing.T
	ctx       context.Context
	api       *runtimeapi.Server
	container string
}

// startRuntime starts the runtime of an image as Lambda does: as an unprivileged
// user who can write nothing, and with Lambda's environment.
func startRuntime(t *testing.T, image, handler string, options ...string) *runtime {
	t.Helper()
	api := runtimeapi.NewServer()
	t.Cleanup(func() {
		api.Close()
		if err := api.Err(); err != nil {
			t.Errorf("the runtime broke the protocol: %v", err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)

	args := []string{
		"run", "--detach", "--network", "host", "--read-only", "--user", "993:990",
		"--env", "AWS_LAMBDA_RUNTIME_API=" + api.Addr(),
		"--env", "_HANDLER=" + handler,
		"--env", "LAMBDA_TASK_ROOT=/var/task",
		"--env", "PATH=/usr/local/bin:/usr/bin/:/bin:/opt/bin",
		"--env", "LD_LIBRARY_PATH=/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib",
		"--env", "LANG=en_US.UTF-8",
		"--env", "TZ=:UTC",
		"--workdir", "/var/task",
	}
	args = append(args, options...)
	args = append(args, "--entrypoint", "/opt/bootstrap", image)
	container := strings.TrimSpace(docker(t, args...))
	t.Cleanup(func() { cleanUp(t, "rm", "--force", container) })
	return &runtime{t, ctx, api, container}
}

func (r *runtime) invoke(event runtimeapi.Event) runtimeapi.Outcome {
	r.t.Helper()
	outcome, err := r.api.Invoke(r.ctx, event)
	if err != nil {
		r.t.Fatalf("%v; logs:\n%s", err, r.logs())
	}
	return outcome
}

// answer returns the answer to an event that must not fail.
func (r *runtime) answer(event string) string {
	r.t.Helper()
	outcome := r.invoke(runtimeapi.Event{Payload: event})
	if outcome.Error != nil {
		r.t.Fatalf("%s: %+v", event, outcome.Error)
	}
	return outcome.Answer
}

// fails checks the report of an event that must fail.
func (r *runtime) fails(event, errorType, message string) {
	r.t.Helper()
	outcome := r.invoke(runtimeapi.Event{Payload: event})
	e := outcome.Error
	if e == nil || e.Type != errorType || e.Message != message || len(e.StackTrace) == 0 {
		r.t.Errorf("%s: outcome %+v, want %s: %s", event, outcome, errorType, message)
		return
	}
	if header := outcome.Header.Get("Lambda-Runtime-Function-Error-Type"); header != errorType {
		r.t.Errorf("%s: error type %q in the header, want %q", event, header, errorType)
	}
	if !strings.Contains(r.logs(), outcome.RequestID+" "+errorType+": "+message) {
		r.t.Errorf("%s: not in the logs:\n%s", event, r.logs())
	}
}

// stop tells the runtime, once it waits for an event, to end.
func (r *runtime) stop(status int) {
	r.t.Helper()
	if err := r.api.WaitIdle(r.ctx); err != nil {
		r.t.Fatalf("%v; logs:\n%s", err, r.logs())
	}
	docker(r.t, "kill", "--signal", "TERM", r.container)
	r.ends(status)
}

// ends waits for the runtime to end, and checks its exit status.
func (r *runtime) ends(status int) {
	r.t.Helper()
	out, err := exec.CommandContext(r.ctx, "docker", "wait", r.container).CombinedOutput()
	if got := strings.TrimSpace(string(out)); err != nil || got != strconv.Itoa(status) {
		r.t.Errorf("the runtime ended with %s (%v), want %d; logs:\n%s", got, err, status, r.logs())
	}
}

// logs returns what the runtime has written so far.
func (r *runtime) logs() string {
	out, err := exec.CommandContext(context.Background(), "docker", "logs", r.container).CombinedOutput()
	if err != nil {
		return err.Error()
	}
	return string(out)
}

// build builds the example's image, if there is a Docker engine to build it with.
// IMG2LAMBDA_TEST_DOCKER=required makes it an error that there is none.
func build(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("builds an image, which takes a minute")
	}
	skip := t.Skipf
	if os.Getenv("IMG2LAMBDA_TEST_DOCKER") == "required" {
		skip = t.Fatalf
	}
	if out, err := exec.CommandContext(t.Context(), "docker", "version").CombinedOutput(); err != nil {
		skip("no Docker engine: %v\n%s", err, out)
	}
	if out, err := exec.CommandContext(t.Context(), "./base.sh").CombinedOutput(); err != nil {
		skip("no base image: %v\n%s", err, out)
	}
	args := []string{"build", "--network", "host", "--tag", testImage}
	for _, proxy := range []string{"http_proxy", "https_proxy", "no_proxy"} {
		args = append(args, "--build-arg", proxy) // of the environment, if it has it
	}
	docker(t, slices.Concat(args, []string{"."})...)
}

// docker runs a docker command that must succeed, and returns its stdout.
func docker(t *testing.T, args ...string) string {
	t.Helper()
	return run(t, "docker", args...)
}

// run runs a program that must succeed, and returns its stdout.
func run(t *testing.T, program string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", program, strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out)
}

// cleanUp is docker for when the test's context is over.
func cleanUp(t *testing.T, args ...string) {
	if out, err := exec.CommandContext(context.Background(), "docker", args...).CombinedOutput(); err != nil {
		t.Logf("docker %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}
