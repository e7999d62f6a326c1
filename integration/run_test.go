package integration

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/testrun"
)

// userEnv is all the environment of somebody with a new HOME below dir: nothing
// of the developer's counts, neither an engine, nor credentials, nor a language.
func userEnv(dir string) []string {
	return []string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + filepath.Join(dir, "home"),
		"XDG_RUNTIME_DIR=" + dir,         // else logins of the developer's are found
		"AWS_EC2_METADATA_DISABLED=true", // it is not there to be waited for
		"GORACE=atexit_sleep_ms=0",       // nor is anything after the program's end
	}
}

// run is how to run img2lambda.
type run struct {
	dir            string   // where; its HOME and temporary files are there too
	env            []string // besides userEnv
	args           []string
	umask          string    // of the program, if it matters
	race           bool      // with the race detector, if the tests have it
	stdout, stderr io.Writer // if the outcome is not to have them
}

// process is a run that has begun.
type process struct {
	*exec.Cmd
	stdout, stderr bytes.Buffer
}

// outcome is what a run came to.
type outcome struct {
	exit           int // 128 and its number for one that a signal ended, as in a shell
	stdout, stderr string
}

// start begins a run, which is killed if it takes so long that it must hang.
func (r run) start(t *testing.T) *process {
	t.Helper()
	name, args := "img2lambda", r.args
	if r.race {
		name = raceProgram
	}
	if r.umask != "" {
		name, args = "sh", append([]string{"-c", "umask " + r.umask + ` && exec img2lambda "$@"`, "sh"}, r.args...)
	}
	p := &process{Cmd: exec.CommandContext(testrun.Deadline(t), name, args...)}
	p.Dir, p.Stdout, p.Stderr = r.dir, &p.stdout, &p.stderr
	if r.stdout != nil {
		p.Stdout = r.stdout
	}
	if r.stderr != nil {
		p.Stderr = r.stderr
	}
	p.Env = append(append(userEnv(r.dir), "TMPDIR="+r.dir), r.env...)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

// wait returns the outcome of a process once it has ended.
func (p *process) wait(t *testing.T) outcome {
	t.Helper()
	err := p.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%v: %v\n%s", p.Args, err, &p.stderr)
	}
	o := outcome{p.ProcessState.ExitCode(), p.stdout.String(), p.stderr.String()}
	if s, ok := p.ProcessState.Sys().(syscall.WaitStatus); ok && s.Signaled() {
		o.exit = 128 + int(s.Signal())
	}
	return o
}

// do is start and wait.
func (r run) do(t *testing.T) outcome {
	t.Helper()
	return r.start(t).wait(t)
}

// exits is do for a run that has to end with an exit code.
func (r run) exits(t *testing.T, want int) outcome {
	t.Helper()
	o := r.do(t)
	o.wantExit(t, want)
	return o
}

func (o outcome) wantExit(t *testing.T, want int) {
	t.Helper()
	if o.exit != want {
		t.Fatalf("exit code %d, want %d\n%s", o.exit, want, o.stderr)
	}
}

// oneLine fails unless a run has failed with one line for people, with these
// words.
func (o outcome) oneLine(t *testing.T, words ...string) {
	t.Helper()
	if o.exit != 1 || o.stdout != "" || strings.Count(o.stderr, "\n") != 1 || !strings.HasPrefix(o.stderr, "img2lambda: ") {
		t.Errorf("exit code %d, stdout %q, stderr %q", o.exit, o.stdout, o.stderr)
	}
	for _, w := range words {
		if !strings.Contains(o.stderr, w) {
			t.Errorf("stderr %q, want %q in it", o.stderr, w)
		}
	}
}

// files returns what is below dir, if it is there: by their path from
// dir the content of each file, the target of each link and "directory".
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if path == dir && errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		switch {
		case d.IsDir():
			all[name] = "directory"
		case d.Type()&fs.ModeSymlink != 0:
			all[name], err = os.Readlink(path)
		default:
			var content []byte
			content, err = os.ReadFile(path)
			all[name] = string(content)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
