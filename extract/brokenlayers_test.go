package extract

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/iotest"
	"testing/synctest"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/tartest"
	"github.com/awslabs/aws-lambda-container-image-converter/internal/testrun"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/imagetest"
)

// claims is a source whose config names other layers than it has.
type claims struct {
	memory
	diffIDs []digest.Digest
}

func (c claims) Read(ctx context.Context, repack LayerFunc) (*Image, error) {
	img, err := c.memory.Read(ctx, repack)
	if err == nil {
		img.DiffIDs = c.diffIDs
	}
	return img, err
}

// TestOtherContent is law 3: a layer that is not the one that the config names
// is refused, whatever is in it.
func TestOtherContent(t *testing.T) {
	t.Parallel()
	good := imagetest.Tar(imagetest.File("opt/a", "1"))
	other := imagetest.Tar(imagetest.File("opt/a", "2"))
	outside := imagetest.Tar(imagetest.File("etc/a", "2"))
	trailing := append(slices.Clone(good), make([]byte, 512)...)
	for name, bad := range map[string][]byte{"other content": other, "content outside": outside, "something behind the end": trailing, "nothing": {}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := testrun.MemoryDir(t)
			err := convertSource(t, t.Context(), dir, claims{memory{good, bad}, []digest.Digest{digest.FromBytes(good), digest.FromBytes(good)}})
			want := fmt.Sprintf("layer 2 of 2 should be %s by the image's config, but what was read is %s: the image is damaged", digest.FromBytes(good), digest.FromBytes(bad))
			if err == nil || err.Error() != want {
				t.Errorf("got error  %v\nwant error %s", err, want)
			}
			testrun.CheckEmpty(t, dir)
		})
	}
}

// interrupted is a source of layers in memory, several of which are read at a
// time. Reading one of them comes to what then does, after some bytes.
type interrupted struct {
	memory
	layer, after int
	then         func(ctx context.Context) io.Reader
}

func (s interrupted) Read(ctx context.Context, repack LayerFunc) (*Image, error) {
	img := &Image{Layers: make([]digest.Digest, len(s.memory))}
	g, ctx := errgroup.WithContext(ctx)
	for i, b := range s.memory {
		img.DiffIDs = append(img.DiffIDs, digest.FromBytes(b))
		g.Go(func() (err error) {
			var r io.Reader = bytes.NewReader(b)
			if i == s.layer {
				r = io.MultiReader(bytes.NewReader(b[:s.after]), s.then(ctx), bytes.NewReader(b[s.after:]))
			}
			img.Layers[i], err = repack(ctx, fmt.Sprint("layer ", i), int64(len(b)), r)
			return err
		})
	}
	return img, g.Wait()
}

// TestBrokenReading is law 4: wherever reading a layer breaks off, nothing
// appears in the output directory, and everything that was under way ends
// (synctest.Test fails otherwise).
func TestBrokenReading(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	src := memory{
		imagetest.Tar(imagetest.File("opt/a", tartest.Content(rng, "text", blockSize+1000))),
		imagetest.Tar(imagetest.File("opt/b", tartest.Content(rng, "random", 2*blockSize+1000)), imagetest.File("opt/c", "3"), imagetest.File("opt/d", "4")),
		imagetest.Tar(imagetest.File("opt/e", tartest.Content(rng, "text", 1000))),
	}
	end := len(src[1]) - 4096 // before opt/d
	broken := errors.New("broken off")
	ways := []struct {
		name string
		then func(ctx context.Context, cancel func(), dir string) error // of Read
		want error
	}{
		{"error", func(context.Context, func(), string) error { return broken }, broken},
		{"cut", func(context.Context, func(), string) error { return io.ErrUnexpectedEOF }, io.ErrUnexpectedEOF},
		{"interrupt", func(_ context.Context, cancel func(), _ string) error {
			cancel()
			return io.EOF // the rest comes all the same
		}, context.Canceled},
		{"interrupt of a stalled read", func(ctx context.Context, cancel func(), _ string) error {
			cancel()
			<-ctx.Done()
			return ctx.Err()
		}, context.Canceled},
		{"no place for zips", func(_ context.Context, _ func(), dir string) error {
			if err := os.RemoveAll(dir); err != nil {
				return err
			}
			return io.EOF
		}, fs.ErrNotExist},
	}
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			places := []int{0, 513, blockSize + 512, end}
			if testrun.Long {
				places = []int{0, 1, 511, 512, 513, chunkSize, blockSize, blockSize + 512, 2*blockSize + 77, end - 1, end}
			}
			for _, after := range places {
				synctest.Test(t, func(t *testing.T) {
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					dir := filepath.Join(testrun.MemoryDir(t), "out")
					if err := os.Mkdir(dir, 0o755); err != nil {
						t.Fatal(err)
					}
					err := convertSource(t, ctx, dir, interrupted{src, 1, after, func(ctx context.Context) io.Reader {
						return readFunc(func() error { return way.then(ctx, cancel, dir) })
					}})
					if !errors.Is(err, way.want) {
						t.Errorf("after %d bytes: got error %v, want %v", after, err, way.want)
					}
					testrun.CheckEmpty(t, dir)
				})
			}
		})
	}
}

