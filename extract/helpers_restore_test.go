package extract

import (
	"slices"
	"strings"
	"testing"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/imagetest"
	"github.com/awslabs/aws-lambda-container-image-converter/internal/ziptest"
	"github.com/awslabs/aws-lambda-container-image-converter/types"
)

// checkRestored fails unless the zips give back what the image has.
func checkRestored(t testing.TB, dir string, result *types.Image, layers [][]imagetest.Entry) {
	t.Helper()
	tree := imagetest.Flatten(layers)
	opt, task, _ := imagetest.Roots(tree)
	ziptest.Compare(t, ziptest.Restore(t, layerZips(dir, result)...), ziptest.Below(tree, opt))
	ziptest.Compare(t, ziptest.Restore(t, functionZip(dir, result)...), ziptest.Below(tree, task))
}

// checkUnzipped fails unless Info-ZIP makes of the zips what they hold.
func checkUnzipped(t testing.TB, dir string, result *types.Image) {
	t.Helper()
	ziptest.CheckUnzip(t, layerZips(dir, result)...)
	ziptest.CheckUnzip(t, functionZip(dir, result)...)
}

// listing is what the zips restore, sorted: PATH=CONTENT for a file,
// PATH->TARGET for a symbolic link, PATH/ for a directory.
func listing(t testing.TB, dir string, result *types.Image) string {
	t.Helper()
	var all []string
	add := func(root string, tree map[string]imagetest.Node) {
		for p, n := range tree {
			switch n.Kind {
			case imagetest.KindFile:
				p += "=" + n.Body
			case imagetest.KindSymlink:
				p += "->" + n.Linkname
			case imagetest.KindDir:
				p += "/"
			}
			all = append(all, root+"/"+p)
		}
	}
	add(lambdaRoots.layer, ziptest.Restore(t, layerZips(dir, result)...))
	add(lambdaRoots.function, ziptest.Restore(t, functionZip(dir, result)...))
	slices.Sort(all)
	return strings.Join(all, " ")
}
