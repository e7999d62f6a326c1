package extract

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"testing"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/testrun"

	"github.com/opencontainers/go-digest"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/imagetest"
	"github.com/awslabs/aws-lambda-container-image-converter/types"
)

// layers are what an image is made of, lowest first.
type layers = [][]imagetest.Entry

// memory is a source of layers that are in memory.
type memory [][]byte

func (m memory) Read(ctx context.Context, repack LayerFunc) (*Image, error) {
	img := &Image{Platform: "linux/amd64"}
	done := map[string]digest.Digest{}
	for i, b := range m {
		if done[string(b)] == "" {
			diffID, err := repack(ctx, fmt.Sprint("layer ", i), int64(len(b)), bytes.NewReader(b))
			if err != nil {
				return nil, err
			}
			done[string(b)] = diffID
		}
		img.Layers = append(img.Layers, done[string(b)])
		img.DiffIDs = append(img.DiffIDs, digest.FromBytes(b))
	}
	return img, nil
}

func (m memory) Close() error { return nil }

// generatedLayers is an image of layers that are made while they are read.
type generatedLayers []func() io.Reader

func (g generatedLayers) Read(ctx context.Context, repack LayerFunc) (*Image, error) {
	img := &Image{Platform: "linux/amd64"}
	for i, layer := range g {
		diffID, err := repack(ctx, fmt.Sprint("layer ", i), -1, layer())
		if err != nil {
			return nil, err
		}
		img.Layers = append(img.Layers, diffID)
	}
	img.DiffIDs = img.Layers
	return img, nil
}

func (generatedLayers) Close() error { return nil }

// silent is a Progress that nobody watches.
type silent struct{}

func (silent) Start(string, int64) Task { return silent{} }

func (silent) Add(int) {}

func (silent) Done(digest.Digest) {}

// convertLayers converts layers to zips in a new directory.
func convertLayers(t testing.TB, maxLayers int, layers ...[]imagetest.Entry) (dir string, result *types.Image, warnings []string, err error) {
	t.Helper()
	var src memory
	for _, entries := range layers {
		src = append(src, imagetest.Tar(entries...))
	}
	dir = testrun.MemoryDir(t)
	result, err = Convert(context.Background(), src, "test", Options{
		Dir:       dir,
		MaxLayers: maxLayers,
		Progress:  silent{},
		Warn:      func(s string) { warnings = append(warnings, s) },
	})
	return dir, result, warnings, err
}

// convertSource converts what src has to zips in dir.
func convertSource(t testing.TB, ctx context.Context, dir string, src Source) error {
	t.Helper()
	_, err := Convert(ctx, src, "test", Options{Dir: dir, Progress: silent{}, Warn: func(string) {}})
	return err
}

// convertOnly converts what src has, for nothing but the error.
func convertOnly(t testing.TB, ctx context.Context, src Source) error {
	t.Helper()
	dir := testrun.MemoryDir(t)
	_, err := Convert(ctx, src, "test", Options{Dir: dir, Progress: silent{}, Warn: func(string) {}})
	if err != nil {
		testrun.CheckEmpty(t, dir)
	}
	return err
}

// repackOne takes a layer through the first step, and tells how many bytes of it
// were read.
func repackOne(t testing.TB, ctx context.Context, layer io.Reader) (l *repacked, read int64, err error) {
	t.Helper()
	p := newConverter(testrun.MemoryDir(t))
	defer p.close()
	r := &counter{r: layer}
	l, err = p.repack(ctx, r)
	return l, r.n, err
}

// layerZips are the paths of the layers' zips in order.
func layerZips(dir string, result *types.Image) (zips []string) {
	for _, l := range result.Layers {
		zips = append(zips, filepath.Join(dir, l.File))
	}
	return zips
}

// functionZip is the path of the function's zip, if there is one.
func functionZip(dir string, result *types.Image) (zips []string) {
	if result.Function != nil {
		zips = append(zips, filepath.Join(dir, result.Function.File))
	}
	return zips
}
