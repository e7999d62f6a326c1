package extract

import (
	"cmp"
	"slices"
)

// place is where in a layer's entries a path is. It may be there several times.
type place struct{ node, at uint32 }

func (p place) compare(q place) int {
	return cmp.Or(cmp.Compare(p.node, q.node), cmp.Compare(p.at, q.at))
}

// markTargets notes where hard links lead. It reports whether there are any.
func (r *resolver) markTargets() (links bool) {
	for _, l := range r.layers {
		for _, e := range l.entries {
			if e.kind != kindHardlink {
				continue
			}
			if !links {
				links = true
				r.isTarget, r.relevant = make([]bool, len(r.paths.parents)), make([]bool, len(r.paths.parents))
				r.relevant[0] = true
			}
			if node, ok := r.paths.find(e.link); ok {
				for r.isTarget[node] = true; !r.relevant[node]; node = r.paths.parents[node] {
					r.relevant[node] = true
				}
			}
		}
	}
	return links
}

// release gives back the memory of all that was looked up.
func (r *resolver) release() {
	for i := range r.layers {
		r.paths.budget.give(len(r.places[i]) * placeSize)
		for _, o := range []*overlay{r.hidden[i], r.left[i]} {
			if o != nil {
				o.release()
			}
		}
	}
}

// take takes n bytes from the budget.
func (r *resolver) take(n int) {
	if err := r.paths.budget.take(n); err != nil {
		r.err = err
	}
}

// overlay returns a new one that remembers what is relevant.
func (r *resolver) overlay() *overlay {
	o := newOverlay(r.paths)
	o.only = r.relevant
	return o
}

// whiteouts returns what layer i deletes.
func (r *resolver) whiteouts(i int) *overlay {
	if r.hidden[i] == nil {
		r.hidden[i] = r.overlay()
		for _, e := range r.layers[i].entries {
			if e.deletes() {
				r.hidden[i].add(e)
			}
		}
		r.err = cmp.Or(r.err, r.hidden[i].err)
	}
	return r.hidden[i]
}

// from returns layer i as seen from above.
func (r *resolver) from(i int) *overlay {
	if r.left[i] == nil {
		r.left[i] = r.overlay()
		current, err := r.layers[i].current(r.paths)
		for _, e := range current {
			r.left[i].add(e)
		}
		r.err = cmp.Or(r.err, err, r.left[i].err)
	}
	return r.left[i]
}

// at returns where in layer i a target is.
func (r *resolver) at(i int, node uint32) []place {
	if r.places[i] == nil {
		places := make([]place, 0)
		for j, e := range r.layers[i].entries {
			if !e.deletes() && r.isTarget[e.node] {
				places = append(places, place{e.node, uint32(j)})
			}
		}
		slices.SortFunc(places, place.compare)
		r.places[i] = places
		r.take(len(places) * placeSize)
	}
	start, _ := slices.BinarySearchFunc(r.places[i], place{node, 0}, place.compare)
	end, _ := slices.BinarySearchFunc(r.places[i], place{node + 1, 0}, place.compare)
	return r.places[i][start:end]
}
