package extract

import (
	"context"
	"io"

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
	src, err := ref.NewImageSource(ctx, sys)
	if err != nil {
		return nil, err
	}
	r := &repository{ImageSource: src}
	if d, ok := ref.DockerReference().(reference.Digested); ok {
		r.pinned = d.Digest()
	}
	return &manifestSource{store: r, platform: o.Platform}, nil
}

func (r *repository) manifest(ctx context.Context, d digest.Digest) ([]byte, string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errStalled)
	defer cancel()
	if d != "" {
		return r.GetManifest(ctx, &d)
	}
	b, mediaType, err := r.GetManifest(ctx, nil)
	if err == nil && r.pinned != "" && r.pinned.Algorithm().FromBytes(b) != r.pinned {
		err = errors.Errorf("the registry's manifest is not %s", r.pinned)
	}
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
