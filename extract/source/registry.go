package source

import (
	"context"
	"io"

	"github.com/awslabs/aws-lambda-container-image-converter/extract"
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
	named  reference.Named
	login  login
	warn   func(string)
	pinned digest.Digest // the manifest's, if the reference names it
}

func openRegistry(ctx context.Context, r Reference, o Options) (extract.Source, error) {
	named, err := reference.ParseNormalizedNamed(r.rest)
	if err != nil {
		return nil, err
	}
	repo := &repository{named: reference.TrimNamed(named), warn: o.Warn}
	if d, ok := named.(reference.Digested); ok { // it says all; a tag beside it is for people
		repo.pinned = d.Digest()
		if named, err = reference.WithDigest(repo.named, repo.pinned); err != nil {
			return nil, err
		}
	}
	named = reference.TagNameOnly(named)
	ref, err := docker.NewReference(named)
	if err != nil {
		return nil, err
	}
	sys := systemContext(o)
	o.Platform.set(sys)
	if repo.login, err = findLogin(ctx, repo.named, sys, o); err != nil {
		return nil, err
	}
	sys.DockerAuthConfig = &repo.login.DockerAuthConfig
	err = repo.request(ctx, func(ctx context.Context) (err error) {
		repo.ImageSource, err = ref.NewImageSource(ctx, sys)
		return err
	})
	if err != nil {
		return nil, otherTags(ctx, named, repo.login, insecure(sys, named), err)
	}
	return &manifestSource{store: repo, platform: o.Platform, warn: o.Warn}, nil
}

// attempts begins to count those at something in the registry.
func (r *repository) attempts() *attempts {
	return &attempts{host: reference.Domain(r.named), warn: r.warn}
}

// request makes a request whose answer is short, again where that may help.
func (r *repository) request(ctx context.Context, request func(context.Context) error) error {
	err := r.attempts().do(ctx, func() error { return shortly(ctx, request) })
	return explain(err, r.named, r.login)
}

func (r *repository) manifest(ctx context.Context, d digest.Digest) (b []byte, mediaType string, err error) {
	err = r.request(ctx, func(ctx context.Context) (err error) {
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

// has is part of store. A registry has what its indexes name.
func (r *repository) has(digest.Digest) bool { return true }

func (r *repository) blob(ctx context.Context, b podman.BlobInfo) (io.ReadCloser, error) {
	b.URLs = nil // nothing from elsewhere: an image must not say where to go
	blob := &resumed{ctx: ctx, tries: r.attempts(), open: func() (io.ReadCloser, error) {
		request := newRequest(ctx)
		blob, _, err := r.GetBlob(request.ctx, b, none.NoCache)
		if err != nil {
			defer request.end()
			return nil, request.because(err)
		}
		request.timer.Stop() // until somebody reads
		return &answer{blob, request}, nil
	}}
	err := blob.tries.do(ctx, func() (err error) {
		blob.r, err = blob.open()
		return err
	})
	return blob, explain(err, r.named, r.login)
}
