package extract

import (
	"bufio"
	"bytes"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pkg/errors"
)

// Compression is how a layer or an archive is compressed. Its first bytes tell:
// media types are not always right, and `docker save` archives have none.
type Compression int

// The compressions that are read.
const (
	Uncompressed Compression = iota
	Gzip                     // RFC 1952
	Zstd                     // RFC 8878
)

// Sniff returns the compression of what follows in r, without reading on.
func Sniff(r *bufio.Reader) (Compression, error) {
	start, err := r.Peek(4)
	switch {
	case err != nil && err != io.EOF:
		return Uncompressed, err
	case bytes.HasPrefix(start, []byte{0x1f, 0x8b}):
		return Gzip, nil
	case bytes.HasPrefix(start, []byte{0x28, 0xb5, 0x2f, 0xfd}),
		len(start) == 4 && start[0]&0xf0 == 0x50 && bytes.Equal(start[1:], []byte{0x2a, 0x4d, 0x18}): // skippable frame
		return Zstd, nil
	}
	return Uncompressed, nil
}

// Decompress returns the uncompressed content of r. What is damaged shows as an
// error of Read.
func (c Compression) Decompress(r *bufio.Reader) (io.ReadCloser, error) {
	switch c {
	case Gzip:
		z, err := gzip.NewReader(r)
		return z, errors.Wrap(err, "gzip")
	case Zstd:
		z, err := zstd.NewReader(r,
			zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, errors.Wrap(err, "zstd")
		}
		return z.IOReadCloser(), nil
	}
	return io.NopCloser(r), nil
}
