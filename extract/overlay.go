package extract

import "strings"

// overlay remembers what some layers hold and delete, as a tree of path
// components, so that a layer below them can ask which of its entries stay.
// The tree is one table: it may have millions of nodes.
type overlay struct {
	children map[edge]int
	nodes    []node // the first one is the image's root
}

// edge leads from a node to one of its children.
type edge struct {
	parent int
	name   string
}

type node struct {
	kinds    kindSet
	whiteout bool // the path is deleted from the layers below
	opaque   bool // everything below the path is deleted from the layers below
	explicit bool // an entry names this very path, not only one below it
}

// kindSet is a set of the kinds that a path has had.
type kindSet uint8

func setOf(k kind) kindSet { return 1 << k }

func newOverlay() *overlay {
	return &overlay{children: make(map[edge]int), nodes: make([]node, 1)}
}

// full reports that there are more paths than maxPaths.
func (o *overlay) full() bool { return len(o.nodes) > maxPaths }

// add records an entry: at its path what it is, above it directories. Engines make
// these for what is deleted too.
func (o *overlay) add(e *entry) {
	at := 0
	for part := range strings.SplitSeq(e.path, "/") {
		if part == "" || o.full() { // the image's root
			break
		}
		o.nodes[at].kinds |= setOf(kindDir)
		child, ok := o.children[edge{at, part}]
		if !ok {
			child = len(o.nodes)
			o.nodes = append(o.nodes, node{})
			o.children[edge{at, part}] = child
		}
		at = child
	}
	switch n := &o.nodes[at]; e.kind {
	case kindWhiteout:
		n.whiteout = true
	case kindOpaque:
		n.opaque = true
		n.kinds |= setOf(kindDir)
	default:
		n.kinds |= setOf(e.kind)
		n.explicit = true
	}
}

// find returns what the overlay has at a path; clear is false if something
// above the path leaves no room for it: a whiteout, an opaque directory,
// anything that is not a directory.
func (o *overlay) find(path string) (n node, clear bool) {
	at := 0
	for part := range strings.SplitSeq(path, "/") {
		if part == "" {
			break
		}
		if n := o.nodes[at]; n.whiteout || n.opaque || n.kinds&^setOf(kindDir) != 0 {
			return node{}, false
		}
		child, ok := o.children[edge{at, part}]
		if !ok {
			return node{}, true
		}
		at = child
	}
	return o.nodes[at], true
}

// hides reports whether unzipping over e what the overlay's layers hold would
// not give the image's tree, so that e has to be left out: e is deleted by one
// of them, or there is something else than e's kind at its path or in the place
// of a directory above it. A file over a file and a directory over a directory
// are what unzipping does right; what it does about links depends on the
// program, so a link stays only where nothing comes over it.
func (o *overlay) hides(e *entry) bool {
	n, clear := o.find(e.path)
	switch {
	case !clear || n.whiteout:
		return true
	case e.kind == kindFile || e.kind == kindDir:
		return n.kinds&^setOf(e.kind) != 0
	default:
		return n.kinds != 0
	}
}

// replaces reports whether e is gone because of the overlay's entries, these
// being the ones that follow e in the same tar: the later entry of a path wins.
// (Whiteouts do not concern their own layer. The overlay has one where an entry
// came and went again.)
func (o *overlay) replaces(e *entry) bool {
	n, clear := o.find(e.path)
	return !clear || n.explicit || n.whiteout || n.kinds != 0 && e.kind != kindDir
}

// isDir reports whether the overlay's layers leave a directory at the path.
func (o *overlay) isDir(path string) bool {
	n, clear := o.find(path)
	return clear && n.kinds == setOf(kindDir)
}
