package extract

import (
	"bufio"
	"bytes"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pkg/errors"
)

// compression of a blob, told by its first bytes: media types are not always
// right, and Docker's archives have none.
type compression int

const (
	plain   compression = iota
	gzipped             // RFC 1952
	zstded              // RFC 8878
)

// sniff reports the compression of what follows in r, without reading on.
func sniff(r *bufio.Reader) (compression, error) {
	start, err := r.Peek(4)
	switch {
	case err != nil && err != io.EOF:
		return plain, err
	case bytes.HasPrefix(start, []byte{0x1f, 0x8b}):
		return gzipped, nil
	case bytes.HasPrefix(start, []byte{0x28, 0xb5, 0x2f, 0xfd}),
		len(start) == 4 && start[0]&0xf0 == 0x50 && bytes.Equal(start[1:], []byte{0x2a, 0x4d, 0x18}): // skippable frame
		return zstded, nil
	}
	return plain, nil
}

// decompress returns the content of r. Damage shows as an error of Read.
func decompress(r *bufio.Reader, c compression) (io.ReadCloser, error) {
	switch c {
	case gzipped:
		z, err := gzip.NewReader(r)
		return z, errors.Wrap(err, "gzip")
	case zstded:
		z, err := zstd.NewReader(r,
			zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, errors.Wrap(err, "zstd")
		}
		return z.IOReadCloser(), nil
	}
	return io.NopCloser(r), nil
}
