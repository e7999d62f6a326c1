package imagetest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Compression is how the blob of a layer is compressed.
type Compression int

// The compressions that image layers have.
const (
	None Compression = iota
	Gzip
	Zstd
)

// String returns the name that media types use, "none" for no compression.
func (c Compression) String() string { return [...]string{"none", "gzip", "zstd"}[c] }

// compress returns b compressed with c.
func (c Compression) compress(b []byte) []byte {
	if c == None {
		return b
	}
	var buf bytes.Buffer
	var w io.WriteCloser = gzip.NewWriter(&buf)
	if c == Zstd {
		// One encoder thread: its output then is the same on every machine.
		w = must(zstd.NewWriter(&buf, zstd.WithEncoderConcurrency(1)))
	}
	must(w.Write(b))
	if err := w.Close(); err != nil {
		panic(err)
	}
	return buf.Bytes()
}

// dockerZstdLayer is what BuildKit calls a zstd layer of an image with Docker's
// media types; Docker itself never specified one.
const dockerZstdLayer types.MediaType = "application/vnd.docker.image.rootfs.diff.tar.zstd"

func layerMediaType(c Compression, oci bool) types.MediaType {
	if oci {
		return [...]types.MediaType{types.OCIUncompressedLayer, types.OCILayer, types.OCILayerZStd}[c]
	}
	return [...]types.MediaType{types.DockerUncompressedLayer, types.DockerLayer, dockerZstdLayer}[c]
}

// layer is a v1.Layer held in memory, compressed and not.
type layer struct {
	tar, blob      []byte
	diffID, digest v1.Hash
	mediaType      types.MediaType
}

// Layer returns a layer whose uncompressed content is tar, which need not be a
// valid one. The media type is the OCI image spec's or Docker's.
func Layer(tar []byte, c Compression, oci bool) v1.Layer {
	blob := c.compress(tar)
	return &layer{tar, blob, sha256Of(tar), sha256Of(blob), layerMediaType(c, oci)}
}

func (l *layer) Digest() (v1.Hash, error)             { return l.digest, nil }
func (l *layer) DiffID() (v1.Hash, error)             { return l.diffID, nil }
func (l *layer) Size() (int64, error)                 { return int64(len(l.blob)), nil }
func (l *layer) MediaType() (types.MediaType, error)  { return l.mediaType, nil }
func (l *layer) Compressed() (io.ReadCloser, error)   { return reader(l.blob), nil }
func (l *layer) Uncompressed() (io.ReadCloser, error) { return reader(l.tar), nil }

// SwapContent returns l with the bytes of other under its own digests and
// size: a blob that is not what the manifest says. In the size it differs too,
// unless both have the same.
func SwapContent(l, other v1.Layer) v1.Layer { return swapped{l, other} }

type swapped struct {
	v1.Layer
	content v1.Layer
}

func (s swapped) Compressed() (io.ReadCloser, error)   { return s.content.Compressed() }
func (s swapped) Uncompressed() (io.ReadCloser, error) { return s.content.Uncompressed() }

// Options say how an image is built. The zero value is a linux/amd64 image with
// Docker's media types and uncompressed layers.
type Options struct {
	OS           string // "linux" if empty
	Architecture string // "amd64" if empty
	Variant      string
	Compression  Compression // of all layers
	OCI          bool        // OCI media types instead of Docker's
	Config       v1.Config   // how a container is run; empty fields get a default
}

// image is the part of a v1.Image that partial.CompressedToImage completes.
type image struct {
	mediaType        types.MediaType
	config, manifest []byte
	layers           map[v1.Hash]v1.Layer
}

// Image returns an image of the layers, each given as an uncompressed tar,
// lowest first. Its history has an entry for each layer and one with
// empty_layer, which stands after the first layer's. The same arguments give
// the same image, digest and all.
func Image(o Options, layers ...[]byte) v1.Image {
	ls := make([]v1.Layer, len(layers))
	for i, tar := range layers {
		ls[i] = Layer(tar, o.Compression, o.OCI)
	}
	return ImageOf(o, ls...)
}

