// Package extract turns a container image into zips for AWS Lambda: one for
// each image layer that has files below /opt, and one of what is below
// /var/task.
package extract

import (
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strconv"

	"github.com/awslabs/aws-lambda-container-image-converter/types"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/pkg/errors"
)

// Options are what Convert needs to know besides the image.
type Options struct {
	// Dir is an existing directory for the zips. It is the place for
	// temporary files as well, which are gone when Convert returns.
	Dir string
	// Platform is which image of a multi-platform one to take.
	Platform Platform
	// MaxLayers is how many Lambda layers there may be: neighbouring ones are
	// merged until there are no more. 0 means that there is no limit.
	MaxLayers int
	// InsecureRegistry allows a registry without TLS, or with a certificate
	// that cannot be verified.
	InsecureRegistry bool
	// Progress hears of each layer.
	Progress Progress
	// Warn hears of what is left out of the zips.
	Warn func(message string)
}

// Progress hears of layers being read.
type Progress interface {
	// Start is called when a layer of size bytes as stored (-1: unknown)
	// begins to be read, perhaps in parallel with others. name is for people.
	Start(name string, size int64) Task
}

// Task is one layer being read.
type Task interface {
	// Add says that n more bytes have been read.
	Add(n int)
	// Done ends the task; d is the layer's DiffID, empty if reading failed.
	Done(d digest.Digest)
}

// image is what a source says of an image, once it is read.
type image struct {
	id     digest.Digest // of the config
	digest digest.Digest // of the manifest; empty if the source has none
	config ispec.Image
	layers []*repacked // one for each DiffID of the config, lowest first
}

// source is an opened image.
type source interface {
	// read hands each layer of the image to repack, in any order, several at
	// a time or one. It may be called again.
	read(ctx context.Context, repack repackFunc) (*image, error)
	close() error
}

// repackFunc takes a layer as it is stored: name is for people, size in bytes
// or -1.
type repackFunc func(ctx context.Context, name string, size int64, r io.Reader) (*repacked, error)

