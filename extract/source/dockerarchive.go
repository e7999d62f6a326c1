package source

import (
	"context"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/awslabs/aws-lambda-container-image-converter/extract"
	"github.com/opencontainers/go-digest"
	"github.com/pkg/errors"
	"go.podman.io/image/v5/docker/reference"
	"go.podman.io/image/v5/manifest"
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
	layers []string // the names of their files
	id     digest.Digest
	config imageConfig
}

// findDockerImage looks an image up in an archive: by one of its names, or its
// ID. Without a tag in the reference, there has to be just one image, or one for
// this machine.
func findDockerImage(f files, r Reference, p Platform) (*dockerImage, error) {
	found, there, err := dockerImages(f, r)
	if err != nil {
		return nil, err
	}
	if len(found) > 1 {
		several := found
		found = slices.DeleteFunc(slices.Clone(found), func(i *dockerImage) bool { return !p.orDefault().matches(i.platform()) })
		if len(found) == 0 {
			found = several
		}
	}
	if len(found) == 1 && imageID.MatchString(r.tag) { // which no other image has
		return found[0], p.check(found[0].platform())
	}
	if len(found) == 1 && (p.orDefault().matches(found[0].platform()) || found[0].platform().isZero()) {
		return found[0], nil
	}
	if len(found) < 2 {
		// manifest.json has one image of an index; index.json has all.
		i, err := findInIndex(f, r, p, len(found) == 1)
		switch {
		case err == nil:
			return i, nil
		case len(found) == 1 && p.check(found[0].platform()) == nil:
			return found[0], nil
		case !errors.Is(err, os.ErrNotExist):
			return nil, err
		}
	}
	if len(found) == 1 {
		return nil, p.check(found[0].platform())
	}
	return nil, choose(r, there, len(found))
}

// dockerImages returns the images of manifest.json that the reference may mean,
// and the names of all that there are.
func dockerImages(f files, r Reference) (found []*dockerImage, there []string, err error) {
	b, err := readDocument(f, "manifest.json")
	if err != nil {
		return nil, nil, errors.Wrap(err, "not a `docker save` archive")
	}
	var manifests []dockerManifest
	if err := parseJSON(b, &manifests); err != nil {
		return nil, nil, errors.Wrap(err, "manifest.json")
	}
	known := make(map[string]*dockerImage) // by their configs
	for _, m := range manifests {
		names := m.RepoTags
		if id := configDigest(m.Config); len(names) == 0 && id != "" {
			names = []string{id}
		}
		for _, t := range names {
			there = append(there, r.transport.prefix+r.path+":"+t)
		}
		if r.tag != "" && !slices.ContainsFunc(m.RepoTags, func(t string) bool { return sameName(t, r.tag) }) && configDigest(m.Config) != r.tag {
			continue
		}
		i := known[m.Config]
		if i == nil {
			if i, err = readDockerConfig(f, m.Config); err != nil {
				return nil, nil, err
			}
			known[m.Config] = i
		}
		if i, err = i.with(m.Layers); err != nil {
			return nil, nil, err
		}
		found = append(found, i)
	}
	return found, there, nil
}

// findInIndex looks an image up in the OCI image layout that Docker, from 25 on,
// and containerd write beside manifest.json. If that has the image by its name
// (named), an index.json without names may have just one. The error wraps
// os.ErrNotExist if there is no index.json.
func findInIndex(f files, r Reference, p Platform, named bool) (*dockerImage, error) {
	l := &layout{files: f}
	err := l.find(r, p)
	if named && err != nil && !errors.Is(err, os.ErrNotExist) && l.find(Reference{path: r.path}, p) == nil {
		err = nil
	}
	if err != nil {
		return nil, err
	}
	s := &manifestSource{store: l, platform: p}
	m, _, err := s.choose(context.Background())
	if err != nil {
		return nil, err
	}
	paths := make([]string, 0, len(m.LayerInfos())+1)
	for _, b := range append(m.LayerInfos(), manifest.LayerInfo{BlobInfo: m.ConfigInfo()}) {
		name, err := blobPath(b.Digest)
		if err != nil {
			return nil, err
		}
		paths = append(paths, name)
	}
	last := len(paths) - 1
	i, err := readDockerConfig(f, paths[last])
	if err == nil {
		i, err = i.with(paths[:last])
	}
	if err != nil {
		return nil, err
	}
	return i, p.check(i.platform())
}

// platform is what the config says.
func (i *dockerImage) platform() Platform { return platformOf(i.config.Platform) }

// configDigest is the ID that the name of an image's config tells: HEX.json,
// blobs/sha256/HEX or sha256:HEX; empty if it is another name.
func configDigest(config string) string {
	name := strings.TrimSuffix(path.Base(config), ".json")
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

// readDockerConfig reads the config of an image, whose layers are still to be added.
func readDockerConfig(f files, name string) (*dockerImage, error) {
	b, err := readDocument(f, name)
	if err != nil {
		return nil, errors.Wrap(err, "the image's config")
	}
	i := &dockerImage{id: digest.FromBytes(b)}
	if named := configDigest(name); named != "" && named != i.id.String() {
		return nil, errors.Errorf("the image's config %s has digest %s: the image is damaged", name, i.id)
	}
	i.config, err = parseConfig(b)
	return i, err
}

// with is the image with its layers.
func (i *dockerImage) with(layers []string) (*dockerImage, error) {
	return &dockerImage{layers: layers, id: i.id, config: i.config}, checkCount(i.config, len(layers))
}

// dockerArchive is a file that `docker save` has written.
type dockerArchive struct {
	*archive
	image *dockerImage
}

func openDockerArchive(ctx context.Context, r Reference, o Options) (extract.Source, error) {
	a, err := openArchive(ctx, r.path, o.Dir)
	if err != nil {
		return nil, err
	}
	image, err := findDockerImage(a, r, o.Platform)
	if _, _, missing := a.find("manifest.json"); missing != nil {
		err = another(a, r)
	}
	if err != nil {
		a.Close()
		return nil, err
	}
	o.Platform.notice(image.platform(), o.Warn)
	return &dockerArchive{a, image}, nil
}

// Read is part of extract.Source.
func (a *dockerArchive) Read(ctx context.Context, layer extract.LayerFunc) (*extract.Image, error) {
	blobs := make([]layerBlob, len(a.image.layers))
	var err error
	for i, name := range a.image.layers {
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
