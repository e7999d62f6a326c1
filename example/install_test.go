package example

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"sync"
	"testing"
)

// version is that of the release that there is.
const version = "v1.0.0"

// releaseDir has a release of the program for this machine, made once for all tests.
func releaseDir(t *testing.T) string {
	t.Helper()
	dir, err := released()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

var released = sync.OnceValues(func() (string, error) {
	dir := filepath.Join(scratch, "release")
	program := filepath.Join(dir, "build", goruntime.GOOS+"_"+goruntime.GOARCH, "img2lambda")
	if goruntime.GOOS == "windows" {
		program += ".exe"
	}
	for _, args := range [][]string{
		{"build", "-ldflags", "-s -w", "-o", program, "."},
		{"run", "./internal/release", version, "0", dir},
	} {
		cmd := exec.Command("go", args...)
		cmd.Dir = ".."
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("%v: %w\n%s", cmd, err, out)
		}
	}
	return dir, nil
})

// builtProgram returns the path of the program that is in the release.
func builtProgram(t *testing.T) string {
	t.Helper()
	programs, err := filepath.Glob(filepath.Join(releaseDir(t), "build/*/*"))
	if err != nil || len(programs) != 1 {
		t.Fatal(programs, err)
	}
	return programs[0]
}

// serveRelease serves what is in dir as GitHub serves a release.
func serveRelease(t *testing.T, dir string) (url string) {
	t.Helper()
	releases := "/" + repository + "/releases"
	mux := http.NewServeMux()
	mux.Handle(releases+"/download/"+version+"/", http.StripPrefix(releases+"/download/"+version, http.FileServer(http.Dir(dir))))
	mux.HandleFunc(releases+"/tag/"+version, func(http.ResponseWriter, *http.Request) {})
	mux.Handle(releases+"/latest", http.RedirectHandler(releases+"/tag/"+version, http.StatusFound))
	mux.Handle("/raw/", http.StripPrefix("/raw/", http.FileServer(http.Dir(".."))))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

// TestInstall installs the newest release, and another one that there is not.
func TestInstall(t *testing.T) {
	t.Parallel()
	needs(t, "curl")
	url := serveRelease(t, releaseDir(t))
	home := t.TempDir()
	install := func(args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "sh", append([]string{"../install.sh"}, args...)...)
		cmd.Env = append(os.Environ(), "HOME="+home, "GITHUB_SERVER_URL="+url)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	program := filepath.Join(home, ".local/bin/img2lambda")
	out, err := install()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want := strings.TrimSpace(output(t, command(t.Context(), program, "--version"))) + " is in " + filepath.Dir(program) + ".\n"
	if !strings.HasPrefix(out, want) || !strings.Contains(out, "is not on your PATH") {
		t.Errorf("it says\n%s", out)
	}
	out, err = install("v0.0.1", t.TempDir())
	if err == nil || !strings.HasPrefix(lastLine(out), "install.sh: cannot get "+url) {
		t.Errorf("%v\n%s", err, out)
	}
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}

// TestActionDamaged is a release whose archive is not what SHA256SUMS says.
func TestActionDamaged(t *testing.T) {
	t.Parallel()
	needs(t, "bash", "jq", "curl")
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(releaseDir(t))); err != nil {
		t.Fatal(err)
	}
	url := serveRelease(t, dir)
	archives, err := filepath.Glob(filepath.Join(dir, "img2lambda_*"))
	if err != nil || len(archives) != 1 {
		t.Fatal(archives, err)
	}
	if err := os.WriteFile(archives[0], []byte("something else"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, err = runAction(t, append(os.Environ(), "GITHUB_SERVER_URL="+url), map[string]string{
		"inputs.version": version, "inputs.image": writeImage(t), "inputs.dry-run": "true",
	})
	if err == nil || !strings.Contains(err.Error(), filepath.Base(archives[0])+" is not what SHA256SUMS says") {
		t.Errorf("%v, want that the archive is not what SHA256SUMS says", err)
	}
}
