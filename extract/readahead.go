package extract

import (
	"context"
	_ "crypto/sha512" // for digests other than SHA-256
	"hash"
	"io"
	"sync"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
)

const (
	chunkSize  = 128 << 10
	chunkCount = 6
)

// readahead reads a layer's uncompressed tar before it is asked for, and hashes it on
// the way. So fetching or decompressing, hashing and repacking happen at the same time.
type readahead struct {
	full    chan *chunk
	free    chan *chunk
	stop    chan struct{}
	done    sync.WaitGroup
	digests []digest.Digest // of the whole tar, one for each algorithm

	current *chunk
	pos     int
	err     error
}

// chunk is a piece of the tar. Both the consumer and the hash read it; the last of them
// frees it.
type chunk struct {
	buf  []byte
	n    int
	err  error
	refs atomic.Int32
}

// newReadahead begins to read r. It stops when ctx is done.
func newReadahead(ctx context.Context, r io.Reader, algorithms ...digest.Algorithm) *readahead {
	a := &readahead{
		full: make(chan *chunk, chunkCount),
		free: make(chan *chunk, chunkCount),
		stop: make(chan struct{}),
	}
	for range chunkCount {
		a.free <- &chunk{buf: make([]byte, chunkSize)}
	}
	toHash := make(chan *chunk, chunkCount)
	a.done.Go(func() {
		defer close(a.full)
		defer close(toHash)
		for {
			var c *chunk
			select {
			case c = <-a.free:
			case <-a.stop:
				return
			}
			c.n, c.err = 0, nil
			empty := 0
			for c.n < len(c.buf) && c.err == nil {
				var n int
				n, c.err = r.Read(c.buf[c.n:])
				c.n += n
				if empty++; n > 0 {
					empty = 0
				} else if empty == 100 && c.err == nil { // as package bufio has it
					c.err = io.ErrNoProgress
				}
			}
			if ctx.Err() != nil { // reading a file does not end by itself
				c.err = ctx.Err()
			}
			last := c.err != nil
			c.refs.Store(2)
			toHash <- c
			a.full <- c
			if last {
				return
			}
		}
	})
	a.done.Go(func() {
		hashes := make([]hash.Hash, len(algorithms))
		for i, algorithm := range algorithms {
			hashes[i] = algorithm.Hash()
		}
		for c := range toHash {
			for _, h := range hashes {
				h.Write(c.buf[:c.n])
			}
			a.release(c)
		}
		for i, h := range hashes {
			a.digests = append(a.digests, digest.NewDigest(algorithms[i], h))
		}
	})
	return a
}

func (a *readahead) release(c *chunk) {
	if c.refs.Add(-1) == 0 {
		a.free <- c
	}
}

func (a *readahead) Read(p []byte) (int, error) {
	for a.current == nil || a.pos == a.current.n {
		if a.err != nil {
			return 0, a.err
		}
		if a.current != nil {
			a.release(a.current)
		}
		a.current, a.pos = <-a.full, 0
		a.err = a.current.err
	}
	n := copy(p, a.current.buf[a.pos:a.current.n])
	a.pos += n
	return n, nil
}

// finish reads what the consumer left, and returns the digests of the whole tar.
func (a *readahead) finish() ([]digest.Digest, error) {
	if _, err := io.Copy(io.Discard, a); err != nil {
		return nil, err
	}
	a.done.Wait()
	return a.digests, nil
}

// close stops the reading, and waits for a read that is under way.
func (a *readahead) close() {
	close(a.stop)
	a.done.Wait()
}
