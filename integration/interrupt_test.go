package integration

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"log"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/fakelambda"
	"github.com/awslabs/aws-lambda-container-image-converter/internal/testrun"
)

// interrupt is the program of that name. It waits for what a user would see,
// not for some time.
func interrupt() {
	at := flag.String("at", "read layer", "")
	flag.Parse()
	args := flag.Args()
	signals := map[string]syscall.Signal{"INT": syscall.SIGINT, "TERM": syscall.SIGTERM}
	send, ok := signals[args[0]]
	want, err := strconv.Atoi(args[1])
	if !ok || err != nil {
		log.Fatalf("interrupt %s %s?", args[0], args[1])
	}
	ctx, cancel := context.WithTimeout(context.Background(), testrun.Patience)
	defer cancel()
	program := exec.CommandContext(ctx, args[2], args[3:]...)
	program.Stdout = os.Stdout
	stderr, err := program.StderrPipe()
	if err != nil {
		log.Fatal(err)
	}
	if err := program.Start(); err != nil {
		log.Fatal(err)
	}
	sent := false
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		fmt.Fprintln(os.Stderr, lines.Text())
		if !sent && strings.Contains(lines.Text(), *at) {
			sent = true
			if err := program.Process.Signal(send); err != nil {
				log.Fatal(err)
			}
		}
	}
	err = program.Wait()
	if got := program.ProcessState.ExitCode(); got != want {
		log.Fatalf("%v, exit code %d; want %d", err, got, want)
	}
}

// TestInterruptedAnywhere guards against a signal that finds the program between
// two states: it ends and leaves what was there, or it has finished.
func TestInterruptedAnywhere(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("there are no signals")
	}
	dir := t.TempDir()
	writeLayout(t, filepath.Join(dir, "old"), layersOf("old", 2)...)
	writeLayout(t, filepath.Join(dir, "new"), layersOf("new", 6)...)
	points := 20
	if testrun.Long {
		points = 1000
	}
	c := startCloud(t)
	for _, mode := range []struct {
		name string
		args []string
	}{{"dry run", []string{"-d"}}, {"publishing", nil}, {"merging", []string{"-d", "--max-layers", "1"}}} {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			rng := testrun.Random(t)
			convert := func(image, out string) run {
				return run{dir: dir, env: c.env(), args: append([]string{"-i", "oci:" + image, "-o", out}, mode.args...)}
			}
			oldDir, newDir := t.TempDir(), t.TempDir()
			convert("old", oldDir).exits(t, 0)
			convert("new", newDir).exits(t, 0)
			begin := time.Now()
			convert("new", newDir).exits(t, 0) // with all of it published
			takes := time.Since(begin)
			before, after := files(t, oldDir), files(t, newDir)
			for range points {
				out := t.TempDir()
				if err := os.CopyFS(out, os.DirFS(oldDir)); err != nil {
					t.Fatal(err)
				}
				s := []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP}[rng.IntN(3)]
				at := time.Duration(rng.Int64N(int64(takes) * 5 / 4))
				p := convert("new", out).start(t)
				<-time.After(at)
				_ = p.Process.Signal(s) // it may have ended
				o := p.wait(t)
				got := files(t, out)
				switch {
				case o.exit == 0 && !cmp.Equal(got, after), o.exit == 128+int(s) && !cmp.Equal(got, before):
					t.Errorf("%v after %v: exit code %d, and %v is left", s, at, o.exit, slices.Sorted(maps.Keys(got)))
				case o.exit != 0 && o.exit != 128+int(s):
					t.Errorf("%v after %v: exit code %d, %s", s, at, o.exit, o.stderr)
				}
			}
		})
	}
}

// TestInterruptedWhilePublishing guards against a Ctrl-C that waits for calls
// or for their retries, and against halves of results.
func TestInterruptedWhilePublishing(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		op   fakelambda.Operation
		do   fakelambda.Action // after the call has come in
	}{
		{"looking up", fakelambda.ListLayerVersions, fakelambda.NewGate().Hold},
		{"publishing", fakelambda.PublishLayerVersion, fakelambda.NewGate().Hold},
		{"waiting to try again", fakelambda.ListLayerVersions, fakelambda.Throttle(0)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, dir := startCloud(t), t.TempDir()
			writeLayout(t, filepath.Join(dir, "old"), "file opt/a old")
			writeLayout(t, filepath.Join(dir, "new"), "file opt/a new")
			run{dir: dir, env: c.env(), args: []string{"-i", "oci:old"}}.exits(t, 0)
			before := files(t, dir)

			came := make(chan struct{}, 100)
			c.On(fakelambda.Rule{Operation: tt.op, Do: fakelambda.Before(func() { came <- struct{}{} })})
			c.On(fakelambda.Rule{Operation: tt.op, Do: tt.do})
			c.ResetCalls()
			for _, output := range []string{"output", "another/output"} {
				p := run{dir: dir, env: c.env(), race: true, args: []string{"-i", "oci:new", "-o", output}}.start(t)
				select {
				case <-came:
				case <-testrun.Deadline(t).Done():
					t.Fatalf("no %s came", tt.op)
				}
				if err := p.Process.Signal(syscall.SIGINT); err != nil {
					t.Fatal(err)
				}
				o := p.wait(t)
				o.wantExit(t, 130)
				if !strings.HasSuffix(o.stderr, "\nimg2lambda: interrupt\n") {
					t.Errorf("it said %q", o.stderr)
				}
				if diff := cmp.Diff(before, files(t, dir)); diff != "" {
					t.Errorf("files changed (- before, + after):\n%s", diff)
				}
			}
			// One for each run, and one more that was on its way.
			if n := c.Count(tt.op); n > 4 {
				t.Errorf("it went on: %d calls", n)
			}
		})
	}
}
