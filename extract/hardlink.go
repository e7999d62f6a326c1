package extract

import (
	"context"
	"path"
	"slices"
)

// wantedPaths are paths outside the roots to which hard links lead, and the
// directories above them.
type wantedPaths map[string]interest

// interest is why a path outside the roots matters.
type interest uint8

const (
	notWanted interest = iota
	isParent           // the target of a link is below it
	isTarget           // it is the target of a link: its content is kept
)

// add notes the target of a hard link.
func (w wantedPaths) add(target string) {
	w[target] = isTarget
	for d := path.Dir(target); d != "." && w[d] == notWanted; d = path.Dir(d) {
		w[d] = isParent
	}
}

// resolver finds what hard links stand for. A link names its target by path,
// and the target may be anywhere: before the link in its tar, after it, in a
// layer below, outside the roots, or be a link itself.
type resolver struct {
	layers []*repacked
	places []map[string][]int // for each layer, once needed: where in entries a path is
	hidden []*overlay         // likewise: its whiteouts
	left   []*view            // likewise: what it leaves to the layers above
	roots  roots
	read   wantedPaths // outside the roots, whose content was kept
	want   wantedPaths // outside the roots, whose content has to be kept
	err    error       // a layer has too many paths
}

// view is what a layer looks like from above.
type view struct {
	places map[string]int // of its entries, by path
	over   *overlay       // them and its whiteouts
}

// resolve turns hard links into copies: each takes kind and content of its
// target. A link whose target is not to be found becomes a file without
// content (zip is nil); want then says what paths outside the roots have to
// be kept for finding it, besides those in read.
func resolve(ctx context.Context, layers []*repacked, at roots, read wantedPaths) (want wantedPaths, err error) {
	r := resolver{
		layers: layers,
		places: make([]map[string][]int, len(layers)),
		hidden: make([]*overlay, len(layers)),
		left:   make([]*view, len(layers)),
		roots:  at,
		read:   read,
		want:   make(wantedPaths),
	}
	for i, l := range slices.Backward(layers) {
		for j, e := range l.entries {
			if e.kind != kindHardlink || e.header == nil {
				continue
			}
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			target := r.find(i, j, e.link, 0)
			e.kind = kindFile
			if target == nil || target.kind == kindDir {
				continue
			}
			e.kind, e.zip, e.place = target.kind, target.zip, target.place
			if e.kind == kindSymlink {
				e.header.SetMode(zipMode(kindSymlink, 0))
			}
		}
	}
	return r.want, r.err
}

// find returns the entry that has the content of a path, as the link at
// place j of layer i sees it; nil if there is none. hops is how many links have
// led there: links in a circle lead on for ever.
func (r *resolver) find(i, j int, name string, hops int) *entry {
	if hops > maxHops {
		return nil
	}
	if root, _ := r.roots.of(name); root == outside && r.read[name] != isTarget {
		// All that is known of the path is which hard links there are, and so
		// what else may be asked for once it is read.
		if r.want[name] != isTarget {
			r.want.add(name)
			for i, l := range r.layers {
				for _, j := range r.at(i)[name] {
					r.find(i, j, l.entries[j].link, hops+1)
				}
			}
		}
		return nil
	}
	// As when the tar is unpacked: what the layer itself has there when the link
	// comes, else what the layers below have. Some tars have the link first.
	places := r.at(i)[name]
	before, _ := slices.BinarySearch(places, j)
	if before > 0 {
		return r.follow(i, places[before-1], hops)
	}
	if e := r.findBelow(i, name, hops); e != nil || len(places) == 0 {
		return e
	}
	return r.follow(i, places[0], hops)
}

// findBelow returns the entry that has the content of a path in the layers below
// layer i, as that one sees them; nil if there is none.
func (r *resolver) findBelow(i int, name string, hops int) *entry {
	if n, clear := r.whiteouts(i).find(name); !clear || n.whiteout {
		return nil
	}
	for i--; i >= 0; i-- {
		v := r.from(i)
		if place, ok := v.places[name]; ok {
			return r.follow(i, place, hops)
		}
		if n, clear := v.over.find(name); !clear || n.whiteout || n.kinds != 0 {
			return nil
		}
	}
	return nil
}

// follow returns the entry at place j of layer i, or what it leads to.
func (r *resolver) follow(i, j, hops int) *entry {
	e := r.layers[i].entries[j]
	if e.kind != kindHardlink {
		return e
	}
	return r.find(i, j, e.link, hops+1)
}

// whiteouts returns what layer i deletes.
func (r *resolver) whiteouts(i int) *overlay {
	if r.hidden[i] == nil {
		r.hidden[i] = newOverlay()
		for _, e := range r.layers[i].entries {
			if e.deletes() {
				r.hidden[i].add(e)
			}
		}
	}
	return r.hidden[i]
}

// from returns layer i as seen from above.
func (r *resolver) from(i int) *view {
	if r.left[i] == nil {
		r.left[i] = &view{make(map[string]int), newOverlay()}
		current, err := r.layers[i].current()
		if err != nil {
			r.err = err
		}
		for _, e := range current {
			r.left[i].over.add(e)
			if !e.deletes() {
				places := r.at(i)[e.path]
				r.left[i].places[e.path] = places[len(places)-1] // the others are replaced
			}
		}
	}
	return r.left[i]
}

// at returns where in layer i the paths are.
func (r *resolver) at(i int) map[string][]int {
	if r.places[i] == nil {
		r.places[i] = make(map[string][]int)
		for j, e := range r.layers[i].entries {
			if !e.deletes() {
				r.places[i][e.path] = append(r.places[i][e.path], j)
			}
		}
	}
	return r.places[i]
}

// unresolved returns a hard link to nothing that is to be in a zip, or nil.
func unresolved(layers []keptLayer, at roots) *entry {
	for _, l := range layers {
		for _, e := range l.kept {
			if root, _ := at.of(e.path); root != outside && e.isDangling() {
				return e
			}
		}
	}
	return nil
}

// dropCovered leaves out links to nothing over which there is a file in a layer
// above: nobody will miss them.
func dropCovered(layers []keptLayer) {
	above := make(map[string]bool)
	for i := range slices.Backward(layers) {
		layers[i].kept = slices.DeleteFunc(layers[i].kept, func(e *entry) bool {
			return e.isDangling() && above[e.path]
		})
		for _, e := range layers[i].kept {
			above[e.path] = true
		}
	}
}
