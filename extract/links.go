package extract

import (
	"path"
	"strings"

	"github.com/pkg/errors"
)

// linkTree remembers the symbolic links that a layer has so far, as its tar is
// read: a path that leads through one of them leads where the link points, as it
// does when an engine unpacks the layer into a directory of its own. Links of the
// layers below do not count: there engines differ, and the path stands as it is
// written.
//
// It is one table of path components, with the links and the directories above
// them; what is not in it is taken for a directory.
type linkTree struct {
	children map[edge]uint32
	targets  []string // of each node's link, empty for a directory; the first one is the image's root
	bytes    int      // of memory, taken from budget
	budget   *budget
	steps    int // of all paths so far that led through links

	dir, resolved string // the directory asked for last, and where it leads
}

// unknown is the node of a path that the tree does not have.
const unknown = 1<<32 - 1

func newLinkTree(b *budget) *linkTree {
	return &linkTree{children: make(map[edge]uint32), targets: make([]string, 1), budget: b}
}

// release gives the memory back to the budget.
func (t *linkTree) release() { t.budget.give(t.bytes) }

// enter follows an entry's path, and a hard link's target, through the links so
// far, and then takes the entry in. text is what a symbolic link holds.
func (t *linkTree) enter(e *entry, text string) (err error) {
	if e.kind == kindOpaque {
		e.path, err = t.resolve(e.path)
		return err
	}
	if e.path, err = t.resolveParent(e.path); err != nil {
		return err
	}
	if e.kind == kindHardlink {
		if e.link, err = t.resolveParent(e.link); err != nil {
			return err
		}
		text = t.text(e.link) // another name of a symbolic link is one too
	}
	if e.kind == kindWhiteout {
		return nil
	}
	t.remove(e.path, e.kind == kindDir)
	if text == "" || e.kind != kindSymlink && e.kind != kindHardlink {
		return nil
	}
	return t.add(e.path, text)
}

// text returns what the symbolic link at a path holds, nothing if there is none.
func (t *linkTree) text(name string) string {
	if at := t.find(name); at != unknown {
		return t.targets[at]
	}
	return ""
}

// add records that there is a symbolic link at a path.
func (t *linkTree) add(name, text string) error {
	if len(text) > maxPath {
		return errTooLongLink(text)
	}
	at := uint32(0)
	for part := range strings.SplitSeq(name, "/") {
		child, ok := t.children[edge{at, part}]
		if !ok {
			child = uint32(len(t.targets))
			t.targets = append(t.targets, "")
			t.children[edge{at, strings.Clone(part)}] = child
			if err := t.take(linkNodeSize + len(part)); err != nil {
				return err
			}
		}
		at = child
	}
	t.targets[at] = strings.Clone(text)
	t.dir, t.resolved = "", ""
	return t.take(len(text))
}

// take takes n bytes from the budget.
func (t *linkTree) take(n int) error {
	t.bytes += n
	return t.budget.take(n)
}

// remove records that there is something else than a symbolic link at a path: a
// directory, which leaves what is below it as it is, or not.
func (t *linkTree) remove(name string, isDir bool) {
	parent, at := uint32(0), uint32(0)
	last := ""
	for part := range strings.SplitSeq(name, "/") {
		child, ok := t.children[edge{at, part}]
		if !ok {
			return
		}
		parent, at, last = at, child, part
	}
	if t.targets[at] != "" || !isDir {
		delete(t.children, edge{parent, last}) // nothing leads to the nodes below any more
		t.dir, t.resolved = "", ""
	}
}

// resolveParent returns where a path leads whose last component is meant itself,
// and not what it points to.
func (t *linkTree) resolveParent(name string) (string, error) {
	dir, base := path.Split(name)
	dir = strings.TrimSuffix(dir, "/")
	if dir != t.dir { // tars have one directory after the other
		resolved, err := t.resolve(dir)
		if err != nil {
			return "", err
		}
		t.dir, t.resolved = dir, resolved
	}
	switch t.resolved {
	case dir:
		return name, nil
	case "":
		return base, nil
	}
	return t.resolved + "/" + base, nil
}

// resolve returns where a path leads: a clean path without links. A link that
// climbs above the image's root stays at the root.
func (t *linkTree) resolve(name string) (string, error) {
	if !t.leadsThrough(name) {
		return name, nil
	}
	resolved, at := "", uint32(0) // at is the node of resolved, or unknown
	for rest, hops := name, 0; rest != ""; {
		if t.steps++; t.steps > maxLinkSteps {
			return "", errors.New("the paths of the layer lead through too many symbolic links")
		}
		var part string
		part, rest, _ = strings.Cut(rest, "/")
		switch part {
		case "", ".":
			continue
		case "..":
			resolved = cleanPath(resolved + "/..")
			at = t.find(resolved)
			continue
		}
		next, ok := uint32(unknown), false
		if at != unknown {
			next, ok = t.children[edge{at, part}]
		}
		if ok && t.targets[next] != "" {
			text := t.targets[next]
			if hops++; hops > maxHops || len(text)+len(rest) > 2*maxPath {
				return "", errors.Errorf("symbolic links lead round in a circle at %s", quote("/"+path.Join(resolved, part)))
			}
			if text[0] == '/' {
				resolved, at = "", 0
			}
			rest = text + "/" + rest
			continue
		}
		if resolved != "" {
			resolved += "/"
		}
		if resolved += part; len(resolved) > maxPath {
			return "", errors.Errorf("it leads through symbolic links to a path of more than %d bytes, which is what Linux allows", maxPath)
		}
		if at = next; !ok {
			at = unknown
		}
	}
	return resolved, nil
}

// leadsThrough reports whether a clean path leads through a link.
func (t *linkTree) leadsThrough(name string) bool {
	at := uint32(0)
	for part := range strings.SplitSeq(name, "/") {
		child, ok := t.children[edge{at, part}]
		if !ok {
			return false
		}
		if t.targets[child] != "" {
			return true
		}
		at = child
	}
	return false
}

// find returns the node of a clean path without links, unknown if there is none.
func (t *linkTree) find(name string) uint32 {
	at := uint32(0)
	for part := range strings.SplitSeq(name, "/") {
		if part == "" { // the image's root
			break
		}
		child, ok := t.children[edge{at, part}]
		if !ok {
			return unknown
		}
		at = child
	}
	return at
}
