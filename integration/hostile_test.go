package integration

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	registryserver "github.com/google/go-containerregistry/pkg/registry"
	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sync/errgroup"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/fakeengine"
	"github.com/awslabs/aws-lambda-container-image-converter/internal/fakelambda"
	"github.com/awslabs/aws-lambda-container-image-converter/internal/imagetest"
)

// TestHostile runs testdata/hostile/*.txtar, with the commands of TestScripts.
func TestHostile(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata/hostile",
		Setup: func(e *testscript.Env) error {
			e.Values[rigKey{}] = &rig{t: e.T().(testing.TB), images: map[string]imagetest.Content{}}
			e.Setenv("HOME", filepath.Join(e.WorkDir, "home"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"mkimage": onRig((*rig).mkimage),
			"mkindex": onRig((*rig).mkindex),
			"write":   onRig((*rig).write),
			"engine":  onRig((*rig).startEngine),
			"exits":   onRig((*rig).exits),
			"holds":   onRig((*rig).holds),
			"same":    onRig((*rig).same),
			"tree":    onRig((*rig).tree),
		},
		Condition:           condition,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

// outcome is what a run of the program came to.
type outcome struct {
	exit           int // 128 and its number for one that a signal ended, as in a shell
	stdout, stderr string
	files          map[string]string // in the directory where it ran
}

// run is how to run img2lambda.
type run struct {
	dir  string   // where; its HOME and temporary files are there too
	env  []string // besides
	args []string
	out  string // the output directory, if not in dir
	then func(p *os.Process)
}

func (r run) do(t *testing.T) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	p := exec.CommandContext(ctx, "img2lambda", r.args...)
	p.Dir = r.dir
	p.Env = slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "AWS_") || strings.HasPrefix(v, "DOCKER_")
	})
	p.Env = append(append(p.Env, awsEnv(r.dir)...), "TMPDIR="+r.dir, "XDG_RUNTIME_DIR="+r.dir)
	p.Env = append(p.Env, r.env...)
	var stdout, stderr bytes.Buffer
	p.Stdout, p.Stderr = &stdout, &stderr
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	if r.then != nil {
		r.then(p.Process)
	}
	err := p.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		t.Fatalf("img2lambda %v: %v\n%s", r.args, err, &stderr)
	}
	o := outcome{exit: p.ProcessState.ExitCode(), stdout: stdout.String(), stderr: stderr.String(), files: map[string]string{}}
	if s, ok := p.ProcessState.Sys().(syscall.WaitStatus); ok && s.Signaled() {
		o.exit = 128 + int(s.Signal())
	}
	out := r.out
	if out == "" {
		out = filepath.Join(r.dir, "output")
	}
	if _, err := os.Stat(out); err == nil {
		o.files = files(t, out)
	}
	return o
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

// layers describes layers of so many files.
func layersOf(name string, n int) (layers []string) {
	for i := range n {
		layers = append(layers, fmt.Sprintf("file opt/%s/%d %d;random opt/%s/random%d 20000", name, i, i, name, i))
	}
	return append(layers, "file var/task/"+name+" function")
}

// TestInterruptedAnywhere guards against a signal that finds the program between
// two states: it ends at once and leaves what was there, or it has finished.
func TestInterruptedAnywhere(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("there are no signals")
	}
	dir := t.TempDir()
	writeLayout(t, filepath.Join(dir, "old"), layersOf("old", 2)...)
	writeLayout(t, filepath.Join(dir, "new"), layersOf("new", 6)...)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	points := 20
	if os.Getenv("IMG2LAMBDA_TEST_LONG") != "" {
		points = 1000
	}
	c := startCloud(t)
	for i, mode := range []struct {
		name string
		args []string
	}{{"dry run", []string{"-d"}}, {"publishing", nil}, {"merging", []string{"-d", "--max-layers", "1"}}} {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(seed, uint64(i)))
			in := func(out, image string) run {
				return run{
					dir: dir, env: []string{"AWS_ENDPOINT_URL=" + c.url}, out: out,
					args: append([]string{"-i", "oci:" + image, "-o", out}, mode.args...),
				}
			}
			relative := func(files map[string]string, dir string) map[string]string {
				r := map[string]string{}
				for name, content := range files {
					r[strings.TrimPrefix(name, dir)] = content
				}
				return r
			}
			reference := func(image string) (map[string]string, time.Duration) {
				out := t.TempDir()
				begin := time.Now()
				o := in(out, image).do(t)
				if o.exit != 0 {
					t.Fatal(o.stderr)
				}
				return relative(o.files, out), time.Since(begin)
			}
			before, _ := reference("old")
			after, _ := reference("new")
			_, takes := reference("new") // with all of it published
			count := map[int]int{}
			for range points {
				out := t.TempDir()
				if o := in(out, "old").do(t); o.exit != 0 {
					t.Fatal(o.stderr)
				}
				s := []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP}[rng.IntN(3)]
				at := time.Duration(rng.Int64N(int64(takes) * 5 / 4))
				r := in(out, "new")
				var sent time.Time
				r.then = func(p *os.Process) {
					<-time.After(at)
					sent = time.Now()
					_ = p.Signal(s) // it may have ended
				}
				o := r.do(t)
				late := time.Since(sent)
				count[o.exit]++
				got := relative(o.files, out)
				switch {
				case o.exit == 0 && !cmp.Equal(got, after), o.exit == 128+int(s) && !cmp.Equal(got, before):
					t.Errorf("%v after %v: exit code %d, and %v is left", s, at, o.exit, slices.Sorted(maps.Keys(got)))
				case o.exit != 0 && o.exit != 128+int(s):
					t.Errorf("%v after %v: exit code %d, %s", s, at, o.exit, o.stderr)
				case late > 10*time.Second: // a second, on a machine that has time
					t.Errorf("%v after %v: it took %v to end", s, at, late)
				}
			}
			t.Logf("exit codes: %v", count)
		})
	}
}

