package extract

import (
	"slices"

	"github.com/opencontainers/go-digest"
)

// repacked is one image layer after the first step: zips of all that it has
// below the roots, and an index of that and of what it deletes.
type repacked struct {
	digests []digest.Digest // of the uncompressed tar, by each algorithm, SHA-256 first
	entries []*entry        // in the order of the tar
	// rootLinks are the symbolic links that are a root, or above one, with their
	// texts; and those to which hard links lead from there.
	rootLinks map[*entry]string
	zips      map[string]*zipFile
}

// diffID is what the layer is called, by whatever algorithm its image names it.
func (l *repacked) diffID() digest.Digest { return l.digests[0] }

// clone returns the layer with other entries of the same content.
func (l *repacked) clone() *repacked {
	c := *l
	c.entries = make([]*entry, len(l.entries))
	c.rootLinks = make(map[*entry]string)
	for i, e := range l.entries {
		copied := *e
		if text, ok := l.rootLinks[e]; ok {
			c.rootLinks[&copied] = text
		}
		c.entries[i] = &copied
	}
	return &c
}

// current returns the entries that are left of a layer at the end of its tar:
// without those that later ones of the same tar replace. Where a directory came
// in the place of something else that had replaced one of a layer below, a
// whiteout says so.
func (l *repacked) current(paths *pathTree) ([]*entry, error) {
	var current []*entry
	own := newOverlay(paths)
	defer own.release()
	for _, e := range slices.Backward(l.entries) {
		switch {
		case e.deletes():
			current = append(current, e)
		case !own.replaces(e):
			own.add(e)
			current = append(current, e)
		case e.kind != kindDir && own.isDir(e.node):
			gone := &entry{path: e.path, node: e.node, kind: kindWhiteout}
			own.add(gone)
			current = append(current, gone)
		}
	}
	if own.err != nil {
		return nil, own.err
	}
	slices.Reverse(current)
	return current, nil
}
