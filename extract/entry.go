package extract

import (
	"archive/tar"
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/pkg/errors"
)

// kind is what an entry of a layer is.
type kind uint8

const (
	kindFile kind = iota
	kindDir
	kindSymlink
	kindHardlink
	kindSpecial // device, fifo: kept out of zips, but in the place of what it replaces
	kindWhiteout
	kindOpaque
)

// Whiteouts of the OCI image spec (layer.md, "Whiteouts"); whiteoutMeta is what
// AUFS left in tars for its own use.
const (
	whiteoutPrefix = ".wh."
	whiteoutMeta   = whiteoutPrefix + whiteoutPrefix
	whiteoutOpaque = whiteoutMeta + ".opq"
)

// entry is a tar entry that matters for what the image has below a root, or
// for what it deletes there. An image may have hundreds of thousands: the fields
// fill 80 bytes, which is a size that Go allocates.
type entry struct {
	path    string // cleaned, below the image's root, no leading slash; no part of it leads through a link of its layer
	link    string // what a hard link points to, a path like the entry's own
	modTime int64  // seconds since 1970
	content content
	node    uint32 // of path in the image's pathTree
	perm    uint16 // permissions
	kind    kind
	// inZip is true if the entry belongs into a zip. A hard link has no content of
	// its own: it takes that of its target.
	inZip bool
	// deflated is true if the content in the zip is.
	deflated bool
	// changed is true if mode or time are no longer those of the zip that the
	// entry was written to.
	changed bool
}

// content is where an entry's bytes are, and what a zip says of them. maxContent
// is far below 32 bits.
type content struct {
	zip        *zipFile // nil if there is none
	offset     uint32   // in the zip, of the bytes themselves
	compressed uint32   // bytes in the zip
	size       uint32   // bytes
	crc        uint32
}

// takeContent makes the entry another name of what target has.
func (e *entry) takeContent(target *entry) {
	e.kind, e.content, e.deflated = target.kind, target.content, target.deflated
}

// size is that of the entry's content in bytes, 0 for all but files. It is known
// once the entry's zip is written.
func (e *entry) size() int64 {
	if e.kind != kindFile {
		return 0
	}
	return int64(e.content.size)
}

// cleanPath gives a tar's name for a path in the form that entries use.
// Names that climb with ".." stop at the image's root, as paths in a container
// do.
func cleanPath(name string) string {
	return path.Clean("/" + name)[1:]
}

// dirOf returns the directory that holds p, or "." if p is at the top. It is
// path.Dir for what is clean and relative, and does not read all of a deep path again.
func dirOf(p string) string {
	if i := strings.LastIndexByte(p, '/'); i >= 0 {
		return p[:i]
	}
	return "."
}

// below reports whether p is beneath the directory root, root itself not
// included.
func below(p, root string) bool {
	return len(p) > len(root) && p[len(root)] == '/' && p[:len(root)] == root
}

// deletes reports whether the entry says what is gone, and is not there itself.
func (e *entry) deletes() bool { return e.kind == kindWhiteout || e.kind == kindOpaque }

// isCopy reports whether the entry was a hard link, which has become a copy of
// its target.
func (e *entry) isCopy() bool { return e.link != "" }

// isDangling reports whether the entry was a hard link whose target is not known.
func (e *entry) isDangling() bool { return e.kind == kindFile && e.content.zip == nil }

// quote makes a name fit for a message, however long it is and whatever
// characters it has.
func quote(name string) string {
	const most = 200
	if len(name) > most {
		return fmt.Sprintf("%q…", name[:most])
	}
	return strconv.Quote(name)
}

// newEntry says what a tar header means, its zip entry aside. It returns nil
// for what is no part of an image's tree.
func newEntry(h *tar.Header) (*entry, error) {
	e := &entry{path: cleanPath(h.Name), perm: uint16(h.Mode & 0o777), modTime: h.ModTime.Unix()}
	dirname, base := path.Split(e.path)
	switch {
	case base == whiteoutOpaque && !isMeta(dirname):
		e.kind, e.path = kindOpaque, strings.TrimSuffix(dirname, "/")
		return e, nil
	case isMeta(e.path):
		return nil, nil
	case strings.HasPrefix(base, whiteoutPrefix):
		hidden := base[len(whiteoutPrefix):]
		switch {
		case hidden == "" || hidden == "." || hidden == "..":
			return nil, errors.New("this is not the name of a whiteout")
		default:
			e.kind, e.path = kindWhiteout, dirname+hidden
		}
		return e, nil
	}
	if e.path == "" { // the image's root is a directory, whatever a tar says
		return nil, nil
	}
	switch h.Typeflag {
	case tar.TypeDir:
		e.kind = kindDir
	case tar.TypeSymlink:
		e.kind = kindSymlink
	case tar.TypeLink:
		e.kind, e.link = kindHardlink, cleanPath(h.Linkname)
	case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		e.kind = kindSpecial
	case tar.TypeXGlobalHeader:
		return nil, nil
	default: // POSIX: a reader takes a type that it does not know for a file
		e.kind = kindFile
	}
	return e, nil
}

// isMeta reports whether a path is in what AUFS left.
func isMeta(p string) bool { return strings.Contains("/"+p, "/"+whiteoutMeta) }
