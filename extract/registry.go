package extract

import (
	"context"
	"io"
	"strings"

	"github.com/docker/distribution/registry/api/errcode"
	v2 "github.com/docker/distribution/registry/api/v2"
	"github.com/opencontainers/go-digest"
	"github.com/pkg/errors"
	"go.podman.io/image/v5/docker"
	"go.podman.io/image/v5/docker/reference"
	"go.podman.io/image/v5/pkg/blobinfocache/none"
	podman "go.podman.io/image/v5/types"
)

// repository is an image in a registry.
type repository struct {
	podman.ImageSource
	pinned digest.Digest // the manifest's, if the reference names it
}

func openRegistry(ctx context.Context, rest string, o Options) (source, error) {
	ref, err := docker.ParseReference(rest)
	if err != nil {
		return nil, err
	}
	sys := &podman.SystemContext{DockerInsecureSkipTLSVerify: podman.NewOptionalBool(o.InsecureRegistry)}
	o.Platform.set(sys)
	var src podman.ImageSource
	err = shortly(ctx, func(ctx context.Context) (err error) {
		src, err = ref.NewImageSource(ctx, sys)
		return err
	})
	if err != nil {
		return nil, otherTags(ctx, sys, ref, err)
	}
	r := &repository{ImageSource: src}
	if d, ok := ref.DockerReference().(reference.Digested); ok {
		r.pinned = d.Digest()
	}
	return &manifestSource{store: r, platform: o.Platform}, nil
}

// otherTags adds to the error about a tag that is not there those that are.
func otherTags(ctx context.Context, sys *podman.SystemContext, ref podman.ImageReference, err error) error {
	named, tagged := ref.DockerReference().(reference.NamedTagged)
	var code errcode.Error
	if !tagged || !errors.As(err, &code) || code.Code != v2.ErrorCodeManifestUnknown {
		return err
	}
	var tags []string
	if shortly(ctx, func(ctx context.Context) (err error) {
		tags, err = docker.GetRepositoryTags(ctx, sys, ref)
		return err
	}) != nil || len(tags) == 0 {
		return err
	}
	const most = 20
	if len(tags) > most {
		tags = append(tags[:most], "…")
	}
	return errors.Errorf("%s has no tag %s; there is %s", named.Name(), named.Tag(), strings.Join(tags, ", "))
}

func (r *repository) manifest(ctx context.Context, d digest.Digest) (b []byte, mediaType string, err error) {
	err = shortly(ctx, func(ctx context.Context) error {
		if d != "" {
			b, mediaType, err = r.GetManifest(ctx, &d)
			return err
		}
		b, mediaType, err = r.GetManifest(ctx, nil)
		if err == nil && r.pinned != "" && r.pinned.Algorithm().FromBytes(b) != r.pinned {
			err = errors.Errorf("the registry's manifest is not %s", r.pinned)
		}
		return err
	})
	return b, mediaType, err
}

func (r *repository) blob(ctx context.Context, b podman.BlobInfo) (io.ReadCloser, error) {
	b.URLs = nil // nothing from elsewhere: an image must not say where to go
	ctx, answer, done := waitFor(ctx)
	blob, _, err := r.GetBlob(ctx, b, none.NoCache)
	if err != nil {
		done()
		return nil, err
	}
	return &download{answer(blob), done}, nil
}

// download ends its request when it is closed.
type download struct {
	io.ReadCloser
	done func()
}

func (d *download) Close() error {
	defer d.done()
	return d.ReadCloser.Close()
}

func (r *repository) close() error { return r.Close() }