// pausing is a Docker engine that stops in the middle of an export.
type pausing struct {
	http.Handler
	after           int
	reached, resume chan struct{}
}

// startPausing starts one that has the image app.
func startPausing(t *testing.T, layers ...string) (p *pausing, env []string) {
	t.Helper()
	img, err := imageOf(layers...)
	if err != nil {
		t.Fatal(err)
	}
	var size countingWriter
	ref := imagetest.Ref{Name: "app", Content: img}
	if err := imagetest.Export(&size, imagetest.DockerLegacy, ref); err != nil {
		t.Fatal(err)
	}
	p = &pausing{fakeengine.New(fakeengine.Options{}, ref), int(size) * 2 / 3, make(chan struct{}), make(chan struct{})}
	s := httptest.NewServer(p)
	t.Cleanup(s.Close)
	return p, []string{"DOCKER_HOST=tcp://" + s.Listener.Addr().String()}
}

func (p *pausing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, "/get") {
		w = &pausingWriter{ResponseWriter: w, pausing: p, left: p.after}
	}
	p.Handler.ServeHTTP(w, r)
}

type pausingWriter struct {
	http.ResponseWriter
	*pausing
	left int
}

func (w *pausingWriter) Write(b []byte) (int, error) {
	if w.left >= 0 && w.left < len(b) {
		n, err := w.ResponseWriter.Write(b[:w.left])
		if err != nil {
			return n, err
		}
		_ = http.NewResponseController(w.ResponseWriter).Flush()
		close(w.reached)
		<-w.resume
		w.left = -1
		m, err := w.ResponseWriter.Write(b[n:])
		return n + m, err
	}
	if w.left >= 0 {
		w.left -= len(b)
	}
	return w.ResponseWriter.Write(b)
}

// TestVanishing guards against an output directory that goes, or becomes another
// thing, while the program works, and that it makes again or writes through.
func TestVanishing(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(dir string) error
		stays  bool // what is in its place
	}{
		"removed": {func(dir string) error { return os.RemoveAll(filepath.Join(dir, "output")) }, false},
		"moved away": {func(dir string) error {
			return os.Rename(filepath.Join(dir, "output"), filepath.Join(dir, "away"))
		}, false},
		"a file in its place": {func(dir string) error {
			if err := os.RemoveAll(filepath.Join(dir, "output")); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dir, "output"), []byte("mine"), 0o644)
		}, true},
		"a link in its place": {func(dir string) error {
			if err := os.RemoveAll(filepath.Join(dir, "output")); err != nil {
				return err
			}
			if err := os.Mkdir(filepath.Join(dir, "elsewhere"), 0o755); err != nil {
				return err
			}
			return os.Symlink("elsewhere", filepath.Join(dir, "output"))
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, env := startPausing(t, layersOf("app", 3)...)
			dir := t.TempDir()
			o := run{dir: dir, env: env, out: "looked at below", args: []string{"-d", "-q", "-i", "app"}, then: func(*os.Process) {
				<-p.reached
				if err := tt.change(dir); err != nil {
					t.Error(err)
				}
				close(p.resume)
			}}.do(t)
			o.oneLine(t)
			err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
				base := filepath.Base(path)
				if temporary := strings.HasPrefix(base, ".img2lambda"); temporary && name == "moved away" {
					return fs.SkipDir // nobody can know where that is
				} else if temporary || strings.HasSuffix(base, ".zip") || base == "report.json" {
					t.Errorf("%s is left", path)
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
			_, err = os.Lstat(filepath.Join(dir, "output"))
			if there := err == nil; there != tt.stays {
				t.Errorf("%s is there: %t", filepath.Join(dir, "output"), there)
			}
		})
	}
}

