package extract

import (
	"maps"
	"slices"
)

// bareDirs are directories that an image has only because a tar once put
// something into them that no zip holds: it was deleted later, or is a device,
// or is itself about what to delete. No tar says what they are like. They are by
// path, with their node and the number of the layer.
type bareDirs map[string]bareDir

type bareDir struct {
	node  uint32
	layer int
}

// add notes the directory that entry e of layer i makes, as far as the layers
// above leave it.
func (b bareDirs) add(e *entry, i int, above *overlay, at roots) {
	dir, node := e.path, e.node
	if e.kind != kindOpaque {
		dir, node = dirOf(dir), above.paths.parents[node]
	}
	for {
		if _, ok := b[dir]; ok { // by a layer above
			return
		}
		if root, _ := at.of(dir); root == outside {
			return
		}
		if !above.hides(node, kindDir) {
			b[dir] = bareDir{node, i}
			return
		}
		dir, node = dirOf(dir), above.paths.parents[node]
	}
}

// keep gives those directories an entry that have none, and nothing in them.
func (b bareDirs) keep(layers []keptLayer, at roots) {
	needed := func(p string) {
		for root, _ := at.of(p); below(p, root) && len(b) > 0; p = dirOf(p) {
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
		needed(dirOf(dir))
	}
	for _, dir := range slices.Sorted(maps.Keys(b)) {
		d := b[dir]
		e := &entry{path: dir, node: d.node, kind: kindDir, inZip: true, perm: 0o755} // and the time 0, to be the same always
		layers[d.layer].kept = append(layers[d.layer].kept, e)
	}
}
