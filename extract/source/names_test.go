package source

import (
	"archive/tar"
	"fmt"
	"strings"
	"testing"

	"github.com/awslabs/aws-lambda-container-image-converter/extract"
	"github.com/awslabs/aws-lambda-container-image-converter/internal/tartest"
)

// TestLongNames guards against small exports whose names and links take more
// memory than there is: PAX headers may be of a megabyte. The same of archives is in
// hostile_names.txtar.
func TestLongNames(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 1_000_000)
	for name, entry := range map[string]func(i int) []byte{
		"names":          func(i int) []byte { return tartest.Named(fmt.Sprint(i, long), tar.TypeReg, "") },
		"symbolic links": func(i int) []byte { return tartest.Named(fmt.Sprint(i), tar.TypeSymlink, long) },
		"hard links":     func(i int) []byte { return tartest.Named(fmt.Sprint(i), tar.TypeLink, long) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := zipsOf(t.Context(), t.TempDir(), func(string) (extract.Source, error) { return streamed{tartest.Generated(18, entry)}, nil })
			if err == nil || !strings.HasSuffix(err.Error(), "the names in it take more than 16 MB") {
				t.Errorf("got error %v", err)
			}
		})
	}
}
