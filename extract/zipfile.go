package extract

import (
	"archive/zip"
	"bufio"
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
// of compressed entries for others.
type zipFile struct {
	path  string
	info  types.Zip // of the closed zip; File is not set
	sizes []int64   // of the entries' content in bytes, 0 for directories

	file *os.File
	hash hash.Hash
	buf  *bufio.Writer
	zip  *zip.Writer
	open io.Writer // the entry that is being written in blocks
	crc  uint32    // of its content so far
	raw  *zip.ReadCloser
}

// createZip makes a new file. Its directory keeps it private until it is
// complete.
func createZip(path string) (*zipFile, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, err
	}
	z := &zipFile{path: path, file: f, hash: sha256.New()}
	z.buf = bufio.NewWriterSize(io.MultiWriter(f, z.hash), 128<<10)
	z.zip = zip.NewWriter(z.buf)
	return z, nil
}

// count takes an entry into the figures of the zip.
func (z *zipFile) count(h *zip.FileHeader) {
	z.sizes = append(z.sizes, int64(h.UncompressedSize64))
	z.info.UncompressedSize += int64(h.UncompressedSize64)
	if h.Name[len(h.Name)-1] != '/' {
		z.info.Files++
	}
}

// writeSegment adds a segment of an entry, in being its content and out what
// to write for it. Segments come in the order of their content. An entry's
// header is complete once its last segment is written.
func (z *zipFile) writeSegment(s segment, in, out []byte) error {
	h := s.entry.header
	if s.first {
		if !s.stored {
			h.Method = zip.Deflate
		}
		z.crc, h.UncompressedSize64, h.CompressedSize64 = 0, 0, 0
		if !s.last { // only the end will tell the sizes
			h.Flags |= flagDataDescriptor
		}
		s.entry.zip, s.entry.place = z, len(z.sizes)
	}
	z.crc = crc32.Update(z.crc, crc32.IEEETable, in)
	h.CRC32 = z.crc
	h.UncompressedSize64 += uint64(len(in))
	h.CompressedSize64 += uint64(len(out))
	//lint:ignore SA1019 What CreateRaw does with the 64-bit sizes, done again as they grow.
	h.UncompressedSize = uint32(min(h.UncompressedSize64, 1<<32-1))
	//lint:ignore SA1019 As above.
	h.CompressedSize = uint32(min(h.CompressedSize64, 1<<32-1))
	if s.first {
		var err error
		if z.open, err = z.zip.CreateRaw(h); err != nil {
			return err
		}
	}
	if s.last {
		z.count(h)
	}
	_, err := z.open.Write(out)
	return err
}

// copyEntry adds the content of a closed zip's entry under the header h, which
// may be of another name: compressed bytes go over as they are. from is nil for a
// directory that is in none.
func (z *zipFile) copyEntry(h zip.FileHeader, from *zipFile, place int) error {
	if from == nil {
		z.count(&h)
		_, err := z.zip.CreateRaw(&h)
		return err
	}
	if from.raw == nil {
		var err error
		if from.raw, err = zip.OpenReader(from.path); err != nil {
			return errors.Wrap(err, from.path)
		}
	}
	src := from.raw.File[place]
	h.Method, h.CRC32 = src.Method, src.CRC32
	h.CompressedSize64, h.UncompressedSize64 = src.CompressedSize64, src.UncompressedSize64
	h.Flags &^= flagDataDescriptor // the sizes are known
	w, err := z.zip.CreateRaw(&h)
	if err != nil {
		return err
	}
	r, err := src.OpenRaw()
	if err != nil {
		return errors.Wrap(err, from.path)
	}
	z.count(&h)
	_, err = io.Copy(w, r)
	return err
}

// finish writes what is outstanding, the zip's directory at last.
func (z *zipFile) finish() error {
	if err := z.zip.Close(); err != nil {
		return err
	}
	if err := z.buf.Flush(); err != nil {
		return err
	}
	info, err := z.file.Stat()
	if err != nil {
		return err
	}
	z.info.CodeSize = info.Size()
	z.info.CodeSha256 = base64.StdEncoding.EncodeToString(z.hash.Sum(nil))
	z.zip, z.buf, z.hash, z.open = nil, nil, nil, nil
	return z.file.Close()
}

// rename moves the closed zip; it can be copied from as before.
func (z *zipFile) rename(path string) error {
	if z.raw != nil { // Windows moves no open file
		z.raw.Close()
		z.raw = nil
	}
	if err := os.Rename(z.path, path); err != nil {
		return err
	}
	z.path = path
	return nil
}

// close ends the reading and writing of the zip, which stays as it is.
func (z *zipFile) close() {
	if z.raw != nil {
		z.raw.Close()
	}
	z.file.Close()
}

// holdsExactly reports whether z is the zip of the entries already.
func (z *zipFile) holdsExactly(entries []*entry) bool {
	if len(entries) != len(z.sizes) {
		return false
	}
	for i, e := range entries {
		if e.zip != z || e.place != i || e.isCopy() || e.changed {
			return false
		}
	}
	return true
}