// TestModes guards against results that others cannot read, and against
// temporary files that they can.
func TestModes(t *testing.T) {
	t.Parallel()
	sh, err := exec.LookPath("sh")
	if err != nil || runtime.GOOS == "windows" {
		t.Skip("no sh")
	}
	for _, umask := range []fs.FileMode{0o022, 0o077, 0o002} {
		t.Run(fmt.Sprintf("%03o", umask), func(t *testing.T) {
			t.Parallel()
			p, env := startPausing(t, layersOf("app", 3)...)
			dir := t.TempDir()
			program := exec.CommandContext(deadline(t), sh, "-c", fmt.Sprintf("umask %03o; exec img2lambda -d -q -i app -o a/b", umask))
			program.Dir = dir
			program.Env = append(append(os.Environ(), env...), "DOCKER_TLS_VERIFY=")
			out, err := program.StderrPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := program.Start(); err != nil {
				t.Fatal(err)
			}
			<-p.reached
			private := 0
			inOutput := func(visit func(path string, d fs.DirEntry, mode fs.FileMode)) {
				err := filepath.WalkDir(filepath.Join(dir, "a"), func(path string, d fs.DirEntry, err error) error {
					if err != nil {
						return err
					}
					info, err := d.Info()
					if err != nil {
						return err
					}
					visit(path, d, info.Mode())
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
			inOutput(func(path string, d fs.DirEntry, mode fs.FileMode) {
				if filepath.Dir(path) == filepath.Join(dir, "a", "b") {
					private++
					if mode != fs.ModeDir|0o700 {
						t.Errorf("%s has mode %v while the program works", path, mode)
					}
				}
			})
			if private != 1 {
				t.Errorf("%d temporary directories", private)
			}
			close(p.resume)
			message, err := io.ReadAll(out)
			if err != nil {
				t.Fatal(err)
			}
			if err := program.Wait(); err != nil {
				t.Fatalf("%v: %s", err, message)
			}
			inOutput(func(path string, d fs.DirEntry, mode fs.FileMode) {
				want := 0o644 &^ umask
				if d.IsDir() {
					want = fs.ModeDir | 0o755&^umask
				}
				if mode != want {
					t.Errorf("%s has mode %v, want %v", path, mode, want)
				}
			})
		})
	}
}

// TestLinksInOutput guards against results that are written through links, to
// wherever those lead.
func TestLinksInOutput(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeLayout(t, filepath.Join(dir, "app"), layersOf("app", 2)...)
	if err := os.Mkdir(filepath.Join(dir, "output"), 0o755); err != nil {
		t.Fatal(err)
	}
	results := []string{"layer-1.zip", "layer-2.zip", "layer-3.zip", "function.zip", "report.json"}
	for _, name := range results {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("mine"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join("..", name), filepath.Join(dir, "output", name)); err != nil {
			t.Skip(err)
		}
	}
	if o := (run{dir: dir, args: []string{"-d", "-q", "-i", "oci:app"}}).do(t); o.exit != 0 {
		t.Fatal(o.stderr)
	}
	for _, name := range results {
		if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(b) != "mine" {
			t.Errorf("%s outside the output directory is now %.20q, %v", name, b, err)
		}
		info, err := os.Lstat(filepath.Join(dir, "output", name))
		if name == "layer-3.zip" { // of an earlier run, as it seems
			if !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s is left: %v", name, err)
			}
		} else if err != nil || !info.Mode().IsRegular() {
			t.Errorf("%s is no file: %v", name, err)
		}
	}
}

// mountTmpfs mounts a file system in memory, as small as options say, or skips
// the test.
func mountTmpfs(t *testing.T, options string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	mount(t, "-t", "tmpfs", "-o", options, "tmpfs", dir)
	return dir
}

func mount(t *testing.T, args ...string) {
	t.Helper()
	if os.Getuid() != 0 || runtime.GOOS != "linux" {
		t.Skip("mounting file systems needs root, and Linux")
	}
	if out, err := exec.Command("mount", args...).CombinedOutput(); err != nil {
		t.Skipf("mount %v: %v: %s", args, err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", "-l", args[len(args)-1]).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
}

// TestDiskFull guards against halves where the disk has room for less than the
// result: in bytes, and in files.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	in := t.TempDir()
	writeLayout(t, filepath.Join(in, "old"), layersOf("old", 1)...)
	writeLayout(t, filepath.Join(in, "new"), append(layersOf("new", 3), "whiteout opt/new/random0")...)
	c := startCloud(t)
	for name, tt := range map[string]struct {
		limit string
		step  int
		args  []string
	}{
		"bytes":             {"size=%dk", 4, []string{"-d"}},
		"files":             {"nr_inodes=%d", 1, []string{"-d"}},
		"bytes, publishing": {"size=%dk", 8, nil},
		"files, publishing": {"nr_inodes=%d", 2, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := mountTmpfs(t, "size=1m,mode=755")
			out := filepath.Join(dir, "output")
			convert := func(image string) outcome {
				return run{dir: in, env: []string{"AWS_ENDPOINT_URL=" + c.url}, out: out, args: append([]string{"-q", "-i", "oci:" + image, "-o", out}, tt.args...)}.do(t)
			}
			if o := convert("old"); o.exit != 0 {
				t.Fatal(o.stderr)
			}
			before := files(t, out)
			failed := 0
			for n := tt.step; ; n += tt.step {
				limit := fmt.Sprintf(tt.limit, n)
				if err := exec.Command("mount", "-o", "remount,"+limit, dir).Run(); err != nil {
					continue // there is more already
				}
				o := convert("new")
				if o.exit == 0 {
					if cmp.Equal(o.files, before) {
						t.Errorf("%s: no error, and nothing new", limit)
					}
					break
				}
				o.oneLine(t, "no space left on device")
				failed++
				for name := range o.files { // where publishing fails, zips are kept
					if strings.Contains(name, ".img2lambda") || tt.args != nil && before[name] == "" {
						t.Errorf("%s: %s is left", limit, name)
					}
				}
				if diff := cmp.Diff(before, o.files); diff != "" && tt.args != nil {
					t.Errorf("%s: files changed", limit)
				}
				if n > 1000 {
					t.Fatalf("%s: still %s", limit, o.stderr)
				}
			}
			if failed == 0 {
				t.Error("there was always enough room")
			}
			t.Logf("%d full disks", failed)
		})
	}
}

// TestReadOnly guards against work that is done before it shows that there is no
// place for its result.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	in := t.TempDir()
	writeLayout(t, filepath.Join(in, "app"), layersOf("app", 1)...)
	dir := t.TempDir()
	if os.Getuid() == 0 { // whom permissions do not stop
		dir = mountTmpfs(t, "size=1m")
		if err := os.Mkdir(filepath.Join(dir, "there"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := exec.Command("mount", "-o", "remount,ro", dir).Run(); err != nil {
			t.Skip(err)
		}
	} else {
		if err := os.Mkdir(filepath.Join(dir, "there"), 0o555); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, 0o555); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Chmod(dir, 0o755) })
	}
	for _, out := range []string{"there", "new", "new/and/deep"} {
		out = filepath.Join(dir, filepath.FromSlash(out))
		o := run{dir: in, out: out, args: []string{"-d", "-i", "oci:app", "-o", out}}.do(t)
		o.oneLine(t, "output directory "+out)
	}
}

