package extract

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/imagetest"
	"github.com/awslabs/aws-lambda-container-image-converter/internal/ziptest"
	"github.com/awslabs/aws-lambda-container-image-converter/types"
)

var (
	images = flag.Int("images", 2000, "number of random images to convert")
	seed   = flag.Uint64("seed", uint64(time.Now().UnixNano()), "seed of the first random image")
)

// TestRandomImages is law 1 for images of all that a layer can have, merged to
// random numbers of layers as well.
func TestRandomImages(t *testing.T) {
	t.Parallel()
	failed := 0
	for i := range *images {
		s := *seed + uint64(i)
		t.Run(fmt.Sprint("seed=", s), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(s, 0))
			layers := imagetest.Random(rng)
			tree := imagetest.Flatten(layers)
			empty := len(ziptest.Below(tree, layerRoot)) == 0 && len(ziptest.Below(tree, functionRoot)) == 0
			for _, most := range []int{0, 1 + rng.IntN(4)} {
				dir, result, _, err := convertLayers(t, most, layers...)
				if empty && err != nil && strings.Contains(err.Error(), "nothing below") {
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				checkRestored(t, dir, result, layers)
				checkNames(t, result, most)
			}
		})
		if t.Failed() {
			if failed++; failed == 3 {
				return
			}
		}
	}
}

// checkNames fails unless every layer has another digest, and there are no more
// layers than asked for.
func checkNames(t testing.TB, result *types.Image, most int) {
	t.Helper()
	seen := map[digest.Digest]bool{}
	for _, l := range result.Layers {
		if seen[l.Digest] {
			t.Errorf("two layers are called %s", l.Digest)
		}
		seen[l.Digest] = true
	}
	if most > 0 && len(result.Layers) > most {
		t.Errorf("%d layers, want %d at most", len(result.Layers), most)
	}
}