// readFunc is a reader that has nothing but an error.
type readFunc func() error

func (f readFunc) Read([]byte) (int, error) { return 0, f() }

// endless gives zeros until it notices that nobody wants to stop.
type endless struct {
	after  int64 // bytes, and then cancel is called
	cancel func()
	n      int64
}

func (e *endless) Read(p []byte) (int, error) {
	clear(p)
	e.n += int64(len(p))
	if e.n > e.after {
		e.cancel()
	}
	if e.n > e.after+(256<<20) {
		return 0, errors.New("it goes on and on")
	}
	return len(p), nil
}

// TestInterruptedWhileSkipping guards against a Ctrl-C that waits for the end of
// what is read and not used, gigabytes of it perhaps.
func TestInterruptedWhileSkipping(t *testing.T) {
	t.Parallel()
	const huge = 1 << 40
	for name, head := range map[string][]byte{
		"a file outside":        tartest.Header("usr/huge", tar.TypeReg, huge, nil),
		"behind the tar":        slices.Concat(tartest.Header("opt/a", tar.TypeReg, 0, nil), tartest.EndOfTar),
		"behind an empty tar":   tartest.EndOfTar,
		"a file for Lambda":     tartest.Header("opt/a", tar.TypeReg, maxContent, nil),
		"a type without a name": tartest.Header("usr/huge", 'Z', huge, nil),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			_, _, err := repackOne(t, ctx, io.MultiReader(bytes.NewReader(head), &endless{after: 3 << 20, cancel: cancel}))
			if !errors.Is(err, context.Canceled) {
				t.Errorf("got error %v", err)
			}
		})
	}
}

// TestFaultyReaders is a layer whose bytes come in pieces of any size, and then
// an error instead of the rest, at any place.
func TestFaultyReaders(t *testing.T) {
	t.Parallel()
	gone := errors.New("gone")
	for _, c := range []imagetest.Compression{imagetest.None, imagetest.Gzip, imagetest.Zstd} {
		t.Run(c.String(), func(t *testing.T) {
			t.Parallel()
			rng := testrun.Random(t)
			moodily := func(r io.Reader) io.Reader { return &moody{r, rand.New(rand.NewPCG(rng.Uint64(), 0))} }
			tar := imagetest.Tar(
				imagetest.File("opt/a", tartest.Content(rng, "text", 30_000)), imagetest.Hardlink("opt/b", "opt/a"),
				imagetest.File("opt/c", tartest.Content(rng, "random", blockSize+1000)), imagetest.File("usr/d", tartest.Content(rng, "text", 5000)))
			layer := imagetest.Layer(tar, c, true)
			r, err := layer.Compressed()
			if err != nil {
				t.Fatal(err)
			}
			blob, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			convert := func(r func() io.Reader) (map[string]string, error) {
				return zipsOf(t.Context(), t, generatedLayers{r})
			}
			want, err := convert(func() io.Reader { return bytes.NewReader(blob) })
			if err != nil {
				t.Fatal(err)
			}
			for _, reader := range []struct {
				name   string
				change func(io.Reader) io.Reader
			}{
				{"half of what is asked for", iotest.HalfReader},
				{"the end with the last bytes", iotest.DataErrReader},
				{"as much as it likes", moodily},
				{"the end with the last, moody", func(r io.Reader) io.Reader { return iotest.DataErrReader(moodily(r)) }},
			} {
				got, err := convert(func() io.Reader { return reader.change(bytes.NewReader(blob)) })
				if err != nil || !cmp.Equal(got, want) {
					t.Errorf("%s: got error %v, or other zips", reader.name, err)
				}
			}
			for range testrun.Points() / 2 {
				n := rng.IntN(len(blob))
				_, err := convert(func() io.Reader {
					return moodily(io.MultiReader(bytes.NewReader(blob[:n]), iotest.ErrReader(gone)))
				})
				if !errors.Is(err, gone) {
					t.Errorf("gone after byte %d: got error %v", n, err)
				}
			}
		})
	}
}

// moody reads some of what is asked for.
type moody struct {
	r   io.Reader
	rng *rand.Rand
}

func (m *moody) Read(p []byte) (int, error) {
	if len(p) > 0 {
		p = p[:1+m.rng.IntN(min(len(p), 1<<m.rng.IntN(16)))]
	}
	return m.r.Read(p)
}

// TestDiskError guards against reading a layer to its end, which may take minutes,
// when what it becomes cannot be written.
func TestDiskError(t *testing.T) {
	t.Parallel()
	c := newConverter(filepath.Join(testrun.MemoryDir(t), "gone"))
	defer c.close()
	const size = 1 << 30
	layer := &counter{r: io.MultiReader(
		bytes.NewReader(append(tartest.Header("opt/a", tar.TypeReg, 0, nil), tartest.Header("opt/b", tar.TypeReg, 1<<20, nil)...)),
		io.LimitReader(zeros{}, 1<<20),
		bytes.NewReader(tartest.Header("usr/c", tar.TypeReg, size, nil)),
		io.LimitReader(zeros{}, size),
	)}
	_, err := c.repack(t.Context(), layer)
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got error %v", err)
	}
	if layer.n > size/2 {
		t.Errorf("%d MB were read, though nothing could be written", layer.n>>20)
	}
}