// TestNoTemporaryDirectory guards against files elsewhere than in the output
// directory: a full or missing /tmp is nothing to the program.
func TestNoTemporaryDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeLayout(t, filepath.Join(dir, "app"), layersOf("app", 2)...)
	p, env := startPausing(t, layersOf("app", 2)...)
	close(p.resume)
	for _, image := range []string{"oci:app", "app"} {
		o := run{dir: dir, env: append(env, "TMPDIR=/nowhere"), args: []string{"-d", "-q", "-i", image}}.do(t)
		if o.exit != 0 {
			t.Errorf("%s: %s", image, o.stderr)
		}
	}
}

// TestBrokenPipes guards against a reader of the program's output that leaves,
// and takes the clean-up with it.
func TestBrokenPipes(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("there are no such pipes")
	}
	dir := t.TempDir()
	writeLayout(t, filepath.Join(dir, "app"), layersOf("app", 3)...)
	closed := func() *os.File {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
		return w
	}
	full, _ := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	for name, tt := range map[string]struct {
		stdout, stderr *os.File
		exit           int
	}{
		"stdout":                 {closed(), nil, 1},
		"stderr":                 {nil, closed(), 0},
		"both":                   {closed(), closed(), 1},
		"a full disk for stdout": {full, nil, 1},
		"a full disk for stderr": {nil, full, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if (tt.stdout == full || tt.stderr == full) && full == nil && strings.HasPrefix(name, "a full") {
				t.Skip("no /dev/full")
			}
			out := t.TempDir()
			p := exec.CommandContext(deadline(t), "img2lambda", "-d", "-i", "oci:app", "-o", out)
			p.Dir = dir
			if tt.stdout != nil {
				p.Stdout = tt.stdout
			}
			if tt.stderr != nil {
				p.Stderr = tt.stderr
			}
			err := p.Run()
			if got := p.ProcessState.ExitCode(); got != tt.exit {
				t.Errorf("exit code %d (%v), want %d", got, err, tt.exit)
			}
			for name := range files(t, out) {
				if strings.Contains(name, ".img2lambda") {
					t.Errorf("%s is left", name)
				}
			}
		})
	}
}

// TestManyRunsInOneDirectory guards against results that get mixed: what is
// there in the end is the whole result of one run.
func TestManyRunsInOneDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	images := map[string]int{}
	for n := range 6 {
		name := fmt.Sprint("image", n)
		images[name] = n + 1
		writeLayout(t, filepath.Join(dir, name), layersOf(name, n+1)...)
	}
	for range 3 {
		var g errgroup.Group
		for name := range images {
			g.Go(func() error {
				if o := (run{dir: dir, out: "nothing to look at yet", args: []string{"-d", "-q", "-i", "oci:" + name}}).do(t); o.exit != 0 {
					return fmt.Errorf("%s: %s", name, o.stderr)
				}
				return nil
			})
		}
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
		out := filepath.Join(dir, "output")
		function := filepath.Join(out, "function.zip")
		if err := os.Remove(function); err != nil { // which checkWhole does not know
			t.Error(err)
		}
		checkWhole(t, nil, out, images)
	}
}

