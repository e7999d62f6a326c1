package extract

import (
	"archive/tar"
	"path"
	"slices"
	"strings"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/imagetest"
)

// ambiguous reports whether an image has no one meaning, as imagetest.Random
// says it, so that the reference is as good as another.
func ambiguous(all layers) bool {
	for i, entries := range all {
		lower := all[:i:i]
		var markers []imagetest.Entry
		for _, e := range entries {
			if _, marker := pathOf(e); marker {
				markers = append(markers, e)
			}
		}
		base := imagetest.Flatten(append(slices.Clone(lower), markers))
		view := imagetest.Flatten(append(slices.Clone(lower), entries))
		isDir := func(tree map[string]imagetest.Node, p string) bool {
			return p == "" || p == "." || tree[p].Kind == imagetest.KindDir
		}
		for j, e := range entries {
			p, marker := pathOf(e)
			switch {
			case marker && path.Base(e.Name) == whiteoutOpaque && !isDir(view, p),
				marker && path.Base(e.Name) != whiteoutOpaque && !isDir(view, path.Dir(p)),
				!marker && e.Typeflag != tar.TypeDir && isDir(base, p) && isDir(view, p),
				!marker && e.Typeflag == tar.TypeLink && ambiguousLink(entries, j, base):
				return true
			}
		}
	}
	return false
}

// pathOf is what an entry is about, and whether it is a whiteout or an opaque
// marker.
func pathOf(e imagetest.Entry) (p string, marker bool) {
	dir, name := path.Split(path.Clean("/" + e.Name)[1:])
	if name == whiteoutOpaque {
		return path.Clean(dir), true
	}
	hidden, marker := strings.CutPrefix(name, whiteoutPrefix)
	return dir + hidden, marker
}

// ambiguousLink reports whether what the hard link entries[i] leads to depends
// on who unpacks the layer.
func ambiguousLink(entries []imagetest.Entry, i int, base map[string]imagetest.Node) bool {
	name, _ := pathOf(entries[i])
	target := path.Clean("/" + entries[i].Linkname)[1:]
	if name == target || below(name, target) || below(target, name) || target == "" {
		return true
	}
	at := -1
	for j, e := range entries {
		if p, marker := pathOf(e); !marker && p == target && (j < i || at < 0) {
			at = j
		}
	}
	if at > i {
		_, both := base[target]
		return both
	}
	for _, e := range entries[at+1 : i] {
		p, marker := pathOf(e)
		if !marker && (below(target, p) && e.Typeflag != tar.TypeDir || below(p, target)) {
			return true
		}
	}
	return false
}
