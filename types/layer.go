// Package types holds the nouns that reading an image and publishing layers
// have in common.
package types

import "github.com/opencontainers/go-digest"

// Zip is a zip file ready for Lambda: a layer's content or a function's deployment
// package.
type Zip struct {
	// File is the zip's name in the output directory; empty in a report once the
	// zip is no longer there.
	File string `json:"file,omitempty"`
	// CodeSha256 is the SHA-256 of the zip in base64, as Lambda reports it.
	CodeSha256 string `json:"codeSha256"`
	// CodeSize is the zip's size in bytes.
	CodeSize int64 `json:"codeSize"`
	// UncompressedSize is the size in bytes of the files in the zip together.
	UncompressedSize int64 `json:"uncompressedSize"`
	// Files is the number of entries in the zip other than directories.
	Files int `json:"files"`
}

// Layer is a Lambda layer made from one image layer, or from several merged.
type Layer struct {
	// Name is the Lambda layer's name: NAMESPACE-sha256-HEX, or what the user
	// calls it.
	Name string `json:"name"`
	// Digest identifies the content by where it comes from: the DiffID of the
	// image layer, or of several their chain ID (OCI image spec, config.md).
	Digest digest.Digest `json:"digest"`
	// DiffIDs are the digests of the uncompressed tars of the image layers
	// that the Lambda layer holds, lowest first (OCI image spec, config.md).
	DiffIDs []digest.Digest `json:"diffIDs"`
	Zip
	// Regions are the published versions of the layer by region; nil before that.
	Regions map[string]Version `json:"regions,omitempty"`
}

// Version is a layer version that a region has.
type Version struct {
	ARN string `json:"arn"`
	// Account is the AWS account that owns it.
	Account string `json:"account"`
	// Found tells that it was there already, and has not been published now.
	Found bool `json:"alreadyThere"`
}

// Image is what a conversion says of the image that it read.
type Image struct {
	// Name is the image as the user named it.
	Name string `json:"image"`
	// ID is the digest of the image's config, which is the same wherever the
	// image is.
	ID digest.Digest `json:"imageID"`
	// Digest is the digest of the image's manifest; empty where the source
	// has none (Docker engine, docker-archive).
	Digest digest.Digest `json:"digest,omitempty"`
	// EngineID is the ID by which the engine that the image comes from lists it:
	// the digest of its config, manifest or index, as the engine's image store
	// has it. It is not in the report, which is the same wherever an image is.
	EngineID digest.Digest `json:"-"`
	// Platform is OS/ARCHITECTURE, or OS/ARCHITECTURE/VARIANT.
	Platform string `json:"platform"`
	// Layers are the Lambda layers in the order in which Lambda merges them.
	Layers []Layer `json:"layers"`
	// EmptyLayers is the number of the image's layers from which nothing is in
	// the Lambda layers or the function.
	EmptyLayers int `json:"emptyLayers"`
	// Function is the tree below /var/task; nil if the image has none.
	Function *Zip `json:"function,omitempty"`
	// Largest are the files or directories that take most of the space, the
	// largest first.
	Largest []Usage `json:"-"`
}

// UncompressedSize is the size in bytes of all that is to be unzipped, layers
// and function.
func (i *Image) UncompressedSize() (n int64) {
	for _, l := range i.Layers {
		n += l.UncompressedSize
	}
	if i.Function != nil {
		n += i.Function.UncompressedSize
	}
	return n
}

// Usage is how much a file or directory takes.
type Usage struct {
	Path string // in the image
	Size int64  // in bytes, of the files in it together
}

// LayerName is the name that Lambda knows a layer by.
func LayerName(namespace string, d digest.Digest) string {
	return namespace + "-" + d.Algorithm().String() + "-" + d.Encoded()
}
