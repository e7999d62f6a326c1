package cli

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/awslabs/aws-lambda-container-image-converter/publish"
	"github.com/awslabs/aws-lambda-container-image-converter/types"
)

const mb = 1 << 20

// archives are layers with one MB zips each, of so many bytes unzipped.
func archives(unzipped ...int64) (layers []types.Layer) {
	for _, n := range unzipped {
		layers = append(layers, types.Layer{Zip: types.Zip{File: "layer.zip", CodeSize: mb, UncompressedSize: n}})
	}
	return layers
}

func zipped(n int64) []types.Layer {
	return []types.Layer{{Zip: types.Zip{File: "layer-1.zip", CodeSize: n, UncompressedSize: mb}}}
}

func TestOverQuota(t *testing.T) {
	t.Parallel()
	top := []types.Usage{{Path: "/opt/a", Size: 150 * mb}, {Path: "/opt/b", Size: 100 * mb}, {Path: "/opt/c", Size: 512}}
	for _, tt := range []struct {
		name   string
		image  types.Image
		bucket string
		want   []string
	}{
		{name: "nothing", image: types.Image{}},
		{name: "as many layers as there can be", image: types.Image{Layers: archives(1, 1, 1, 1, 1)}},
		{
			name: "one more", image: types.Image{Layers: archives(1, 1, 1, 1, 1, 1)},
			want: []string{"6 layers, and a function can have 5: --max-layers 5 merges them"},
		},
		{name: "all that can be unzipped", image: types.Image{Layers: archives(150*mb, 100*mb), Largest: top}},
		{
			name: "a byte more", image: types.Image{Layers: archives(150*mb, 100*mb, 1), Largest: top},
			want: []string{"250 MB unzipped, and a function with its layers can have 250 MB; most is in /opt/a (150 MB), /opt/b (100 MB), /opt/c (512 B)"},
		},
		{
			name:  "the function counts as well",
			image: types.Image{Layers: archives(150 * mb), Function: &types.Zip{File: "function.zip", CodeSize: mb, UncompressedSize: 120 * mb}, Largest: top[:1]},
			want:  []string{"270 MB unzipped, and a function with its layers can have 250 MB; most is in /opt/a (150 MB)"},
		},
		{name: "as much as a request takes", image: types.Image{Layers: zipped(50 * mb)}},
		{
			name: "more than a request takes", image: types.Image{Layers: zipped(51 * mb)},
			want: []string{"layer-1.zip is 51 MB, and over 50 MB publishing needs --s3-bucket"},
		},
		{
			name:  "more than any layer can have, for which no bucket helps",
			image: types.Image{Layers: []types.Layer{{Zip: types.Zip{File: "layer-1.zip", CodeSize: 60 * mb, UncompressedSize: 250 * mb}}}},
			want:  []string{"layer-1.zip is 250 MB unzipped, and Lambda takes no layer of 250 MB or more"},
		},
		{name: "more, with a bucket", image: types.Image{Layers: zipped(51 * mb)}, bucket: "zips"},
		{
			name: "a function through S3, which is the user's to do", bucket: "zips",
			image: types.Image{Function: &types.Zip{File: "function.zip", CodeSize: 51 * mb, UncompressedSize: 60 * mb}},
			want:  []string{"function.zip is 51 MB, and over 50 MB it has to go to Lambda through S3"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := overQuota(&tt.image, &options{publish: publish.Options{Bucket: tt.bucket}})
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestQuotaLine(t *testing.T) {
	t.Parallel()
	image := types.Image{Layers: append(archives(40*mb, 0), zipped(12.5*mb)...), Function: &types.Zip{CodeSize: 30 * mb, UncompressedSize: 30 * mb}}
	const want = "Of Lambda's quotas: 3 of 5 layers, 71.0 of 250 MB unzipped, largest layer zip 12.5 of 50 MB"
	if got := quotaLine(&image); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
