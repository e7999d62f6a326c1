package imagetest

import (
	"archive/tar"
	"errors"
	"flag"
	"io"
	"math/rand/v2"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

// A test run with IMG2LAMBDA_TEST_LONG compares ten times as many.
var (
	images = flag.Int("images", 200, "number of random images to compare")
	seed   = flag.Uint64("seed", 0, "seed of the first random image")
)

// TestFlattenAgreesWithExtract compares Flatten with mutate.Extract, which
// nobody here wrote, on random images.
//
// Extract reads each tar from its start, the top layer first, and writes what it
// has not seen yet. Of what the spec asks, this gets some wrong, so it is given
// a twin of the image that means the same and avoids these cases:
//
//   - Whiteouts hide what the same layer has later in the tar, and are lost where
//     they come after it. The twin has two layers for each: one with only the
//     whiteouts and opaque markers, and above it one with only the content.
//   - The first of several entries of a path wins. The twin's content has each
//     path once; survives tells which entry counts.
//   - An entry below a path does not replace what that path was in the same or in
//     a lower layer; and a file over a directory is forgotten, with the
//     directory's content coming back, where a higher layer has the path too. The
//     twin's layer of markers has a whiteout for each path that is no directory
//     any more or was none before.
//   - A hard link keeps the name of its target, whose content may be replaced in a
//     higher layer. The twin has a copy in its place, taken from the layer or from
//     what Extract makes of the layers below.
//   - Symbolic links that climb out of the root are left out. The twin's targets
//     begin with a slash and are compared without it.
//   - Paths lead through no links, and each hard link has its own header. Resolve
//     makes the twin's entries.
//   - Names are cleaned, but "/a" and "a" are two. The twin's names are clean, and
//     it has no root and no leftovers of AUFS.
func TestFlattenAgreesWithExtract(t *testing.T) {
	t.Parallel()
	n := uint64(*images)
	if os.Getenv("IMG2LAMBDA_TEST_LONG") != "" {
		n *= 10
	}
	for s := *seed; s < *seed+n; s++ {
		layers := Random(rand.New(rand.NewPCG(s, 0)))
		want := extract(t, twin(t, layers))
		got := Flatten(layers)
		dropEmptyImplied(got) // Extract knows of none.
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("Extract (-), Flatten (+):\n%s%s\nagain: go test ./internal/imagetest -run %s -seed %d -images 1", diff, describe(layers), t.Name(), s)
		}
	}
}

// dropEmptyImplied removes from tree the implied directories below which there
// is nothing but implied directories. Engines have them, for what made them was
// deleted later, but no layer says what they are.
func dropEmptyImplied(tree map[string]Node) {
	needed := map[string]bool{}
	for p, n := range tree {
		if !n.Implied {
			for dir := parent(p); dir != ""; dir = parent(dir) {
				needed[dir] = true
			}
		}
	}
	for p, n := range tree {
		if n.Implied && !needed[p] {
			delete(tree, p)
		}
	}
}

// twin returns layers as Extract understands them.
func twin(t *testing.T, layers [][]Entry) [][]Entry {
	var twins [][]Entry
	for _, entries := range layers {
		entries = Resolve(entries)
		var markers, files []Entry
		var contents []Entry
		for _, e := range entries {
			switch p, what := classify(e.Name); {
			case what == whiteout:
				markers = append(markers, Whiteout(p))
			case what == opaque:
				markers = append(markers, Opaque(p))
			case what == content && p != "":
				e.Name = p
				contents = append(contents, e)
			}
		}
		lower := extract(t, append(slices.Clone(twins), markers))
		paths := map[string]bool{}
		replace := func(dir string) { // what the lower layers have in a directory's place
			for ; dir != "" && dir != "."; dir = path.Dir(dir) {
				if n, ok := lower[dir]; ok && n.Kind != KindDir && !paths[dir] {
					paths[dir] = true
					markers = append(markers, Whiteout(dir))
				}
			}
		}
		for _, e := range slices.Clone(markers) {
			p, what := classify(e.Name)
			if what == whiteout {
				p = parent(p)
			}
			replace(p)
		}
		for i, e := range contents {
			if !survives(contents, i) {
				continue
			}
			switch e.Typeflag {
			case tar.TypeLink:
				e = copyOfTarget(t, contents, i, lower)
			case tar.TypeSymlink:
				e.Linkname = "/" + e.Linkname
			}
			if e.Typeflag != tar.TypeDir {
				markers = append(markers, Whiteout(e.Name))
			}
			replace(path.Dir(e.Name))
			files = append(files, e)
		}
		twins = append(twins, markers, files)
	}
	return twins
}

