package imagetest

import (
	"archive/tar"
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
//   - a path two levels below what some lower layer deletes or has as no directory, without an
//     entry of the directory between: containerd refuses it;
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
	files := map[string]bool{} // what is no directory in any lower layer
	for _, layer := range lower {
		for p, n := range Flatten([][]Entry{layer}) {
			files[p] = files[p] || n.Kind != KindDir
		}
		for _, e := range Resolve(layer) {
			if p, what := classify(e.Name); what == whiteout {
				files[p] = true
			}
		}
	}
	d := disk{}
	seen := map[string]bool{}
	gone := map[string]int{}
	dirs := map[int]string{}
	for i, e := range entries {
		p, what := classify(e.Name)
		if p == "" || what == leftover || seen[clean(e.Name)] && !g.again {
			return []int{i}
		}
		seen[clean(e.Name)] = true
		dir := parent(p)
		if what == opaque {
			dir = p
		}
		asWritten := dir
		dir, ok := d.loadable(dir, files)
		if !ok {
			return []int{i}
		}
		if what == opaque {
			if d.has(dir) {
				return []int{i}
			}
			d.mkdir(dir)
			continue
		}
		p = path.Join(dir, path.Base(p))
		if what == whiteout {
			if _, twice := gone[p]; twice {
				return []int{i}
			}
			gone[p] = i
			d.mkdir(dir)
			continue
		}
		if dir != asWritten && d[p].kind == tar.TypeSymlink {
			return []int{i}
		}
		if d[p].kind == tar.TypeDir && e.Typeflag != tar.TypeDir {
			return []int{i}
		}
		if e.Typeflag == tar.TypeDir {
			dirs[i] = p
		}
		if e.Typeflag == tar.TypeLink {
			target := clean(e.Linkname)
			to, ok := d.loadable(parent(target), nil)
			to = path.Join(to, path.Base(target))
			plain := !strings.Contains(e.Linkname, "..")
			if n, there := d[to]; !ok || !plain || !there || n.kind == tar.TypeDir || to == p {
				return []int{i}
			}
		}
		d.put(p, inode{kind: e.Typeflag, text: e.Linkname})
		if _, hops, _ := d.follow(p); hops > 40 {
			return []int{i}
		}
	}
	for i, p := range dirs {
		if to, _, _ := d.follow(clean(entries[i].Name)); to != p || d[to].kind != tar.TypeDir {
			return []int{i}
		}
	}
	for p, i := range gone {
		if _, there := d[p]; there || d.has(p) {
			return []int{i}
		}
	}
	return nil
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

// loadable follows the path of a directory, and reports whether all engines would.
func (d disk) loadable(dir string, files map[string]bool) (to string, ok bool) {
	to, hops, climbs := d.follow(dir)
	if climbs || hops > 5 || hops > 0 && to != "" && d[to].kind != tar.TypeDir {
		return "", false
	}
	for above := to; above != ""; above = parent(above) {
		n, there := d[above]
		if there && n.kind != tar.TypeDir || !there && files[parent(above)] {
			return "", false
		}
	}
	return to, true
}

func (d disk) mkdir(dir string) {
	if dir != "" && d[dir].kind != tar.TypeDir {
		d.put(dir, inode{kind: tar.TypeDir})
	}
}
