package extract

import (
	"archive/tar"
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
	"github.com/pkg/errors"
	"golang.org/x/sync/errgroup"
)

// Where the content of Lambda layers and of a function is in an image
// (Lambda developer guide: layers are extracted to /opt, a function's package
// to /var/task).
const (
	layerRoot    = "opt"
	functionRoot = "var/task"
)

// outside stands for a root where files are kept that are below none, for the
// hard links that lead to them.
const outside = ""

// repacker turns layers into zips. It may work on several at a time.
type repacker struct {
	dir        string // for the zips
	compressor *compressor
	// wanted are paths outside the roots whose content is needed as it is the
	// target of hard links (true), and the directories above them (false).
	wanted map[string]bool
	paths  atomic.Int64 // entries of all layers so far
	mu     sync.Mutex
	zips   []*zipFile
}

// repacked is one image layer after the first step: zips of all that it has
// below the roots, and an index of that and of what it deletes.
type repacked struct {
	diffID  digest.Digest
	entries []*entry // in the order of the tar
	zips    map[string]*zipFile
}

// clone returns the layer with other entries of the same content.
func (l *repacked) clone() *repacked {
	c := *l
	c.entries = make([]*entry, len(l.entries))
	for i, e := range l.entries {
		copied := *e
		if e.header != nil {
			header := *e.header
			copied.header = &header
		}
		c.entries[i] = &copied
	}
	return &c
}

// repack reads a layer, which may be compressed, to its end. What a broken
// layer leaves is removed with the repacker's directory.
func (p *repacker) repack(ctx context.Context, r io.Reader) (*repacked, error) {
	buffered := bufio.NewReaderSize(r, 64<<10)
	c, err := sniff(buffered)
	if err != nil {
		return nil, err
	}
	content, err := decompress(buffered, c)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	ahead := newReadahead(ctx, content)
	defer ahead.close()

	l := &repacked{zips: make(map[string]*zipFile)}
	g, ctx := errgroup.WithContext(ctx)
	batches := make(chan *batch, cap(p.compressor.slots))
	g.Go(func() error { return p.write(batches, l) })
	g.Go(func() error {
		defer close(batches)
		t := &tarReader{repacker: p, ctx: ctx, tar: tar.NewReader(ahead), layer: l, batches: batches}
		return t.read()
	})
	if err := g.Wait(); err != nil {
		return nil, err
	}
	l.diffID, err = ahead.finish()
	if err != nil {
		return nil, err
	}
	for _, z := range l.zips {
		if err := z.finish(); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// tarReader is the first half of repacking a layer: it reads the tar and hands
// the content that matters to the compressor, in batches.
type tarReader struct {
	*repacker
	ctx     context.Context
	tar     *tar.Reader
	layer   *repacked
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
		if err := t.ctx.Err(); err != nil {
			return err
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
	root, concerned := rootOf(e.path)
	if _, wanted := t.wanted[e.path]; !concerned && !wanted && e.kind != hardlink {
		return nil
	}
	if err := checkPath(e.path); err != nil {
		return err
	}
	if len(h.Linkname) > maxPath {
		return errors.Errorf("it is a link to a path of %d bytes; Linux allows %d", len(h.Linkname), maxPath)
	}
	if t.paths.Add(1) > maxPaths {
		return errTooManyPaths
	}
	t.layer.entries = append(t.layer.entries, e)
	inside := root != outside || t.wanted[e.path]
	if !inside || e.kind >= special {
		return nil
	}
	e.header = newHeader(e, h, root)
	switch e.kind {
	case hardlink:
		return nil // the content is its target's
	case symlink:
		return t.content(e, strings.NewReader(h.Linkname), int64(len(h.Linkname)))
	case dir:
		return t.content(e, strings.NewReader(""), 0)
	default:
		if h.Size > maxContent-t.size {
			return errors.Errorf("with it the layer has %s", errTooMuch)
		}
		t.size += h.Size
		return t.content(e, t.tar, h.Size)
	}
}

// rootOf returns the root that a path is below, or outside; concerned is false
// if nothing at that path can make a difference to what is below a root.
func rootOf(name string) (root string, concerned bool) {
	for _, root := range []string{layerRoot, functionRoot} {
		if below(name, root) {
			return root, true
		}
		if name == root || name == "" || below(root, name) {
			concerned = true
		}
	}
	return outside, concerned
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

// quote makes a name fit for a message, however long it is and whatever
// characters it has.
func quote(name string) string {
	const most = 200
	if len(name) > most {
		return fmt.Sprintf("%q…", name[:most])
	}
	return strconv.Quote(name)
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
// layer's zips, in order. After an error it goes on taking them, as others wait
// for the memory that they hold.
func (p *repacker) write(batches <-chan *batch, l *repacked) (err error) {
	for b := range batches {
		<-b.done
		if err == nil {
			err = p.writeBatch(b, l)
		}
		p.compressor.put(b)
	}
	return err
}

func (p *repacker) writeBatch(b *batch, l *repacked) error {
	if b.err != nil {
		return b.err
	}
	in, out := b.in, b.out.Bytes()
	for _, s := range b.segments {
		root, _ := rootOf(s.entry.path)
		z := l.zips[root]
		if z == nil {
			var err error
			if z, err = p.newZip(); err != nil {
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

// newZip creates a zip in the repacker's directory.
func (p *repacker) newZip() (*zipFile, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	z, err := createZip(filepath.Join(p.dir, fmt.Sprintf("%d.zip", len(p.zips))))
	if err == nil {
		p.zips = append(p.zips, z)
	}
	return z, err
}

// reset removes what has been made so far.
func (p *repacker) reset() {
	for _, z := range p.zips {
		z.close()
		os.Remove(z.path)
	}
	p.zips = nil
	p.paths.Store(0)
}

// close stops the workers and lets go of the zips; the files stay.
func (p *repacker) close() {
	p.compressor.close()
	for _, z := range p.zips {
		z.close()
	}
}
