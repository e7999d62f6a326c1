package imagetest

import (
	"archive/tar"
	"math/rand/v2"
	"path"
)

// Loadable returns a random image as Random does, of what engines take and agree
// on. Left out, besides what Random leaves out, is
//
//   - a name that is in a tar twice, unless again is true: Docker's graph drivers
//     refuse it, containerd takes it;
//   - a hard link whose target is not before it in the same tar: all refuse it;
//   - an entry below a file, or below a link to one: all refuse it;
//   - a path through a link to what the tar has not made yet: containerd makes a
//     directory, Docker refuses it in its graph drivers up to version 28;
//   - a path through a link that climbs above the root, or through many links:
//     Docker 29 refuses it in its graph drivers;
//   - what is deleted and made in one tar: engines refuse it when the file comes
//     first, and with fuse-overlayfs delete both;
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
func (g *generator) unloadable(entries []Entry) []int {
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
		dir, ok := d.loadable(dir)
		if !ok {
			return []int{i}
		}
		if what == opaque {
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
		if d[p].kind == tar.TypeDir && e.Typeflag != tar.TypeDir {
			return []int{i}
		}
		if e.Typeflag == tar.TypeDir {
			dirs[i] = p
		}
		if e.Typeflag == tar.TypeLink {
			target := clean(e.Linkname)
			to, ok := d.loadable(parent(target))
			to = path.Join(to, path.Base(target))
			if n, there := d[to]; !ok || !there || n.kind == tar.TypeDir || to == p {
				return []int{i}
			}
		}
		d.put(p, inode{kind: e.Typeflag, text: e.Linkname})
	}
	for i, p := range dirs {
		if to, _, _ := d.follow(clean(entries[i].Name)); to != p || d[to].kind != tar.TypeDir {
			return []int{i}
		}
	}
	for p, i := range gone {
		for q := range d {
			if q == p || below(q, p) {
				return []int{i}
			}
		}
	}
	return nil
}

// loadable follows the path of a directory, and reports whether all engines would.
func (d disk) loadable(dir string) (to string, ok bool) {
	to, hops, climbs := d.follow(dir)
	if climbs || hops > 5 || hops > 0 && to != "" && d[to].kind != tar.TypeDir {
		return "", false
	}
	for above := to; above != ""; above = parent(above) {
		if n, there := d[above]; there && n.kind != tar.TypeDir {
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
