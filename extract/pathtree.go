package extract

import "strings"

// pathTree numbers the paths of an image, and the directories above them, so that
// what is known of a path is found by a number, and the directory above by
// another. It is one table of path components for all layers: it may have a
// million nodes.
type pathTree struct {
	children map[edge]uint32
	parents  []uint32 // of each node; the first one is the image's root
	budget   *budget
}

// edge leads from a node to one of its children.
type edge struct {
	parent uint32
	name   string
}

func newPathTree(b *budget) *pathTree {
	return &pathTree{children: make(map[edge]uint32), parents: make([]uint32, 1), budget: b}
}

// add returns the node of a clean path, which is made if need be.
func (t *pathTree) add(path string) (at uint32, err error) {
	if path == "" { // the image's root
		return 0, nil
	}
	for part := range strings.SplitSeq(path, "/") {
		child, ok := t.children[edge{at, part}]
		if !ok {
			if err := t.budget.take(pathNodeSize); err != nil {
				return 0, err
			}
			child = uint32(len(t.parents))
			t.parents = append(t.parents, at)
			t.children[edge{at, part}] = child
		}
		at = child
	}
	return at, nil
}

// addAll gives the entries of layers their nodes.
func (t *pathTree) addAll(layers []*repacked) (err error) {
	for _, l := range layers {
		for _, e := range l.entries {
			if e.node, err = t.add(e.path); err != nil {
				return err
			}
		}
	}
	return nil
}

// find returns the node of a clean path, if there is one.
func (t *pathTree) find(path string) (at uint32, ok bool) {
	if path == "" {
		return 0, true
	}
	for part := range strings.SplitSeq(path, "/") {
		if at, ok = t.children[edge{at, part}]; !ok {
			return 0, false
		}
	}
	return at, true
}
