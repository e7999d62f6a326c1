package extract

import (
	"cmp"
	"slices"
	"strings"

	"github.com/awslabs/aws-lambda-container-image-converter/types"
)

// largest returns the three files or directories that take most, none of them
// within another. A directory below a root stands for itself if no single thing
// in it makes up more than half of it.
func largest(entries []*entry, at roots) []types.Usage {
	files := slices.DeleteFunc(slices.Clone(entries), func(e *entry) bool { return e.size() == 0 })
	slices.SortFunc(files, func(a, b *entry) int { return strings.Compare(a.path, b.path) })
	u := usage{roots: at}
	u.divide(u.within(files, 0), 1)
	slices.SortFunc(u.top, func(a, b types.Usage) int {
		return cmp.Or(cmp.Compare(b.Size, a.Size), cmp.Compare(a.Path, b.Path))
	})
	return slices.Clip(u.top[:min(3, len(u.top))])
}

// usage finds what takes most.
type usage struct {
	roots roots
	top   []types.Usage
}

// part is a file or directory: its files, and the bytes that they take.
type part struct {
	path  string
	size  int64
	files []*entry
}

// within returns the parts of a directory, whose path has so many bytes, of which
// these are the files in order.
func (u *usage) within(files []*entry, dir int) (parts []part) {
	for len(files) > 0 {
		p := part{path: files[0].path}
		if end := strings.IndexByte(p.path[dir:], '/'); end >= 0 {
			p.path = p.path[:dir+end]
		}
		n := 0
		for n < len(files) && (files[n].path == p.path || below(files[n].path, p.path)) {
			p.size += files[n].size()
			n++
		}
		p.files, files = files[:n], files[n:]
		parts = append(parts, p)
	}
	return parts
}

// divide adds parts to the top, or what they consist of. They are depth
// components deep.
func (u *usage) divide(parts []part, depth int) {
	for _, p := range parts {
		var inner []part
		if depth < 8 && p.files[0].path != p.path { // as deep as anybody wants to know
			inner = u.within(p.files, len(p.path)+1)
		}
		if below(u.roots.layer+"/", p.path) || below(u.roots.function+"/", p.path) ||
			slices.ContainsFunc(inner, func(q part) bool { return 2*q.size > p.size }) {
			u.divide(inner, depth+1)
			continue
		}
		u.top = append(u.top, types.Usage{Path: "/" + p.path, Size: p.size})
	}
}