// What nobody should read in a log, and what it looks like on its way.
const (
	password      = "THE-PASSWORD"
	identityToken = "THE-IDENTITY-TOKEN"
	bearerToken   = "THE-BEARER-TOKEN"
	signedURL     = "THE-SIGNATURE"
	secretKey     = "THE-SECRET-KEY/+="
	sessionToken  = "THE-SESSION-TOKEN/+=="
)

var secrets = regexp.MustCompile(strings.Join([]string{
	password, identityToken, bearerToken, signedURL,
	regexp.QuoteMeta(secretKey), regexp.QuoteMeta(sessionToken), "Signature=[0-9a-f]+",
	regexp.QuoteMeta(base64.StdEncoding.EncodeToString([]byte("user:" + password))),
}, "|"))

// keepsSecrets fails if there is a secret in what a run says or leaves.
func (o outcome) keepsSecrets(t *testing.T) {
	t.Helper()
	for what, text := range map[string]string{"stdout": o.stdout, "stderr": o.stderr} {
		if found := secrets.FindString(text); found != "" {
			t.Errorf("%s says %s: %.600q", what, found, text)
		}
	}
	for name, content := range o.files {
		if found := secrets.FindString(content); found != "" {
			t.Errorf("%s has %s", name, found)
		}
	}
}

// guarded is a registry that wants to know who comes. Its image is app.
type guarded struct {
	registry  http.Handler
	scheme    string                                                   // Basic or Bearer
	realm     string                                                   // of tokens
	misbehave func(w http.ResponseWriter, r *http.Request) (done bool) // with who is let in

	mu       sync.Mutex
	requests []string // METHOD PATH of those let in
}

func (g *guarded) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	authorization := r.Header.Get("Authorization")
	if r.URL.Path == "/token" {
		if g.misbehave != nil && g.misbehave(w, r) {
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"token":%q}`, bearerToken)
		return
	}
	user, pass, _ := r.BasicAuth()
	if authorization != "Bearer "+bearerToken && (user != "user" || pass != password) {
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`%s realm="%s",service="registry"`, g.scheme, g.realm))
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	g.mu.Lock()
	g.requests = append(g.requests, r.Method+" "+r.URL.Path)
	g.mu.Unlock()
	if g.misbehave != nil && g.misbehave(w, r) {
		return
	}
	g.registry.ServeHTTP(w, r)
}

// startGuarded starts a registry with the image app, and returns its address and
// the home directory of a user whom it knows.
func startGuarded(t *testing.T, g *guarded) (address, home string) {
	t.Helper()
	if g.registry == nil {
		g.registry = registryWith(t)
	}
	s := httptest.NewServer(g)
	t.Cleanup(s.Close)
	if g.scheme == "" {
		g.scheme = "Basic"
	}
	if g.realm == "" {
		g.realm = s.URL + "/token"
	}
	address = s.Listener.Addr().String()
	return address, homeFor(t, address, "")
}

// homeFor is the home directory of someone who has logged in to a registry.
func homeFor(t *testing.T, address, identityToken string) (home string) {
	t.Helper()
	home = t.TempDir()
	if err := os.MkdirAll(filepath.Join(home, "home", ".docker"), 0o700); err != nil {
		t.Fatal(err)
	}
	auth := base64.StdEncoding.EncodeToString([]byte("user:" + password))
	config := fmt.Sprintf(`{"auths":{%q:{"auth":%q,"identitytoken":%q}}}`, address, auth, identityToken)
	if err := os.WriteFile(filepath.Join(home, "home", ".docker", "config.json"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return home
}

// registryWith is a registry that has the image app.
func registryWith(t *testing.T) http.Handler {
	t.Helper()
	blobs := registryserver.NewInMemoryBlobHandler()
	handler := registryserver.New(registryserver.WithBlobHandler(blobs), registryserver.Logger(log.New(io.Discard, "", 0)))
	s := httptest.NewServer(handler)
	defer s.Close()
	img, err := imageOf(layersOf("app", 2)...)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, blobs: blobs.(registryserver.BlobPutHandler), client: s.Client(), url: s.URL}
	if err := r.pushAs("app", "latest", img); err != nil {
		t.Fatal(err)
	}
	return handler
}

// TestRegistrySecrets guards against credentials in messages, whatever the
// registry does, says and repeats.
func TestRegistrySecrets(t *testing.T) {
	t.Parallel()
	headers := func(r *http.Request) string {
		var b strings.Builder
		_ = r.Header.Write(&b)
		return fmt.Sprintf("%q", b.String()+r.Header.Get("Authorization"))
	}
	refuse := func(status int) func(w http.ResponseWriter, r *http.Request) {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			fmt.Fprintf(w, `{"errors":[{"code":"DENIED","message":%s,"detail":%s}]}`, headers(r), headers(r))
		}
	}
	for name, do := range map[string]func(w http.ResponseWriter, r *http.Request){
		"401": refuse(401), "403": refuse(403), "404": refuse(404), "500": refuse(500),
		"text that repeats headers": func(w http.ResponseWriter, r *http.Request) {
			http.Error(w, headers(r), 500)
		},
		"a warning": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Warning", fmt.Sprintf(`299 - "You sent %s"`, strings.ReplaceAll(r.Header.Get("Authorization"), `"`, "")))
			w.WriteHeader(500)
		},
		"a redirect to a signed URL that does not work": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/blob?X-Amz-Signature="+signedURL, http.StatusTemporaryRedirect)
		},
		"a redirect to a URL that is signed as Azure does": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/blob?sp=r&sig="+signedURL+"&sv=2026-01-01", http.StatusTemporaryRedirect)
		},
		"a redirect with a password": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://user:"+password+"@127.0.0.1:1/blob", http.StatusTemporaryRedirect)
		},
		"a redirect to what is no URL": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "http://127.0.0.1:x/?X-Amz-Signature="+signedURL)
			w.WriteHeader(307)
		},
		"a connection that breaks": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"half a token": func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, `{"token":"%s`, bearerToken)
		},
	} {
		for _, where := range []string{"/token", "/manifests/", "/blobs/"} {
			for _, scheme := range []string{"Basic", "Bearer"} {
				if where == "/token" && scheme == "Basic" || where != "/token" && name == "half a token" {
					continue
				}
				t.Run(name+" for "+where+" with "+scheme, func(t *testing.T) {
					t.Parallel()
					var came atomic.Bool
					g := &guarded{scheme: scheme, misbehave: func(w http.ResponseWriter, r *http.Request) bool {
						if !strings.Contains(r.URL.Path, where) {
							return false
						}
						came.Store(true)
						do(w, r)
						return true
					}}
					address, dir := startGuarded(t, g)
					o := run{dir: dir, args: []string{"-d", "-q", "--debug", "--tls-verify=false", "-i", "docker://" + address + "/app"}}.do(t)
					o.keepsSecrets(t)
					if !came.Load() {
						t.Error("nobody came")
					}
					if o.exit != 1 {
						t.Errorf("exit code %d: %s", o.exit, o.stderr)
					}
					if len(o.files) > 0 {
						t.Errorf("%v is left", slices.Sorted(maps.Keys(o.files)))
					}
					line := o.stderr[strings.LastIndex(strings.TrimSuffix(o.stderr, "\n"), "\n")+1:]
					if !strings.HasPrefix(line, "img2lambda: ") {
						t.Errorf("the last line is %q", line)
					}
				})
			}
		}
	}
}

