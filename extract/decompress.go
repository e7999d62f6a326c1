package extract

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"context"
	"io"
	"sync"

	"github.com/pkg/errors"
	"github.com/xi2/xz"
)

// Compression is how a layer or an archive is compressed. Its first bytes tell:
// media types are not always right, and `docker save` archives have none.
type Compression int

// The compressions that are read.
const (
	Uncompressed Compression = iota
	Gzip                     // RFC 1952
	Zstd                     // RFC 8878
	Bzip2
	Xz // https://tukaani.org/xz/xz-file-format.txt
)

// Sniff returns the compression of what follows in r, without reading on.
func Sniff(r *bufio.Reader) (Compression, error) {
	start, err := r.Peek(6)
	switch {
	case err != nil && err != io.EOF:
		return Uncompressed, err
	case bytes.HasPrefix(start, []byte{0x1f, 0x8b}):
		return Gzip, nil
	case bytes.HasPrefix(start, []byte{0x28, 0xb5, 0x2f, 0xfd}),
		len(start) >= 4 && start[0]&0xf0 == 0x50 && bytes.Equal(start[1:4], []byte{0x2a, 0x4d, 0x18}): // skippable frame
		return Zstd, nil
	case bytes.HasPrefix(start, []byte("BZh")):
		return Bzip2, nil
	case bytes.HasPrefix(start, []byte("\xfd7zXZ\x00")):
		return Xz, nil
	}
	return Uncompressed, nil
}

// Decompress returns the uncompressed content of r. What is damaged shows as an
// error of Read.
func (c Compression) Decompress(r *bufio.Reader) (io.ReadCloser, error) {
	switch c {
	case Gzip:
		return newGunzipper(r)
	case Zstd:
		return newZstdReader(r)
	case Bzip2:
		return io.NopCloser(bzip2.NewReader(r)), nil
	case Xz:
		return newXzReader(r)
	}
	return io.NopCloser(r), nil
}

// xzReader holds its part of windows until it is closed: a stream can make its
// dictionary as large as maxDictionary.
type xzReader struct {
	io.Reader
	release func()
}

func newXzReader(r io.Reader) (io.ReadCloser, error) {
	_ = windows.Acquire(context.Background(), maxDictionary) // as in frameReader.next
	release := sync.OnceFunc(func() { windows.Release(maxDictionary) })
	z, err := xz.NewReader(r, maxDictionary)
	if err != nil {
		release()
		return nil, xzError(err)
	}
	return &xzReader{z, release}, nil
}

func (z *xzReader) Read(p []byte) (int, error) {
	n, err := z.Reader.Read(p)
	return n, xzError(err)
}

// xzError says what the limit is that a stream exceeds.
func xzError(err error) error {
	if err == xz.ErrMemlimit {
		return errors.Errorf("xz: it needs a dictionary of more than %d MB: compress it with at most -9", maxDictionary>>20)
	}
	return err
}

func (z *xzReader) Close() error {
	z.Reader = nil
	collectLarge(maxDictionary)
	z.release()
	return nil
}
