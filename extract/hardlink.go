package extract

import (
	"context"
	"slices"
)

// resolver finds what hard links stand for. A link names its target by path,
// and the target may be anywhere: before the link in its tar, after it, in a
// layer below, outside the roots, or be a link itself.
type resolver struct {
	layers []*repacked
	places []map[string][]int // for each layer, once needed: where in entries a path is
	hidden []*overlay         // likewise: its whiteouts
	held   []*overlay         // likewise: its whiteouts, and all that it has
	read   map[string]bool    // paths outside the roots whose content was kept
	want   map[string]bool    // paths outside the roots that have to be
	full   bool               // a layer has too many paths
}

// resolve turns hard links into copies: each takes kind and content of its
// target. A link whose target is not to be found becomes a file without
// content (zip is nil); want then says what paths outside the roots have to
// be kept for finding it, besides those in read.
func resolve(ctx context.Context, layers []*repacked, read map[string]bool) (want map[string]bool, err error) {
	r := resolver{
		layers: layers,
		places: make([]map[string][]int, len(layers)),
		hidden: make([]*overlay, len(layers)),
		held:   make([]*overlay, len(layers)),
		read:   read,
		want:   make(map[string]bool),
	}
	for i, l := range slices.Backward(layers) {
		for j, e := range l.entries {
			if e.kind != hardlink || e.header == nil {
				continue
			}
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			target := r.find(i, j, e.link, 0)
			e.kind = file
			if target == nil || target.kind == dir {
				continue
			}
			e.kind, e.zip, e.place = target.kind, target.zip, target.place
			if e.kind == symlink {
				e.header.SetMode(zipMode(symlink, 0))
			}
		}
	}
	if r.full {
		return nil, errTooManyPaths
	}
	return r.want, nil
}

// find returns the entry that has the content of a path, as the link at
// place j of layer i sees it; nil if there is none. hops is how many links have
// led there: links in a circle lead on for ever.
func (r *resolver) find(i, j int, name string, hops int) *entry {
	if hops > maxHops {
		return nil
	}
	if root, _ := rootOf(name); root == outside && !r.read[name] {
		// All that is known of the path is which hard links there are, and so
		// what else may be asked for once it is read.
		if !r.want[name] {
			r.want[name] = true
			for i, l := range r.layers {
				for _, j := range r.at(i)[name] {
					r.find(i, j, l.entries[j].link, hops+1)
				}
			}
		}
		return nil
	}
	for first := i; i >= 0; i-- {
		if places := r.at(i)[name]; len(places) > 0 {
			last := len(places)
			if i == first { // the last one before the link, else the first after it
				last, _ = slices.BinarySearch(places, j)
				last = max(last, 1)
			}
			at := places[last-1]
			if e := r.layers[i].entries[at]; e.kind == hardlink {
				return r.find(i, at, e.link, hops+1)
			} else {
				return e
			}
		}
		// In its own layer, the link may come before what takes the place of
		// its target, but whiteouts have no order.
		over := r.overlay(r.held, i, func(*entry) bool { return true })
		if i == first {
			over = r.overlay(r.hidden, i, func(e *entry) bool { return e.kind == whiteout || e.kind == opaque })
		}
		if n, clear := over.find(name); !clear || n.whiteout {
			return nil
		}
	}
	return nil
}

// overlay returns overlays[i], which it makes of some entries of layer i if
// need be.
func (r *resolver) overlay(overlays []*overlay, i int, of func(*entry) bool) *overlay {
	if overlays[i] == nil {
		overlays[i] = newOverlay()
		for _, e := range r.layers[i].entries {
			if of(e) {
				overlays[i].add(e)
			}
		}
		r.full = r.full || overlays[i].full()
	}
	return overlays[i]
}

// at returns where in layer i the paths are.
func (r *resolver) at(i int) map[string][]int {
	if r.places[i] == nil {
		r.places[i] = make(map[string][]int)
		for j, e := range r.layers[i].entries {
			if e.kind != whiteout && e.kind != opaque {
				r.places[i][e.path] = append(r.places[i][e.path], j)
			}
		}
	}
	return r.places[i]
}
