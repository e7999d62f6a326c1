package extract

import (
	"archive/tar"
	"bufio"
	"context"
	"io"
	"strings"

	"github.com/pkg/errors"
	"golang.org/x/sync/errgroup"
)

// repack reads a layer, which may be compressed, to its end. What a broken
// layer leaves is removed with the converter's directory.
func (c *converter) repack(ctx context.Context, r io.Reader) (*repacked, error) {
	buffered := bufio.NewReaderSize(r, 64<<10)
	compression, err := Sniff(buffered)
	if err != nil {
		return nil, err
	}
	content, err := compression.Decompress(buffered)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ahead := newReadahead(ctx, content, c.algorithms...)
	defer ahead.close()

	l := &repacked{rootLinks: make(map[*entry]string), zips: make(map[string]*zipFile)}
	var g errgroup.Group
	batches := make(chan *batch, cap(c.compressor.slots))
	g.Go(func() error { return c.write(batches, l, cancel) })
	g.Go(func() error {
		defer close(batches)
		links := newLinkTree(&c.memory)
		defer links.release()
		t := &tarReader{converter: c, ctx: ctx, tar: tar.NewReader(ahead), layer: l, links: links, implied: make(map[string]bool), linked: make(map[string]bool), batches: batches}
		defer func() { c.memory.give(wantedSize * len(t.linked)) }()
		return t.read()
	})
	if err := g.Wait(); err != nil {
		if context.Cause(ctx) != nil {
			err = context.Cause(ctx) // and not what came of it
		}
		return nil, err
	}
	l.digests, err = ahead.finish()
	if err != nil {
		return nil, err
	}
	for _, z := range l.zips {
		if err := z.finish(l.entries); err != nil {
			return nil, err
		}
	}
	l.shareMetadata()
	return l, nil
}

// tarReader is the first half of repacking a layer: it reads the tar and hands
// the content that matters to the compressor, in batches.
type tarReader struct {
	*converter
	ctx     context.Context
	tar     *tar.Reader
	layer   *repacked
	links   *linkTree
	implied map[string]bool // directories above a root that paths beside it have made
	linked  map[string]bool // what is outside the roots and has a hard link, or is one
	batches chan<- *batch
	batch   *batch // being filled
	window  []byte // the end of a file's block before
	size    int64  // of the files so far
}

func (t *tarReader) read() error {
	defer func() {
		if t.batch != nil {
			t.compressor.put(t.batch)
		}
	}()
	for {
		h, err := t.tar.Next()
		if err == io.EOF {
			t.submit()
			return nil
		} else if err != nil {
			return errors.Wrap(err, "tar")
		}
		if t.ctx.Err() != nil {
			return context.Cause(t.ctx)
		}
		if err := t.entry(h); err != nil {
			return errors.Wrap(err, quote(h.Name))
		}
	}
}

func (t *tarReader) entry(h *tar.Header) error {
	e, err := newEntry(h)
	if e == nil || err != nil {
		return err
	}
	if err := t.links.enter(e, h.Linkname); err != nil {
		return err
	}
	root, concerned := t.roots.of(e.path)
	wanted := t.wanted[e.path]
	if dir := t.roots.above(e.path); !concerned && dir != "" && !e.deletes() && !t.implied[dir] {
		// The path makes a directory of what a layer below may have as a link.
		t.implied[dir] = true
		t.layer.entries = append(t.layer.entries, &entry{path: dir, kind: kindDir})
	}
	if !concerned && wanted == notWanted && e.kind != kindHardlink && !t.linked[e.path] {
		return nil
	}
	if err := checkPath(e.path); err != nil {
		return err
	}
	if len(h.Linkname) > maxPath {
		return errTooLongLink(h.Linkname)
	}
	if err := t.memory.take(entrySize + len(e.path) + len(e.link)); err != nil {
		return err
	}
	t.layer.entries = append(t.layer.entries, e)
	if e.kind == kindHardlink {
		if err := t.link(e.path, e.link); err != nil {
			return err
		}
	}
	text := ""
	if (root == outside && concerned || wanted == isTarget) && !e.deletes() {
		if text = t.links.text(e.path); text != "" {
			if err := t.memory.take(linkNodeSize + len(text)); err != nil {
				return err
			}
			t.layer.rootLinks[e] = text
		}
	}
	// A root may be another name of a symbolic link in a layer below.
	inside := root != outside || wanted == isTarget || concerned && e.kind == kindHardlink && text == ""
	if !inside || e.kind >= kindSpecial {
		return nil
	}
	e.inZip = true
	switch e.kind {
	case kindHardlink:
		return nil // the content is its target's
	case kindSymlink:
		return t.content(e, strings.NewReader(h.Linkname), int64(len(h.Linkname)))
	case kindDir:
		return t.content(e, strings.NewReader(""), 0)
	default:
		if h.Size > maxContent-t.size {
			return errors.Errorf("with it the layer has %s", errTooMuch)
		}
		if t.unpacked.Add(h.Size) > maxAllContent {
			return errors.Errorf("with it all layers together have more than %d MB below /opt and /var/task, much of it deleted or replaced by other layers: build the image from fewer layers", maxAllContent>>20)
		}
		t.size += h.Size
		return t.content(e, t.tar, h.Size)
	}
}

