package source

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/imagetest"
)

// failures are what Docker 20.10 and 29 write behind an export that they break off.
var failures = []string{
	`{"errorDetail":{"message":"blob \"a\" not found"},"error":"blob \"a\" not found"}` + "\r\n",
	`{"error":"blob \"a\" not found","errorDetail":{"message":"blob \"a\" not found"}}` + "\r\n",
}

// Guards against "unexpected EOF", or a manifest that is missing, where the engine has
// said what is wrong, which it can do only behind what it has sent.
func TestExportLastWords(t *testing.T) {
	layer := imagetest.Tar(imagetest.File("opt/a", strings.Repeat("a", 5000)))
	whole, err := io.ReadAll(exportOf(layer))
	if err != nil {
		t.Fatal(err)
	}
	end := len(bytes.TrimRight(whole, "\x00")) // of what it takes
	for _, words := range failures {
		for n := 0; n < end; n += 97 {
			stream := io.MultiReader(bytes.NewReader(whole[:n]), strings.NewReader(words))
			_, err := readExport(t.Context(), stream, exportPlatform, hashLayer)
			if want := `the engine broke off: blob "a" not found`; err == nil || err.Error() != want {
				t.Fatalf("after %d of %d bytes: got error %v, want %s", n, end, err, want)
			}
		}
	}
}

// Guards against "damaged", or "not an image archive", where docker save has written why
// into the file.
func TestArchiveLastWords(t *testing.T) {
	t.Parallel()
	layer := imagetest.Tar(imagetest.File("opt/a", strings.Repeat("a", 5000)))
	whole, err := io.ReadAll(exportOf(layer))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "saved.tar")
	manifest := bytes.Index(whole, []byte("manifest.json"))
	for _, words := range failures {
		for n := 600; n < manifest; n += 97 {
			if err := os.WriteFile(path, append(bytes.Clone(whole[:n]), words...), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, transport := range []string{"docker-archive:", "oci-archive:"} {
				_, err := Open(t.Context(), parsed(t, transport+path), Options{Dir: t.TempDir()})
				if want := path + ` is not complete: the engine that wrote it broke off: blob "a" not found`; err == nil || err.Error() != want {
					t.Fatalf("%s after %d of %d bytes: got error %v, want %s", transport, n, manifest, err, want)
				}
			}
		}
	}
}