// TestSecretsStay is runs that go well: nothing that they say or leave has a
// secret in it.
func TestSecretsStay(t *testing.T) {
	t.Parallel()
	c := startCloud(t)
	env := []string{"AWS_ENDPOINT_URL=" + c.url, "AWS_SECRET_ACCESS_KEY=" + secretKey, "AWS_SESSION_TOKEN=" + sessionToken}
	for _, scheme := range []string{"Basic", "Bearer", "identity token"} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			g := &guarded{scheme: strings.Replace(scheme, "identity token", "Bearer", 1)}
			address, dir := startGuarded(t, g)
			if scheme == "identity token" {
				dir = homeFor(t, address, identityToken)
			}
			o := run{dir: dir, env: env, args: []string{"--debug", "--tls-verify=false", "-i", "docker://" + address + "/app"}}.do(t)
			if o.exit != 0 {
				t.Fatal(o.stderr)
			}
			o.keepsSecrets(t)
			if len(g.requests) == 0 {
				t.Error("the registry let nobody in")
			}
		})
	}
}

// TestAWSSecrets guards against messages that say what nobody should read in a
// log: AWS repeats headers in some, and whoever stands in for it may in any.
func TestAWSSecrets(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeLayout(t, filepath.Join(dir, "app"), layersOf("app", 1)...)
	for _, code := range []string{
		"SignatureDoesNotMatch", "InvalidSignatureException", "ExpiredTokenException", "UnrecognizedClientException",
		"AccessDeniedException", "InvalidParameterValueException", "SomethingNew", "",
	} {
		for _, op := range []fakelambda.Operation{fakelambda.ListLayerVersions, fakelambda.PublishLayerVersion} {
			t.Run(fmt.Sprintf("%s for %s", code, op), func(t *testing.T) {
				t.Parallel()
				c := startCloud(t)
				c.On(fakelambda.Rule{Operation: op, Do: func(http.Handler) http.Handler {
					return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						var headers strings.Builder
						_ = r.Header.Write(&headers)
						fakelambda.Fail(403, code, "The request had: "+headers.String()+"; "+sessionToken)(nil).ServeHTTP(w, r)
					})
				}})
				out := t.TempDir()
				o := run{
					dir: dir, out: out, args: []string{"-q", "--debug", "-i", "oci:app", "-o", out},
					env: []string{"AWS_ENDPOINT_URL=" + c.url, "AWS_SECRET_ACCESS_KEY=" + secretKey, "AWS_SESSION_TOKEN=" + sessionToken},
				}.do(t)
				if o.exit != 1 {
					t.Errorf("exit code %d", o.exit)
				}
				o.keepsSecrets(t)
			})
		}
	}
}

