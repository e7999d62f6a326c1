package source

import (
	"context"
	"encoding/json"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/awslabs/aws-lambda-container-image-converter/extract"
	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/pkg/errors"
	"go.podman.io/image/v5/docker/reference"
)

// dockerManifest is an element of manifest.json, which lists the images in
// what `docker save` writes.
type dockerManifest struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// dockerImage is an image in what `docker save` writes.
type dockerImage struct {
	dockerManifest
	id     digest.Digest
	config ispec.Image
}

// findDockerImage looks an image up in an archive: by one of its names, or its
// ID. Without a tag in the reference, there has to be just one image.
func findDockerImage(f files, r Reference, p Platform) (*dockerImage, error) {
	b, err := readDocument(f, "manifest.json")
	if err != nil {
		return nil, errors.Wrap(err, "not a `docker save` archive")
	}
	var manifests []dockerManifest
	if err := json.Unmarshal(b, &manifests); err != nil {
		return nil, errors.Wrap(err, "manifest.json")
	}
	var there []string
	var mismatch error
	found := 0
	var image *dockerImage
	for _, m := range manifests {
		names := m.RepoTags
		if id := configDigest(m); len(names) == 0 && id != "" {
			names = []string{id}
		}
		for _, t := range names {
			there = append(there, r.transport.prefix+r.path+":"+t)
		}
		if r.tag != "" && !slices.ContainsFunc(m.RepoTags, func(t string) bool { return sameName(t, r.tag) }) && configDigest(m) != r.tag {
			continue
		}
		i, err := readDockerConfig(f, m, p)
		if err != nil { // another platform, maybe
			mismatch = err
			continue
		}
		image = i
		found++
	}
	switch {
	case found == 1:
		return image, nil
	case found == 0 && mismatch != nil:
		return nil, mismatch
	default:
		return nil, choose(r, there)
	}
}

// configDigest is the ID that the name of an image's config tells: HEX.json,
// blobs/sha256/HEX or sha256:HEX; empty if it is another name.
func configDigest(m dockerManifest) string {
	name := strings.TrimSuffix(path.Base(m.Config), ".json")
	if !imageID.MatchString(name) {
		return ""
	}
	return "sha256:" + strings.TrimPrefix(name, "sha256:")
}

// sameName reports whether two names mean the same image, as far as docker.io/,
// library/ and :latest go without saying.
func sameName(a, b string) bool {
	full := func(s string) string {
		n, err := reference.ParseNormalizedNamed(s)
		if err != nil {
			return s
		}
		return reference.TagNameOnly(n).String()
	}
	return full(a) == full(b)
}

// readDockerConfig reads the config of an image.
func readDockerConfig(f files, m dockerManifest, p Platform) (*dockerImage, error) {
	b, err := readDocument(f, m.Config)
	if err != nil {
		return nil, errors.Wrap(err, "the image's config")
	}
	i := &dockerImage{dockerManifest: m, id: digest.FromBytes(b)}
	if named := configDigest(m); named != "" && named != i.id.String() {
		return nil, errors.Errorf("the image's config %s has digest %s: the image is damaged", m.Config, i.id)
	}
	if i.config, err = parseConfig(b, p); err != nil {
		return nil, err
	}
	return i, checkCount(i.config, len(m.Layers))
}

// dockerArchive is a file that `docker save` has written.
type dockerArchive struct {
	*archive
	image *dockerImage
}

func openDockerArchive(ctx context.Context, r Reference, o Options) (extract.Source, error) {
	a, err := openArchive(ctx, r.path, o.Dir)
	if err != nil {
		return nil, notThere(err, r.path)
	}
	image, err := findDockerImage(a, r, o.Platform)
	if err != nil {
		a.Close()
		return nil, err
	}
	return &dockerArchive{a, image}, nil
}

// Read is part of extract.Source.
func (a *dockerArchive) Read(ctx context.Context, layer extract.LayerFunc) (*extract.Image, error) {
	blobs := make([]layerBlob, len(a.image.Layers))
	var err error
	for i, name := range a.image.Layers {
		if blobs[i].key, _, err = a.find(name); err != nil {
			return nil, errors.Wrapf(err, "layer %s", a.image.config.RootFS.DiffIDs[i])
		}
		blobs[i].name = "layer " + a.image.config.RootFS.DiffIDs[i].String()
		blobs[i].open = func(context.Context) (io.ReadCloser, int64, error) { return a.open(name) }
	}
	img := newImage(a.image.id, a.image.config)
	img.Layers, err = readAll(ctx, blobs, layer)
	return img, err
}
