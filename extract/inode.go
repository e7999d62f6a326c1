package extract

// inode is a file of a layer: all the names that it has had, in the order of the
// tar.
type inode []*entry

// shareMetadata gives all names of a file the mode and time of the last one: to
// unpack a hard link is to set those of the file that it names. It is about
// links within the layer's tar; a link into another layer is a copy of its own.
// The layer's zips must be complete.
func (l *repacked) shareMetadata() {
	targets := make(map[string]*inode) // the files at the paths that hard links name
	for _, e := range l.entries {
		if e.kind == kindHardlink {
			targets[e.link] = nil
		}
	}
	if len(targets) == 0 {
		return
	}
	var linked []*inode
	for _, e := range l.entries {
		_, isTarget := targets[e.path]
		if e.deletes() || !isTarget && e.kind != kindHardlink {
			continue
		}
		file := new(inode)
		if e.kind == kindHardlink && targets[e.link] != nil {
			file = targets[e.link]
		}
		*file = append(*file, e)
		if len(*file) == 2 {
			linked = append(linked, file)
		}
		if e.kind == kindDir { // there are no hard links to directories
			file = nil
		}
		if isTarget {
			targets[e.path] = file
		}
	}
	for _, file := range linked {
		last := (*file)[len(*file)-1]
		for _, e := range *file {
			e.takeMetadata(last.perm, last.modTime)
		}
	}
}

// takeMetadata changes an entry's mode and time.
func (e *entry) takeMetadata(perm uint16, modTime int64) {
	if e.perm == perm && e.modTime == modTime {
		return
	}
	e.perm, e.modTime = perm, modTime
	e.changed = true
}
