package extract

import (
	"archive/tar"
	"fmt"
	"io"
	"strings"
	"testing"
)

// TestSlowLinks guards against symbolic links that take time without end to follow.
// (What takes memory is in integration's hostile_memory.txtar.)
func TestSlowLinks(t *testing.T) {
	t.Parallel()
	link := func(i int) *tar.Header {
		if i == 0 {
			return &tar.Header{Typeflag: tar.TypeSymlink, Name: "usr/l0", Linkname: "."}
		} else if i < 200 {
			return &tar.Header{Typeflag: tar.TypeSymlink, Name: fmt.Sprint("usr/l", i), Linkname: fmt.Sprintf("%sl%d", strings.Repeat("./", 1000), i-1)}
		}
		return &tar.Header{Typeflag: tar.TypeReg, Name: fmt.Sprintf("usr/l199/%d/x", i)}
	}
	layer := func() io.Reader {
		r, w := io.Pipe()
		go func() {
			tw := tar.NewWriter(w)
			for i := 0; ; i++ {
				if err := tw.WriteHeader(link(i)); err != nil {
					return // the reader has had enough
				}
			}
		}()
		t.Cleanup(func() { r.Close() })
		return r
	}
	const want = "lead through too many symbolic links"
	if err := convertOnly(t, t.Context(), generatedLayers{layer}); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got error %v, want %s", err, want)
	}
}
