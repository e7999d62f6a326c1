package example

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/runtimeapi"
)

// patience is how long a container may take for all that it does.
const patience = 2 * time.Minute

// libraryPath is what Lambda has as LD_LIBRARY_PATH, behind a folder of libraries that
// no program can use. Lambda's leads to the libraries of its own system: none of them
// may get into php, nor php's into a program that a function starts.
const libraryPath = "/decoys:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib"

// runtime is a container that runs /opt/bootstrap against an API of its own.
type runtime struct {
	t              *testing.T
	ctx            context.Context
	api            *runtimeapi.Server
	container      string // its name
	run            *exec.Cmd
	stdout, stderr buffer
	reported       []string // what must be in the log in the end
}

// startRuntime starts the runtime of an image as Lambda does: as an unprivileged
// user who can write nothing, and with Lambda's environment.
func startRuntime(t *testing.T, image, handler string) *runtime {
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

	r := &runtime{t: t, ctx: ctx, api: api, container: "img2lambda-test-" + strings.ToLower(rand.Text())}
	r.run = command(ctx, "docker", "run", "--rm", "--name", r.container,
		"--network", "host", // where the API is
		"--read-only", "--user", "993:990",
		"--env", "AWS_LAMBDA_RUNTIME_API="+api.Addr(),
		"--env", "_HANDLER="+handler,
		"--env", "LAMBDA_TASK_ROOT=/var/task",
		"--env", "PATH=/usr/local/bin:/usr/bin/:/bin:/opt/bin",
		"--env", "LD_LIBRARY_PATH="+libraryPath,
		"--env", "LANG=en_US.UTF-8",
		"--env", "TZ=:UTC",
		// A proxy is for what the function reaches, not for the API.
		"--env", "http_proxy=http://127.0.0.1:1", "--env", "ALL_PROXY=http://127.0.0.1:1",
		"--workdir", "/var/task", "--entrypoint", "/opt/bootstrap", image)
	r.run.Stdout, r.run.Stderr = &r.stdout, &r.stderr
	if err := r.run.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if state := r.run.ProcessState; state == nil || state.ExitCode() < 0 { // The test broke off.
			cleanUp(t, "rm", "--force", r.container)
			_ = r.run.Wait()
		}
	})
	return r
}

func (r *runtime) invoke(event runtimeapi.Event) runtimeapi.Outcome {
	r.t.Helper()
	outcome, err := r.api.Invoke(r.ctx, event)
	if err != nil {
		r.t.Fatalf("%v; logs:\n%s", err, &r.stderr)
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
	r.reported = append(r.reported, outcome.RequestID+" "+errorType+": "+message)
}

// stop tells the runtime, once it waits for an event, to end.
func (r *runtime) stop() {
	r.t.Helper()
	if err := r.api.WaitIdle(r.ctx); err != nil {
		r.t.Fatalf("%v; logs:\n%s", err, &r.stderr)
	}
	docker(r.t, "kill", "--signal", "TERM", r.container)
	r.ends(0)
}

// ends waits for the runtime to end, checks its exit status, and returns its log. The
// log is looked at only now: a line of it may come later than the answer of the API.
func (r *runtime) ends(status int) string {
	r.t.Helper()
	err := r.run.Wait()
	var exit *exec.ExitError
	logs := r.stderr.String()
	if got := r.run.ProcessState.ExitCode(); (err != nil && !errors.As(err, &exit)) || got != status {
		r.t.Errorf("the runtime ended with status %d (%v), want %d; logs:\n%s", got, err, status, logs)
	}
	if stdout := r.stdout.String(); stdout != "" {
		r.t.Errorf("stdout %q", stdout)
	}
	for _, line := range r.reported {
		if !strings.Contains(logs, line) {
			r.t.Errorf("%q is not in the logs:\n%s", line, logs)
		}
	}
	return logs
}

// buffer is a bytes.Buffer that may be read while a command writes to it.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
