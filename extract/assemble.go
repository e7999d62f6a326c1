package extract

import (
	"context"
	"path"
	"path/filepath"
	"slices"

	"github.com/awslabs/aws-lambda-container-image-converter/types"
	"github.com/opencontainers/go-digest"
)

// visible returns for each layer which of its entries belong into its Lambda
// layer, so that unzipping all of them in order gives the image's tree.
func visible(ctx context.Context, layers []*repacked) ([][]*entry, error) {
	kept := make([][]*entry, len(layers))
	above := newOverlay()
	seen := make(map[digest.Digest]bool)
	for i, l := range slices.Backward(layers) {
		// Lambda refuses the same layer twice in a function. The upper one
		// alone gives the same tree: all that the lower one holds is in it.
		if seen[l.diffID] {
			continue
		}
		seen[l.diffID] = true
		current, err := l.current()
		if err != nil {
			return nil, err
		}
		for _, e := range current {
			if e.kind != whiteout && e.kind != opaque && !above.hides(e) {
				kept[i] = append(kept[i], e)
			}
		}
		for _, e := range current {
			above.add(e)
		}
		if above.full() {
			return nil, errTooManyPaths
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	return kept, nil
}

// current returns the entries of a layer without those that the same tar replaces
// further on, but with whiteouts for what had to go when they came.
func (l *repacked) current() ([]*entry, error) {
	var current []*entry
	own := newOverlay()
	for _, e := range slices.Backward(l.entries) {
		switch {
		case e.kind == whiteout || e.kind == opaque:
			current = append(current, e)
		case !own.replaces(e):
			own.add(e)
			current = append(current, e)
		case e.kind != dir && own.isDir(e.path):
			gone := &entry{path: e.path, kind: whiteout}
			own.add(gone)
			current = append(current, gone)
		}
	}
	if own.full() {
		return nil, errTooManyPaths
	}
	slices.Reverse(current)
	return current, nil
}

// addParents puts a directory's entry also into later zips that add something
// to the directory and do not say what it is: unzipping them would leave it
// with the time of the day. Tars by `docker build` always say it, some others
// do not.
func addParents(layers [][]*entry, root string) {
	known := make(map[string]*entry) // directories so far; nil if none says what it is
	for i, entries := range layers {
		own := make(map[string]bool) // directories that this zip makes, or has made before
		for _, e := range entries {
			if e.kind == dir {
				own[e.path] = true
			}
		}
		complete := make([]*entry, 0, len(entries))
		for _, e := range entries {
			for d := path.Dir(e.path); d != root && !own[d]; d = path.Dir(d) {
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
			if e.kind == dir {
				known[e.path] = e
			}
		}
		layers[i] = complete
	}
}

// merge returns what unzipping the layers in order gives, as the entries of one
// zip: of entries with the same path the last one, in the place of the first,
// so that a directory stays before what it holds.
func merge(layers ...[]*entry) (merged []*entry) {
	places := make(map[string]int)
	for _, entries := range layers {
		for _, e := range entries {
			if i, ok := places[e.path]; ok {
				merged[i] = e
			} else {
				places[e.path] = len(merged)
				merged = append(merged, e)
			}
		}
	}
	return merged
}

// group is the content of one Lambda layer.
type group struct {
	entries []*entry
	diffIDs []digest.Digest // of the image layers that it comes from, lowest first
	size    int64           // of its files, in bytes
}

func newGroup(entries []*entry, diffIDs ...digest.Digest) group {
	g := group{entries: entries, diffIDs: diffIDs}
	for _, e := range entries {
		g.size += e.size()
	}
	return g
}

// mergeDown merges neighbours, the two that are smallest together first, until
// there are no more than most; most 0 is no limit.
func mergeDown(groups []group, most int) []group {
	for most > 0 && len(groups) > most {
		at := 0
		for i := range groups[1:] {
			if groups[i].size+groups[i+1].size < groups[at].size+groups[at+1].size {
				at = i
			}
		}
		a, b := groups[at], groups[at+1]
		groups[at] = newGroup(merge(a.entries, b.entries), append(a.diffIDs, b.diffIDs...)...)
		groups = slices.Delete(groups, at+1, at+2)
	}
	return groups
}

// assemble makes the zip name in dir with the entries. If that is just what
// the first step made, it is that zip.
func (p *repacker) assemble(ctx context.Context, dir, name string, entries []*entry) (types.Archive, error) {
	entries = parentsFirst(entries)
	z := entries[0].zip
	if !z.holdsExactly(entries) {
		var err error
		if z, err = p.newZip(); err != nil {
			return types.Archive{}, err
		}
		for _, e := range entries {
			if ctx.Err() != nil {
				return types.Archive{}, ctx.Err()
			}
			if err := z.copyEntry(*e.header, e.zip, e.place); err != nil {
				return types.Archive{}, err
			}
		}
		if err := z.finish(); err != nil {
			return types.Archive{}, err
		}
	}
	archive := z.archive
	archive.File = name
	return archive, z.rename(filepath.Join(dir, name))
}

// parentsFirst puts each directory before what it holds, as most tars do: unzip
// sets the mode and time of a directory only if it makes it for its own entry.
func parentsFirst(entries []*entry) []*entry {
	dirs := make(map[string]*entry)
	for _, e := range entries {
		if e.kind == dir {
			dirs[e.path] = e
		}
	}
	sorted := make([]*entry, 0, len(entries))
	done := make(map[string]bool) // also directories without an entry
	var add func(string)
	add = func(d string) {
		if d == "." || done[d] {
			return
		}
		done[d] = true
		add(path.Dir(d))
		if e := dirs[d]; e != nil {
			sorted = append(sorted, e)
		}
	}
	for _, e := range entries {
		if e.kind == dir {
			add(e.path)
			continue
		}
		add(path.Dir(e.path))
		sorted = append(sorted, e)
	}
	return sorted
}

// holdsExactly reports whether z is the zip of the entries already.
func (z *zipFile) holdsExactly(entries []*entry) bool {
	if len(entries) != len(z.sizes) {
		return false
	}
	for i, e := range entries {
		if e.zip != z || e.place != i || e.link != "" {
			return false
		}
	}
	return true
}
