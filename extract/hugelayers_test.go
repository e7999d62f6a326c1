package extract

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/tartest"
	"github.com/awslabs/aws-lambda-container-image-converter/internal/testrun"
)

// zeros is as many of them as one asks for.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// zerosInZstd is a zstd stream (RFC 8878) of head and then n blocks of 128 KiB of
// zeros, 4 bytes each: 100 GB in 3 MB.
func zerosInZstd(head []byte, n int) io.Reader {
	const raw, rle = 0, 1
	block := func(last, kind, size int) []byte {
		h := last | kind<<1 | size<<3
		return []byte{byte(h), byte(h >> 8), byte(h >> 16)}
	}
	b := []byte{0x28, 0xb5, 0x2f, 0xfd, 0, 0x58} // a window of 2 MiB, no sums
	b = append(append(b, block(0, raw, len(head))...), head...)
	zeros := append(block(0, rle, 128<<10), 0)
	return io.MultiReader(bytes.NewReader(b), io.LimitReader(&repeated{unit: zeros}, int64(n*len(zeros))), bytes.NewReader(block(1, raw, 0)))
}

// repeated is a unit of bytes again and again.
type repeated struct {
	unit []byte
	at   int
}

func (r *repeated) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = r.unit[r.at]
		if r.at++; r.at == len(r.unit) {
			r.at = 0
		}
	}
	return len(p), nil
}

type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// TestHugeFile guards against files that are small in the image and fill the
// disk, or take for ever, when they are unpacked: what is over all that Lambda
// takes is refused by what its header says. What is not for Lambda may be as
// large as it likes, and holes cost nothing.
func TestHugeFile(t *testing.T) {
	t.Parallel()
	const huge = 100 << 30
	const refused = `^"opt/huge": with it the layer has more than 1000 MB below /opt and /var/task; Lambda takes 250 MB`
	for _, tt := range []struct {
		name  string
		layer func() io.Reader
		most  int64  // bytes to be read
		want  string // a regular expression; empty: no error
	}{
		{"zeros", func() io.Reader {
			return io.MultiReader(bytes.NewReader(tartest.Header("opt/huge", tar.TypeReg, huge, nil)), zeros{})
		}, 4 << 20, refused},
		{"zeros in zstd", func() io.Reader {
			return zerosInZstd(tartest.Header("opt/huge", tar.TypeReg, huge, nil), huge/(128<<10))
		}, 4 << 20, refused},
		{"sparse", func() io.Reader {
			return bytes.NewReader(append(tartest.Sparse("opt/huge", huge), tartest.EndOfTar...))
		}, 1536, refused},
		{"sparse in PAX", func() io.Reader {
			return bytes.NewReader(append(tartest.PAXSparse("opt/huge", huge), tartest.EndOfTar...))
		}, 4096, refused},
		{"in the function", func() io.Reader {
			return bytes.NewReader(append(tartest.Sparse("var/task/huge", huge), tartest.EndOfTar...))
		}, 1536, "^\"var/task/huge\": with it"},
		{"several that are not too large each", func() io.Reader {
			return bytes.NewReader(slices.Concat(tartest.Sparse("opt/large", 8<<20), tartest.Sparse("opt/huge", maxContent-4<<20)))
		}, 1024, refused},
		{"size over 63 bits", func() io.Reader {
			return bytes.NewReader(append(tartest.Header("opt/huge", tar.TypeReg, 0, func(b []byte) { copy(b[124:], "\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff") }), tartest.EndOfTar...))
		}, 1536, "^tar: "},
		{"negative size", func() io.Reader {
			return bytes.NewReader(append(tartest.Header("opt/huge", tar.TypeReg, 0, func(b []byte) { copy(b[124:], "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00") }), tartest.EndOfTar...))
		}, 1536, "^tar: "},
		{"size that the layer does not have", func() io.Reader {
			return bytes.NewReader(append(tartest.Header("opt/huge", tar.TypeReg, 1<<20, nil), tartest.EndOfTar...))
		}, 1536, "unexpected EOF"},
		{"outside, sparse", func() io.Reader {
			return bytes.NewReader(append(tartest.Sparse("usr/huge", huge), tartest.EndOfTar...))
		}, 1536, ""},
		{"a window of 1 GB for zstd", func() io.Reader {
			return bytes.NewReader([]byte{0x28, 0xb5, 0x2f, 0xfd, 0, 0xa0, 1, 0, 0})
		}, 1536, "window"},
		{"content of 100 GB in one piece for zstd", func() io.Reader {
			return bytes.NewReader([]byte{0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0, 0, 25, 0, 0, 0, 1, 0, 0})
		}, 1536, "exceeds"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, n, err := repackOne(t, t.Context(), tt.layer())
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("got error %v", err)
			case tt.want != "" && (err == nil || !regexp.MustCompile(tt.want).MatchString(err.Error())):
				t.Errorf("got error  %v\nwant error %s", err, tt.want)
			}
			if n > tt.most {
				t.Errorf("%d bytes were read, want %d at most", n, tt.most)
			}
		})
	}
}

