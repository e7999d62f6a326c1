package extract

import (
	"path"
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
