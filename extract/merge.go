package extract

import (
	"path"
	"slices"

	"github.com/opencontainers/go-digest"
)

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

// parentsFirst puts each directory before what it holds, as most tars do: unzip
// sets the mode and time of a directory only if it makes it for its own entry.
func parentsFirst(entries []*entry) []*entry {
	dirs := make(map[string]*entry)
	for _, e := range entries {
		if e.kind == kindDir {
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
		if e.kind == kindDir {
			add(e.path)
			continue
		}
		add(path.Dir(e.path))
		sorted = append(sorted, e)
	}
	return sorted
}
