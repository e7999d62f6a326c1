package extract

import (
	"maps"
	"path"
	"slices"
)

// bareDirs are directories that an image has only because a tar once put
// something into them that no zip holds: it was deleted later, or is a device,
// or is itself about what to delete. No tar says what they are like. The numbers
// are those of the layers.
type bareDirs map[string]int

// add notes the directory that entry e of layer i makes, as far as the layers
// above leave it.
func (b bareDirs) add(e *entry, i int, above *overlay, at roots) {
	dir := e.path
	if e.kind != kindOpaque {
		dir = path.Dir(dir)
	}
	for {
		if _, ok := b[dir]; ok { // by a layer above
			return
		}
		if root, _ := at.of(dir); root == outside {
			return
		}
		if !above.hides(&entry{path: dir, kind: kindDir}) {
			b[dir] = i
			return
		}
		dir = path.Dir(dir)
	}
}

// keep gives those directories an entry that have none, and nothing in them.
func (b bareDirs) keep(layers []keptLayer, at roots) {
	needed := func(p string) {
		for root, _ := at.of(p); below(p, root) && len(b) > 0; p = path.Dir(p) {
			delete(b, p)
		}
	}
	for _, l := range layers {
		for _, e := range l.kept {
			if e.kind != kindSpecial {
				needed(e.path)
			}
		}
	}
	for dir := range b {
		needed(path.Dir(dir))
	}
	for _, dir := range slices.Sorted(maps.Keys(b)) {
		e := &entry{path: dir, kind: kindDir, perm: 0o755} // and the time 0, to be the same always
		root, _ := at.of(dir)
		e.header = newHeader(e, root)
		layers[b[dir]].kept = append(layers[b[dir]].kept, e)
	}
}
