package extract

import (
	"archive/tar"
	"fmt"
	"io"
	"strings"
	"testing"
)

// TestLinksAreBounded has layers whose symbolic links would take memory or time
// without end.
func TestLinksAreBounded(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		link func(i int) *tar.Header // the layer's entries
		want string
	}{
		{
			"many and long",
			func(i int) *tar.Header {
				return &tar.Header{Typeflag: tar.TypeSymlink, Name: fmt.Sprint("usr/", i), Linkname: strings.Repeat("x", 4000)}
			},
			"too many or too long paths below",
		},
		{
			"replaced again and again, with directories above",
			func(i int) *tar.Header {
				if i%2 == 1 {
					return &tar.Header{Typeflag: tar.TypeReg, Name: "usr"}
				}
				return &tar.Header{Typeflag: tar.TypeSymlink, Name: "usr/" + strings.Repeat("d/", 500) + "l", Linkname: strings.Repeat("x", 4000)}
			},
			"too many or too long paths below",
		},
		{
			"slow to follow",
			func(i int) *tar.Header {
				if i == 0 {
					return &tar.Header{Typeflag: tar.TypeSymlink, Name: "usr/l0", Linkname: "."}
				} else if i < 200 {
					return &tar.Header{Typeflag: tar.TypeSymlink, Name: fmt.Sprint("usr/l", i), Linkname: fmt.Sprintf("%sl%d", strings.Repeat("./", 1000), i-1)}
				}
				return &tar.Header{Typeflag: tar.TypeReg, Name: fmt.Sprintf("usr/l199/%d/x", i)}
			},
			"lead through too many symbolic links",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			layer := func() io.Reader {
				r, w := io.Pipe()
				go func() {
					tw := tar.NewWriter(w)
					for i := 0; ; i++ {
						if err := tw.WriteHeader(tt.link(i)); err != nil {
							return // the reader has had enough
						}
					}
				}()
				t.Cleanup(func() { r.Close() })
				return r
			}
			err := convertOnly(t, t.Context(), generatedLayers{layer})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want %s", err, tt.want)
			}
		})
	}
}
