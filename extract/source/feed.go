package source

import (
	"context"
	"io"
	"sync"
)

const (
	// feedChunk is the number of bytes that a feed holds in one piece.
	feedChunk = 256 << 10
	// feedChunks bounds what all feeds of a stream hold. More do not make it
	// faster.
	feedChunks = 24
)

// feeder reads a stream's files ahead of those who want them: while they are busy
// with one, the stream goes on to the next.
type feeder struct {
	slots  chan struct{} // one for each chunk that is in use
	unused sync.Pool     // of *chunk
}

type chunk [feedChunk]byte

func newFeeder() *feeder {
	return &feeder{
		slots:  make(chan struct{}, feedChunks),
		unused: sync.Pool{New: func() any { return new(chunk) }},
	}
}

// feed is one of the files: one goroutine fills it and another reads it.
type feed struct {
	*feeder
	pieces chan piece
	piece  piece // being read
	read   int   // of the piece
}

// piece is the first n bytes of a chunk.
type piece struct {
	*chunk
	n   int
	err error // after them
}

func (f *feeder) newFeed() *feed {
	return &feed{feeder: f, pieces: make(chan piece, feedChunks+1)} // enough not to block
}

// fill puts the next size bytes of r into the feed. While the feeds hold all that
// they may, it waits for those who read them.
func (f *feed) fill(ctx context.Context, r io.Reader, size int64) {
	defer close(f.pieces)
	for size > 0 {
		select {
		case f.slots <- struct{}{}:
		case <-ctx.Done():
			f.pieces <- piece{err: ctx.Err()}
			return
		}
		p := piece{chunk: f.unused.Get().(*chunk)}
		p.n, p.err = io.ReadFull(r, p.chunk[:min(size, feedChunk)])
		size -= int64(p.n)
		f.pieces <- p
		if p.err != nil {
			return
		}
	}
}

func (f *feed) Read(b []byte) (int, error) {
	for f.read == f.piece.n {
		if f.piece.err != nil {
			return 0, f.piece.err
		}
		f.release()
		var ok bool
		if f.piece, ok = <-f.pieces; !ok {
			f.piece.err = io.EOF
		}
	}
	n := copy(b, f.piece.chunk[f.read:f.piece.n])
	f.read += n
	return n, nil
}

// drain takes what is left, so that filling goes on. The feed is not read any
// more.
func (f *feed) drain() {
	f.release()
	for f.piece = range f.pieces {
		f.release()
	}
}

func (f *feed) release() {
	if f.piece.chunk != nil {
		f.unused.Put(f.piece.chunk)
		<-f.slots
	}
	f.piece, f.read = piece{}, 0
}
