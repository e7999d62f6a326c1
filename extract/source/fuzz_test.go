package source

import (
	"archive/tar"
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/awslabs/aws-lambda-container-image-converter/extract"
	"github.com/awslabs/aws-lambda-container-image-converter/internal/ziptest"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/tartest"
	"github.com/awslabs/aws-lambda-container-image-converter/internal/testrun"

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
			tartest.Repair(export)
		}
		for r := tar.NewReader(bytes.NewReader(export)); ; {
			if _, err := r.Next(); err != nil {
				break
			}
			b, err := io.ReadAll(io.LimitReader(r, tartest.FuzzSize+1))
			if err != nil {
				break
			}
			content, ok := tartest.Unpacked(b)
			if len(b) > tartest.FuzzSize || ok && tartest.TooMuch(content) || !ok && len(content) > tartest.FuzzSize {
				t.Skip()
			}
		}
		zips, err := zipsOf(t.Context(), testrun.MemoryDir(t), func(string) (extract.Source, error) { return streamed{bytes.NewReader(export)}, nil })
		ziptest.CheckAll(t, zips, err)
	})
}
