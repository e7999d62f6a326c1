package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// mountTmpfs mounts a file system in memory, as small as options say, or skips
// the test.
func mountTmpfs(t *testing.T, options string) (dir string) {
	t.Helper()
	if os.Getuid() != 0 || runtime.GOOS != "linux" {
		t.Skip("mounting file systems needs root, and Linux")
	}
	dir = t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", options, "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("mount: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", "-l", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	return dir
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
				return run{dir: in, env: c.env(), args: append([]string{"-q", "-i", "oci:" + image, "-o", out}, tt.args...)}.do(t)
			}
			convert("old").wantExit(t, 0)
			before := files(t, out)
			failed := 0
			for n := tt.step; ; n += tt.step {
				limit := fmt.Sprintf(tt.limit, n)
				if err := exec.Command("mount", "-o", "remount,"+limit, dir).Run(); err != nil {
					continue // there is more already
				}
				o, left := convert("new"), files(t, out)
				if o.exit == 0 {
					if cmp.Equal(left, before) {
						t.Errorf("%s: no error, and nothing new", limit)
					}
					break
				}
				o.oneLine(t, "no space left on device")
				failed++
				for name := range left { // where publishing fails, zips are kept
					if strings.Contains(name, ".img2lambda") {
						t.Errorf("%s: %s is left", limit, name)
					}
				}
				if diff := cmp.Diff(before, left); diff != "" && tt.args != nil {
					t.Errorf("%s: files changed", limit)
				}
				if n > 1000 {
					t.Fatalf("%s: still %s", limit, o.stderr)
				}
			}
			if failed == 0 {
				t.Error("there was always enough room")
			}
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
		run{dir: in, args: []string{"-d", "-i", "oci:app", "-o", out}}.do(t).oneLine(t, "output directory "+out)
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
	for name, tt := range map[string]struct {
		stdout, stderr string
		exit           int
	}{
		"stdout":                 {"closed", "", 1},
		"stderr":                 {"", "closed", 0},
		"both":                   {"closed", "closed", 1},
		"a full disk for stdout": {"/dev/full", "", 1},
		"a full disk for stderr": {"", "/dev/full", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := t.TempDir()
			r := run{dir: dir, args: []string{"-d", "-i", "oci:app", "-o", out}}
			if tt.stdout != "" {
				r.stdout = brokenFile(t, tt.stdout)
			}
			if tt.stderr != "" {
				r.stderr = brokenFile(t, tt.stderr)
			}
			r.exits(t, tt.exit)
			for name := range files(t, out) {
				if strings.Contains(name, ".img2lambda") {
					t.Errorf("%s is left", name)
				}
			}
		})
	}
}

// brokenFile opens a device, or a pipe of which the reader has gone.
func brokenFile(t *testing.T, name string) *os.File {
	t.Helper()
	if name != "closed" {
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			t.Skip(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	t.Cleanup(func() { w.Close() })
	return w
}
