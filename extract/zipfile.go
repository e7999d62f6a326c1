package extract

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"hash/crc32"
	"io"
	"os"

	"github.com/pkg/errors"

	"github.com/awslabs/aws-lambda-container-image-converter/types"
)

// zipFile is a zip on disk: first written, entry after entry, then a source
// of compressed entries for others. It is open only while it is written. (Package
// archive/zip would keep 500 bytes for each entry.)
type zipFile struct {
	path    string
	root    string    // of the image: entries are named by their path below it
	info    types.Zip // of the complete zip; File is not set
	entries int
	// blocks is true if the sizes of content in several blocks come behind it.
	blocks bool

	file    *os.File
	hash    hash.Hash
	buf     *bufio.Writer
	offset  int64 // of what is written next
	scratch []byte
	name    []byte
}

// createZip makes a new file. Its directory keeps it private until it is
// complete.
func createZip(path, root string) (*zipFile, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, err
	}
	z := &zipFile{path: path, root: root, file: f, hash: sha256.New()}
	z.buf = bufio.NewWriterSize(io.MultiWriter(f, z.hash), 128<<10)
	return z, nil
}

// nameOf returns the name of an entry in the zip. It is valid until the next
// call.
func (z *zipFile) nameOf(e *entry) []byte {
	path := e.path
	if z.root != outside {
		path = path[len(z.root)+1:]
	}
	z.name = append(z.name[:0], path...)
	if e.kind == kindDir {
		z.name = append(z.name, '/')
	}
	return z.name
}

func (z *zipFile) write(b []byte) error {
	z.offset += int64(len(b))
	_, err := z.buf.Write(b)
	return err
}

// begin writes the local header of an entry, whose content then follows.
func (z *zipFile) begin(e *entry, sizesFollow bool) error {
	z.scratch = appendLocalHeader(z.scratch[:0], e, z.nameOf(e), sizesFollow)
	if err := z.write(z.scratch); err != nil {
		return err
	}
	if z.offset+maxContent > uint32Max {
		return errors.New("a zip would have more than 3 GB")
	}
	e.content.zip, e.content.offset = z, uint32(z.offset)
	z.entries++
	return nil
}

// count takes a complete entry into the figures of the zip.
func (z *zipFile) count(e *entry) {
	z.info.UncompressedSize += int64(e.content.size)
	if e.kind != kindDir {
		z.info.Files++
	}
}

// writeSegment adds a segment of an entry, in being its content and out what
// to write for it. Segments come in the order of their content.
func (z *zipFile) writeSegment(s segment, in, out []byte) error {
	e := s.entry
	if s.first {
		e.content, e.deflated = content{}, !s.stored
	}
	c := &e.content
	c.crc = crc32.Update(c.crc, crc32.IEEETable, in)
	c.size += uint32(len(in))
	c.compressed += uint32(len(out))
	if s.first {
		if err := z.begin(e, !s.last); err != nil {
			return err
		}
	}
	if err := z.write(out); err != nil || !s.last {
		return err
	}
	z.count(e)
	if s.first {
		return nil
	}
	z.blocks = true
	z.scratch = appendDescriptor(z.scratch[:0], *c)
	return z.write(z.scratch)
}

// copyEntry adds an entry that is complete in another zip, which r reads:
// compressed bytes go over as they are. The entry then is this
// zip's.
func (z *zipFile) copyEntry(e *entry, r io.ReaderAt) error {
	from := e.content
	if err := z.begin(e, false); err != nil {
		return err
	}
	z.count(e)
	if from.compressed == 0 {
		return nil
	}
	z.offset += int64(from.compressed)
	n, err := io.Copy(z.buf, io.NewSectionReader(r, int64(from.offset), int64(from.compressed)))
	if err == nil && n < int64(from.compressed) {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// copyAll makes the zip of entries that are complete in other zips.
func (z *zipFile) copyAll(ctx context.Context, entries []*entry) error {
	var from zipReader
	defer from.close()
	for _, e := range entries {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var r io.ReaderAt
		if e.content.compressed > 0 {
			var err error
			if r, err = from.of(e.content.zip); err != nil {
				return err
			}
		}
		if err := z.copyEntry(e, r); err != nil {
			return err
		}
	}
	return z.finish(entries)
}

// finish writes the zip's directory, and closes the file. entries has all that
// are in the zip, in their order; those that are not do no harm.
func (z *zipFile) finish(entries []*entry) error {
	start := z.offset
	for _, e := range entries {
		if e.content.zip != z {
			continue
		}
		name := z.nameOf(e)
		header := int64(e.content.offset) - int64(localHeaderSize+len(name)+timestampSize)
		z.scratch = appendCentralHeader(z.scratch[:0], e, name, z.blocks && e.content.size > blockSize, header)
		if err := z.write(z.scratch); err != nil {
			return err
		}
	}
	if err := z.write(appendEnd(z.scratch[:0], z.entries, start, z.offset-start)); err != nil {
		return err
	}
	if err := z.buf.Flush(); err != nil {
		return err
	}
	z.info.CodeSize = z.offset
	z.info.CodeSha256 = base64.StdEncoding.EncodeToString(z.hash.Sum(nil))
	z.buf, z.hash, z.scratch, z.name = nil, nil, nil, nil
	return z.file.Close()
}

// rename moves the complete zip; it can be copied from as before.
func (z *zipFile) rename(path string) error {
	if err := os.Rename(z.path, path); err != nil {
		return err
	}
	z.path = path
	return nil
}

// close lets go of a zip that may not be complete. The file stays.
func (z *zipFile) close() { z.file.Close() }

// holdsExactly reports whether z is the zip of the entries already.
func (z *zipFile) holdsExactly(entries []*entry) bool {
	if len(entries) != z.entries {
		return false
	}
	end := uint32(0)
	for _, e := range entries {
		if e.content.zip != z || e.content.offset <= end || e.isCopy() || e.changed {
			return false
		}
		end = e.content.offset
	}
	return true
}

// zipReader reads from one zip after another, of which one at a time is open:
// there may be more of them than a process may open files.
type zipReader struct {
	zip  *zipFile
	file *os.File
}

// of opens a zip unless it is the one that was asked for before.
func (r *zipReader) of(z *zipFile) (io.ReaderAt, error) {
	if r.zip == z {
		return r.file, nil
	}
	r.close()
	f, err := os.Open(z.path)
	if err != nil {
		return nil, err
	}
	r.zip, r.file = z, f
	return f, nil
}

func (r *zipReader) close() {
	if r.zip != nil {
		r.file.Close()
		r.zip = nil
	}
}
