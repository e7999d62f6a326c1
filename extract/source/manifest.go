package source

import (
	"context"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"runtime"
	"slices"
	"strings"

	"github.com/awslabs/aws-lambda-container-image-converter/extract"
	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/pkg/errors"
	"go.podman.io/image/v5/manifest"
	podman "go.podman.io/image/v5/types"
	"golang.org/x/sync/errgroup"
)

// store holds manifests and blobs: a registry's repository, or an OCI image
// layout.
type store interface {
	// manifest returns a manifest or index with its media type. An empty
	// digest asks for the image's own.
	manifest(ctx context.Context, d digest.Digest) (content []byte, mediaType string, err error)
	// blob returns a blob's content, which is not checked yet.
	blob(ctx context.Context, b podman.BlobInfo) (io.ReadCloser, error)
	// has reports whether the manifest is there: archives may hold but some of
	// an index's.
	has(d digest.Digest) bool
	Close() error
}

// manifestSource reads an image whose parts are named by their digests: index,
// manifest, config, layers (OCI image spec).
type manifestSource struct {
	store
	platform Platform
	warn     func(string)
}

// Read is part of extract.Source.
func (s *manifestSource) Read(ctx context.Context, layer extract.LayerFunc) (*extract.Image, error) {
	m, d, err := s.choose(ctx)
	if err != nil {
		return nil, err
	}
	r, err := s.blob(ctx, m.ConfigInfo())
	if err != nil {
		return nil, errors.Wrap(err, "the image's config")
	}
	config, err := io.ReadAll(io.LimitReader(&checkedReader{ReadCloser: r, want: m.ConfigInfo()}, maxDocument+1))
	r.Close()
	if err == nil && len(config) > maxDocument {
		err = errors.Errorf("it is over %d bytes", maxDocument)
	}
	if err != nil {
		return nil, errors.Wrap(err, "the image's config")
	}
	parsed, err := parseConfig(config)
	if err == nil {
		err = s.platform.check(platformOf(parsed.Platform))
	}
	if err != nil {
		return nil, err
	}
	s.platform.notice(platformOf(parsed.Platform), s.warn)
	layers := m.LayerInfos()
	if err := checkCount(parsed, len(layers)); err != nil {
		return nil, err
	}
	blobs := make([]layerBlob, len(layers))
	for i, l := range layers {
		if err := checkMediaType(l.MediaType); err != nil {
			return nil, errors.Wrapf(err, "layer %s", l.Digest)
		}
		info := l.BlobInfo
		if info.Digest == parsed.RootFS.DiffIDs[i] {
			info.Digest = "" // plain: what is read is hashed anyway
		}
		blobs[i] = layerBlob{
			key:  l.Digest.String(),
			name: "layer " + l.Digest.String(),
			open: func(ctx context.Context) (io.ReadCloser, int64, error) {
				r, err := s.blob(ctx, l.BlobInfo)
				if err != nil {
					return nil, 0, err
				}
				return &checkedReader{ReadCloser: r, want: info}, l.Size, nil
			},
		}
	}
	img := newImage(m.ConfigInfo().Digest, parsed)
	img.Digest = d
	img.Layers, err = readAll(ctx, blobs, layer)
	return img, err
}

// choose finds the manifest of the wanted platform.
func (s *manifestSource) choose(ctx context.Context) (manifest.Manifest, digest.Digest, error) {
	content, mediaType, err := s.manifest(ctx, "")
	if err != nil {
		return nil, "", err
	}
	for range 4 { // indexes in indexes
		if err := checkElements(content); err != nil {
			return nil, "", errors.Wrap(err, "the image's manifest")
		}
		if !manifest.MIMETypeIsMultiImage(mediaType) {
			m, err := imageManifest(content, mediaType)
			return m, digest.FromBytes(content), err
		}
		if _, err := manifest.ListFromBlob(content, mediaType); err != nil {
			return nil, "", errors.Wrap(err, "the image's index")
		}
		var index ispec.Index // Docker's lists have the same fields
		if err := json.Unmarshal(content, &index); err != nil {
			return nil, "", errors.Wrap(err, "the image's index")
		}
		images := slices.DeleteFunc(index.Manifests, func(d ispec.Descriptor) bool { return !isImage(d) || !s.has(d.Digest) })
		if len(images) == 0 {
			return nil, "", errors.New("the image's index leads to no image that is there")
		}
		chosen, err := s.platform.choose(images)
		if err != nil {
			return nil, "", err
		}
		d := chosen.Digest
		if err := d.Validate(); err != nil {
			return nil, "", errors.Wrapf(err, "the image's index: digest %q", d)
		}
		if content, mediaType, err = s.manifest(ctx, d); err != nil {
			return nil, "", err
		}
		if got := d.Algorithm().FromBytes(content); got != d {
			return nil, "", errors.Errorf("manifest %s has digest %s: the image is damaged", d, got)
		}
	}
	return nil, "", errors.New("the image's index leads to no manifest")
}

