package imagetest

import (
	"archive/tar"
	"cmp"
	"math/rand/v2"
	"path"
	"strings"
)

// Loadable returns a random image as Random does, of what engines take and agree
// on. Left out, besides what Random leaves out, is
//
//   - a name that is in a tar twice, unless again is true: Docker's graph drivers
//     refuse it, containerd takes it;
//   - a hard link whose target is not before it in the same tar: all refuse it;
//   - a hard link's target with "..": Docker up to version 28 does not set its mode
//     and time if what is in front of that is not there;
//   - an entry below a file, or below a link to one: all refuse it;
//   - a directory without an entry below what some lower layer deletes or has as no
//     directory, or in the place of a link of a lower layer that leads to other
//     directories: containerd looks there what it is like, and may find no directory;
//   - a path through a link to what the tar has not made yet: containerd makes a
//     directory, Docker refuses it in its graph drivers up to version 28;
//   - a path through a link that climbs above the root, or through many links:
//     Docker 29 refuses it in its graph drivers;
//   - an entry that replaces the link through which its own path leads: Docker has
//     no directory for it then;
//   - what is deleted and made in one tar: engines refuse it when the file comes
//     first, and with fuse-overlayfs delete both;
//   - an opaque marker after what its own tar has in the directory: containerd then
//     deletes directories of the lowest layer that have no entry;
//   - a link that leads to itself: where an upper layer has a directory in its
//     place, fuse-overlayfs shows nothing of the directory that it is in;
//   - a directory whose name leads elsewhere at the end of the tar than when it
//     came, or nowhere: engines set its time by name at the end, to that of something
//     else;
//   - leftovers of AUFS: engines take them for whiteouts, and make files of theirs;
//   - the image's root, of which no layer says anything.
func Loadable(rng *rand.Rand, again bool) [][]Entry {
	return (&generator{Rand: rng, loadable: true, again: again}).image()
}

// unloadable returns the place of an entry that Loadable leaves out, if there is
// one.
func (g *generator) unloadable(entries []Entry, lower [][]Entry) []int {
	l := loader{disk: disk{}, names: map[string]bool{}, gone: map[string]int{}, dirs: map[int]string{}, files: filesOf(lower)}
	for i, e := range entries {
		if l.names[clean(e.Name)] && !g.again || !l.load(i, e) {
			return []int{i}
		}
		l.names[clean(e.Name)] = true
	}
	for i, e := range entries {
		p, what := classify(e.Name)
		if what != content || e.Typeflag != tar.TypeDir {
			continue
		}
		if to, _, _ := l.disk.follow(p); to != l.dirs[i] || l.disk[to].kind != tar.TypeDir {
			return []int{i}
		}
	}
	for p, i := range l.gone {
		if _, there := l.disk[p]; there || l.disk.has(p) {
			return []int{i}
		}
	}
	return nil
}

// filesOf returns what is no directory in any of some layers, with what a link
// there holds.
func filesOf(layers [][]Entry) map[string]string {
	files := map[string]string{}
	for _, layer := range layers {
		for p, n := range Flatten([][]Entry{layer}) {
			if n.Kind != KindDir {
				files[p] = cmp.Or(n.Linkname, files[p], "file")
			}
		}
		for _, e := range Resolve(layer) {
			if p, what := classify(e.Name); what == whiteout {
				files[p] = cmp.Or(files[p], "file")
			}
		}
	}
	return files
}

// loader is what engines have made of a tar so far.
type loader struct {
	disk  disk
	names map[string]bool
	gone  map[string]int    // whiteouts
	dirs  map[int]string    // where the entries of directories have led
	files map[string]string // see filesOf
}

// load takes in an entry, and reports whether all engines would.
func (l *loader) load(i int, e Entry) bool {
	p, what := classify(e.Name)
	asWritten := parent(p)
	if what == opaque {
		asWritten = p
	}
	dir, ok := l.dir(asWritten)
	if !ok || p == "" || what == leftover {
		return false
	}
	p = path.Join(dir, path.Base(p))
	switch what {
	case opaque:
		if l.disk.has(dir) {
			return false
		}
		l.disk.mkdir(dir)
		return true
	case whiteout:
		_, twice := l.gone[p]
		l.gone[p] = i
		l.disk.mkdir(dir)
		return !twice
	}
	old := l.disk[p].kind
	if dir != asWritten && old == tar.TypeSymlink || old == tar.TypeDir && e.Typeflag != tar.TypeDir {
		return false
	}
	if e.Typeflag == tar.TypeLink {
		target := clean(e.Linkname)
		to, ok := l.dir(parent(target))
		to = path.Join(to, path.Base(target))
		n, there := l.disk[to]
		if !ok || !there || n.kind == tar.TypeDir || to == p || strings.Contains(e.Linkname, "..") {
			return false
		}
	}
	if e.Typeflag == tar.TypeDir {
		l.dirs[i] = p
	}
	l.disk.put(p, l.disk.inode(e))
	_, hops, _ := l.disk.follow(p)
	return hops <= maxHops
}

// dir follows the path of a directory, and reports whether all engines would.
func (l *loader) dir(dir string) (to string, ok bool) {
	to, hops, climbs := l.disk.follow(dir)
	if climbs || hops > 5 || hops > 0 && to != "" && l.disk[to].kind != tar.TypeDir {
		return "", false
	}
	made := true // in this tar, what is below above
	for above := to; above != ""; above = parent(above) {
		n, there := l.disk[above]
		below, file := l.files[above]
		if there && n.kind != tar.TypeDir || !made && file || !there && strings.Contains(below, "/") {
			return "", false
		}
		made = made && there
	}
	return to, true
}

// has reports whether there is something below a directory.
func (d disk) has(dir string) bool {
	for p := range d {
		if below(p, dir) {
			return true
		}
	}
	return false
}

func (d disk) mkdir(dir string) {
	if dir != "" && d[dir].kind != tar.TypeDir {
		d.put(dir, inode{kind: tar.TypeDir})
	}
}
