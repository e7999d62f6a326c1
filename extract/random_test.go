package extract

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"regexp"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/imagetest"
	"github.com/awslabs/aws-lambda-container-image-converter/internal/testrun"
	"github.com/awslabs/aws-lambda-container-image-converter/internal/ziptest"
	"github.com/awslabs/aws-lambda-container-image-converter/types"
)

// images is what it took at most to find faults that were put into the code on
// purpose.
var images = flag.Int("images", 200, "number of random images to convert: the first by -seed, the next by the number after it")

// TestRandomImages is law 1 for images of all that a layer can have, merged to
// random numbers of layers as well.
func TestRandomImages(t *testing.T) {
	t.Parallel()
	failed := 0
	n := *images
	if testrun.Long {
		n *= 20
	}
	for i := range n {
		s := *testrun.Seed + uint64(i)
		t.Run(fmt.Sprint("seed=", s), func(t *testing.T) {
			testrun.SayHowToRepeat(t, fmt.Sprintf("-images 1 -seed %d", s))
			rng := rand.New(rand.NewPCG(s, 0))
			layers := imagetest.Random(rng)
			tree := imagetest.Flatten(layers)
			opt, task, ok := imagetest.Roots(tree)
			empty := len(ziptest.Below(tree, opt)) == 0 && len(ziptest.Below(tree, task)) == 0
			for _, most := range []int{0, 1 + rng.IntN(4)} {
				dir, result, _, err := convertLayers(t, most, layers...)
				if empty && err != nil && nothing.MatchString(err.Error()) || !ok {
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

// nothing is what is said of an image that has nothing for Lambda.
var nothing = regexp.MustCompile("has nothing below|is a symbolic link to")

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
