package extract

import (
	"context"
	"slices"

	"github.com/opencontainers/go-digest"
)

// visible returns for each layer which of its entries belong into its Lambda
// layer, so that unzipping all of them in order gives the image's tree.
func visible(ctx context.Context, layers []*repacked, paths *pathTree, at roots) ([]keptLayer, error) {
	kept := make([]keptLayer, len(layers))
	above := newOverlay(paths)
	defer above.release()
	seen := make(map[digest.Digest]bool)
	bare := make(bareDirs)
	for i, l := range slices.Backward(layers) {
		kept[i].diffID, kept[i].rootLinks = l.diffID(), l.rootLinks
		// Lambda refuses the same layer twice in a function. The upper one
		// alone gives the same tree: all that the lower one holds is in it.
		if seen[l.diffID()] {
			kept[i].again = true
			continue
		}
		seen[l.diffID()] = true
		current, err := l.current(paths)
		if err != nil {
			return nil, err
		}
		for _, e := range current {
			gone := e.deletes() || above.hides(e.node, e.kind)
			if !gone {
				kept[i].kept = append(kept[i].kept, e)
			}
			if gone || e.kind == kindSpecial {
				bare.add(e, i, above, at)
			}
		}
		if i > 0 {
			for _, e := range current {
				above.add(e)
			}
		}
		if above.err != nil {
			return nil, above.err
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	bare.keep(kept, at)
	return kept, nil
}

// addParents puts a directory's entry also into later zips that add something
// to the directory and do not say what it is: unzipping them would leave it
// with the time of the day. Tars by `docker build` always say it, some others
// do not.
func (t *pathTree) addParents(layers [][]*entry, root string) {
	stop, _ := t.find(root)
	known := make(map[uint32]*entry) // directories so far; nil if none says what it is
	for i, entries := range layers {
		own := make(map[uint32]bool) // directories that this zip makes, or has made before
		for _, e := range entries {
			if e.kind == kindDir {
				own[e.node] = true
			}
		}
		complete := make([]*entry, 0, len(entries))
		for _, e := range entries {
			for d := t.parents[e.node]; d != stop && !own[d]; d = t.parents[d] {
				own[d] = true
				if from, exists := known[d]; exists {
					if from != nil {
						complete = append(complete, from)
					}
					break // what was there before does not change its parent
				}
				known[d] = nil
			}
			complete = append(complete, e)
		}
		for _, e := range entries {
			if e.kind == kindDir {
				known[e.node] = e
			}
		}
		layers[i] = complete
	}
}