// survives says whether entries[i] is what its path is once the whole tar is
// unpacked.
func survives(entries []Entry, i int) bool {
	e := entries[i]
	for _, later := range entries[i+1:] {
		replaced := later.Name == e.Name
		hidden := later.Typeflag != tar.TypeDir && strings.HasPrefix(e.Name, later.Name+"/")
		covered := e.Typeflag != tar.TypeDir && strings.HasPrefix(later.Name, e.Name+"/")
		if replaced || hidden || covered {
			return false
		}
	}
	return true
}

// copyOfTarget returns the hard link entries[i] as an entry with the content of
// its target: in the tar before the link, else in lower, else in the tar after it.
func copyOfTarget(t *testing.T, entries []Entry, i int, lower map[string]Node) Entry {
	link := entries[i]
	target := strings.TrimPrefix(path.Join("/", link.Linkname), "/")
	at := func(e Entry) bool { return e.Name == target }
	rest := slices.Clone(entries[:i])
	slices.Reverse(rest)
	j := slices.IndexFunc(rest, at)
	if j >= 0 {
		j = i - 1 - j
	} else if _, ok := lower[target]; !ok {
		if j = slices.IndexFunc(entries[i:], at); j >= 0 {
			j += i
		}
	}

	copied := Entry{Header: tar.Header{Name: link.Name, Mode: link.Mode, ModTime: link.Header.ModTime, Format: link.Format}}
	if j >= 0 {
		from := entries[j]
		if from.Typeflag == tar.TypeLink {
			from = copyOfTarget(t, entries, j, lower)
		} else if from.Typeflag == tar.TypeSymlink {
			from.Linkname = "/" + from.Linkname
		}
		copied.Typeflag, copied.Linkname, copied.Body = from.Typeflag, from.Linkname, from.Body
		return copied
	}
	from := lower[target]
	switch from.Kind {
	case KindFile:
		copied.Typeflag, copied.Body = tar.TypeReg, []byte(from.Body)
	case KindSymlink:
		copied.Typeflag, copied.Linkname = tar.TypeSymlink, "/"+from.Linkname
	case KindSpecial:
		copied.Typeflag = tar.TypeFifo
	default:
		t.Fatalf("the hard link %s points to %s, which is %q", link.Name, target, from.Kind)
	}
	return copied
}

// extract returns the tree that Extract makes of the twin of an image.
func extract(t *testing.T, layers [][]Entry) map[string]Node {
	tars := make([][]byte, len(layers))
	for i, entries := range layers {
		tars[i] = Tar(entries...)
	}
	r := mutate.Extract(Image(Options{}, tars...))
	defer r.Close()
	tree := map[string]Node{}
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		n := Node{Mode: h.Mode, ModTime: h.ModTime.Unix(), Body: string(body)}
		switch h.Typeflag {
		case tar.TypeDir:
			n.Kind = KindDir
		case tar.TypeReg:
			n.Kind = KindFile
		case tar.TypeSymlink:
			n.Kind, n.Linkname = KindSymlink, h.Linkname[1:]
		case tar.TypeFifo, tar.TypeChar, tar.TypeBlock:
			n.Kind = KindSpecial
		default:
			t.Fatalf("Extract wrote %s of type %q", h.Name, h.Typeflag)
		}
		if _, twice := tree[h.Name]; twice {
			t.Fatalf("Extract wrote %s twice", h.Name)
		}
		tree[h.Name] = n
	}
	for _, p := range sortedKeys(tree) {
		for dir := path.Dir(p); dir != "."; dir = path.Dir(dir) {
			if _, ok := tree[dir]; !ok {
				tree[dir] = Node{Kind: KindDir, Implied: true}
			}
		}
	}
	return tree
}

// describe lists the entries of an image, for a failed test.
func describe(layers [][]Entry) string {
	var b strings.Builder
	for i, entries := range layers {
		b.WriteString("layer " + string(rune('1'+i)) + "\n")
		for _, e := range entries {
			b.WriteString("  " + string(e.Typeflag) + " " + e.Name)
			if e.Linkname != "" {
				b.WriteString(" -> " + e.Linkname)
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}
