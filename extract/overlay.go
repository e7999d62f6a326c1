package extract

// overlay remembers what some layers hold and delete, so that a layer below them
// can ask which of its entries stay.
type overlay struct {
	paths *pathTree
	nodes map[uint32]node // of paths; where there is one, there is one of each directory above
	only  []bool          // which nodes of paths matter; nil for all
	err   error           // there are too many
}

type node struct {
	kinds    kindSet
	whiteout bool // the path is deleted from the layers below
	opaque   bool // everything below the path is deleted from the layers below
	explicit bool // an entry names this very path, not only one below it
}

// leaves reports whether there may be something below the node's path.
func (n node) leaves() bool { return !n.whiteout && !n.opaque && n.kinds&^setOf(kindDir) == 0 }

// kindSet is a set of the kinds that a path has had.
type kindSet uint8

func setOf(k kind) kindSet { return 1 << k }

func newOverlay(paths *pathTree) *overlay {
	return &overlay{paths: paths, nodes: make(map[uint32]node)}
}

// release gives the overlay's memory back.
func (o *overlay) release() { o.paths.budget.give(len(o.nodes) * overlayNodeSize) }

// add records an entry: at its path what it is, above it directories. Engines make
// these for what is deleted too.
func (o *overlay) add(e *entry) {
	if o.err != nil {
		return
	}
	for at := e.node; at != 0; {
		at = o.paths.parents[at]
		n := o.nodes[at]
		if n.kinds&setOf(kindDir) != 0 {
			break // so are those above
		}
		n.kinds |= setOf(kindDir)
		o.set(at, n)
	}
	n := o.nodes[e.node]
	switch e.kind {
	case kindWhiteout:
		n.whiteout = true
	case kindOpaque:
		n.opaque = true
		n.kinds |= setOf(kindDir)
	default:
		n.kinds |= setOf(e.kind)
		n.explicit = true
	}
	o.set(e.node, n)
}

func (o *overlay) set(at uint32, n node) {
	if o.only != nil && !o.only[at] {
		return
	}
	before := len(o.nodes)
	o.nodes[at] = n
	if len(o.nodes) > before {
		if err := o.paths.budget.take(overlayNodeSize); err != nil {
			o.err = err
		}
	}
}

// find returns what the overlay has at a node; clear is false if something
// above it leaves no room for it: a whiteout, an opaque directory, anything that
// is not a directory.
func (o *overlay) find(at uint32) (n node, clear bool) {
	if len(o.nodes) == 0 {
		return node{}, true
	}
	for up := at; up != 0; {
		up = o.paths.parents[up]
		if !o.nodes[up].leaves() {
			return node{}, false
		}
	}
	return o.nodes[at], true
}

// hides reports whether unzipping over an entry of kind k what the overlay's layers
// hold would not give the image's tree, so that it has to be left out: it is
// deleted by one of them, or there is something else than its kind at its path or
// in the place of a directory above it. A file over a file and a directory over a
// directory are what unzipping does right; what it does about links depends on
// the program, so a link stays only where nothing comes over it.
func (o *overlay) hides(at uint32, k kind) bool {
	n, clear := o.find(at)
	switch {
	case !clear || n.whiteout:
		return true
	case k == kindFile || k == kindDir:
		return n.kinds&^setOf(k) != 0
	default:
		return n.kinds != 0
	}
}

// replaces reports whether e is gone because of the overlay's entries, these
// being the ones that follow e in the same tar: the later entry of a path wins.
// (Whiteouts do not concern their own layer. The overlay has one where an entry
// came and went again.)
func (o *overlay) replaces(e *entry) bool {
	n, clear := o.find(e.node)
	return !clear || n.explicit || n.whiteout || n.kinds != 0 && e.kind != kindDir
}

// isDir reports whether the overlay's layers leave a directory at the node.
func (o *overlay) isDir(at uint32) bool {
	n, clear := o.find(at)
	return clear && n.kinds == setOf(kindDir)
}
