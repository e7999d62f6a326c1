package imagetest

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

func TestImage(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		o        Options
		manifest types.MediaType
		layer    types.MediaType
		magic    string
	}{
		{Options{}, types.DockerManifestSchema2, types.DockerUncompressedLayer, "opt/"},
		{Options{Compression: Gzip}, types.DockerManifestSchema2, types.DockerLayer, "\x1f\x8b"},
		{Options{Compression: Zstd}, types.DockerManifestSchema2, dockerZstdLayer, "\x28\xb5\x2f\xfd"},
		{Options{OCI: true}, types.OCIManifestSchema1, types.OCIUncompressedLayer, "opt/"},
		{Options{OCI: true, Compression: Gzip}, types.OCIManifestSchema1, types.OCILayer, "\x1f\x8b"},
		{Options{OCI: true, Compression: Zstd}, types.OCIManifestSchema1, types.OCILayerZStd, "\x28\xb5\x2f\xfd"},
	} {
		img := sample(test.o)
		checkImage(t, img)
		if got := must(img.MediaType()); got != test.manifest {
			t.Errorf("%+v: image is %s", test.o, got)
		}
		l := must(img.Layers())[0]
		if got := must(l.MediaType()); got != test.layer {
			t.Errorf("%+v: layer is %s", test.o, got)
		}
		if b := must(readAll(l.Compressed)); !strings.HasPrefix(string(b), test.magic) {
			t.Errorf("%+v: layer begins with %q", test.o, b[:8])
		}
		if a, b := must(img.Digest()), must(sample(test.o).Digest()); a != b {
			t.Errorf("%+v: made twice, the image has the digests %v and %v", test.o, a, b)
		}
	}
}

// TestImageDigest notices if images change, for then digests and cached output
// of other tests do.
func TestImageDigest(t *testing.T) {
	t.Parallel()
	const want = "sha256:47a59c2fc4ae4df50c3d04ef7a16b69bef7f588b84fe44df70e5c01df60dae68"
	if got := must(sample(Options{}).Digest()).String(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestIndex(t *testing.T) {
	t.Parallel()
	amd64 := sample(Options{OCI: true})
	arm64 := sample(Options{OCI: true, Architecture: "arm64", Variant: "v8"})
	idx := IndexWithAttestations(amd64, arm64)
	checkIndex(t, idx)
	var got []string
	for _, desc := range must(idx.IndexManifest()).Manifests {
		got = append(got, desc.Platform.String()+" "+desc.Annotations["vnd.docker.reference.digest"])
	}
	want := []string{
		"linux/amd64 ", "linux/arm64/v8 ",
		"unknown/unknown " + must(amd64.Digest()).String(),
		"unknown/unknown " + must(arm64.Digest()).String(),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("manifests (-want +got):\n%s", diff)
	}
	if got := must(Index(sample(Options{})).MediaType()); got != types.DockerManifestList {
		t.Errorf("the index of a Docker image is %s", got)
	}

	for _, p := range []string{"linux/arm64", "linux/arm64/v8"} {
		img, err := Select(idx, *must(v1.ParsePlatform(p)))
		if err != nil || must(img.Digest()) != must(arm64.Digest()) {
			t.Errorf("%s: %v, %v", p, img, err)
		}
	}
	for _, content := range []Content{idx, amd64} {
		if _, err := Select(content, *must(v1.ParsePlatform("linux/s390x"))); err == nil {
			t.Errorf("%T: found an image for a platform that it has none for", content)
		}
	}
}
