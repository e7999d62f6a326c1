package imagetest

import (
	"archive/tar"
	"fmt"
	"io"
)

// FlattenExport returns the tree that a tar by `docker export` holds, by path. The
// error is that of reading the tar, or says that a hard link comes before its target.
func FlattenExport(r io.Reader) (map[string]Node, error) {
	tree := map[string]Node{}
	for t := tar.NewReader(r); ; {
		h, err := t.Next()
		if err == io.EOF {
			return tree, nil
		} else if err != nil {
			return nil, err
		}
		n := Node{Mode: h.Mode & 0o7777, ModTime: h.ModTime.Unix()}
		switch h.Typeflag {
		case tar.TypeReg:
			n.Kind = KindFile
			body, err := io.ReadAll(t)
			if err != nil {
				return nil, err
			}
			n.Body = string(body)
		case tar.TypeDir:
			n.Kind = KindDir
		case tar.TypeSymlink:
			n.Kind, n.Linkname = KindSymlink, h.Linkname
		case tar.TypeLink:
			target, ok := tree[clean(h.Linkname)]
			if !ok {
				return nil, fmt.Errorf("the hard link %s comes before its target %s", h.Name, h.Linkname)
			}
			n = target
		default:
			n.Kind = KindSpecial
		}
		tree[clean(h.Name)] = n
	}
}
