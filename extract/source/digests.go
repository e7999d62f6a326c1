package source

import (
	"archive/tar"
	"context"
	"io"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/image"
	"github.com/moby/moby/client"
	"github.com/opencontainers/go-digest"
	"github.com/pkg/errors"
	"go.podman.io/image/v5/docker/reference"
)

// wantedDigest is the digest that a name ends with, or is, with the repository
// before it; empty if there is none.
func wantedDigest(name string) (repository string, d digest.Digest) {
	if imageID.MatchString(name) {
		return "", digest.Digest("sha256:" + strings.TrimPrefix(name, "sha256:"))
	}
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return "", ""
	}
	if digested, ok := named.(reference.Digested); ok {
		return named.Name(), digested.Digest()
	}
	return "", ""
}

// findDigest finds an image by a digest that is not the one by which the engine
// calls it. An engine's own is that of the config, or with the containerd image
// store that of the manifest or index; an image has all of them, and people have
// them from elsewhere. It returns the engine's ID, and which manifest is meant;
// empty if there is none.
func (e *engine) findDigest(ctx context.Context, warn func(string)) (id string, manifest digest.Digest, err error) {
	repository, d := wantedDigest(e.name)
	if d == "" {
		return "", "", nil
	}
	var list client.ImageListResult
	err = shortly(ctx, func(ctx context.Context) (err error) {
		list, err = e.api.ImageList(ctx, client.ImageListOptions{Manifests: true})
		return err
	})
	if err != nil {
		return "", "", err
	}
	images := slices.DeleteFunc(list.Items, func(i image.Summary) bool { return !isIn(repository, i) })
	for _, i := range images {
		if i.ID == d.String() || slices.ContainsFunc(i.RepoDigests, func(r string) bool { return strings.HasSuffix(r, "@"+d.String()) }) {
			return i.ID, "", nil
		}
		for _, m := range i.Manifests {
			if m.ID == d.String() {
				return i.ID, d, nil
			}
		}
	}
	if repository != "" { // names go with digests of manifests
		return "", "", nil
	}
	return e.findConfig(ctx, d, images, warn)
}

// isIn reports whether an image has a name in the repository; every image is in
// that without a name.
func isIn(repository string, i image.Summary) bool {
	return repository == "" || slices.ContainsFunc(append(i.RepoTags, i.RepoDigests...), func(name string) bool {
		named, err := reference.ParseNormalizedNamed(name)
		return err == nil && named.Name() == repository
	})
}

// findConfig finds an image by the digest of its config where the engine keeps
// images in containerd. Only exports tell it there, so that this may take long.
func (e *engine) findConfig(ctx context.Context, d digest.Digest, images []image.Summary, warn func(string)) (id string, manifest digest.Digest, err error) {
	warned := false
	for _, i := range images {
		for _, m := range i.Manifests {
			if !m.Available || m.Kind != image.ManifestKindImage || m.ImageData == nil {
				continue
			}
			if !warned {
				warned = true
				warn("the engine does not list an image " + d.String() + ": looking for it in the exports of those that it has")
			}
			var options []client.ImageSaveOption
			if len(i.Manifests) > 1 {
				options = append(options, client.ImageSaveWithPlatforms(m.ImageData.Platform))
			}
			body, err := e.export(ctx, i.ID, options...)
			if err != nil {
				return "", "", err
			}
			has, err := hasConfig(body, d)
			body.Close()
			switch {
			case err != nil:
				return "", "", errors.Wrapf(err, "Docker engine's export of %s", i.ID)
			case has:
				return i.ID, digest.Digest(m.ID), nil
			}
		}
	}
	return "", "", nil
}

// hasConfig reports whether the image of an export has the config.
func hasConfig(export io.Reader, config digest.Digest) (bool, error) {
	for t := tar.NewReader(export); ; {
		h, err := t.Next()
		if err == io.EOF {
			return false, nil
		} else if err != nil {
			return false, err
		}
		if cleanPath(h.Name) != "manifest.json" || h.Size > maxDocument {
			continue
		}
		b, err := io.ReadAll(t)
		if err != nil {
			return false, err
		}
		var manifests []dockerManifest
		if err := parseJSON(b, &manifests); err != nil {
			return false, err
		}
		return slices.ContainsFunc(manifests, func(m dockerManifest) bool { return configDigest(m.Config) == config.String() }), nil
	}
}