// TestRedirects guards against a registry, or somebody between, that sends
// credentials on to another host.
func TestRedirects(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"Basic", "Bearer"} {
		for _, where := range []string{"/v2/", "/manifests/", "/blobs/"} {
			t.Run(scheme+" "+where, func(t *testing.T) {
				t.Parallel()
				registry := registryWith(t)
				var mu sync.Mutex
				var elsewhere []string
				other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					mu.Lock()
					defer mu.Unlock()
					elsewhere = append(elsewhere, r.Header.Get("Authorization"))
					registry.ServeHTTP(w, r)
				}))
				t.Cleanup(other.Close)
				to := strings.Replace(other.URL, "127.0.0.1", "localhost", 1)
				g := &guarded{registry: registry, scheme: scheme, misbehave: func(w http.ResponseWriter, r *http.Request) bool {
					if !strings.Contains(r.URL.Path, where) || r.URL.Path == "/token" || r.URL.Path == "/v2/" {
						return false
					}
					http.Redirect(w, r, to+r.URL.Path, http.StatusTemporaryRedirect)
					return true
				}}
				address, dir := startGuarded(t, g)
				o := run{dir: dir, args: []string{"-d", "-q", "--tls-verify=false", "-i", "docker://" + address + "/app"}}.do(t)
				if o.exit != 0 {
					t.Fatal(o.stderr)
				}
				if len(elsewhere) == 0 {
					t.Error("nobody followed the redirect")
				}
				for _, a := range elsewhere {
					if a != "" {
						t.Errorf("the other host got %q", a)
					}
				}
			})
		}
	}
}

// TestUnverifiedTLS guards against credentials for a registry that is not the
// one that it says it is: without --tls-verify=false it gets nothing at all.
func TestUnverifiedTLS(t *testing.T) {
	t.Parallel()
	var requests atomic.Int64
	g := &guarded{registry: registryWith(t), scheme: "Basic"}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		g.ServeHTTP(w, r)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	address := s.Listener.Addr().String()
	dir := homeFor(t, address, "")
	for _, args := range [][]string{nil, {"--tls-verify"}, {"--tls-verify=true"}} {
		o := run{dir: dir, args: append([]string{"-d", "-q", "-i", "docker://" + address + "/app"}, args...)}.do(t)
		o.oneLine(t, "certificate")
		if requests.Load() > 0 {
			t.Errorf("%v: %d requests", args, requests.Load())
		}
	}
	o := run{dir: dir, args: []string{"-d", "-q", "-i", "docker://" + address + "/app", "--tls-verify=false"}}.do(t)
	if o.exit != 0 || requests.Load() == 0 {
		t.Errorf("with --tls-verify=false: %s", o.stderr)
	}
}

// TestQuietRegistry guards against what the library that reads registries logs
// by itself, in its own form and with -q too.
func TestQuietRegistry(t *testing.T) {
	t.Parallel()
	var broken atomic.Bool
	g := &guarded{registry: registryWith(t)}
	g.misbehave = func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Warning", `299 - "This registry closes soon"`)
		if strings.Contains(r.URL.Path, "/blobs/") && !broken.Swap(true) {
			w.Header().Set("Content-Length", "100000")
			_, _ = w.Write(make([]byte, 100))
			panic(http.ErrAbortHandler)
		}
		return false
	}
	address, dir := startGuarded(t, g)
	o := run{dir: dir, args: []string{"-d", "-q", "--tls-verify=false", "-i", "docker://" + address + "/app"}}.do(t)
	if o.exit == 0 && o.stderr != "" || o.exit != 0 && strings.Count(o.stderr, "\n") != 1 {
		t.Errorf("exit code %d, stderr %q", o.exit, o.stderr)
	}
}

