package imagetest

import (
	"archive/tar"
	"path"
	"strings"
)

// Kind is what a path of a flattened image is.
type Kind string

const (
	KindFile    Kind = "file"
	KindDir     Kind = "dir"
	KindSymlink Kind = "symlink"
	// KindSpecial is a fifo or a device.
	KindSpecial Kind = "special"
	// KindDangling is a hard link to something that the image does not have.
	KindDangling Kind = "dangling"
)

// Node is a path of a flattened image.
type Node struct {
	Kind     Kind
	Mode     int64  // permissions, setuid, setgid and sticky; 0 if Implied
	ModTime  int64  // Unix seconds, rounded down; 0 if Implied
	Body     string // of a file
	Linkname string // the text of a symbolic link; the target of a dangling link
	// Implied is true of a directory without an entry of its own, there only
	// because something lies below it. Its metadata is each engine's choice.
	Implied bool
}

// Flatten returns the tree that the layers make, lowest first, by cleaned path
// without a slash in front; the root itself is not in it. It is written to be
// compared with, so it is simple and slow.
//
// It follows the OCI image spec (layer.md), and where that is silent:
//
//   - Paths lead through the symbolic links of the same tar, and the names of a
//     file have one header: see Resolve. Through links of the lower layers no path
//     leads; what stands in the path becomes a directory.
//   - Whiteouts and opaque markers act on the lower layers only, wherever in the
//     tar they stand. The directories in which they stand are there, implied.
//   - A tar makes a tree by itself, entry by entry, and this tree goes over the
//     lower layers. In both steps what comes later wins: something else in a
//     directory's place removes all that is below it, a directory over a
//     directory only changes its metadata, and an entry turns what is above it
//     into directories, which are implied where they were not directories before.
//   - A hard link has the content of its target. The target is the last entry of
//     that path before the link in the tar, else what the lower layers have there
//     after this layer's whiteouts, else the first entry after the link.
//   - Names with a component that begins with ".wh..wh." are leftovers of AUFS
//     and no part of the image.
func Flatten(layers [][]Entry) map[string]Node {
	tree := map[string]Node{}
	for _, entries := range layers {
		entries = Resolve(entries)
		for _, e := range entries {
			switch p, what := classify(e.Name); what {
			case opaque:
				removeBelow(tree, p)
			case whiteout:
				delete(tree, p)
				removeBelow(tree, p)
			}
		}
		own := map[string]Node{}
		for i, e := range entries {
			if p, what := classify(e.Name); what == content && p != "" {
				put(own, p, nodeOf(entries, i, tree, nil))
			}
		}
		for _, e := range entries {
			p, what := classify(e.Name)
			if what == whiteout {
				p = parent(p)
			}
			for ; p != "" && (what == whiteout || what == opaque); p = parent(p) {
				if _, ok := own[p]; !ok {
					own[p] = Node{Kind: KindDir, Implied: true}
				}
			}
		}
		for _, p := range sortedKeys(own) { // parents first
			if n := own[p]; !n.Implied || tree[p].Kind != KindDir {
				put(tree, p, n)
			}
		}
	}
	return tree
}

// meaning is what the name of an entry makes of it.
type meaning int

const (
	content meaning = iota
	whiteout
	opaque
	leftover
)

// classify returns the path that an entry is about: its own, that of what it
// hides, or that of the directory whose content it hides.
func classify(name string) (string, meaning) {
	p := clean(name)
	dir, base := path.Split(p)
	dir = strings.TrimSuffix(dir, "/")
	switch {
	case base == opaqueMarker && !strings.Contains("/"+dir, "/"+metaPrefix):
		return dir, opaque
	case strings.Contains("/"+p, "/"+metaPrefix):
		return p, leftover
	case strings.HasPrefix(base, whiteoutPrefix):
		return path.Join(dir, strings.TrimPrefix(base, whiteoutPrefix)), whiteout
	}
	return p, content
}

func clean(name string) string { return path.Clean("/" + name)[1:] }

func removeBelow(tree map[string]Node, dir string) {
	for p := range tree {
		if below(p, dir) {
			delete(tree, p)
		}
	}
}

// below says whether the path p is strictly below dir, "" being the root.
func below(p, dir string) bool {
	return p != dir && (dir == "" || strings.HasPrefix(p, dir+"/"))
}

func put(tree map[string]Node, p string, n Node) {
	for dir := parent(p); dir != ""; dir = parent(dir) {
		if tree[dir].Kind != KindDir {
			tree[dir] = Node{Kind: KindDir, Implied: true}
		}
	}
	if n.Kind != KindDir {
		removeBelow(tree, p)
	}
	tree[p] = n
}

func parent(p string) string {
	dir, _ := path.Split(p)
	return strings.TrimSuffix(dir, "/")
}

// nodeOf returns what entries[i] puts into the tree. following are the places of
// the hard links that led to it.
func nodeOf(entries []Entry, i int, lower map[string]Node, following []int) Node {
	e := entries[i]
	n := Node{Mode: e.Mode & 0o7777, ModTime: e.Header.ModTime.Unix()}
	switch e.Typeflag {
	case tar.TypeDir:
		n.Kind = KindDir
	case tar.TypeSymlink:
		n.Kind, n.Linkname = KindSymlink, e.Linkname
	case tar.TypeLink:
		target := linkTarget(entries, i, lower, following)
		n.Kind, n.Body, n.Linkname = target.Kind, target.Body, target.Linkname
	case tar.TypeFifo, tar.TypeChar, tar.TypeBlock:
		n.Kind = KindSpecial
	default:
		n.Kind, n.Body = KindFile, string(e.Body)
	}
	return n
}

func linkTarget(entries []Entry, i int, lower map[string]Node, following []int) Node {
	path := clean(entries[i].Linkname)
	dangling := Node{Kind: KindDangling, Linkname: path}
	for _, j := range following {
		if i == j {
			return dangling // The links go round in a circle.
		}
	}
	found, j := lower[path], targetIndex(entries, i)
	if j >= 0 && (j < i || found.Kind == "") {
		found = nodeOf(entries, j, lower, append(following, i))
	}
	if found.Kind == "" || found.Kind == KindDir {
		return dangling
	}
	return found
}

// targetIndex returns the place of the entry that the hard link entries[i]
// names, the last before it, else the first after it; -1 if the tar has none.
func targetIndex(entries []Entry, i int) int {
	is := func(j int) bool {
		p, what := classify(entries[j].Name)
		return what == content && p == clean(entries[i].Linkname)
	}
	for j := i - 1; j >= 0; j-- {
		if is(j) {
			return j
		}
	}
	for j := i + 1; j < len(entries); j++ {
		if is(j) {
			return j
		}
	}
	return -1
}
