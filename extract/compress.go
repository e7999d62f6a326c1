package extract

import (
	"bytes"
	"context"
	"io"
	"runtime"
	"sync"

	"github.com/klauspost/compress/flate"
	"github.com/pkg/errors"
)

const (
	// blockSize is the number of bytes that are compressed at a time. A file
	// is cut at multiples of it, so that its zip entry does not depend on the
	// number of cores.
	blockSize = 512 << 10
	// windowSize is how far back deflate refers (RFC 1951, 32 KiB): a block
	// is compressed with that much of the one before as dictionary.
	windowSize = 32 << 10
	// maxSegments bounds a batch of files that have little content or none.
	maxSegments = 1024
	// maxWorkers is how many batches are compressed at a time, each in some 3 MB:
	// one core unpacks no faster than this many compress.
	maxWorkers = 16
	// level is klauspost/compress's: the size of zip -6 within a few per cent.
	level = 6
)

// compressor deflates batches of file content on all cores. It is shared by
// the layers of a conversion, so that one big layer and many small ones both
// use the machine, and so that there is one bound for the memory they take.
type compressor struct {
	slots   chan struct{} // one for each batch there may be
	work    chan *batch
	batches sync.Pool
	workers sync.WaitGroup
}

// batch is up to blockSize bytes of content: one block of a large file, or
// several small files, which one by one would cost more in handing over than
// in compressing.
type batch struct {
	in       []byte
	dict     []byte // the content before the first segment in the same file
	segments []segment
	out      bytes.Buffer
	done     chan struct{} // receives once when out is complete
	err      error
}

// segment is what a batch holds of one entry.
type segment struct {
	entry       *entry
	first, last bool // of the entry's segments
	in          int  // bytes of batch.in
	out         int  // bytes of batch.out
	stored      bool // out is in as it is: deflate does not make it smaller
}

func newCompressor() *compressor {
	n := min(runtime.GOMAXPROCS(0), maxWorkers)
	c := &compressor{
		slots: make(chan struct{}, 2*n+2),
		work:  make(chan *batch, 2*n+2),
	}
	c.batches.New = func() any {
		return &batch{
			in:   make([]byte, 0, blockSize),
			dict: make([]byte, 0, windowSize),
			done: make(chan struct{}, 1),
		}
	}
	for range n {
		c.workers.Go(func() {
			var d deflater
			for b := range c.work {
				b.err = d.deflate(b)
				b.done <- struct{}{}
			}
		})
	}
	return c
}

// close ends the workers once they are through with what they have.
func (c *compressor) close() {
	close(c.work)
	c.workers.Wait()
}

// get returns an empty batch, as soon as memory allows.
func (c *compressor) get(ctx context.Context) (*batch, error) {
	select {
	case c.slots <- struct{}{}:
		return c.batches.Get().(*batch), nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// put takes a batch back.
func (c *compressor) put(b *batch) {
	b.in, b.dict, b.segments, b.err = b.in[:0], b.dict[:0], b.segments[:0], nil
	b.out.Reset()
	c.batches.Put(b)
	<-c.slots
}

// deflater compresses batches, one after the other.
type deflater struct {
	small  *flate.Writer
	stored *flate.Writer // for blocks that do not shrink, within a file that may
}

func (d *deflater) deflate(b *batch) error {
	in, dict := b.in, b.dict
	for i := range b.segments {
		s := &b.segments[i]
		before := b.out.Len()
		if err := d.segment(&b.out, s, in[:s.in], dict); err != nil {
			return errors.Wrap(err, "deflate")
		}
		s.out = b.out.Len() - before
		in, dict = in[s.in:], nil
	}
	return nil
}

// segment writes what s becomes to out. A block that is not its file's last
// ends on a byte boundary, so that the blocks of a file together are one
// deflate stream.
func (d *deflater) segment(out *bytes.Buffer, s *segment, in, dict []byte) error {
	whole := s.first && s.last
	before := out.Len()
	if whole && s.entry.kind != kindFile {
		s.stored = true
	} else if err := d.write(&d.small, level, out, in, dict, s.last); err != nil {
		return err
	}
	switch size := out.Len() - before; {
	case whole && (s.stored || size >= len(in)):
		s.stored = true
		out.Truncate(before)
		out.Write(in)
	case size > len(in): // the same as deflate's stored blocks
		out.Truncate(before)
		return d.write(&d.stored, flate.NoCompression, out, in, nil, s.last)
	}
	return nil
}

// write compresses in to out with the writer w, which it makes if need be.
func (d *deflater) write(w **flate.Writer, level int, out io.Writer, in, dict []byte, last bool) (err error) {
	if *w == nil {
		if *w, err = flate.NewWriter(out, level); err != nil {
			return err
		}
	}
	(*w).ResetDict(out, dict)
	if _, err := (*w).Write(in); err != nil {
		return err
	}
	if last {
		return (*w).Close()
	}
	return (*w).Flush()
}
