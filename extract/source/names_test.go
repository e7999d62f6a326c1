package source

import (
	"archive/tar"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/awslabs/aws-lambda-container-image-converter/extract"
	"github.com/awslabs/aws-lambda-container-image-converter/internal/testrun"
)

// TestLongNames guards against small archives whose names and links take more
// memory than there is: PAX headers may be of a megabyte, and compress well.
func TestLongNames(t *testing.T) {
	t.Parallel()
	for name, header := range map[string]func(i int) tar.Header{
		"names": func(i int) tar.Header {
			return tar.Header{Typeflag: tar.TypeReg, Name: fmt.Sprintf("%d%s", i, strings.Repeat("a", 1_000_000))}
		},
		"symbolic links": func(i int) tar.Header {
			return tar.Header{Typeflag: tar.TypeSymlink, Name: fmt.Sprint(i), Linkname: strings.Repeat("a", 1_000_000)}
		},
		"hard links": func(i int) tar.Header {
			return tar.Header{Typeflag: tar.TypeLink, Name: fmt.Sprint(i), Linkname: strings.Repeat("a", 1_000_000)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(testrun.MemoryDir(t), "archive.tar")
			f, err := os.Create(file)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			w := tar.NewWriter(f)
			for i := range 18 {
				h := header(i)
				if err := w.WriteHeader(&h); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			const want = "the names in it take more than 16 MB"
			for _, transport := range []string{"docker-archive:", "oci-archive:"} {
				if _, _, err := convert(t.Context(), parsed(t, transport+file), t.TempDir()); err == nil || !strings.HasSuffix(err.Error(), "archive.tar: "+want) {
					t.Errorf("%s got error %v", transport, err)
				}
			}
			if _, err := f.Seek(0, 0); err != nil {
				t.Fatal(err)
			}
			_, err = zipsOf(t.Context(), t.TempDir(), func(string) (extract.Source, error) { return streamed{f}, nil })
			if err == nil || !strings.HasSuffix(err.Error(), want) {
				t.Errorf("engine: got error %v", err)
			}
		})
	}
}
