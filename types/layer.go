// Package types defines what the conversion of images and the publishing of layers have
// in common.
package types

import "github.com/opencontainers/go-digest"

// Zip is a zip file that is ready for Lambda: the content of a layer, or the deployment
// package of a function.
type Zip struct {
	// File is the zip's name in the output directory; empty in a report once the
	// zip is no longer there.
	File string `json:"file,omitempty"`
	// CodeSha256 is the SHA-256 of the zip in base64, as Lambda reports it.
	CodeSha256 string `json:"codeSha256"`
	// CodeSize is the zip's size in bytes.
	CodeSize int64 `json:"codeSize"`
	// UncompressedSize is the total size in bytes of the files in the zip.
	UncompressedSize int64 `json:"uncompressedSize"`
	// Files is the number of entries in the zip other than directories.
	Files int `json:"files"`
}

// Layer is a Lambda layer made from one image layer, or from several merged.
type Layer struct {
	// Name is the Lambda layer's name: NAMESPACE-sha256-HEX, or the one that the
	// user gave it.
	Name string `json:"name"`
	// Digest identifies the content by its origin: the DiffID of the image layer,
	// or the chain ID of several (OCI image spec, config.md).
	Digest digest.Digest `json:"digest"`
	// DiffIDs are the image layers that the Lambda layer was made from, the lowest
	// first. Each is the digest of an uncompressed tar (OCI image spec, config.md).
	DiffIDs []digest.Digest `json:"diffIDs"`
	Zip
	// Regions has the layer's version in each region; nil until it is published.
	Regions map[string]Version `json:"regions,omitempty"`
}

// Version is a layer version in a region.
type Version struct {
	ARN string `json:"arn"`
	// Account is the AWS account that owns it.
	Account string `json:"account"`
	// Found is set if the version was there before.
	Found bool `json:"alreadyThere"`
}

// Image describes an image that was converted.
type Image struct {
	// Name is the image as the user named it.
	Name string `json:"image"`
	// ID is the digest of the image's config. It is the same in every source.
	ID digest.Digest `json:"imageID"`
	// Digest is the digest of the image's manifest; empty where the source
	// has none (Docker engine, docker-archive).
	Digest digest.Digest `json:"digest,omitempty"`
	// EngineID is the ID under which the engine lists the image. Depending on the
	// engine's image store, it is the digest of the config, the manifest or the
	// index. It is not in the report, which does not depend on the source.
	EngineID digest.Digest `json:"-"`
	// Platform is OS/ARCHITECTURE, or OS/ARCHITECTURE/VARIANT.
	Platform string `json:"platform"`
	// Layers are the Lambda layers in the order in which Lambda merges them.
	Layers []Layer `json:"layers"`
	// EmptyLayers is how many of the image's layers have nothing in the Lambda
	// layers or the function.
	EmptyLayers int `json:"emptyLayers"`
	// Function has the files below /var/task; nil if there are none.
	Function *Zip `json:"function,omitempty"`
	// Largest are the files and directories that take up most space, the largest
	// first.
	Largest []Usage `json:"-"`
}

// UncompressedSize returns the size in bytes of the layers and the function together,
// unzipped.
func (i *Image) UncompressedSize() (n int64) {
	for _, l := range i.Layers {
		n += l.UncompressedSize
	}
	if i.Function != nil {
		n += i.Function.UncompressedSize
	}
	return n
}

// Usage is the size of a file or directory.
type Usage struct {
	Path string // in the image
	Size int64  // in bytes, with all that is in it
}

// LayerName returns the name of a Lambda layer: NAMESPACE-ALGORITHM-HEX.
func LayerName(namespace string, d digest.Digest) string {
	return namespace + "-" + d.Algorithm().String() + "-" + d.Encoded()
}