// imageManifest reads the manifest of an image, which names config and layers.
func imageManifest(content []byte, mediaType string) (manifest.Manifest, error) {
	m, err := manifest.FromBlob(content, mediaType)
	if err != nil {
		return nil, errors.Wrap(err, "the image's manifest")
	}
	var kind struct{ ArtifactType string }
	if err := json.Unmarshal(content, &kind); err != nil {
		return nil, errors.Wrap(err, "the image's manifest")
	}
	if m.ConfigInfo().Digest == "" {
		return nil, errors.Errorf("the image's manifest is of a kind without a config (%s), which Docker gave up in 2017: push the image again", mediaType)
	}
	return m, checkKind(kind.ArtifactType, m.ConfigInfo().MediaType)
}

// imageConfig is what matters of an image's config.
type imageConfig struct {
	ispec.Platform
	RootFS ispec.RootFS `json:"rootfs"`
}

// newImage is what a config says of the image with that ID.
func newImage(id digest.Digest, config imageConfig) *extract.Image {
	return &extract.Image{ID: id, Platform: platformOf(config.Platform).String(), DiffIDs: config.RootFS.DiffIDs}
}

// parseConfig reads an image's config (OCI image spec, config.md).
func parseConfig(b []byte) (config imageConfig, err error) {
	if err := parseJSON(b, &config); err != nil {
		return config, errors.Wrap(err, "the image's config")
	}
	for _, d := range config.RootFS.DiffIDs {
		if err := d.Validate(); err != nil {
			return config, errors.Wrapf(err, "the image's config: DiffID %q", d)
		}
	}
	return config, nil
}

// checkCount refuses a manifest and a config that do not fit each other.
func checkCount(config imageConfig, layers int) error {
	if n := len(config.RootFS.DiffIDs); n != layers {
		return errors.Errorf("the image's manifest has %d layers and its config %d: the image is damaged", layers, n)
	}
	if layers > maxLayers {
		return errors.Errorf("the image has %d layers; %d are supported", layers, maxLayers)
	}
	return nil
}

// checkMediaType refuses what is no tar. An empty type is for the content to
// say.
func checkMediaType(t string) error {
	switch base, _, _ := strings.Cut(t, "+"); base {
	case "", "application/octet-stream",
		ispec.MediaTypeImageLayer,
		"application/vnd.oci.image.layer.nondistributable.v1.tar",
		"application/vnd.docker.image.rootfs.diff.tar", "application/vnd.docker.image.rootfs.diff.tar.gzip", "application/vnd.docker.image.rootfs.diff.tar.zstd",
		"application/vnd.docker.image.rootfs.foreign.diff.tar", "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip":
		if !strings.Contains(t, "encrypted") {
			return nil
		}
	}
	return errors.Errorf("its media type is %q: this is no layer that can be unpacked", t)
}

// layerBlob is a layer as a source stores it; two with the same key are the
// same.
type layerBlob struct {
	key, name string
	open      func(ctx context.Context) (r io.ReadCloser, size int64, err error)
}

// layersAtATime is how many are worked on side by side: at least two, for the
// network or a decompressor to go on beside.
func layersAtATime() int { return min(max(2, runtime.GOMAXPROCS(0)), 8) }

// readAll hands layers to a function in parallel, and the same one only once. It
// returns their DiffIDs.
func readAll(ctx context.Context, blobs []layerBlob, layer extract.LayerFunc) ([]digest.Digest, error) {
	done := make([]digest.Digest, len(blobs))
	first := make(map[string]int)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(layersAtATime())
	for i, b := range blobs {
		if _, ok := first[b.key]; ok {
			continue
		}
		first[b.key] = i
		g.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			r, size, err := b.open(ctx)
			if err != nil {
				return errors.Wrap(err, b.name)
			}
			defer r.Close()
			done[i], err = layer(ctx, b.name, size, r)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	for i, b := range blobs {
		done[i] = done[first[b.key]]
	}
	return done, nil
}

// checkedReader fails at the end of a blob that is not what its descriptor
// says: another size in bytes, or another digest. It does not look at a digest
// that is empty.
type checkedReader struct {
	io.ReadCloser
	want podman.BlobInfo
	n    int64
	hash hash.Hash
}

func (c *checkedReader) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.n += int64(n)
	if c.want.Digest != "" {
		if c.hash == nil {
			if err := c.want.Digest.Validate(); err != nil {
				return 0, err
			}
			c.hash = c.want.Digest.Algorithm().Hash()
		}
		c.hash.Write(p[:n])
	}
	if c.want.Size >= 0 && (c.n > c.want.Size || err == io.EOF && c.n != c.want.Size) {
		return n, fmt.Errorf("it should be %d bytes, not %d: the image is damaged", c.want.Size, c.n)
	}
	if err == io.EOF && c.hash != nil {
		if got := digest.NewDigest(c.want.Digest.Algorithm(), c.hash); got != c.want.Digest {
			return n, fmt.Errorf("its content has digest %s: the image is damaged", got)
		}
	}
	return n, err
}
