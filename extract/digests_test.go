package extract

import (
	"context"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/imagetest"
	"github.com/awslabs/aws-lambda-container-image-converter/internal/testrun"
)

// namedBy is a source whose image names its layers by another algorithm.
type namedBy struct {
	memory
	algorithm digest.Algorithm
	lies      bool
}

func (n namedBy) Read(ctx context.Context, repack LayerFunc) (*Image, error) {
	img, err := n.memory.Read(ctx, repack)
	if err != nil {
		return nil, err
	}
	for i, b := range n.memory {
		img.DiffIDs[i] = n.algorithm.FromBytes(b)
	}
	if n.lies {
		img.DiffIDs[0] = n.algorithm.FromString("something else")
	}
	return img, nil
}

// TestOtherDigests has images that name their layers by SHA-512: they are checked
// by that, and Lambda's layers are called by SHA-256 as ever.
func TestOtherDigests(t *testing.T) {
	t.Parallel()
	a, b := imagetest.Tar(imagetest.File("opt/a", "1")), imagetest.Tar(imagetest.File("opt/b", "2"))
	o := Options{Dir: testrun.MemoryDir(t), Progress: silent{}, Warn: func(string) {}}
	for _, algorithm := range []digest.Algorithm{digest.SHA256, digest.SHA384, digest.SHA512} {
		result, err := Convert(t.Context(), namedBy{memory{a, b}, algorithm, false}, "test", o)
		if err != nil {
			t.Fatal(err)
		}
		for i, content := range [][]byte{a, b} {
			if got := result.Layers[i].DiffIDs[0]; got != digest.FromBytes(content) {
				t.Errorf("%s: layer %d is called %s", algorithm, i+1, got)
			}
		}
		_, err = Convert(t.Context(), namedBy{memory{a, b}, algorithm, true}, "test", o)
		want := "layer 1 of 2 should be " + algorithm.FromString("something else").String() + " by the image's config, but what was read is " + algorithm.FromBytes(a).String()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got error %v, want %s", algorithm, err, want)
		}
	}
}
