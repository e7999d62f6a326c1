package extract

import (
	"fmt"
	"path"
)

// roots are the directories of an image that become Lambda layers and a
// function, as clean paths.
type roots struct{ layer, function string }

// lambdaRoots are where Lambda unpacks layers, and a function's package (Lambda
// developer guide).
var lambdaRoots = roots{layer: "opt", function: "var/task"}

// outside stands for a root where files are kept that are below none, for the
// hard links that lead to them.
const outside = ""

// of returns the root that a path is below, or outside; concerned is false
// if nothing at that path can make a difference to what is below a root.
func (r roots) of(name string) (root string, concerned bool) {
	for _, root := range [...]string{r.layer, r.function} {
		if below(name, root) {
			return root, true
		}
		if name == root || name == "" || below(root, name) {
			concerned = true
		}
	}
	return outside, concerned
}

// above returns the lowest directory that a path is in and a root too, empty if that
// is the image's own root.
func (r roots) above(name string) string {
	shared := ""
	for _, root := range [...]string{r.layer, r.function} {
		for i := range min(len(name), len(root)) {
			if name[i] != root[i] {
				break
			}
			if name[i] == '/' && i > len(shared) {
				shared = name[:i]
			}
		}
	}
	return shared
}

// follow returns where the roots are in an image of which one, or a directory
// above it, is a symbolic link: what a container has below /opt then is what
// the link points to. It leads on by one link for each root. overlap says which
// root cannot be followed, as it would lead to the other one; it is empty if
// there is none.
func (r roots) follow(layers []keptLayer) (to roots, overlap string) {
	links := make(map[string]string)
	for _, l := range layers {
		for _, e := range l.kept {
			if text, ok := l.rootLinks[e]; ok {
				links[e.path] = text
			}
		}
	}
	to = r
	move := func(root *string, other string) {
		target, linked := followOne(*root, links)
		switch {
		case !linked:
		case overlaps(target, *root):
			overlap = overlapNote(*root, target, *root)
		case overlaps(target, other):
			overlap = overlapNote(*root, target, other)
		default:
			*root = target
		}
	}
	move(&to.layer, to.function)
	move(&to.function, to.layer)
	return to, overlap
}

// overlaps reports whether one of two directories is in the other.
func overlaps(a, b string) bool {
	return a == b || a == "" || b == "" || below(a, b) || below(b, a)
}

func overlapNote(root, to, other string) string {
	return fmt.Sprintf("/%s is a symbolic link to %s, which overlaps with /%s: nothing is made of it; make it a directory of its own in the image",
		root, quote("/"+to), other)
}

// notes says which roots are links, and where they lead.
func (r roots) notes() (notes []string) {
	note := func(root, to, what string) {
		if to != root {
			notes = append(notes, fmt.Sprintf("/%s is a symbolic link in the image, so %s what is below %s", root, what, quote("/"+to)))
		}
	}
	note(lambdaRoots.layer, r.layer, "the Lambda layers hold")
	note(lambdaRoots.function, r.function, "function.zip holds")
	return notes
}

// String names the roots for a message.
func (r roots) String() string {
	name := func(root, to string) string {
		if to == root {
			return "/" + root
		}
		return fmt.Sprintf("/%s (a symbolic link to %s)", root, quote("/"+to))
	}
	return name(lambdaRoots.layer, r.layer) + " or " + name(lambdaRoots.function, r.function)
}

// followOne follows the first link that a path leads through, if there is one.
func followOne(name string, links map[string]string) (to string, linked bool) {
	for end := range len(name) + 1 {
		if end < len(name) && name[end] != '/' {
			continue
		}
		text, ok := links[name[:end]]
		switch {
		case !ok:
		case text[0] == '/':
			return cleanPath(text + name[end:]), true
		default:
			return cleanPath(path.Dir(name[:end]) + "/" + text + name[end:]), true
		}
	}
	return name, false
}
