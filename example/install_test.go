package example

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// makeRelease serves a release of the program for this machine as GitHub does.
func makeRelease(t *testing.T, version string) (dir, url string) {
	t.Helper()
	dir = t.TempDir()
	program := filepath.Join(dir, "build", strings.TrimSpace(output(t, command(t.Context(), "sh", "-c", "echo $(go env GOOS)_$(go env GOARCH)"))), "img2lambda")
	output(t, command(t.Context(), "go", "build", "-o", program, ".."))
	cmd := exec.CommandContext(t.Context(), "go", "run", "./internal/release", version, "0", dir)
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	releases := "/" + repository + "/releases"
	mux := http.NewServeMux()
	mux.Handle(releases+"/download/"+version+"/", http.StripPrefix(releases+"/download/"+version, http.FileServer(http.Dir(dir))))
	mux.HandleFunc(releases+"/tag/"+version, func(http.ResponseWriter, *http.Request) {})
	mux.Handle(releases+"/latest", http.RedirectHandler(releases+"/tag/"+version, http.StatusFound))
	mux.Handle("/raw/", http.StripPrefix("/raw/", http.FileServer(http.Dir(".."))))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return dir, server.URL
}

// TestInstall installs the newest release, and another one that there is not.
func TestInstall(t *testing.T) {
	t.Parallel()
	needs(t, "curl")
	_, url := makeRelease(t, "v9.8.7")
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
	dir, url := makeRelease(t, "v9.8.7")
	archives, err := filepath.Glob(filepath.Join(dir, "img2lambda_*"))
	if err != nil || len(archives) != 1 {
		t.Fatal(archives, err)
	}
	if err := os.WriteFile(archives[0], []byte("something else"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, err = runAction(t, append(os.Environ(), "GITHUB_SERVER_URL="+url), map[string]string{
		"inputs.version": "v9.8.7", "inputs.image": writeImage(t), "inputs.dry-run": "true",
	})
	if err == nil || !strings.Contains(err.Error(), filepath.Base(archives[0])+" is not what SHA256SUMS says") {
		t.Errorf("%v, want that the archive is not what SHA256SUMS says", err)
	}
}
