package ziptest

import (
	"archive/zip"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/imagetest"
)

// CheckUnzip fails unless Info-ZIP's unzip, where it is installed, makes on disk
// what Restore says.
func CheckUnzip(t testing.TB, zips ...string) {
	t.Helper()
	if !HaveUnzip() {
		return
	}
	want, got := Restore(t, zips...), Unzip(t, zips...)
	// unzip sets mode and time of a directory only when it makes it, and never
	// the time of a symbolic link.
	for p, n := range want {
		if n.Kind == imagetest.KindSymlink {
			n.ModTime = got[p].ModTime
			want[p] = n
		}
		if n.Kind == imagetest.KindDir && (n.Implied || zipsWith(t, p, zips) > 1) {
			want[p] = imagetest.Node{Kind: imagetest.KindDir}
			if got[p].Kind == imagetest.KindDir {
				got[p] = want[p]
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("unzip makes (+) of the zips (-):\n%s", diff)
	}
}

// HaveUnzip reports whether the real unzip is installed, where file systems can
// hold what images have.
func HaveUnzip() bool {
	_, err := exec.LookPath("unzip")
	return err == nil && runtime.GOOS == "linux"
}

// zipsWith counts the zips with something at the path or below it.
func zipsWith(t testing.TB, p string, zips []string) (n int) {
	for _, name := range zips {
		if slices.ContainsFunc(Names(t, name), func(s string) bool {
			return strings.TrimSuffix(s, "/") == p || below(s, p)
		}) {
			n++
		}
	}
	return n
}

// Read returns the zips in dir by name.
func Read(t testing.TB, dir string) map[string]string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.zip"))
	if err != nil {
		t.Fatal(err)
	}
	zips := make(map[string]string)
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		zips[filepath.Base(name)] = string(b)
	}
	return zips
}

// Names lists the names of a zip's entries.
func Names(t testing.TB, name string) (names []string) {
	t.Helper()
	z, err := zip.OpenReader(name)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	defer z.Close()
	for _, f := range z.File {
		names = append(names, f.Name)
	}
	return names
}

// Unzip lets the program of that name unzip the zips one over the other, and
// reads what it has made.
func Unzip(t testing.TB, zips ...string) map[string]imagetest.Node {
	t.Helper()
	root := t.TempDir()
	for _, name := range zips {
		// Without -^ and -V it changes names with control characters, and
		// those that end as VMS's with a version do.
		command := exec.Command("unzip", "-qq", "-o", "-^", "-V", "-d", root, name)
		command.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "TZ=UTC") // an MS-DOS date is local time
		if out, err := command.CombinedOutput(); err != nil || len(out) > 0 {
			t.Fatalf("%v: %v\n%s", command, err, out)
		}
	}
	return onDisk(t, root)
}

// onDisk reads the tree below a directory.
func onDisk(t testing.TB, root string) map[string]imagetest.Node {
	t.Helper()
	tree := map[string]imagetest.Node{}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == root {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		n := imagetest.Node{Mode: int64(info.Mode().Perm()), ModTime: info.ModTime().Unix()}
		switch info.Mode().Type() {
		case fs.ModeDir:
			n.Kind = imagetest.KindDir
		case fs.ModeSymlink:
			n.Kind, n.Mode = imagetest.KindSymlink, 0
			n.Linkname, err = os.Readlink(name)
		default:
			n.Kind = imagetest.KindFile
			var b []byte
			b, err = os.ReadFile(name)
			n.Body = string(b)
		}
		tree[filepath.ToSlash(name[len(root)+1:])] = n
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// Check fails unless a zip is one that every program can read and that is
// safe to unzip, and returns the names of what is in it.
func Check(t testing.TB, content string) (names []string) {
	t.Helper()
	z, err := zip.NewReader(strings.NewReader(content), int64(len(content)))
	if err != nil {
		t.Fatalf("not a zip: %v", err)
	}
	seen := make(map[string]bool)
	for _, f := range z.File {
		name := strings.TrimSuffix(f.Name, "/")
		if !safe(name) || seen[name] || len(f.Name) > 4096 {
			t.Errorf("%.300q: not a name to unzip, or twice", f.Name)
		}
		seen[name] = true
		names = append(names, f.Name)
		mode := f.Mode()
		want := fs.FileMode(0o444)
		switch mode.Type() {
		case 0:
		case fs.ModeDir:
			want = 0o555
		case fs.ModeSymlink:
			want = 0o777
		default:
			t.Errorf("%.300q has mode %v", f.Name, mode)
		}
		if mode&want != want || mode&(fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky) != 0 || mode.IsDir() != strings.HasSuffix(f.Name, "/") {
			t.Errorf("%.300q has mode %v", f.Name, mode)
		}
		r, err := f.Open()
		if err != nil {
			t.Errorf("%.300q: %v", f.Name, err)
			continue
		}
		if n, err := io.Copy(io.Discard, r); err != nil || uint64(n) != f.UncompressedSize64 { // the CRC too
			t.Errorf("%.300q: %d bytes of %d, error %v", f.Name, n, f.UncompressedSize64, err)
		}
		ModTime(t, f)
	}
	return names
}

// safe reports whether a path stays below the directory that it is unzipped to.
func safe(name string) bool {
	if strings.ContainsRune(name, 0) {
		return false
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || part == "." || part == ".." {
			return false
		}
	}
	return true
}

// CheckAll fails unless there is an error and nothing else, or there are good
// zips.
func CheckAll(t testing.TB, zips map[string]string, err error) {
	t.Helper()
	if err != nil {
		if len(zips) > 0 || strings.Contains(err.Error(), "left behind") {
			t.Errorf("error %v, and %d zips", err, len(zips))
		}
		return
	}
	if len(zips) == 0 {
		t.Error("neither an error nor a zip")
	}
	for name, content := range zips {
		if len(Check(t, content)) == 0 {
			t.Errorf("%s is empty", name)
		}
	}
}
