// Package imagetest builds container images in memory for tests: every byte of
// a layer's tar is the test's own choice. It writes them in all the forms in
// which img2lambda meets images (registry, OCI layout, the archives of several
// engines), makes random ones for property tests, and flattens them with a
// small reference implementation of the OCI image spec's layer rules.
//
// Its functions build data from what the test itself wrote, so where that
// cannot be done (a tar header that no tar can hold) they panic.
package imagetest

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"maps"
	"path"
	"time"
)

// DefaultTime is the modification time of entries that are given no other.
var DefaultTime = time.Date(2021, time.March, 4, 5, 6, 7, 0, time.UTC)

// Entry is one member of a layer's tar, written as it stands: the name is
// neither cleaned nor completed, and parents are not added. Only Header.Size is
// set on writing, from Body, which only regular files have.
type Entry struct {
	tar.Header
	Body []byte
}

// An Option changes an entry while a constructor makes it.
type Option func(*Entry)

// Mode sets the permission bits, setuid (0o4000), setgid (0o2000) and sticky
// (0o1000) included.
func Mode(mode int64) Option { return func(e *Entry) { e.Header.Mode = mode } }

// ModTime sets the modification time. Fractions of a second are lost, unless
// the PAX option is used too.
func ModTime(t time.Time) Option { return func(e *Entry) { e.Header.ModTime = t } }

// PAX adds a PAX record and makes the entry a PAX one.
func PAX(key, value string) Option {
	return func(e *Entry) {
		e.Format = tar.FormatPAX
		e.PAXRecords = maps.Clone(e.PAXRecords)
		if e.PAXRecords == nil {
			e.PAXRecords = map[string]string{}
		}
		e.PAXRecords[key] = value
	}
}

// GNU makes the entry one of GNU tar's own format, in which a name of more than
// 100 bytes is an entry of type L in front of it.
func GNU() Option { return func(e *Entry) { e.Format = tar.FormatGNU } }

func newEntry(typeflag byte, name string, mode int64, opts []Option) Entry {
	e := Entry{Header: tar.Header{Typeflag: typeflag, Name: name, Mode: mode, ModTime: DefaultTime}}
	for _, opt := range opts {
		opt(&e)
	}
	return e
}

// File is a regular file with mode 0644.
func File(name, body string, opts ...Option) Entry {
	e := newEntry(tar.TypeReg, name, 0o644, opts)
	e.Body = []byte(body)
	return e
}

// Dir is a directory with mode 0755. Most tars have a slash at the end of a
// directory's name; this one has what name has.
func Dir(name string, opts ...Option) Entry { return newEntry(tar.TypeDir, name, 0o755, opts) }

// Symlink is a symbolic link called name that holds target.
func Symlink(name, target string, opts ...Option) Entry {
	e := newEntry(tar.TypeSymlink, name, 0o777, opts)
	e.Linkname = target
	return e
}

// Hardlink is another name of the file whose path in the image is target.
func Hardlink(name, target string, opts ...Option) Entry {
	e := newEntry(tar.TypeLink, name, 0o644, opts)
	e.Linkname = target
	return e
}

// The names by which layers say what they delete.
const (
	whiteoutPrefix = ".wh."
	// metaPrefix begins the names of AUFS's own files. Of these only the opaque
	// marker has a meaning in an image.
	metaPrefix   = ".wh..wh."
	opaqueMarker = ".wh..wh..opq"
)

// Whiteout is the empty file that deletes name as the layers below have it.
func Whiteout(name string, opts ...Option) Entry {
	dir, base := path.Split(name)
	return File(dir+whiteoutPrefix+base, "", opts...)
}

// Opaque is the empty file that deletes all that the layers below have in dir,
// the top of the image if dir is empty.
func Opaque(dir string, opts ...Option) Entry {
	if dir != "" && dir[len(dir)-1] != '/' {
		dir += "/"
	}
	return File(dir+opaqueMarker, "", opts...)
}

// Fifo is a named pipe with mode 0644.
func Fifo(name string, opts ...Option) Entry { return newEntry(tar.TypeFifo, name, 0o644, opts) }

// CharDev is a character device with mode 0644, of the numbers of /dev/null.
func CharDev(name string, opts ...Option) Entry { return device(tar.TypeChar, name, opts) }

// BlockDev is a block device with mode 0644.
func BlockDev(name string, opts ...Option) Entry { return device(tar.TypeBlock, name, opts) }

func device(typeflag byte, name string, opts []Option) Entry {
	e := newEntry(typeflag, name, 0o644, nil)
	e.Devmajor, e.Devminor = 1, 3
	for _, opt := range opts {
		opt(&e)
	}
	return e
}

// Tar returns an uncompressed tar of the entries in the order given.
func Tar(entries ...Entry) []byte {
	var buf bytes.Buffer
	if err := writeTar(&buf, entries); err != nil {
		panic(fmt.Sprintf("imagetest: %v", err))
	}
	return buf.Bytes()
}

func writeTar(w io.Writer, entries []Entry) error {
	tw := tar.NewWriter(w)
	for _, e := range entries {
		h := e.Header
		h.Size = int64(len(e.Body))
		if err := tw.WriteHeader(&h); err != nil {
			return fmt.Errorf("entry %q: %w", e.Name, err)
		}
		if _, err := tw.Write(e.Body); err != nil {
			return fmt.Errorf("entry %q: %w", e.Name, err)
		}
	}
	return tw.Close()
}
