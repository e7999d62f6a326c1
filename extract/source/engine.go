package source

import (
	"archive/tar"
	"bufio"
	"cmp"
	"context"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/awslabs/aws-lambda-container-image-converter/extract"
	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/client"
	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/pkg/errors"
	"go.podman.io/image/v5/docker/reference"
)

// engine is an image in a Docker engine, or what speaks its API.
type engine struct {
	api      *client.Client
	name     string
	platform Platform
	options  []client.ImageSaveOption
}

// shortID is the beginning of an image ID, which a name can look like.
var shortID = regexp.MustCompile(`^[0-9a-f]{4,63}$`)

func isFile(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode().IsRegular()
}

// openEngine finds the image that the docker CLI would, rest being its name or
// ID.
func openEngine(ctx context.Context, r Reference, o Options) (_ extract.Source, err error) {
	name := r.rest
	if named, err := reference.ParseNormalizedNamed(name); err == nil && !imageID.MatchString(name) {
		name = reference.FamiliarString(reference.TagNameOnly(named))
	}
	options := []client.Opt{client.WithHostFromEnv(), client.WithAPIVersionFromEnv()}
	if os.Getenv("DOCKER_TLS_VERIFY") != "" {
		options = append(options, client.WithTLSClientConfig(certificates()))
	}
	api, err := client.New(options...)
	if err != nil {
		return nil, errors.Wrap(err, "DOCKER_HOST")
	}
	defer func() {
		if err != nil {
			api.Close()
		}
	}()
	var info client.ImageInspectResult
	inspect := func(name string, options ...client.ImageInspectOption) error {
		return shortly(ctx, func(ctx context.Context) (err error) {
			info, err = api.ImageInspect(ctx, name, options...)
			return err
		})
	}
	err = inspect(name)
	if short, _, _ := strings.Cut(name, ":"); cerrdefs.IsNotFound(err) && shortID.MatchString(short) && inspect(short) == nil {
		name, err = info.ID, nil
	}
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case cerrdefs.IsNotFound(err) && imageID.MatchString(name):
		return nil, errors.Errorf("the Docker engine has no image %s: `docker image ls` lists those it has", name)
	case cerrdefs.IsNotFound(err) && isFile(r.rest):
		return nil, errors.Errorf("the Docker engine has no image %s; for the file of that name, say what it is: docker-archive:%s or oci-archive:%s", name, r.rest, r.rest)
	case cerrdefs.IsNotFound(err):
		return nil, errors.Errorf("the Docker engine has no image %s: `docker pull %s` gets it, or read it from its registry with -i docker://%s", name, name, name)
	case errors.Is(err, os.ErrNotExist), strings.HasPrefix(err.Error(), "Cannot connect to the Docker daemon"):
		return nil, errors.Errorf("no Docker engine answers at %s: start it, or set DOCKER_HOST; an archive (docker-archive:, oci-archive:) or a registry (docker://) needs none", api.DaemonHost())
	default:
		return nil, errors.Wrapf(err, "Docker engine at %s", api.DaemonHost())
	}
	p := o.Platform
	e := &engine{api: api, name: name, platform: p}
	if there := (Platform{info.Os, info.Architecture, info.Variant}); !p.isZero() && p.check(there) != nil {
		// An engine with the containerd image store may have several.
		one := ispec.Platform{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant}
		e.options = append(e.options, client.ImageSaveWithPlatforms(one))
		if inspect(name, client.ImageInspectWithPlatform(&one)) != nil {
			return nil, p.check(there)
		}
	}
	return e, nil
}

// certificates returns where the docker CLI looks for them: in DOCKER_CERT_PATH
// or beside its configuration. Only ca.pem has to exist.
func certificates() (ca, cert, key string) {
	home, _ := os.UserHomeDir() // without one, nothing is found
	dir := cmp.Or(os.Getenv("DOCKER_CERT_PATH"), os.Getenv("DOCKER_CONFIG"), filepath.Join(home, ".docker"))
	optional := func(name string) string {
		name = filepath.Join(dir, name)
		if _, err := os.Stat(name); err != nil {
			return ""
		}
		return name
	}
	return filepath.Join(dir, "ca.pem"), optional("cert.pem"), optional("key.pem")
}

// Close is part of extract.Source.
func (e *engine) Close() error { return e.api.Close() }

