// Package extract turns a container image into zips for AWS Lambda: one for
// each image layer that has files below /opt, and one of what is below
// /var/task.
package extract

import (
	"context"
	"os"

	"github.com/opencontainers/go-digest"

	"github.com/awslabs/aws-lambda-container-image-converter/types"
)

// Options are what Convert needs to know besides the source.
type Options struct {
	// Dir is an existing directory for the zips. It is the place for
	// temporary files as well, which are gone when Convert returns.
	Dir string
	// MaxLayers is how many Lambda layers there may be: neighbouring ones are
	// merged until there are no more. 0 means that there is no limit.
	MaxLayers int
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

// Convert reads the image of a source, which people call name, writes
// layer-1.zip, layer-2.zip … and function.zip to o.Dir, and returns what they
// hold. Layers' names are left empty. The error says what is wrong with the image,
// or where it could not be read.
func Convert(ctx context.Context, src Source, name string, o Options) (*types.Image, error) {
	work, err := os.MkdirTemp(o.Dir, "work-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(work)
	c := newConverter(work)
	defer c.close()
	img, layers, err := c.repackAll(ctx, src, o.Progress)
	if err != nil {
		return nil, err
	}
	result := &types.Image{
		Name:     name,
		ID:       img.ID,
		Digest:   img.Digest,
		EngineID: img.EngineID,
		Platform: img.Platform,
		Layers:   []types.Layer{},
	}
	return result, c.assembleAll(ctx, result, layers, o)
}
