package extract

import (
	"cmp"
	"context"
	"slices"

	"github.com/pkg/errors"
)

// wantedPaths are paths outside the roots to which hard links lead, and the
// directories above them; and symbolic links below a root that may be the root's own.
type wantedPaths map[string]interest

// interest is why such a path matters.
type interest uint8

const (
	notWanted interest = iota
	isParent           // the target of a link is below it
	isTarget           // it is the target of a link: its content is kept
)

// add notes the target of a hard link.
func (w wantedPaths) add(target string, b *budget) error {
	before := len(w)
	w[target] = isTarget
	for d := dirOf(target); d != "." && w[d] == notWanted; d = dirOf(d) {
		w[d] = isParent
	}
	return b.take((len(w) - before) * wantedSize)
}

// resolver finds what hard links stand for. A link names its target by path,
// and the target may be anywhere: before the link in its tar, after it, in a
// layer below, outside the roots, or be a link itself. Of the layers it looks
// only at what is at the links' targets, and above them.
type resolver struct {
	layers   []*repacked
	paths    *pathTree
	isTarget []bool     // of each node, whether a hard link leads there
	relevant []bool     // likewise, or to something below
	places   [][]place  // for each layer, once needed: where in entries targets are, in order
	hidden   []*overlay // likewise: its whiteouts
	left     []*overlay // likewise: what it leaves to the layers above
	roots    roots
	read     wantedPaths // what was kept
	want     wantedPaths // what has to be kept
	text     bool        // whether a symbolic link's text may be needed, as the link may be a root
	steps    int         // from layer to layer, for all links so far
	err      error       // that is too much
}

// resolve turns hard links into copies: each takes kind and content of its
// target. A link whose target is not to be found becomes a file without
// content (zip is nil); want then says what paths outside the roots have to
// be kept for finding it, besides those in read.
func resolve(ctx context.Context, layers []*repacked, paths *pathTree, at roots, read wantedPaths) (want wantedPaths, err error) {
	r := resolver{
		layers: layers,
		paths:  paths,
		places: make([][]place, len(layers)),
		hidden: make([]*overlay, len(layers)),
		left:   make([]*overlay, len(layers)),
		roots:  at,
		read:   read,
		want:   make(wantedPaths),
	}
	defer r.release()
	if !r.markTargets() {
		return r.want, nil
	}
	for i, l := range slices.Backward(layers) {
		for j, e := range l.entries {
			if e.kind != kindHardlink || !e.inZip {
				continue
			}
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			root, _ := at.of(e.path)
			r.text = root == outside
			target := r.find(i, uint32(j), e.link, 0)
			if r.err != nil {
				return nil, r.err
			}
			e.kind = kindFile
			if target != nil && target != unread && target.kind != kindDir {
				e.takeContent(target)
				if r.text && target.kind == kindSymlink {
					r.takeText(l, e, target)
				}
			}
		}
	}
	return r.want, r.err
}

// unread is what a hard link leads to of which nothing was read.
var unread = new(entry)

// find returns the entry that has the content of a path, as the link at
// place j of layer i sees it; nil if there is none, and unread if that cannot be
// told. hops is how many links have led there: links in a circle lead on for ever.
func (r *resolver) find(i int, j uint32, name string, hops int) *entry {
	if hops > maxHops || r.err != nil {
		return nil
	}
	node, known := r.paths.find(name)
	root, _ := r.roots.of(name)
	if root != outside && r.text {
		r.keep(name)
	}
	if root == outside && r.read[name] != isTarget {
		// All that is known of the path is which hard links there are, and so
		// what else may be asked for once it is read.
		if r.want[name] != isTarget {
			r.keep(name)
			text := r.text
			r.text = true // all links to this path come here once
			for i, l := range r.layers {
				if !known {
					break
				}
				for _, p := range r.at(i, node) {
					if e := l.entries[p.at]; e.kind == kindHardlink {
						r.find(i, p.at, e.link, hops+1)
					}
				}
			}
			r.text = text
		}
		return unread
	}
	if !known {
		return nil
	}
	// As when the tar is unpacked: what the layer itself has there when the link
	// comes, else what the layers below have. Some tars have the link first.
	places := r.at(i, node)
	before, _ := slices.BinarySearchFunc(places, place{node, j}, place.compare)
	if before > 0 {
		return r.follow(i, places[before-1].at, hops)
	}
	if e := r.findBelow(i, node, hops); e != nil || len(places) == 0 {
		return e
	}
	return r.follow(i, places[0].at, hops)
}

// keep notes that a path has to be read.
func (r *resolver) keep(name string) {
	if err := r.want.add(name, r.paths.budget); err != nil {
		r.err = err
	}
}

// findBelow returns the entry that has the content of a path in the layers below
// layer i, as that one sees them; nil if there is none.
func (r *resolver) findBelow(i int, node uint32, hops int) *entry {
	if n, clear := r.whiteouts(i).find(node); !clear || n.whiteout {
		return nil
	}
	for i--; i >= 0; i-- {
		if !r.step() {
			return nil
		}
		left := r.from(i)
		if left.nodes[node].explicit {
			places := r.at(i, node)
			return r.follow(i, places[len(places)-1].at, hops) // the others are replaced
		}
		if n, clear := left.find(node); !clear || n.whiteout || n.kinds != 0 {
			return nil
		}
	}
	return nil
}

// takeText makes the text of a symbolic link, if it was kept, that of entry e of layer
// l too, which is another name of it.
func (r *resolver) takeText(l *repacked, e, target *entry) {
	for _, from := range r.layers {
		if !r.step() {
			return
		}
		if text, ok := from.rootLinks[target]; ok {
			l.rootLinks[e] = text
			return
		}
	}
}

// step counts a step from layer to layer. It reports whether it may be made.
func (r *resolver) step() bool {
	if r.steps++; r.steps > maxTargetSteps {
		r.err = errors.New("the image has too many hard links into layers far below: make them copies, or build the image from fewer layers")
	}
	return r.err == nil
}

// follow returns the entry at place j of layer i, or what it leads to.
func (r *resolver) follow(i int, j uint32, hops int) *entry {
	e := r.layers[i].entries[j]
	if e.kind != kindHardlink {
		return e
	}
	return r.find(i, j, e.link, hops+1)
}

// unresolved returns a hard link to nothing that is to be in a zip, or nil. root
// reports whether a root, or a directory above one, is such a link, or one to a
// symbolic link of which the text is not known.
func unresolved(layers []keptLayer, at roots) (e *entry, root bool) {
	for _, l := range layers {
		for _, k := range l.kept {
			if !k.isDangling() && (k.kind != kindSymlink || !k.isCopy()) {
				continue
			}
			switch in, concerned := at.of(k.path); {
			case in != outside && k.isDangling():
				e = cmp.Or(e, k)
			case in == outside && concerned && k.isCopy():
				root = root || k.isDangling() || l.rootLinks[k] == ""
			}
		}
	}
	return e, root
}

// dropCovered leaves out links to nothing over which there is a file in a layer
// above: nobody will miss them.
func dropCovered(layers []keptLayer) {
	covered := make(map[uint32]bool) // where links to nothing are, whether there is something above
	for _, l := range layers {
		for _, e := range l.kept {
			if e.isDangling() {
				covered[e.node] = false
			}
		}
	}
	for i := range slices.Backward(layers) {
		layers[i].kept = slices.DeleteFunc(layers[i].kept, func(e *entry) bool {
			return e.isDangling() && covered[e.node]
		})
		for _, e := range layers[i].kept {
			if _, ok := covered[e.node]; ok {
				covered[e.node] = true
			}
		}
	}
}
