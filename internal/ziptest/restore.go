// Package ziptest tells for tests what unzipping gives: it restores zips in memory
// and with Info-ZIP, and compares with the tree of an image.
package ziptest

import (
	"archive/zip"
	"encoding/binary"
	"io"
	"io/fs"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/imagetest"
)

// touched is the modification time of a directory into which something was
// unzipped that did not set the time afterwards.
const touched = -1 << 62

// Restore returns what unzipping the zips one over the other gives, by path. It fails
// where that depends on the program that unzips.
func Restore(t testing.TB, zips ...string) map[string]imagetest.Node {
	t.Helper()
	tree := map[string]imagetest.Node{}
	for _, name := range zips {
		z, err := zip.OpenReader(name)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		seen := map[string]bool{}
		dirs := map[string]imagetest.Node{}
		for _, f := range z.File {
			p := strings.TrimSuffix(f.Name, "/")
			if !fs.ValidPath(p) || seen[p] {
				t.Fatalf("%s: %q: not a path to unzip, or twice", name, f.Name)
			}
			seen[p] = true
			n := imagetest.Node{Mode: int64(f.Mode().Perm()), ModTime: ModTime(t, f)}
			r, err := f.Open()
			if err != nil {
				t.Fatalf("%s: %q: %v", name, f.Name, err)
			}
			body, err := io.ReadAll(r)
			if err != nil {
				t.Fatalf("%s: %q: %v", name, f.Name, err)
			}
			switch f.Mode().Type() {
			case fs.ModeDir:
				n.Kind = imagetest.KindDir
				dirs[p] = n
			case fs.ModeSymlink:
				n.Kind, n.Linkname, n.Mode = imagetest.KindSymlink, string(body), 0
			case 0:
				n.Kind, n.Body = imagetest.KindFile, string(body)
			default:
				t.Fatalf("%s: %q has mode %v", name, f.Name, f.Mode())
			}
			old, overlaps := tree[p]
			if overlaps && (old.Kind != n.Kind || n.Kind == imagetest.KindSymlink) {
				t.Fatalf("%s: %q is unzipped over another kind, or a link", name, f.Name)
			}
			if n.Kind == imagetest.KindDir && overlaps {
				continue // its metadata is set at the end
			}
			tree[p] = n
			for d := path.Dir(p); d != "."; d = path.Dir(d) {
				parent, ok := tree[d]
				if ok && parent.Kind != imagetest.KindDir {
					t.Fatalf("%s: %q is unzipped below something else than a directory", name, f.Name)
				}
				if ok {
					parent.ModTime = touched
					tree[d] = parent
					break
				}
				tree[d] = imagetest.Node{Kind: imagetest.KindDir, Implied: true, ModTime: touched}
			}
		}
		for p, n := range dirs {
			tree[p] = n
		}
		z.Close()
	}
	return tree
}

// Below returns the part of an image's tree below root as a Lambda layer can have
// it.
func Below(tree map[string]imagetest.Node, root string) map[string]imagetest.Node {
	want := map[string]imagetest.Node{}
	for p, n := range tree {
		if !below(p, root) || n.Kind == imagetest.KindSpecial {
			continue
		}
		switch {
		case n.Implied:
		case n.Kind == imagetest.KindSymlink:
			n.Mode = 0
		case n.Kind == imagetest.KindDir:
			n.Mode = n.Mode&0o777 | 0o555
		default:
			n.Mode = n.Mode&0o777 | 0o444
			if n.Mode&0o111 != 0 {
				n.Mode |= 0o111
			}
		}
		want[p[len(root)+1:]] = n
	}
	return want
}

// Compare fails unless two trees are the same.
func Compare(t testing.TB, got, want map[string]imagetest.Node) {
	t.Helper()
	for p, n := range want {
		if g, ok := got[p]; n.Implied && ok { // nobody says what it is like
			g.ModTime, g.Mode, g.Implied = 0, 0, true
			got[p] = g
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("restored tree (+) is not the image's (-):\n%s", diff)
	}
}

// ModTime returns an entry's modification time in seconds since 1970.
func ModTime(t testing.TB, f *zip.File) int64 { return ExtendedTime(t, f).Unix() }

// ExtendedTime reads the extended timestamp of a zip entry: 32 bits with a
// sign, unless the date of MS-DOS says that it is after 2038.
func ExtendedTime(t testing.TB, f *zip.File) time.Time {
	t.Helper()
	e := f.Extra
	if len(e) != 9 || string(e[:5]) != "UT\x05\x00\x01" {
		t.Fatalf("%s: extra field % x", f.Name, e)
	}
	sec := binary.LittleEndian.Uint32(e[5:])
	if f.ModTime().Year() < 2038 {
		return time.Unix(int64(int32(sec)), 0).UTC()
	}
	return time.Unix(int64(sec), 0).UTC()
}

// below reports whether p is beneath dir.
func below(p, dir string) bool { return strings.HasPrefix(p, dir+"/") }