// Convert writes layer-1.zip, layer-2.zip … and function.zip to o.Dir and
// returns what they hold. Layers' names are left empty. The error says what is
// wrong with the image, or where it could not be read.
func Convert(ctx context.Context, ref Reference, o Options) (*types.Image, error) {
	work, err := os.MkdirTemp(o.Dir, "work-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(work)
	src, err := ref.open(ctx, work, o)
	if err != nil {
		return nil, err
	}
	defer src.close()
	return convert(ctx, ref.String(), src, work, o)
}

// convert is Convert with an opened image, called name.
func convert(ctx context.Context, name string, src source, work string, o Options) (*types.Image, error) {
	p := &repacker{dir: work, compressor: newCompressor()}
	defer p.close()
	img, err := p.read(ctx, src, o.Progress)
	if err != nil {
		return nil, err
	}
	want, err := resolve(ctx, img.layers, nil)
	if err != nil {
		return nil, err
	}
	kept, err := visible(ctx, img.layers)
	if err != nil {
		return nil, err
	}
	if unresolved(kept) != nil && len(want) > 0 {
		// Rare: files linked from /opt to elsewhere in the image. They have
		// gone by already, so the image is read again, with an eye on them.
		p.wanted = make(map[string]bool)
		for name := range want {
			for d := path.Dir(name); d != "."; d = path.Dir(d) {
				p.wanted[d] = p.wanted[d] || want[d]
			}
			p.wanted[name] = true
		}
		if img, err = p.read(ctx, src, o.Progress); err != nil {
			return nil, err
		}
		if _, err := resolve(ctx, img.layers, want); err != nil {
			return nil, err
		}
		if kept, err = visible(ctx, img.layers); err != nil {
			return nil, err
		}
	}
	if unresolved(kept) != nil {
		dropCovered(kept)
	}
	if e := unresolved(kept); e != nil {
		return nil, errors.Errorf("%s is a hard link to %s, which is no file in the image", quote("/"+e.path), quote("/"+e.link))
	}
	result := &types.Image{
		Name:     name,
		ID:       img.id,
		Digest:   img.digest,
		Platform: platformOf(img.config.Platform).String(),
		Layers:   []types.Layer{},
	}
	return result, p.finish(ctx, result, img, kept, o)
}

// read repacks the layers of an image and checks that they are the ones that
// its config names.
func (p *repacker) read(ctx context.Context, src source, progress Progress) (*image, error) {
	p.reset()
	img, err := src.read(ctx, func(ctx context.Context, name string, size int64, r io.Reader) (*repacked, error) {
		task := progress.Start(name, size)
		l, err := p.repack(ctx, &countingReader{r, task})
		if err != nil {
			task.Done("")
			return nil, errors.Wrap(err, name)
		}
		task.Done(l.diffID)
		return l, nil
	})
	if err != nil {
		return nil, err
	}
	for i, want := range img.config.RootFS.DiffIDs {
		if got := img.layers[i].diffID; got != want {
			return nil, errors.Errorf("layer %d of %d should be %s by the image's config, but what was read is %s: the image is damaged",
				i+1, len(img.layers), want, got)
		}
	}
	// What a hard link stands for depends on the layers below, so a layer that
	// is there twice has entries of its own each time.
	seen := make(map[*repacked]bool)
	for i, l := range img.layers {
		if seen[l] {
			img.layers[i] = l.clone()
		}
		seen[l] = true
	}
	return img, nil
}

// finish is the second step: it makes the zips out of what is kept of each
// layer.
func (p *repacker) finish(ctx context.Context, result *types.Image, img *image, kept [][]*entry, o Options) error {
	leftOut := 0
	layers := make([][]*entry, len(kept))
	functions := make([][]*entry, len(kept))
	for i := range kept {
		for _, e := range kept[i] {
			switch root, _ := rootOf(e.path); {
			case root != outside && e.kind == special:
				if leftOut++; leftOut <= maxWarnings {
					o.Warn("left out " + quote("/"+e.path) + ": a zip cannot hold devices and fifos")
				}
			case root == layerRoot:
				layers[i] = append(layers[i], e)
			case root == functionRoot:
				functions[i] = append(functions[i], e)
			}
		}
	}
	if leftOut > maxWarnings {
		o.Warn(fmt.Sprintf("left out %d more devices and fifos", leftOut-maxWarnings))
	}
	addParents(layers, layerRoot)
	var groups []group
	for i, entries := range layers {
		if len(entries) == 0 && len(functions[i]) == 0 {
			result.EmptyLayers++
		}
		if len(entries) == 0 {
			continue
		}
		groups = append(groups, newGroup(entries, img.layers[i].diffID))
	}
	groups = mergeDown(groups, o.MaxLayers)
	f := merge(functions...)
	size := newGroup(f).size
	for _, g := range groups {
		size += g.size
	}
	if size > maxContent { // hard links may make much of little
		return errors.Errorf("with hard links as copies the image has %s", errTooMuch)
	}
	for i, g := range groups {
		archive, err := p.assemble(ctx, o.Dir, "layer-"+strconv.Itoa(i+1)+".zip", g.entries)
		if err != nil {
			return err
		}
		result.Layers = append(result.Layers, types.Layer{Digest: identity.ChainID(g.diffIDs), DiffIDs: g.diffIDs, Archive: archive})
	}
	if len(f) > 0 {
		archive, err := p.assemble(ctx, o.Dir, "function.zip", f)
		if err != nil {
			return err
		}
		result.Function = &archive
	}
	if len(result.Layers) == 0 && result.Function == nil {
		return errors.Errorf("%s has nothing below /opt or /var/task: nothing to make a Lambda layer or function of", result.Name)
	}
	for _, g := range groups {
		f = append(f, g.entries...)
	}
	result.Largest = largest(f)
	return nil
}

// unresolved returns an entry that is to be in a zip and has no content.
func unresolved(layers [][]*entry) *entry {
	for _, entries := range layers {
		for _, e := range entries {
			if root, _ := rootOf(e.path); root != outside && e.kind == file && e.zip == nil {
				return e
			}
		}
	}
	return nil
}

// dropCovered leaves out links to nothing over which there is a file in a layer
// above: nobody will miss them.
func dropCovered(layers [][]*entry) {
	above := make(map[string]bool)
	for i, entries := range slices.Backward(layers) {
		layers[i] = slices.DeleteFunc(entries, func(e *entry) bool {
			return e.kind == file && e.zip == nil && above[e.path]
		})
		for _, e := range layers[i] {
			above[e.path] = true
		}
	}
}

// countingReader tells a task of what is read.
type countingReader struct {
	io.Reader
	task Task
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.task.Add(n)
	return n, err
}
