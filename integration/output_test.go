package integration

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

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
			engine, env := startPausing(t, layersOf("app", 3)...)
			dir := t.TempDir()
			p := run{dir: dir, env: env, args: []string{"-d", "-q", "-i", "app"}}.start(t)
			engine.pause(t)
			if err := tt.change(dir); err != nil {
				t.Error(err)
			}
			close(engine.resume)
			p.wait(t).oneLine(t)
			for _, file := range slices.Sorted(maps.Keys(files(t, dir))) {
				if strings.HasPrefix(file, "away/") {
					continue // nobody can know where that is
				}
				base := filepath.Base(file)
				if strings.HasPrefix(base, ".img2lambda") || strings.HasSuffix(base, ".zip") || base == "report.json" {
					t.Errorf("%s is left", file)
				}
			}
			_, err := os.Lstat(filepath.Join(dir, "output"))
			if there := err == nil; there != tt.stays {
				t.Errorf("output is there: %t", there)
			}
		})
	}
}

// TestRetargeted guards against a link to the output directory that is changed while
// the program works: the results are where it led to, and nothing else is anywhere.
func TestRetargeted(t *testing.T) {
	t.Parallel()
	engine, env := startPausing(t, layersOf("app", 3)...)
	dir := t.TempDir()
	for _, name := range []string{"first", "second"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join(dir, "output")
	if err := os.Symlink("first", link); err != nil {
		t.Skip(err)
	}
	p := run{dir: dir, env: env, args: []string{"-d", "-q", "-i", "app"}}.start(t)
	engine.pause(t)
	if err := errors.Join(os.Remove(link), os.Symlink("second", link)); err != nil {
		t.Error(err)
	}
	close(engine.resume)
	p.wait(t).wantExit(t, 0)
	if got := slices.Sorted(maps.Keys(files(t, filepath.Join(dir, "second")))); !slices.Equal(got, []string{"."}) {
		t.Errorf("second has %v", got)
	}
	want := []string{".", "function.zip", "layer-1.zip", "layer-2.zip", "layer-3.zip", "report.json"}
	if got := slices.Sorted(maps.Keys(files(t, filepath.Join(dir, "first")))); !slices.Equal(got, want) {
		t.Errorf("first has %v", got)
	}
}

// TestModes guards against results that others cannot read, and against
// temporary files that they can.
func TestModes(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("sh"); err != nil || runtime.GOOS == "windows" {
		t.Skip("no sh")
	}
	for umask, want := range map[string]struct{ dir, file fs.FileMode }{
		"022": {0o755, 0o644}, "077": {0o700, 0o600}, "002": {0o755, 0o644},
	} {
		t.Run(umask, func(t *testing.T) {
			t.Parallel()
			engine, env := startPausing(t, layersOf("app", 3)...)
			dir := t.TempDir()
			p := run{dir: dir, env: env, umask: umask, args: []string{"-d", "-q", "-i", "app", "-o", "a/b"}}.start(t)
			engine.pause(t)
			private := 0
			for name, mode := range modes(t, filepath.Join(dir, "a")) {
				if filepath.Dir(name) == "b" {
					private++
					if mode != fs.ModeDir|0o700 {
						t.Errorf("%s has mode %v while the program works", name, mode)
					}
				}
			}
			if private != 1 {
				t.Errorf("%d temporary directories", private)
			}
			close(engine.resume)
			p.wait(t).wantExit(t, 0)
			for name, mode := range modes(t, filepath.Join(dir, "a")) {
				if mode != want.file && mode != fs.ModeDir|want.dir {
					t.Errorf("%s has mode %v", name, mode)
				}
			}
		})
	}
}

// modes returns the modes of dir and all below it, by their path from dir.
func modes(t *testing.T, dir string) map[string]fs.FileMode {
	t.Helper()
	all := map[string]fs.FileMode{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		all[name] = info.Mode()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
