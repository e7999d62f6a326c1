package source

import (
	"context"
	"io"
	"regexp"
	"strings"

	"github.com/awslabs/aws-lambda-container-image-converter/extract"
	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/image"
	"github.com/moby/moby/client"
	"github.com/moby/moby/client/pkg/versions"
	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/pkg/errors"
	"go.podman.io/image/v5/docker/reference"
)

// engine is an image in a Docker engine, or what speaks its API.
type engine struct {
	api      *client.Client
	endpoint *endpoint
	name     string // as the user gave it, with its tag
	id       digest.Digest
	platform Platform
	options  []client.ImageSaveOption
	// graphDriver is set if the image is kept by one, and not in containerd.
	graphDriver bool
}

// shortID is the beginning of an image ID, which a name can look like.
var shortID = regexp.MustCompile(`^[0-9a-f]{4,63}$`)

// openEngine finds the image that the docker CLI would, r.rest being its name or
// ID.
func openEngine(ctx context.Context, r Reference, o Options) (_ extract.Source, err error) {
	api, endpoint, err := connect(o.Warn)
	if err != nil {
		return nil, err
	}
	e := &engine{api: api, endpoint: endpoint, name: r.rest, platform: o.Platform}
	defer func() {
		if err != nil {
			api.Close()
		}
	}()
	if named, err := reference.ParseNormalizedNamed(e.name); err == nil && !imageID.MatchString(e.name) {
		e.name = reference.FamiliarString(reference.TagNameOnly(named))
	}
	info, manifest, err := e.find(ctx, o.Warn)
	switch {
	case err == nil:
		e.id = digest.Digest(info.ID)
		d := info.GraphDriver // with containerd it has a name at most
		e.graphDriver = d != nil && (len(d.Data) > 0 || d.Name == "vfs")
		return e, e.choose(info, manifest, o.Warn)
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case cerrdefs.IsNotFound(err):
		return nil, e.notFound(r.rest)
	default:
		return nil, e.endpoint.explain(err)
	}
}

// find looks the image up by what the user called it. If that was the digest of
// one of its manifests, find returns that too.
func (e *engine) find(ctx context.Context, warn func(string)) (info image.InspectResponse, manifest digest.Digest, err error) {
	info, err = e.inspect(ctx, e.name)
	if !cerrdefs.IsNotFound(err) {
		return info, "", err
	}
	if short, _, _ := strings.Cut(e.name, ":"); shortID.MatchString(short) {
		if info, problem := e.inspect(ctx, short); problem == nil {
			return info, "", nil
		}
	}
	id, manifest, problem := e.findDigest(ctx, warn)
	if problem != nil {
		return info, "", problem
	}
	if id != "" {
		info, err = e.inspect(ctx, id)
	}
	return info, manifest, err
}

// inspect asks what the engine has of an image: its manifests, too, if images are
// kept in containerd, where an image may have several, and some only by name.
func (e *engine) inspect(ctx context.Context, name string) (info image.InspectResponse, err error) {
	err = shortly(ctx, func(ctx context.Context) error {
		// Containerd takes 20 ms for an answer, so the version decides what to ask.
		_, err := e.api.Ping(ctx, client.PingOptions{NegotiateAPIVersion: true})
		none := cerrdefs.IsNotFound(err)
		if err != nil && !none && !cerrdefs.IsPermissionDenied(err) && !cerrdefs.IsUnauthorized(err) {
			return err // where a proxy refuses that, it may let the rest through
		}
		var options []client.ImageInspectOption
		if err == nil && e.listsManifests() {
			options = append(options, client.ImageInspectWithManifests(true))
		}
		result, err := e.api.ImageInspect(ctx, name, options...)
		info = result.InspectResponse
		if none && cerrdefs.IsNotFound(err) {
			return errors.New("what answers there is something else: it has no /_ping")
		}
		return err
	})
	return info, err
}

// listsManifests reports whether the API can say which manifests an image has.
func (e *engine) listsManifests() bool {
	return !versions.LessThan(e.api.ClientVersion(), "1.48")
}

