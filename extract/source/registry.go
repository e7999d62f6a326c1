package source

import (
	"context"
	"io"
	"strings"

	"github.com/awslabs/aws-lambda-container-image-converter/extract"
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

func openRegistry(ctx context.Context, r Reference, o Options) (extract.Source, error) {
	named, err := reference.ParseNormalizedNamed(r.rest)
	if err != nil {
		return nil, err
	}
	if d, ok := named.(reference.Digested); ok { // it says all; a tag beside it is for people
		if named, err = reference.WithDigest(reference.TrimNamed(named), d.Digest()); err != nil {
			return nil, err
		}
	}
	ref, err := docker.NewReference(reference.TagNameOnly(named))
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
	repo := &repository{ImageSource: src}
	if d, ok := ref.DockerReference().(reference.Digested); ok {
		repo.pinned = d.Digest()
	}
	return &manifestSource{store: repo, platform: o.Platform}, nil
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
	request := newRequest(ctx)
	blob, _, err := r.GetBlob(request.ctx, b, none.NoCache)
	if err != nil {
		defer request.end()
		return nil, request.because(err)
	}
	request.timer.Stop() // until somebody reads
	return &answer{blob, request}, nil
}