// Read takes the layers from the engine's export of the image while it arrives.
// Which files are layers only the export's manifest says, and it may come last:
// so every file that looks like a layer is read as one.
func (e *engine) Read(ctx context.Context, layer extract.LayerFunc) (*extract.Image, error) {
	request := newRequest(ctx)
	request.timer.Stop() // an engine may put all together before it sends anything
	saved, err := e.api.ImageSave(request.ctx, []string{e.name}, e.options...)
	if err != nil {
		request.end()
		return nil, errors.Wrapf(err, "Docker engine at %s", e.api.DaemonHost())
	}
	body := &answer{saved, request}
	defer body.Close()
	img, err := readExport(ctx, body, e.platform, layer)
	return img, errors.Wrapf(err, "Docker engine's export of %s", e.name)
}

// export is what has come by of a stream that `docker save` would write to a
// file.
type export struct {
	documents inMemory
	size      int64 // of the documents, in bytes
	names     nameBudget
	layers    map[string]layerResult
	links     map[string]string
}

// layerResult is the DiffID of a file that looked like a layer, or why it is no
// layer after all: that matters only if the image has it.
type layerResult struct {
	diffID digest.Digest
	err    error
}

func readExport(ctx context.Context, r io.Reader, p Platform, layer extract.LayerFunc) (*extract.Image, error) {
	x := export{documents: inMemory{}, layers: map[string]layerResult{}, links: map[string]string{}}
	for t := tar.NewReader(r); ; {
		h, err := t.Next()
		if err == io.EOF {
			break
		} else if err != nil {
			return nil, err
		}
		name := cleanPath(h.Name)
		if err := x.names.add(h.Name, h.Linkname); err != nil {
			return nil, err
		}
		switch h.Typeflag {
		case tar.TypeReg:
			err = x.file(ctx, name, h.Size, t, layer)
		case tar.TypeSymlink:
			x.links[name] = cleanPath(path.Join(path.Dir(name), h.Linkname))
		case tar.TypeLink:
			x.links[name] = cleanPath(h.Linkname)
		}
		if err != nil {
			return nil, err
		}
	}
	// The end of the tar is not always the end of the stream: an engine that
	// fails says so after it.
	if _, err := io.Copy(io.Discard, r); err != nil {
		return nil, err
	}
	found, err := findDockerImage(x.documents, Reference{}, p)
	if err != nil {
		return nil, err
	}
	img := newImage(found.id, found.config)
	for i, name := range found.Layers {
		name = cleanPath(name)
		for range 8 {
			if to, ok := x.links[name]; ok {
				name = to
			}
		}
		l, ok := x.layers[name]
		if !ok {
			l.err = errors.New("it is missing")
		}
		if l.err != nil {
			return nil, errors.Wrapf(l.err, "layer %s", found.config.RootFS.DiffIDs[i])
		}
		img.Layers = append(img.Layers, l.diffID)
	}
	return img, nil
}

// file takes a file of the export in.
func (x *export) file(ctx context.Context, name string, size int64, r io.Reader, layer extract.LayerFunc) error {
	buffered := bufio.NewReader(r)
	isLayer, err := looksLikeLayer(buffered)
	switch {
	case err != nil:
		return err
	case isLayer:
		if len(x.layers) == maxLayers {
			return errors.Errorf("it has more than %d layers", maxLayers)
		}
		diffID, err := layer(ctx, "layer "+strings.TrimSuffix(name, "/layer.tar"), size, buffered)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		x.layers[name] = layerResult{diffID, err}
	case size <= maxDocument:
		if x.size += size; x.size > maxDocuments {
			return errors.Errorf("it has more than %d MB of manifests and configs", maxDocuments>>20)
		}
		b, err := io.ReadAll(buffered)
		if err != nil {
			return err
		}
		x.documents[name] = b
	}
	return nil
}

// looksLikeLayer reports whether a file is compressed, or a tar: there a header
// names the sum of its own bytes, the eight of that number taken for spaces
// (POSIX pax, "ustar Interchange Format"). An empty tar is zeros.
func looksLikeLayer(r *bufio.Reader) (bool, error) {
	if c, err := extract.Sniff(r); c != extract.Uncompressed || err != nil {
		return c != extract.Uncompressed, err
	}
	header, err := r.Peek(512)
	if err == io.EOF {
		return false, nil
	} else if err != nil {
		return false, err
	}
	sum := int64(8 * ' ')
	for i, b := range header {
		if i < 148 || i >= 156 {
			sum += int64(b)
		}
	}
	want, err := strconv.ParseInt(strings.Trim(string(header[148:156]), " \x00"), 8, 64)
	return err == nil && want == sum || sum == 8*' ', nil
}