// TestTerminal guards against names in images and answers of servers that do
// something to a terminal: wherever they come from, with --debug too, nothing
// but printable characters gets there.
func TestTerminal(t *testing.T) {
	t.Parallel()
	const evil = "\x1b[2J\x1b]0;title\x07\r\u009b31m\u202egnp\u2066"
	raw := regexp.MustCompile("[\x00-\x08\x0b-\x1f\x7f\u0080-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
	check := func(t *testing.T, o outcome) {
		t.Helper()
		for what, text := range map[string]string{"stdout": o.stdout, "stderr": o.stderr} {
			if found := raw.FindString(text); found != "" {
				t.Errorf("%s has %q: %.300q", what, found, text)
			}
			if !strings.HasSuffix(text, "\n") && text != "" {
				t.Errorf("%s does not end a line: %.300q", what, text)
			}
		}
	}
	image := func(o imagetest.Options, layers ...[]imagetest.Entry) imagetest.Content {
		var tars [][]byte
		for _, l := range layers {
			tars = append(tars, imagetest.Tar(l...))
		}
		return imagetest.Image(o, tars...)
	}
	file := []imagetest.Entry{imagetest.File("opt/a", "1")}
	for name, content := range map[string]imagetest.Content{
		"os":                    image(imagetest.Options{OS: evil}, file),
		"architecture":          image(imagetest.Options{Architecture: evil}, file),
		"variant":               image(imagetest.Options{Variant: evil}, file),
		"name of a fifo":        image(imagetest.Options{}, file, []imagetest.Entry{imagetest.Fifo("opt/" + evil)}),
		"name of a link":        image(imagetest.Options{}, []imagetest.Entry{imagetest.Hardlink("opt/"+evil, "opt/"+evil+"x")}),
		"whiteout of nothing":   image(imagetest.Options{}, []imagetest.Entry{imagetest.File("opt/"+evil+"/.wh.", "")}),
		"name that is too long": image(imagetest.Options{}, []imagetest.Entry{imagetest.File("opt/"+evil+strings.Repeat("x", 5000), "")}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := imagetest.WriteOCILayout(filepath.Join(dir, "app"), "", content); err != nil {
				t.Fatal(err)
			}
			for _, args := range [][]string{nil, {"--debug"}, {"--platform", "linux/s390x"}, {"--platform", "linux/s390x", "--debug"}} {
				check(t, run{dir: dir, args: append([]string{"-d", "-i", "oci:app"}, args...)}.do(t))
			}
		})
	}
	t.Run("tags", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		for _, tag := range []string{evil, evil + "2"} {
			if err := imagetest.WriteOCILayout(filepath.Join(dir, "app"), tag, image(imagetest.Options{}, file)); err != nil {
				t.Fatal(err)
			}
		}
		for _, ref := range []string{"oci:app", "oci:app:other", "oci:app:" + evil} {
			for _, debug := range []string{"--debug", "--debug=false"} {
				check(t, run{dir: dir, args: []string{"-d", debug, "-i", ref}}.do(t))
			}
		}
	})
	t.Run("engine", func(t *testing.T) {
		t.Parallel()
		engine := fakeengine.New(fakeengine.Options{}, imagetest.Ref{Name: "app", Content: image(imagetest.Options{}, file)})
		engine.Fail(fakeengine.Export, fakeengine.Fault{Status: 500, Message: evil})
		dir := t.TempDir()
		check(t, run{dir: dir, env: []string{"DOCKER_HOST=" + engine.Start(t)}, args: []string{"-d", "--debug", "-i", "app"}}.do(t))
	})
	t.Run("export", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		manifest := fmt.Sprintf(`[{"Config":%q,"RepoTags":[%q],"Layers":[%q]}]`, "c.json", "app:"+evil, evil)
		for i, entries := range [][]imagetest.Entry{
			{imagetest.File("manifest.json", manifest)},
			{imagetest.File("c.json", `{"rootfs":{"diff_ids":["sha256:`+evil+`"]}}`), imagetest.File("manifest.json", manifest)},
			{imagetest.File("c.json", fmt.Sprintf(`{"rootfs":{"diff_ids":["sha256:%064d"]}}`, 0)), imagetest.File("manifest.json", manifest)},
			{imagetest.File("c.json", fmt.Sprintf(`{"rootfs":{"diff_ids":["sha256:%064d"]}}`, 0)), imagetest.File(evil, "\x1f\x8bnothing"), imagetest.File("manifest.json", manifest)},
		} {
			name := fmt.Sprint(i, ".tar")
			if err := os.WriteFile(filepath.Join(dir, name), imagetest.Tar(entries...), 0o644); err != nil {
				t.Fatal(err)
			}
			for _, ref := range []string{name, name + ":other"} {
				check(t, run{dir: dir, args: []string{"-d", "--debug", "-i", "docker-archive:" + ref}}.do(t))
			}
		}
	})
	t.Run("registry", func(t *testing.T) {
		t.Parallel()
		for _, where := range []string{"/manifests/", "/blobs/"} {
			g := &guarded{misbehave: func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.Contains(r.URL.Path, where) {
					return false
				}
				w.Header().Set("Content-Type", evil)
				w.WriteHeader(500)
				fmt.Fprintf(w, `{"errors":[{"code":"X","message":%q}]}`, evil)
				return true
			}}
			address, dir := startGuarded(t, g)
			check(t, run{dir: dir, args: []string{"-d", "--debug", "--tls-verify=false", "-i", "docker://" + address + "/app"}}.do(t))
		}
	})
	t.Run("AWS", func(t *testing.T) {
		t.Parallel()
		c, dir := startCloud(t), t.TempDir()
		writeLayout(t, filepath.Join(dir, "app"), "file opt/a 1")
		env := []string{"AWS_ENDPOINT_URL=" + c.url}
		for _, do := range []fakelambda.Action{
			fakelambda.Fail(400, "No", evil),
			fakelambda.Fail(403, "ExpiredTokenException", evil),
			fakelambda.Answer(201, fmt.Sprintf(`{"LayerVersionArn":"arn%s"}`, `\u001b[2J\u202e`)),
			fakelambda.Answer(200, evil),
		} {
			c.ClearRules()
			c.On(fakelambda.Rule{Operation: fakelambda.PublishLayerVersion, Do: do})
			for _, args := range [][]string{{"--debug"}, {"-q"}} {
				check(t, run{dir: dir, env: env, args: append([]string{"-i", "oci:app"}, args...)}.do(t))
			}
		}
	})
}
