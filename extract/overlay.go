package extract

import "strings"

// overlay remembers what some layers hold and delete, as a tree of path
// components, so that a layer below them can ask which of its entries stay.
type overlay struct {
	children map[string]*overlay
	whiteout bool // the path is deleted from the layers below
	opaque   bool // everything below the path is deleted from the layers below
	kinds    kindSet
	explicit bool // an entry names this very path, not only one below it
}

// kindSet is a set of the kinds that a path has had.
type kindSet uint8

func setOf(k kind) kindSet { return 1 << k }

// add records an entry: at its path what it is, above it directories.
func (o *overlay) add(e *entry) {
	n := o
	for part := range strings.SplitSeq(e.path, "/") {
		if part == "" { // the image's root
			break
		}
		if e.kind != whiteout && e.kind != opaque {
			n.kinds |= setOf(dir)
		}
		child := n.children[part]
		if child == nil {
			if n.children == nil {
				n.children = make(map[string]*overlay)
			}
			child = new(overlay)
			n.children[part] = child
		}
		n = child
	}
	switch e.kind {
	case whiteout:
		n.whiteout = true
	case opaque:
		n.opaque = true
	default:
		n.kinds |= setOf(e.kind)
		n.explicit = true
	}
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
	case !clear:
		return true
	case n == nil || n.kinds == 0:
		return n != nil && n.whiteout
	case n.whiteout:
		return true
	case e.kind == file || e.kind == dir:
		return n.kinds != setOf(e.kind)
	default:
		return true
	}
}

// replaces reports whether e is gone because of the overlay's entries, these
// being the ones that follow e in the same tar: the later entry of a path wins.
// (Whiteouts do not concern their own layer. The overlay has one where an entry
// came and went again.)
func (o *overlay) replaces(e *entry) bool {
	n, clear := o.find(e.path)
	switch {
	case !clear:
		return true
	case n == nil || n.kinds == 0:
		return false
	default:
		return n.explicit || n.whiteout || e.kind != dir
	}
}

// isDir reports whether the overlay's layers leave a directory at the path.
func (o *overlay) isDir(path string) bool {
	n, clear := o.find(path)
	return clear && n != nil && n.kinds == setOf(dir)
}

// find returns the node of a path, nil if there is none; clear is false if
// something above the path leaves no room for it: a whiteout, an opaque
// directory, anything that is not a directory.
func (o *overlay) find(path string) (n *overlay, clear bool) {
	n = o
	for part := range strings.SplitSeq(path, "/") {
		if part == "" {
			break
		}
		if n.whiteout || n.opaque || n.kinds&^setOf(dir) != 0 {
			return nil, false
		}
		if n = n.children[part]; n == nil {
			return nil, true
		}
	}
	return n, true
}
