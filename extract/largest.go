package extract

import (
	"cmp"
	"slices"
	"strings"

	"github.com/awslabs/aws-lambda-container-image-converter/types"
)

// usage is a directory or file with the bytes that are in it.
type usage struct {
	path     string
	size     int64
	children map[string]*usage
}

// largest returns the three files or directories that take most, none of them
// within another. A directory below a root stands for itself if no single thing
// in it makes up more than half of it.
func largest(entries []*entry, at roots) (top []types.Usage) {
	root := new(usage)
	for _, e := range entries {
		size := e.size()
		if size == 0 {
			continue
		}
		n, depth := root, 0
		for end := range len(e.path) + 1 {
			if end < len(e.path) && e.path[end] != '/' {
				continue
			}
			if depth++; depth > 8 { // as deep as anybody wants to know
				break
			}
			n.size += size
			name := e.path[strings.LastIndexByte(e.path[:end], '/')+1 : end]
			child := n.children[name]
			if child == nil {
				if n.children == nil {
					n.children = make(map[string]*usage)
				}
				child = &usage{path: e.path[:end]}
				n.children[name] = child
			}
			n = child
		}
		n.size += size
	}
	var open func(u *usage)
	open = func(u *usage) {
		divide := below(at.layer+"/", u.path) || below(at.function+"/", u.path)
		for _, c := range u.children {
			divide = divide || 2*c.size > u.size
		}
		if !divide {
			top = append(top, types.Usage{Path: "/" + u.path, Size: u.size})
			return
		}
		for _, c := range u.children {
			open(c)
		}
	}
	for _, c := range root.children {
		open(c)
	}
	slices.SortFunc(top, func(a, b types.Usage) int {
		return cmp.Or(cmp.Compare(b.Size, a.Size), cmp.Compare(a.Path, b.Path))
	})
	return top[:min(3, len(top))]
}
