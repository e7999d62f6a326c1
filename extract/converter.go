package extract

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
	"github.com/pkg/errors"
)

// converter turns layers into zips. It may work on several at a time.
type converter struct {
	dir        string // for the zips
	compressor *compressor
	roots      roots
	overlap    string             // names the root that is a link and cannot be followed
	algorithms []digest.Algorithm // that layers are hashed with, SHA-256 first
	wanted     wantedPaths
	memory     budget       // for paths and what is known of them
	paths      *pathTree    // of all layers, once they are read
	unpacked   atomic.Int64 // bytes of files so far, in all layers
	mu         sync.Mutex
	zips       []*zipFile
}

// newConverter returns a converter that works in dir.
func newConverter(dir string) *converter {
	return &converter{
		dir:        dir,
		compressor: newCompressor(),
		roots:      lambdaRoots,
		algorithms: []digest.Algorithm{digest.SHA256},
	}
}

// keptLayer is an image layer after the first step, with the entries that belong in the
// zips.
type keptLayer struct {
	diffID    digest.Digest
	kept      []*entry
	rootLinks map[*entry]string // as of the layer
	again     bool              // whether the same layer comes again above, and is kept there
}

// repackAll is the first step: it repacks each layer of the image and finds out which of
// its entries belong in the zips. Sometimes the image itself shows that more of it is
// needed, and is then read again.
func (c *converter) repackAll(ctx context.Context, src Source, progress Progress) (*Image, []keptLayer, error) {
	for rootLinks := 0; ; {
		img, layers, err := c.read(ctx, src, progress)
		if err != nil {
			return nil, nil, err
		}
		if layers == nil { // another digest algorithm is needed
			continue
		}
		c.paths = newPathTree(&c.memory)
		if err := c.paths.addAll(layers); err != nil {
			return nil, nil, err
		}
		missing, err := resolve(ctx, layers, c.paths, c.roots, c.wanted)
		if err != nil {
			return nil, nil, err
		}
		kept, err := visible(ctx, layers, c.paths, c.roots)
		if err != nil {
			return nil, nil, err
		}
		to, overlap := c.roots.follow(kept)
		if to != c.roots {
			if rootLinks++; rootLinks > maxRootLinks {
				return nil, nil, errors.Errorf("/opt or /var/task is a symbolic link that leads round in a circle, or through more than %d others: make it a directory in the image", maxRootLinks)
			}
			c.roots, c.wanted = to, nil
			continue
		}
		c.overlap = overlap
		e, root := unresolved(kept, c.roots)
		if (e != nil || root) && c.wanted == nil && len(missing) > 0 {
			// Rare: hard links in /opt to files elsewhere in the image, which
			// were skipped, or /opt itself is one.
			c.wanted = missing
			continue
		}
		if e != nil {
			dropCovered(kept)
			e, _ = unresolved(kept, c.roots)
		}
		if e != nil {
			return nil, nil, errors.Errorf("%s is a hard link to %s, which is no file in the image", quote("/"+e.path), quote("/"+e.link))
		}
		return img, kept, nil
	}
}

// read repacks the layers of an image and checks their digests against the image's
// config. If the config uses a digest algorithm that the layers were not hashed with, it
// adds the algorithm and returns no layers; the image has to be read again.
func (c *converter) read(ctx context.Context, src Source, progress Progress) (*Image, []*repacked, error) {
	c.reset()
	var mu sync.Mutex
	byDiffID := make(map[digest.Digest]*repacked)
	img, err := src.Read(ctx, func(ctx context.Context, name string, size int64, r io.Reader) (digest.Digest, error) {
		task := progress.Start(name, size)
		l, err := c.repack(ctx, &countingReader{r, task})
		if err != nil {
			task.Done("")
			return "", errors.Wrap(err, name)
		}
		task.Done(l.diffID())
		mu.Lock()
		defer mu.Unlock()
		byDiffID[l.diffID()] = l
		return l.diffID(), nil
	})
	if err != nil {
		return nil, nil, err
	}
	layers := make([]*repacked, len(img.DiffIDs))
	for i, want := range img.DiffIDs {
		l := byDiffID[img.Layers[i]]
		place := slices.Index(c.algorithms, want.Algorithm())
		if place < 0 {
			c.algorithms = append(c.algorithms, want.Algorithm())
			return img, nil, nil
		}
		if got := l.digests[place]; got != want {
			return nil, nil, errors.Errorf("layer %d of %d should be %s by the image's config, but what was read is %s: the image is damaged",
				i+1, len(img.Layers), want, got)
		}
		if slices.Contains(layers[:i], l) {
			// What a hard link means depends on the layers below, so a layer
			// that occurs twice needs entries of its own each time.
			l = l.clone()
		}
		layers[i] = l
	}
	return img, layers, nil
}

// newZip creates a zip in the converter's directory, for what is below root.
func (c *converter) newZip(root string) (*zipFile, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	z, err := createZip(filepath.Join(c.dir, fmt.Sprintf("%d.zip", len(c.zips))), root)
	if err == nil {
		c.zips = append(c.zips, z)
	}
	return z, err
}

// reset removes the zips that were made so far.
func (c *converter) reset() {
	for _, z := range c.zips {
		z.close()
		os.Remove(z.path)
	}
	c.zips, c.paths = nil, nil
	c.memory.taken.Store(0)
	c.unpacked.Store(0)
}

// close stops the workers and closes the zips, which stay on disk.
func (c *converter) close() {
	c.compressor.close()
	for _, z := range c.zips {
		z.close()
	}
}

// countingReader reports to a task how much is read.
type countingReader struct {
	io.Reader
	task Task
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.task.Add(n)
	return n, err
}
