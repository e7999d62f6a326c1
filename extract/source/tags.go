package source

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"

	"github.com/docker/distribution/registry/api/errcode"
	v2 "github.com/docker/distribution/registry/api/v2"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	gcr "github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/pkg/errors"
	"go.podman.io/image/v5/docker/reference"
	"go.podman.io/image/v5/pkg/tlsclientconfig"
)

// otherTags adds to the error about a tag that is not there those that are.
func otherTags(ctx context.Context, named reference.Named, l login, insecure bool, err error) error {
	tagged, ok := named.(reference.NamedTagged)
	var code errcode.ErrorCoder
	if !errors.As(err, &code) || code.ErrorCode() != v2.ErrorCodeManifestUnknown && code.ErrorCode() != v2.ErrorCodeNameUnknown {
		return err
	}
	unknown := errors.Errorf("registry %s has no image %s: is its name right?", reference.Domain(named), named)
	if !ok {
		return unknown
	}
	var tags []string
	if shortly(ctx, func(ctx context.Context) (err error) {
		tags, err = someTags(ctx, named, l, insecure, maxListed+1)
		return err
	}) != nil || len(tags) == 0 {
		return unknown
	}
	return errors.Errorf("%s has no tag %s; there is %s", named.Name(), tagged.Tag(), listed(tags))
}

// someTags asks a registry for one page of a repository's tags. containers/image
// asks for all, however many there are.
func someTags(ctx context.Context, named reference.Named, l login, insecure bool, n int) ([]string, error) {
	host := reference.Domain(named)
	options := []name.Option{}
	if insecure {
		options = append(options, name.Insecure)
	}
	repo, err := name.NewRepository(named.Name(), options...)
	if err != nil {
		return nil, err
	}
	base := tlsclientconfig.NewTransport()
	defer base.CloseIdleConnections()
	base.TLSClientConfig = &tls.Config{InsecureSkipVerify: insecure}
	for _, dir := range []string{"/etc/containers/certs.d", "/etc/docker/certs.d"} {
		if err := tlsclientconfig.SetupCertificates(filepath.Join(dir, host), base.TLSClientConfig); err != nil {
			return nil, err
		}
	}
	auth := authn.FromConfig(authn.AuthConfig{Username: l.Username, Password: l.Password, IdentityToken: l.IdentityToken})
	if l.from == "" {
		auth = authn.Anonymous
	}
	t, err := gcr.NewWithContext(ctx, repo.Registry, auth, base, []string{repo.Scope(gcr.PullScope)})
	if err != nil {
		return nil, err
	}
	url := fmt.Sprintf("%s://%s/v2/%s/tags/list?n=%d", repo.Scheme(), repo.RegistryStr(), repo.RepositoryStr(), n)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	answer, err := (&http.Client{Transport: t}).Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	var list struct{ Tags []string }
	err = json.NewDecoder(io.LimitReader(answer.Body, maxTags)).Decode(&list)
	return list.Tags, err
}
