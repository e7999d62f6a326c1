package imagetest

import (
	"archive/tar"
	"path"
	"slices"
	"strings"
)

// Resolve returns the entries of a tar as they read without the two things that
// only a file system knows:
//
//   - Names and hard links' targets lead through no symbolic link of the tar: they
//     are where the links point at that moment, inside the image's root. A name
//     that leads round in a circle is left as it is.
//   - All names of a file have the mode and time of the last header among them.
//
// Names are clean.
func Resolve(entries []Entry) []Entry {
	resolved := slices.Clone(entries)
	d := disk{}
	made := make([]int, len(entries)) // for each entry the one that made the file
	last := map[int]int{}             // for that one the last entry that names the file
	for i := range resolved {
		e := &resolved[i]
		made[i] = -1
		p, what := classify(e.Name)
		switch what {
		case opaque:
			dir, _, _ := d.follow(p)
			e.Name = path.Join(dir, opaqueMarker)
			continue
		case whiteout:
			p = d.followParent(p)
			e.Name = path.Join(parent(p), whiteoutPrefix+path.Base(p))
			continue
		case leftover:
			continue
		}
		if e.Name = d.followParent(p); e.Name == "" {
			continue
		}
		made[i] = i
		n := inode{e.Typeflag, e.Linkname, i}
		if e.Typeflag == tar.TypeLink {
			e.Linkname = d.followParent(clean(e.Linkname))
			if target, ok := d[e.Linkname]; ok && target.kind != tar.TypeDir {
				made[i], n = target.made, target
			}
		}
		last[made[i]] = i
		d.put(e.Name, n)
	}
	for i, m := range made {
		if m >= 0 {
			h := entries[last[m]].Header
			resolved[i].Mode, resolved[i].Header.ModTime, resolved[i].Format = h.Mode, h.ModTime, h.Format
		}
	}
	return resolved
}

// disk is what a tar has made so far, by path.
type disk map[string]inode

type inode struct {
	kind byte   // a tar's type flag
	text string // of a symbolic link
	made int    // the place of the entry that made it
}

// inode returns what an entry puts there: another name of a symbolic link is one
// too.
func (d disk) inode(e Entry) inode {
	if n, ok := d[d.followParent(clean(e.Linkname))]; ok && e.Typeflag == tar.TypeLink {
		return n
	}
	return inode{kind: e.Typeflag, text: e.Linkname}
}

func (d disk) put(p string, n inode) {
	for dir := parent(p); dir != ""; dir = parent(dir) {
		if d[dir].kind != tar.TypeDir {
			d[dir] = inode{tar.TypeDir, "", -1}
		}
	}
	if n.kind != tar.TypeDir {
		for q := range d {
			if below(q, p) {
				delete(d, q)
			}
		}
	}
	d[p] = n
}

// maxHops is how many links all engines follow.
const maxHops = 40

// follow returns where a clean path leads. hops is the number of links on the
// way, climbs whether one of them points above the root; a circle has too many
// hops, and leads to the path itself.
func (d disk) follow(p string) (to string, hops int, climbs bool) {
	parts := strings.Split(p, "/")
	for len(parts) > 0 {
		part := parts[0]
		parts = parts[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			climbs = climbs || to == ""
			to = parent(to)
			continue
		}
		next := path.Join(to, part)
		if d[next].kind != tar.TypeSymlink {
			to = next
			continue
		}
		if hops++; hops > 255 {
			return p, hops, climbs
		}
		if text := d[next].text; text[0] == '/' {
			to = ""
		}
		parts = append(strings.Split(d[next].text, "/"), parts...)
	}
	return to, hops, climbs
}

func (d disk) followParent(p string) string {
	dir, _, _ := d.follow(parent(p))
	return path.Join(dir, path.Base(p))
}

// circular returns the place of the first entry whose path leads round in a
// circle.
func circular(entries []Entry) []int {
	d := disk{}
	for i, e := range entries {
		p, what := classify(e.Name)
		dir := parent(p)
		if what == opaque {
			dir = p
		}
		_, hops, _ := d.follow(dir)
		_, more, _ := d.follow(parent(clean(e.Linkname)))
		if hops > maxHops || e.Typeflag == tar.TypeLink && more > maxHops {
			return []int{i}
		}
		if p = d.followParent(p); what == content && p != "" {
			d.put(p, d.inode(e))
		}
	}
	return nil
}

// Roots returns where the directories opt and var/task of an image are: they, or var, may
// be links. They are not followed to a place that overlaps with the other one. ok
// is false if they lead round in a circle.
func Roots(tree map[string]Node) (opt, task string, ok bool) {
	opt, task = "opt", "var/task"
	for range 8 {
		before := opt + ":" + task
		if to := followLink(tree, opt); !overlap(to, opt) && !overlap(to, task) {
			opt = to
		}
		if to := followLink(tree, task); !overlap(to, task) && !overlap(to, opt) {
			task = to
		}
		if opt+":"+task == before {
			return opt, task, true
		}
	}
	return opt, task, false
}

func overlap(a, b string) bool { return a == b || below(a, b) || below(b, a) }

// followLink follows the first link on the way to p.
func followLink(tree map[string]Node, p string) string {
	at, rest := "", p
	for rest != "" {
		var part string
		part, rest, _ = strings.Cut(rest, "/")
		next := path.Join(at, part)
		if n := tree[next]; n.Kind == KindSymlink {
			if n.Linkname[0] == '/' {
				at = ""
			}
			return clean(at + "/" + n.Linkname + "/" + rest)
		}
		at = next
	}
	return p
}
