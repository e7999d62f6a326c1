package extract

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/imagetest"
	"github.com/awslabs/aws-lambda-container-image-converter/types"
)

// layers are what an image is made of, lowest first.
type layers = [][]imagetest.Entry

// memory is a source of layers that are in memory.
type memory [][]byte

func (m memory) read(ctx context.Context, repack repackFunc) (*image, error) {
	img := &image{config: ispec.Image{Platform: ispec.Platform{OS: "linux", Architecture: "amd64"}}}
	done := map[string]*repacked{}
	for i, b := range m {
		l := done[string(b)]
		if l == nil {
			var err error
			if l, err = repack(ctx, fmt.Sprint("layer ", i), int64(len(b)), bytes.NewReader(b)); err != nil {
				return nil, err
			}
			done[string(b)] = l
		}
		img.layers = append(img.layers, l)
		img.config.RootFS.DiffIDs = append(img.config.RootFS.DiffIDs, digest.FromBytes(b))
	}
	return img, nil
}

func (m memory) close() error { return nil }

// generatedLayers is an image of layers that are made while they are read.
type generatedLayers []func() io.Reader

func (g generatedLayers) read(ctx context.Context, repack repackFunc) (*image, error) {
	img := &image{config: ispec.Image{Platform: ispec.Platform{OS: "linux", Architecture: "amd64"}}}
	for i, layer := range g {
		l, err := repack(ctx, fmt.Sprint("layer ", i), -1, layer())
		if err != nil {
			return nil, err
		}
		img.layers = append(img.layers, l)
		img.config.RootFS.DiffIDs = append(img.config.RootFS.DiffIDs, l.diffID)
	}
	return img, nil
}

func (generatedLayers) close() error { return nil }

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
	dir = memoryDir(t)
	work := filepath.Join(dir, "work")
	if err := os.Mkdir(work, 0o700); err != nil {
		t.Fatal(err)
	}
	result, err = convert(context.Background(), "test", src, work, Options{
		Dir:       dir,
		MaxLayers: maxLayers,
		Progress:  silent{},
		Warn:      func(s string) { warnings = append(warnings, s) },
	})
	return dir, result, warnings, err
}

// convertSource converts what src has to zips in dir.
func convertSource(t testing.TB, ctx context.Context, dir string, src source) error {
	t.Helper()
	work := filepath.Join(dir, "work")
	if err := os.Mkdir(work, 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := convert(ctx, "test", src, work, Options{Dir: dir, Progress: silent{}, Warn: func(string) {}})
	return err
}

// convertOnly converts what src has, for nothing but the error.
func convertOnly(t testing.TB, ctx context.Context, src source) error {
	t.Helper()
	dir := memoryDir(t)
	work := filepath.Join(dir, "work")
	if err := os.Mkdir(work, 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := convert(ctx, "test", src, work, Options{Dir: dir, Progress: silent{}, Warn: func(string) {}})
	if err != nil {
		checkEmpty(t, dir)
	}
	return err
}

// repackOne takes a layer through the first step, and tells how many bytes of it
// were read.
func repackOne(t testing.TB, ctx context.Context, layer io.Reader) (l *repacked, read int64, err error) {
	t.Helper()
	p := &repacker{dir: memoryDir(t), compressor: newCompressor()}
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
