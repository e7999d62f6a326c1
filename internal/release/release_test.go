package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestRelease packs a program twice, and looks into what comes out.
func TestRelease(t *testing.T) {
	t.Chdir("../..")
	dir, again := t.TempDir(), t.TempDir()
	for _, target := range []string{"linux_amd64/img2lambda", "windows_arm64/img2lambda.exe"} {
		program := filepath.Join(dir, "build", target)
		out, err := exec.CommandContext(t.Context(), "go", "build", "-ldflags", "-s -w", "-o", program, "./internal/release").CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	if err := os.CopyFS(again, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{dir, again} {
		// As make does: the race detector would take ten times as long to compress.
		out, err := exec.CommandContext(t.Context(), "go", "run", "./internal/release", "v1.2.3", "1000000000", d).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}

	const unix, windows = "img2lambda_v1.2.3_linux_amd64", "img2lambda_v1.2.3_windows_arm64"
	for _, name := range []string{unix + ".tar.gz", windows + ".zip", "SHA256SUMS"} {
		if !bytes.Equal(read(t, dir, name), read(t, again, name)) {
			t.Errorf("%s is not the same twice", name)
		}
	}
	want := func(folder, program string) []string {
		return []string{
			"-rw-r--r-- 2001-09-09T01:46:40Z " + folder + "/LICENSE",
			"-rw-r--r-- 2001-09-09T01:46:40Z " + folder + "/README.md",
			"-rw-r--r-- 2001-09-09T01:46:40Z " + folder + "/THIRD_PARTY_NOTICES",
			"-rwxr-xr-x 2001-09-09T01:46:40Z " + folder + "/" + program,
		}
	}
	if diff := cmp.Diff(want(unix, "img2lambda"), listTar(t, read(t, dir, unix+".tar.gz"))); diff != "" {
		t.Errorf("the tar: %s", diff)
	}
	if diff := cmp.Diff(want(windows, "img2lambda.exe"), listZip(t, read(t, dir, windows+".zip"))); diff != "" {
		t.Errorf("the zip: %s", diff)
	}
	if sha256sum, err := exec.LookPath("sha256sum"); err == nil {
		cmd := exec.CommandContext(t.Context(), sha256sum, "-c", "--strict", "SHA256SUMS")
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil || strings.Count(string(out), ": OK\n") != 2 {
			t.Errorf("sha256sum -c: %v\n%s", err, out)
		}
	}
}

// TestNotices checks that no module that is in a program is left out.
func TestNotices(t *testing.T) {
	t.Chdir("../..")
	program := filepath.Join(t.TempDir(), "program")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./internal/release").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	got, err := notices([]string{program})
	if err != nil {
		t.Fatal(err)
	}
	modules, err := goOutput(nil, "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}}{{end}}{{end}}", ".")
	if err != nil {
		t.Fatal(err)
	}
	for _, module := range append(strings.Fields(strings.ReplaceAll(modules, " ", "@")), "The@Go@standard@library@"+runtime.Version()) {
		if line := "\n" + strings.ReplaceAll(module, "@", " ") + "\n"; !bytes.Contains(got, []byte(line)) {
			t.Errorf("no notice of %s", strings.TrimSpace(line))
		}
	}
	// A license below the module's root, of a package that is in the program.
	if !bytes.Contains(got, []byte("The Snappy-Go Authors")) {
		t.Error("no notice of what klauspost/compress has from elsewhere")
	}
}

func read(t *testing.T, dir, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func listTar(t *testing.T, packed []byte) (lines []string) {
	t.Helper()
	gz, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	if gz.Name != "" || !gz.ModTime.IsZero() {
		t.Errorf("gzip header %+v", gz.Header)
	}
	for r := tar.NewReader(gz); ; {
		h, err := r.Next()
		if err == io.EOF {
			return lines
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Uid != 0 || h.Gid != 0 || h.Uname+h.Gname != "" {
			t.Errorf("%s has an owner", h.Name)
		}
		lines = append(lines, h.FileInfo().Mode().String()+" "+h.ModTime.UTC().Format("2006-01-02T15:04:05Z")+" "+h.Name)
	}
}

func listZip(t *testing.T, packed []byte) (lines []string) {
	t.Helper()
	r, err := zip.NewReader(bytes.NewReader(packed), int64(len(packed)))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.File {
		lines = append(lines, f.Mode().String()+" "+f.Modified.UTC().Format("2006-01-02T15:04:05Z")+" "+f.Name)
	}
	return lines
}
