package source

import (
	"archive/tar"
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/imagetest"
)

// FuzzExport takes any bytes for an engine's export of an image.
func FuzzExport(f *testing.F) {
	for _, form := range forms(f) {
		if strings.HasPrefix(form.name, "engine") {
			f.Add(form.content, true)
			f.Add(form.content[:len(form.content)/2], false)
		}
	}
	config := `{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":["` + digest.FromBytes(craftedLayers[0]).String() + `"]}}`
	for _, manifest := range []string{
		`[{"Config":"config.json","RepoTags":["app:latest"],"Layers":["layer.tar"]}]`,
		`[{"Config":"config.json","Layers":["link"]}]`,
		`[{"Config":"config.json","Layers":["../../layer.tar"]},{"Config":"/etc/passwd","Layers":[""]}]`,
		`[]`, `null`, `[null]`, `{}`,
	} {
		f.Add(imagetest.Tar(
			imagetest.File("config.json", config), imagetest.File("layer.tar", string(craftedLayers[0])), imagetest.Symlink("link", "layer.tar"), imagetest.File("manifest.json", manifest),
		), true)
	}
	f.Fuzz(func(t *testing.T, export []byte, right bool) {
		if right {
			export = slices.Clone(export)
			repair(export)
		}
		for r := tar.NewReader(bytes.NewReader(export)); ; {
			if _, err := r.Next(); err != nil {
				break
			}
			b, err := io.ReadAll(io.LimitReader(r, fuzzSize+1))
			if err != nil {
				break
			}
			content, ok := unpacked(b)
			if len(b) > fuzzSize || ok && tooMuch(content) || !ok && len(content) > fuzzSize {
				t.Skip()
			}
		}
		zips, err := zipsOf(t.Context(), memoryDir(t), func(string) (extract.Source, error) { return streamed{bytes.NewReader(export)}, nil })
		checkAll(t, zips, err)
	})
}