// notFound says what to do about an image that is not there, given being what the
// user called it.
func (e *engine) notFound(given string) error {
	way := "pull it with `docker pull " + e.name + "`, build it with `docker buildx build --load`, or read it from its registry with -i docker://" + e.name
	if imageID.MatchString(e.name) {
		way = "`docker image ls` lists those it has"
	} else if isFile(given) {
		way = "for the file of that name, say what it is: docker-archive:" + given + " or oci-archive:" + given
	}
	return errors.Errorf("%s has no image %s: %s", e.endpoint, e.name, way)
}

// choose decides for which platform to take the image: for the one asked for, or
// this machine's, or the only one that is there. manifest, unless it is empty, is
// the only manifest that counts.
func (e *engine) choose(info image.InspectResponse, manifest digest.Digest, warn func(string)) error {
	there := []Platform{{info.Os, info.Architecture, info.Variant}}
	if info.Manifests != nil {
		there = available(info.Manifests, manifest)
	}
	wanted := e.platform.orDefault()
	for _, p := range there {
		if wanted.check(p) == nil {
			e.take(p, len(info.Manifests))
			return nil
		}
	}
	switch {
	case len(there) == 0:
		return errors.Errorf("%s has only parts of %s: `docker pull` gets the rest", e.endpoint, e.name)
	case len(there) == 1 && e.platform.isZero():
		e.platform.notice(there[0], warn)
		e.take(there[0], len(info.Manifests))
		return nil
	case !e.graphDriver && !e.listsManifests():
		return nil // containerd may have it: the export shows
	}
	err := noPlatform(wanted, there)
	if imageID.MatchString(e.name) {
		return err
	}
	return errors.Errorf("%s, or get it with `docker pull --platform %s %s`", err, wanted, e.name)
}

// take notes the platform to export. An engine with a single manifest need not be
// told, and may be too old to understand.
func (e *engine) take(p Platform, manifests int) {
	if manifests > 1 {
		e.platform = p
		e.options = append(e.options, client.ImageSaveWithPlatforms(ispec.Platform{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant}))
	}
}

// available lists the platforms whose content is there, which it is not of those
// that the index names and nobody has pulled.
func available(manifests []image.ManifestSummary, only digest.Digest) (there []Platform) {
	for _, m := range manifests {
		if m.Available && m.Kind == image.ManifestKindImage && m.ImageData != nil && (only == "" || m.ID == only.String()) {
			there = append(there, platformOf(m.ImageData.Platform))
		}
	}
	return there
}

// Close is part of extract.Source.
func (e *engine) Close() error { return e.api.Close() }

// Read takes the layers from the engine's export of the image while it arrives.
// Which files are layers only the export's manifest says, and it may come last:
// so every file that looks like a layer is read as one.
func (e *engine) Read(ctx context.Context, layer extract.LayerFunc) (*extract.Image, error) {
	body, err := e.export(ctx, e.id.String(), e.options...)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	img, err := readExport(ctx, body, e.platform, layer)
	if err != nil {
		return nil, errors.Wrapf(err, "Docker engine's export of %s", e.name)
	}
	if !e.graphDriver {
		// Docker 25 to 27.3 keep a lease in containerd if the client goes before the
		// end (moby v27.0.3, daemon/containerd/image_exporter.go). With a graph driver
		// they remove temporary files, which takes up to a tenth of a second.
		_, _ = io.CopyN(io.Discard, body, maxRest)
	}
	img.EngineID = e.id
	return img, nil
}

// export is what `docker save` would write. By an ID it is the image that was
// found even if the name has gone to another since.
func (e *engine) export(ctx context.Context, id string, options ...client.ImageSaveOption) (*answer, error) {
	request := newRequest(ctx)
	request.timer.Stop() // an engine may put all together before it sends anything
	saved, err := e.api.ImageSave(request.ctx, []string{id}, options...)
	if err != nil {
		request.end()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, e.endpoint.explain(err)
	}
	return &answer{saved, request}, nil
}
