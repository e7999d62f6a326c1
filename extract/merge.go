package extract

// merge returns what unzipping the layers in order gives, as the entries of one
// zip: of entries with the same path the last one, in the place of the first,
// so that a directory stays before what it holds.
func merge(layers ...[]*entry) (merged []*entry) {
	places := make(map[uint32]int32)
	for _, entries := range layers {
		for _, e := range entries {
			if i, ok := places[e.node]; ok {
				merged[i] = e
			} else {
				places[e.node] = int32(len(merged))
				merged = append(merged, e)
			}
		}
	}
	return merged
}

// parentsFirst puts each directory before what it holds, as most tars do: unzip
// sets the mode and time of a directory only if it makes it for its own entry.
func (t *pathTree) parentsFirst(entries []*entry) []*entry {
	dirs := make(map[uint32]*entry)
	for _, e := range entries {
		if e.kind == kindDir {
			dirs[e.node] = e
		}
	}
	sorted := make([]*entry, 0, len(entries))
	done := map[uint32]bool{0: true} // also directories without an entry
	var add func(uint32)
	add = func(d uint32) {
		if done[d] {
			return
		}
		done[d] = true
		add(t.parents[d])
		if e := dirs[d]; e != nil {
			sorted = append(sorted, e)
		}
	}
	for _, e := range entries {
		if e.kind == kindDir {
			add(e.node)
			continue
		}
		add(t.parents[e.node])
		sorted = append(sorted, e)
	}
	return sorted
}
