package extract

import (
	"archive/tar"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/tartest"
	"github.com/awslabs/aws-lambda-container-image-converter/internal/testrun"
)

// TestManyEntries guards against an index of the entries that outgrows the
// machine. It is not parallel, as it looks at all of the memory.
func TestManyEntries(t *testing.T) {
	testrun.Alone(t)
	n := 50_000
	if testrun.Long {
		n = 300_000
	}
	var err error
	layer := func() io.Reader {
		return tartest.Generated(n, func(i int) []byte {
			return tartest.Header(fmt.Sprintf("opt/%d/file-%d", i%1000, i), tar.TypeReg, 0, nil)
		})
	}
	used := peak(func() { err = convertOnly(t, t.Context(), generatedLayers{layer}) })
	if err != nil {
		t.Fatal(err)
	}
	// Buffers, and twice what is kept of an entry.
	if most := int64(50<<20 + n*700); used > most {
		t.Errorf("%d entries took %d MB, want %d at most", n, used>>20, most>>20)
	}
	t.Logf("%d entries: %d MB", n, used>>20)
}

// TestTooManyEntries guards against memory without bounds where no layer is too
// large by itself.
func TestTooManyEntries(t *testing.T) {
	if !testrun.Long {
		t.Skip("800,000 entries: IMG2LAMBDA_TEST_LONG=1")
	}
	t.Parallel()
	read := 0
	var layers generatedLayers
	for l := range 8 {
		layers = append(layers, func() io.Reader {
			return tartest.Generated(1_000_000, func(i int) []byte {
				read++
				return tartest.Header(fmt.Sprintf("opt/%d/%d/%d", l, i%1000, i), tar.TypeReg, 0, nil)
			})
		})
	}
	err := convertOnly(t, t.Context(), layers)
	if err == nil || !strings.Contains(err.Error(), "too many or too long paths below") {
		t.Errorf("got error %v", err)
	}
	if most := maxMemory / entrySize; read > most {
		t.Errorf("%d entries were read, want %d at most", read, most)
	}
}

// TestManyLinks guards against hard links that take for ever to resolve, each in
// a few bytes of a compressed tar.
func TestManyLinks(t *testing.T) {
	t.Parallel()
	file := func(name string) []byte { return tartest.Header(name, tar.TypeReg, 0, nil) }
	link := func(name, target string) []byte {
		return tartest.Header(name, tar.TypeLink, 0, func(b []byte) { copy(b[157:], target) })
	}
	n := 2_000
	if testrun.Long {
		n = 1_000_000 // with which only what is linear has an end
	}
	for _, tt := range []struct {
		name  string
		layer func(i int) []byte
		want  string
	}{
		{"many to a path that is there many times", func(i int) []byte {
			if i%2 == 0 {
				return file("opt/a")
			}
			return link(fmt.Sprint("opt/", i), "opt/a")
		}, ""},
		{"many before a path that is there many times", func(i int) []byte {
			if i > n/2 {
				return file("opt/a")
			}
			return link(fmt.Sprint("opt/", i), "opt/a")
		}, ""},
		{"each to the one before", func(i int) []byte {
			if i == 0 {
				return file("opt/0")
			}
			return link(fmt.Sprint("opt/", i), fmt.Sprint("opt/", i-1))
		}, ""},
		{"each to the one behind", func(i int) []byte {
			return link(fmt.Sprint("opt/", i), fmt.Sprint("opt/", i+1))
		}, "no file in the image"},
		{"in a circle", func(i int) []byte {
			return link(fmt.Sprint("opt/", i), fmt.Sprint("opt/", (i+1)%n))
		}, "no file in the image"},
		{"in a circle outside", func(i int) []byte {
			if i == 0 {
				return link("opt/a", "usr/0")
			}
			return link(fmt.Sprint("usr/", i-1), fmt.Sprint("usr/", i%(n-1)))
		}, "no file in the image"},
		{"to outside, where all lead on", func(i int) []byte {
			if i%2 == 0 {
				return link(fmt.Sprint("opt/", i), "usr/a")
			}
			return link("usr/a", fmt.Sprint("usr/", i))
		}, "no file in the image"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			testrun.Soon(t, func() {
				err := convertOnly(t, t.Context(), generatedLayers{func() io.Reader { return tartest.Generated(n, tt.layer) }})
				if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
					t.Errorf("got error %v", err)
				}
			})
		})
	}
}

// TestManyLayers guards against work that grows with the square of their number,
// which nothing but the manifest's size limits.
func TestManyLayers(t *testing.T) {
	t.Parallel()
	n := 500
	if testrun.Long {
		n = 3000
	}
	var layers memory
	for i := range n {
		layers = append(layers, append(tartest.Header(fmt.Sprint("opt/", i), tar.TypeReg, 0, nil), tartest.EndOfTar...))
	}
	for _, most := range []int{0, 1} {
		testrun.Soon(t, func() {
			result, err := Convert(t.Context(), layers, "test", Options{Dir: testrun.MemoryDir(t), MaxLayers: most, Progress: silent{}, Warn: func(string) {}})
			if err != nil || most > 0 && len(result.Layers) != most {
				t.Errorf("at most %d: got error %v", most, err)
			}
		})
	}
}
