package extract

import (
	"context"
	"io"

	"github.com/opencontainers/go-digest"
)

// Source is an image that can be read, wherever it is. Package source has those
// that there are.
type Source interface {
	// Read hands each layer of the image to a function, in any order, several at
	// a time or one. It may be called again.
	Read(context.Context, LayerFunc) (*Image, error)
	Close() error
}

// LayerFunc takes a layer as it is stored, compressed or not, and returns the
// digest of its uncompressed tar. name is for people, size in bytes or -1.
type LayerFunc func(ctx context.Context, name string, size int64, r io.Reader) (diffID digest.Digest, err error)

// Image is what a source says of an image once it is read.
type Image struct {
	// ID is the digest of the config.
	ID digest.Digest
	// Digest is that of the manifest, empty if the source has none.
	Digest digest.Digest
	// EngineID is what the engine calls the image that it comes from, which may
	// be any of its digests; empty for other sources.
	EngineID digest.Digest
	// Platform is OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT.
	Platform string
	// DiffIDs are those that the config names, lowest layer first.
	DiffIDs []digest.Digest
	// Layers are the digests that the LayerFunc returned, in the same order.
	Layers []digest.Digest
}
