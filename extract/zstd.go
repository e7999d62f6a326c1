package extract

import (
	"bufio"
	"context"
	"io"
	"math"
	"runtime"

	"github.com/klauspost/compress/zstd"
	"github.com/pkg/errors"
	"golang.org/x/sync/semaphore"
)

// windows bounds the memory of what decompressing refers back to, in bytes, where a
// stream says how much that is. Several usual streams have room, or one with as
// much as is allowed. A layer that waits here holds none of it, so that those
// which do come to their end.
var windows = semaphore.NewWeighted(maxWindow)

// zstdReader decompresses zstd. It holds its part of windows until it is closed.
type zstdReader struct {
	io.ReadCloser
	frames *frameReader
}

func newZstdReader(r *bufio.Reader) (io.ReadCloser, error) {
	frames := &frameReader{r: r}
	z, err := zstd.NewReader(frames,
		zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return nil, errors.Wrap(err, "zstd")
	}
	return &zstdReader{z.IOReadCloser(), frames}, nil
}

func (z *zstdReader) Close() error {
	if z.ReadCloser == nil {
		return nil
	}
	err := z.ReadCloser.Close()
	z.ReadCloser = nil
	collectLarge(z.frames.held)
	windows.Release(z.frames.held)
	z.frames.held = 0
	return err
}

// collectLarge collects what is no longer used if that has a window of so many bytes,
// as somebody may be waiting to allocate the next: both together would be too much.
func collectLarge(n int64) {
	if n > usualWindow {
		runtime.GC()
	}
}

// frameReader passes a zstd stream on to the decoder. Before the header of a frame
// it waits until there is memory for the frame's window. It follows the stream from
// block to block (RFC 8878, 3.1.1); what is wrong with it, the decoder says.
type frameReader struct {
	r       *bufio.Reader
	left    int64 // bytes until there is something to look at
	inFrame bool  // a block header comes next
	sum     bool  // a checksum ends the frame
	held    int64 // of windows
}

func (f *frameReader) Read(p []byte) (int, error) {
	if f.left == 0 {
		f.left = f.next()
	}
	n, err := f.r.Read(p[:min(int64(len(p)), f.left)])
	f.left -= int64(n)
	return n, err
}

// next looks at a header, and returns for how many bytes there is none.
func (f *frameReader) next() int64 {
	if f.inFrame {
		return f.block()
	}
	start, _ := f.r.Peek(zstd.HeaderMaxSize)
	var h zstd.Header
	if h.Decode(start) != nil {
		return math.MaxInt64
	}
	if h.Skippable {
		return int64(h.HeaderSize) + int64(h.SkippableSize)
	}
	window := h.WindowSize
	if h.SingleSegment {
		window = h.FrameContentSize
	}
	if window > maxWindow { // which the decoder refuses
		return math.MaxInt64
	}
	if int64(window) > f.held {
		windows.Release(f.held)
		// No context ends this: those that hold something look at theirs.
		_ = windows.Acquire(context.Background(), int64(window))
		f.held = int64(window)
	}
	f.inFrame, f.sum = true, h.HasCheckSum
	return int64(h.HeaderSize)
}

// block looks at the header of a block.
func (f *frameReader) block() int64 {
	const rle = 1
	b, _ := f.r.Peek(3)
	if len(b) < 3 {
		return math.MaxInt64
	}
	header := int64(b[0]) | int64(b[1])<<8 | int64(b[2])<<16
	size := header >> 3
	if header>>1&3 == rle {
		size = 1
	}
	if last := header&1 != 0; last {
		f.inFrame = false
		if f.sum {
			size += 4
		}
	}
	return 3 + size
}
