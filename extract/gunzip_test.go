package extract

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"io"
	"testing"
	"testing/iotest"

	kgzip "github.com/klauspost/compress/gzip"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/tartest"
	"github.com/awslabs/aws-lambda-container-image-converter/internal/testrun"
)

// comparison reads what is gzipped with compress/gzip and with our reader. It keeps
// its buffers: to make them is most of the work under the race detector.
type comparison struct {
	std       gzip.Reader
	want, got bytes.Buffer
	piece     [10_007]byte
}

// gunzip reads the content of gzip members into got, as far as it can be read.
func (c *comparison) gunzip(r io.Reader) error {
	c.got.Reset()
	z, err := newGunzipper(r)
	if err != nil {
		return err
	}
	defer z.Close()
	// In pieces that are none of our own.
	_, err = io.CopyBuffer(struct{ io.Writer }{&c.got}, struct{ io.Reader }{z}, c.piece[:])
	return err
}

// check fails unless we read of gzipped bytes what compress/gzip reads, and fail
// where it does.
func (c *comparison) check(t *testing.T, gzipped []byte) {
	t.Helper()
	c.want.Reset()
	wantErr := c.std.Reset(bytes.NewReader(gzipped))
	if wantErr == nil {
		_, wantErr = c.want.ReadFrom(&c.std)
	}
	err := c.gunzip(bytes.NewReader(gzipped))
	if (err != nil) != (wantErr != nil) {
		t.Errorf("got error %v, compress/gzip has %v", err, wantErr)
	}
	// Of a stream that breaks off, compress/gzip may keep the last match back, which
	// zlib gives.
	got, want := c.got.Bytes(), c.want.Bytes()
	early := len(got) <= len(want)+longestMatch && bytes.HasPrefix(got, want)
	if wantErr == nil && !bytes.Equal(got, want) || !bytes.HasPrefix(want, got) && !early {
		t.Errorf("got %d bytes, compress/gzip has %d others", len(got), len(want))
	}
}

// gzippedSizes are of nothing, of one block, of more than a window, and of more than
// the output buffer holds twice.
var gzippedSizes = []int{0, 1, 100, 40_000, 700_000}

// gzippedSamples are streams with blocks of all kinds, of content of these sizes.
func gzippedSamples(t testing.TB, sizes ...int) (all [][]byte) {
	t.Helper()
	rng := testrun.Random(t)
	for _, kind := range []string{"text", "random", "mixed", "zeros"} {
		for _, size := range sizes {
			content := []byte(tartest.Content(rng, kind, size))
			for i := range min(size/1000, 200) { // what came before, at all distances
				at := rng.IntN(size)
				copy(content[at:], content[rng.IntN(at+1):min(size, at+rng.IntN(500)+i)])
			}
			for _, level := range []int{gzip.HuffmanOnly, gzip.NoCompression, gzip.BestSpeed, gzip.DefaultCompression, gzip.BestCompression} {
				var a, b bytes.Buffer
				std, err := gzip.NewWriterLevel(&a, level)
				if err != nil {
					t.Fatal(err)
				}
				std.Name, std.Comment, std.Extra = "a name", "a comment", []byte("extra")
				other, err := kgzip.NewWriterLevel(&b, level)
				if err != nil {
					t.Fatal(err)
				}
				for _, w := range []io.WriteCloser{std, other} {
					_, err := w.Write(content)
					if err := w.Close(); err != nil {
						t.Fatal(err)
					}
					if err != nil {
						t.Fatal(err)
					}
				}
				all = append(all, a.Bytes(), b.Bytes())
			}
		}
	}
	return all
}

// TestGunzip guards against any difference to compress/gzip, also where a stream is
// damaged or ends too soon.
func TestGunzip(t *testing.T) {
	t.Parallel()
	samples := gzippedSamples(t, gzippedSizes...)
	t.Run("whole", func(t *testing.T) {
		t.Parallel()
		var c comparison
		var members [][]byte
		for i, s := range samples {
			c.check(t, s)
			if len(s) < 50_000 || i%10 == 0 {
				members = append(members, s)
			}
			if len(s) > 2000 {
				continue
			}
			for name, r := range map[string]io.Reader{
				"a byte at a time":      iotest.OneByteReader(bytes.NewReader(s)),
				"the end with an error": iotest.DataErrReader(bytes.NewReader(s)),
			} {
				if err := c.gunzip(r); err != nil || !bytes.Equal(c.got.Bytes(), c.want.Bytes()) {
					t.Errorf("%s: got %d of %d bytes, error %v", name, c.got.Len(), c.want.Len(), err)
				}
			}
		}
		c.check(t, bytes.Join(members, nil)) // many members
		c.check(t, append(bytes.Clone(samples[0]), "rubbish"...))
		c.check(t, append(bytes.Clone(samples[0]), 0))
	})
	t.Run("damaged", func(t *testing.T) {
		t.Parallel()
		rng := testrun.Random(t)
		var c comparison
		for _, s := range samples {
			size := int(binary.LittleEndian.Uint32(s[len(s)-4:])) // of the content
			// The larger it is, the longer each takes.
			for range max(1, testrun.Points()*20_000/max(size, 20_000)) {
				c.check(t, s[:rng.IntN(len(s))])
				changed := bytes.Clone(s)
				changed[rng.IntN(len(s))] ^= 1 << rng.IntN(8)
				c.check(t, changed)
			}
		}
	})
}

// TestGunzipRepeats guards against a match that repeats its own bytes wrongly, at any
// short distance.
func TestGunzipRepeats(t *testing.T) {
	t.Parallel()
	rng := testrun.Random(t)
	var c comparison
	for distance := 1; distance <= 20; distance++ {
		var content bytes.Buffer
		for length := range 2*longestMatch + 20 {
			period := []byte(tartest.Content(rng, "random", distance))
			content.Write(bytes.Repeat(period, length/distance+2)[:distance+length])
		}
		c.check(t, tartest.Gzip(t, content.Bytes()))
	}
}

// FuzzGunzip takes any bytes for a gzip stream.
func FuzzGunzip(f *testing.F) {
	for _, s := range gzippedSamples(f, 0, 1, 100, 40_000) {
		if len(s) < 1000 {
			f.Add(s)
		}
	}
	f.Fuzz(func(t *testing.T, gzipped []byte) {
		var c comparison
		c.check(t, gzipped)
		// As a deflate stream it gets further than as a header.
		c.check(t, append([]byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x00"), gzipped...))
	})
}

// BenchmarkGunzip has compress/gzip and klauspost/compress beside it.
func BenchmarkGunzip(b *testing.B) {
	content := []byte(tartest.Content(testrun.Random(b), "text", 8<<20))
	gzipped := tartest.Gzip(b, content)
	for name, open := range map[string]func(io.Reader) (io.Reader, error){
		"extract":       func(r io.Reader) (io.Reader, error) { return newGunzipper(r) },
		"compress/gzip": func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) },
		"klauspost":     func(r io.Reader) (io.Reader, error) { return kgzip.NewReader(r) },
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(content)))
			for b.Loop() {
				r, err := open(bytes.NewReader(gzipped))
				if err != nil {
					b.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, struct{ io.Reader }{r}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