// ImageOf is Image for layers that differ in compression, or that are not what
// they say they are. It ignores o.Compression.
func ImageOf(o Options, layers ...v1.Layer) v1.Image {
	img := &image{mediaType: types.DockerManifestSchema2, layers: map[v1.Hash]v1.Layer{}}
	configType := types.DockerConfigJSON
	if o.OCI {
		img.mediaType, configType = types.OCIManifestSchema1, types.OCIConfigJSON
	}

	config := v1.ConfigFile{
		OS:           cmp.Or(o.OS, "linux"),
		Architecture: cmp.Or(o.Architecture, "amd64"),
		Variant:      o.Variant,
		Created:      v1.Time{Time: DefaultTime},
		Config:       o.Config,
		RootFS:       v1.RootFS{Type: "layers", DiffIDs: []v1.Hash{}},
	}
	if config.Config.Env == nil {
		config.Config.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	}
	if config.Config.Cmd == nil && config.Config.Entrypoint == nil {
		config.Config.Cmd = []string{"/bin/true"}
	}
	manifest := v1.Manifest{SchemaVersion: 2, MediaType: img.mediaType, Layers: []v1.Descriptor{}}
	for i, l := range layers {
		desc := must(partial.Descriptor(l))
		img.layers[desc.Digest] = l
		manifest.Layers = append(manifest.Layers, *desc)
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, must(l.DiffID()))
		config.History = append(config.History, v1.History{
			Created:   v1.Time{Time: DefaultTime.Add(time.Duration(i-len(layers)) * time.Minute)},
			CreatedBy: fmt.Sprintf("COPY layer-%d / # buildkit", i+1),
		})
		if i == 0 {
			config.History = append(config.History, v1.History{
				Created:    config.History[0].Created,
				CreatedBy:  "CMD [\"/bin/true\"]",
				EmptyLayer: true,
			})
		}
	}

	img.config = must(json.Marshal(config))
	manifest.Config = v1.Descriptor{
		MediaType: configType,
		Size:      int64(len(img.config)),
		Digest:    sha256Of(img.config),
	}
	img.manifest = must(json.Marshal(manifest))
	return must(partial.CompressedToImage(img))
}

func (i *image) MediaType() (types.MediaType, error) { return i.mediaType, nil }
func (i *image) RawConfigFile() ([]byte, error)      { return i.config, nil }
func (i *image) RawManifest() ([]byte, error)        { return i.manifest, nil }

func (i *image) LayerByDigest(h v1.Hash) (partial.CompressedLayer, error) {
	if l, ok := i.layers[h]; ok {
		return l, nil
	}
	if sha256Of(i.config) == h {
		return partial.ConfigLayer(i)
	}
	return nil, fmt.Errorf("imagetest: the image has no layer %v", h)
}

// Index returns an index of the images, each with the platform that its config
// names, of the same family of media types as the first of them.
func Index(images ...v1.Image) v1.ImageIndex { return index(images, false) }

// IndexWithAttestations is Index with BuildKit's provenance attestations: for
// each image a manifest of platform unknown/unknown, after all the images.
func IndexWithAttestations(images ...v1.Image) v1.ImageIndex { return index(images, true) }

func index(images []v1.Image, attest bool) v1.ImageIndex {
	mediaType := types.DockerManifestList
	var adds, attestations []mutate.IndexAddendum
	for i, img := range images {
		if i == 0 && must(img.MediaType()) == types.OCIManifestSchema1 {
			mediaType = types.OCIImageIndex
		}
		adds = append(adds, mutate.IndexAddendum{
			Add:        img,
			Descriptor: v1.Descriptor{Platform: must(img.ConfigFile()).Platform()},
		})
		if attest {
			attestations = append(attestations, attestation(img))
		}
	}
	base := mutate.IndexMediaType(empty.Index, mediaType)
	return mutate.AppendManifests(base, append(adds, attestations...)...)
}

// attestation returns a manifest of the form that BuildKit describes in
// docs/attestations/attestation-storage.md: an image only by its media types,
// its one layer an in-toto statement.
func attestation(subject v1.Image) mutate.IndexAddendum {
	digest := must(subject.Digest())
	statement := must(json.Marshal(map[string]any{
		"_type":         "https://in-toto.io/Statement/v0.1",
		"predicateType": "https://slsa.dev/provenance/v0.2",
		"subject":       []any{map[string]any{"name": "_", "digest": map[string]string{"sha256": digest.Hex}}},
		"predicate":     map[string]any{},
	}))
	l := &layer{statement, statement, sha256Of(statement), sha256Of(statement), "application/vnd.in-toto+json"}
	img := ImageOf(Options{OCI: true, OS: "unknown", Architecture: "unknown"}, l)
	return mutate.IndexAddendum{
		Add: img,
		Descriptor: v1.Descriptor{
			Platform: &v1.Platform{OS: "unknown", Architecture: "unknown"},
			Annotations: map[string]string{
				"vnd.docker.reference.type":   "attestation-manifest",
				"vnd.docker.reference.digest": digest.String(),
			},
		},
	}
}

func sha256Of(b []byte) v1.Hash {
	h, _, err := v1.SHA256(bytes.NewReader(b))
	if err != nil {
		panic(err) // A bytes.Reader has no errors.
	}
	return h
}

func reader(b []byte) io.ReadCloser { return io.NopCloser(bytes.NewReader(b)) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(fmt.Sprintf("imagetest: %v", err))
	}
	return v
}
