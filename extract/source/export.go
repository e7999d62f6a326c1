package source

import (
	"archive/tar"
	"bufio"
	"context"
	"io"
	"path"
	"strconv"
	"strings"

	"github.com/awslabs/aws-lambda-container-image-converter/extract"
	"github.com/opencontainers/go-digest"
	"github.com/pkg/errors"
	"golang.org/x/sync/errgroup"
)

// export is what has come by of a stream that `docker save` would write to a
// file.
type export struct {
	stream    *lastWords
	documents inMemory
	size      int64 // of the documents, in bytes
	names     nameBudget
	layers    map[string]*layerResult
	links     map[string]string
	feeder    *feeder
	working   errgroup.Group // on layers; has no errors of its own
}

// layerResult is the DiffID of a file that looked like a layer, or why it is no
// layer after all: that matters only if the image has it.
type layerResult struct {
	diffID digest.Digest
	err    error
}

// readExport reads the layers of the image in a stream, up to the end of the tar.
func readExport(ctx context.Context, r io.Reader, p Platform, layer extract.LayerFunc) (*extract.Image, error) {
	x := export{stream: &lastWords{Reader: r}, documents: inMemory{}, layers: map[string]*layerResult{}, links: map[string]string{}, feeder: newFeeder()}
	x.working.SetLimit(layersAtATime())
	layersCtx, cancel := context.WithCancel(ctx)
	err := x.read(layersCtx, layer)
	if err != nil {
		cancel()
	}
	_ = x.working.Wait()
	cancel()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	} else if err != nil {
		return nil, err
	}
	return x.image(p)
}

// image finds the image in what has come by.
func (x *export) image(p Platform) (*extract.Image, error) {
	found, err := findDockerImage(x.documents, Reference{}, p)
	if err != nil {
		return nil, x.stream.explain(err)
	}
	img := newImage(found.id, found.config)
	for i, name := range found.layers {
		l := x.layer(name)
		if l.err != nil {
			return nil, errors.Wrapf(l.err, "layer %s", found.config.RootFS.DiffIDs[i])
		}
		img.Layers = append(img.Layers, l.diffID)
	}
	return img, nil
}

// read takes in the whole tar. The layers may not be through when it returns.
func (x *export) read(ctx context.Context, layer extract.LayerFunc) error {
	for t := tar.NewReader(x.stream); ; {
		h, err := t.Next()
		if err == io.EOF {
			return nil
		} else if err != nil {
			return x.stream.explain(err)
		}
		if err := x.names.add(h.Name, h.Linkname); err != nil {
			return err
		}
		name := cleanPath(h.Name)
		switch h.Typeflag {
		case tar.TypeReg:
			err = x.file(ctx, name, h.Size, t, layer)
		case tar.TypeSymlink:
			x.links[name] = cleanPath(path.Join(path.Dir(name), h.Linkname))
		case tar.TypeLink:
			x.links[name] = cleanPath(h.Linkname)
		}
		if err != nil {
			return err
		}
	}
}

// file takes a file of the export in.
func (x *export) file(ctx context.Context, name string, size int64, r io.Reader, layer extract.LayerFunc) error {
	buffered := bufio.NewReader(r)
	isLayer, err := looksLikeLayer(buffered)
	switch {
	case err != nil:
		return x.stream.explain(err)
	case isLayer, size == 0: // there are images with layers of 0 bytes
		if len(x.layers) == maxLayers {
			return errors.Errorf("it has more than %d layers", maxLayers)
		}
		result, f := new(layerResult), x.feeder.newFeed()
		x.layers[name] = result
		x.working.Go(func() error {
			defer f.drain()
			result.diffID, result.err = layer(ctx, "layer "+strings.TrimSuffix(name, "/layer.tar"), size, f)
			return nil
		})
		f.fill(ctx, buffered, size)
		return ctx.Err()
	case size <= maxDocument:
		if x.size += size; x.size > maxDocuments {
			return errors.Errorf("it has more than %d MB of manifests and configs", maxDocuments>>20)
		}
		b, err := io.ReadAll(buffered)
		if err != nil {
			return x.stream.explain(err)
		}
		x.documents[name] = b
	}
	return nil
}

// layer looks up by its name what a layer has become. Links lead to it in exports
// of engines that keep a layer once that several images have.
func (x *export) layer(name string) *layerResult {
	name = cleanPath(name)
	for range 8 {
		if to, ok := x.links[name]; ok {
			name = to
		}
	}
	if l, ok := x.layers[name]; ok {
		return l
	}
	return &layerResult{err: x.stream.explain(errors.New("it is missing"))}
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
