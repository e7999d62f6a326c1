package extract

import (
	"archive/tar"
	"archive/zip"
	"encoding/binary"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

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
// for what it deletes there.
type entry struct {
	path string // cleaned, below the image's root, no leading slash; no part of it leads through a link of its layer
	kind kind
	// changed is true if mode or time are no longer those of the zip that the
	// entry was written to.
	changed bool
	perm    uint16 // permissions
	modTime int64  // seconds since 1970
	link    string // what a hard link points to, a path like the entry's own
	// header is the zip entry that the tar entry becomes; nil if it becomes
	// none. A hard link's has no content: it takes that of its target.
	header *zip.FileHeader
	// content is where the entry's bytes are: its zip, and its place there.
	zip   *zipFile
	place int
}

// size is that of the entry's content in bytes, 0 for all but files. It is known
// once the entry's zip is written.
func (e *entry) size() int64 {
	if e.kind != kindFile || e.zip == nil {
		return 0
	}
	return e.zip.sizes[e.place]
}

// cleanPath gives a tar's name for a path in the form that entries use.
// Names that climb with ".." stop at the image's root, as paths in a container
// do.
func cleanPath(name string) string {
	return path.Clean("/" + name)[1:]
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
func (e *entry) isDangling() bool { return e.kind == kindFile && e.zip == nil }

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

// newHeader makes the header of the zip entry for a tar entry. Its name is the
// path below root; sizes, CRC and method are the writer's to fill in.
func newHeader(e *entry, root string) *zip.FileHeader {
	z := &zip.FileHeader{Name: e.path, Method: zip.Store, ReaderVersion: 20}
	if root != "" {
		z.Name = e.path[len(root)+1:]
	}
	if e.kind == kindDir {
		z.Name += "/"
	}
	if !isASCII(z.Name) && utf8.ValidString(z.Name) {
		z.Flags |= flagUTF8
	}
	setMetadata(z, e)
	z.CreatorVersion |= 20
	return z
}

// setMetadata records an entry's mode and time.
func setMetadata(z *zip.FileHeader, e *entry) {
	z.SetMode(zipMode(e.kind, fs.FileMode(e.perm)))
	setTime(z, e.modTime)
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// General purpose bits of a zip entry (PKWARE APPNOTE 4.4.4).
const (
	flagDataDescriptor = 0x8
	flagUTF8           = 0x800
)

// zipMode widens permissions so that the user that Lambda runs a function as
// can read everything, and go where anybody can. Setuid, setgid and sticky are
// not in perm: they are dropped.
func zipMode(k kind, perm fs.FileMode) fs.FileMode {
	switch k {
	case kindDir:
		return fs.ModeDir | perm | 0o555
	case kindSymlink:
		return fs.ModeSymlink | 0o777
	}
	if perm&0o111 != 0 {
		perm |= 0o111
	}
	return perm | 0o444
}

// setTime records a modification time to the second: as the MS-DOS date that
// every zip entry has, in UTC, and exactly in the extended timestamp (extra
// field 0x5455 of Info-ZIP, 32 bits of seconds since 1970). Info-ZIP takes
// seconds over 31 bits for a time after 2038 or before 1970 by what the MS-DOS
// date says.
func setTime(z *zip.FileHeader, sec int64) {
	const first, last = -1 << 31, 1<<32 - 1
	sec = min(max(sec, first), last)
	t := time.Unix(sec, 0).UTC()
	dos := t
	if t.Year() < 1980 { // the first that MS-DOS can say; its last is 2107
		dos = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	//lint:ignore SA1019 CreateRaw writes these two fields, and not Modified.
	z.ModifiedDate = uint16(dos.Day() + int(dos.Month())<<5 + (dos.Year()-1980)<<9)
	//lint:ignore SA1019 As above.
	z.ModifiedTime = uint16(dos.Second()/2 + dos.Minute()<<5 + dos.Hour()<<11)
	z.Extra = binary.LittleEndian.AppendUint32([]byte{'U', 'T', 5, 0, 1}, uint32(sec))
}