// link remembers names of a file: if something else takes the place of one that is
// outside the roots, that has to be known, as it has no part in what the other names
// share.
func (t *tarReader) link(names ...string) error {
	for _, name := range names {
		if root, _ := t.roots.of(name); root != outside || t.linked[name] {
			continue
		}
		if err := t.memory.take(wantedSize); err != nil {
			return err
		}
		t.linked[name] = true
	}
	return nil
}

// content puts an entry of size bytes into batches.
func (t *tarReader) content(e *entry, r io.Reader, size int64) error {
	for s := (segment{entry: e, first: true}); s.first || size > 0; s.first = false {
		n := int(min(size, blockSize))
		if b := t.batch; b != nil && (len(b.in)+n > blockSize || len(b.segments) == maxSegments) {
			if !s.first { // then the batch holds nothing but the block before
				t.window = append(t.window[:0], b.in[len(b.in)-windowSize:]...)
			}
			t.submit()
		}
		if t.batch == nil {
			var err error
			if t.batch, err = t.compressor.get(t.ctx); err != nil {
				return err
			}
			if !s.first {
				t.batch.dict = append(t.batch.dict, t.window...)
			}
		}
		start := len(t.batch.in)
		t.batch.in = t.batch.in[:start+n]
		if _, err := io.ReadFull(r, t.batch.in[start:]); err != nil {
			return err
		}
		size -= int64(n)
		s.in, s.last = n, size == 0
		t.batch.segments = append(t.batch.segments, s)
	}
	return nil
}

// submit passes the batch on; there is always room, as there are no more
// batches than the channels hold.
func (t *tarReader) submit() {
	if t.batch == nil {
		return
	}
	t.compressor.work <- t.batch
	t.batches <- t.batch
	t.batch = nil
}

// write is the second half of repacking a layer: it writes the batches to the
// layer's zips, in order. An error, as of a full disk, ends the reading at once. It
// still takes the batches that are there, as others wait for the memory that they
// hold.
func (c *converter) write(batches <-chan *batch, l *repacked, cancel context.CancelCauseFunc) (err error) {
	for b := range batches {
		<-b.done
		if err == nil {
			if err = c.writeBatch(b, l); err != nil {
				cancel(err)
			}
		}
		c.compressor.put(b)
	}
	return err
}

func (c *converter) writeBatch(b *batch, l *repacked) error {
	if b.err != nil {
		return b.err
	}
	in, out := b.in, b.out.Bytes()
	for _, s := range b.segments {
		root, _ := c.roots.of(s.entry.path)
		z := l.zips[root]
		if z == nil {
			var err error
			if z, err = c.newZip(root); err != nil {
				return err
			}
			l.zips[root] = z
		}
		if err := z.writeSegment(s, in[:s.in], out[:s.out]); err != nil {
			return err
		}
		in, out = in[s.in:], out[s.out:]
	}
	return nil
}