// TestLinkBomb guards against hard links that make of one file more than any disk
// has: each becomes a copy.
func TestLinkBomb(t *testing.T) {
	t.Parallel()
	const size, most = 4 << 20, maxContent / (4 << 20)
	links := func(n int, dir, target string) (layer []byte) {
		for i := range n {
			layer = append(layer, tartest.Header(fmt.Sprint(dir, i), tar.TypeLink, 0, func(b []byte) { copy(b[157:], target) })...)
		}
		return append(layer, tartest.EndOfTar...)
	}
	file := func(name string) []byte { return append(tartest.Sparse(name, size), tartest.EndOfTar...) }
	many := memory{file("opt/a")}
	for i := range 20 {
		many = append(many, links(most, fmt.Sprintf("opt/%d/", i), "opt/a"))
	}
	for name, layers := range map[string]memory{
		"in one layer":    {slices.Concat(tartest.Sparse("opt/a", size), links(most, "opt/", "opt/a"))},
		"in the next":     {file("opt/a"), links(most+1, "opt/", "opt/a")},
		"from outside":    {file("usr/a"), links(most+1, "opt/", "usr/a")},
		"in the function": {file("opt/a"), links(most+1, "var/task/", "opt/a")},
		"in many layers":  many, // in none of them too much
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := convertOnly(t, t.Context(), layers); err == nil || !strings.Contains(err.Error(), "more than") {
				t.Errorf("got error %v", err)
			}
		})
	}
}

// TestLongLinks guards against targets of links that fill the memory: a tar has
// room for a megabyte in each, Linux for 4095 bytes. It is not parallel, as it
// looks at all of the memory.
func TestLongLinks(t *testing.T) {
	testrun.Alone(t)
	target := strings.Repeat("a/", 400_000)
	for kind, typeflag := range map[string]byte{"hard": tar.TypeLink, "symbolic": tar.TypeSymlink} {
		t.Run(kind, func(t *testing.T) {
			unit := slices.Concat(tartest.PAX(map[string]string{"linkpath": target}), tartest.Header("opt/link", typeflag, 0, nil))
			var read int64
			var err error
			used := peak(func() {
				_, read, err = repackOne(t, t.Context(), tartest.Generated(200, func(int) []byte { return unit }))
			})
			if err == nil || !strings.Contains(err.Error(), "4095") {
				t.Errorf("got error %v", err)
			}
			if read > 4<<20 {
				t.Errorf("%d bytes were read, and took %d MB", read, used>>20)
			}
		})
	}
}

// TestLongPaths is likewise for names, which together are the memory that an
// index takes.
func TestLongPaths(t *testing.T) {
	if !testrun.Long {
		t.Skip("2 GB of paths: IMG2LAMBDA_TEST_LONG=1")
	}
	testrun.Alone(t)
	name := "opt/" + strings.Repeat(strings.Repeat("n", 250)+"/", 16)
	var err error
	used := peak(func() {
		_, _, err = repackOne(t, t.Context(), tartest.Generated(500_000, func(i int) []byte {
			return slices.Concat(tartest.PAX(map[string]string{"path": fmt.Sprint(name, i)}), tartest.Header("x", tar.TypeReg, 0, nil))
		}))
	})
	if err == nil || used > 1<<30 {
		t.Errorf("%d MB were taken, error %v", used>>20, err)
	}
}

// peak calls f and returns the most memory on the heap that there was meanwhile,
// over what was there before, in bytes.
func peak(f func()) int64 {
	defer debug.SetGCPercent(debug.SetGCPercent(100)) // GOGC may say otherwise
	var before, m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	most := before.HeapAlloc
	done, ticker := make(chan struct{}), time.NewTicker(5*time.Millisecond)
	defer ticker.Stop()
	go func() {
		defer close(done)
		f()
	}()
	for {
		select {
		case <-ticker.C:
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapAlloc)
		case <-done:
			return int64(most - before.HeapAlloc)
		}
	}
}
