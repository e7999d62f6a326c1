package extract

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/tartest"
	"github.com/awslabs/aws-lambda-container-image-converter/internal/testrun"

	"github.com/google/go-cmp/cmp"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/imagetest"
	"github.com/awslabs/aws-lambda-container-image-converter/internal/ziptest"
)

// bigFiles are files around the sizes at which compressing in blocks can go
// wrong, with small ones between.
func bigFiles(sizes ...int) []imagetest.Entry {
	rng := rand.New(rand.NewPCG(1, 2))
	var entries []imagetest.Entry
	for _, size := range sizes {
		for _, kind := range []string{"zeros", "random", "text", "mixed"} {
			entries = append(entries, imagetest.File(fmt.Sprintf("opt/%s-%d", kind, size), tartest.Content(rng, kind, size)))
		}
		for i := range 500 {
			entries = append(entries, imagetest.File(fmt.Sprintf("opt/small/%d-%d", size, i), tartest.Content(rng, "text", rng.IntN(100))))
		}
	}
	return entries
}

// TestBlocks is the content of files of several blocks.
func TestBlocks(t *testing.T) {
	t.Parallel()
	layers := layers{bigFiles(0, 1, windowSize, blockSize-1, blockSize, blockSize+1, 2*blockSize+12345)}
	dir, result, _, err := convertLayers(t, 0, layers...)
	if err != nil {
		t.Fatal(err)
	}
	want := ziptest.Below(imagetest.Flatten(layers), lambdaRoots.layer)
	got := ziptest.Restore(t, layerZips(dir, result)...)
	for p, n := range want {
		if got[p].Body != n.Body { // a diff would be of megabytes
			t.Errorf("/opt/%s is not as it was", p)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d paths, want %d", len(got), len(want))
	}
	if !ziptest.HaveUnzip() {
		return
	}
	if out, err := exec.Command("unzip", "-tqq", filepath.Join(dir, "layer-1.zip")).CombinedOutput(); err != nil {
		t.Errorf("unzip -t: %v\n%s", err, out)
	}
}

// TestSameZips is law 2 as far as the machine goes: number of cores, time zone,
// clock, file mode mask. It is not parallel, since it changes these.
func TestSameZips(t *testing.T) {
	testrun.Alone(t)
	zone, cores := time.Local, runtime.GOMAXPROCS(0)
	t.Cleanup(func() {
		time.Local = zone
		runtime.GOMAXPROCS(cores)
	})
	layers := layers{
		bigFiles(windowSize, blockSize+1),
		{imagetest.File("opt/small/x", "1"), imagetest.Whiteout("opt/small/32768-1"), imagetest.File("var/task/a", "1")},
	}
	var first map[string]string
	for _, env := range []struct {
		cores int
		zone  *time.Location
	}{
		{1, time.UTC},
		{2, time.FixedZone("east", 9*60*60)},
		{8, time.FixedZone("west", -9*60*60-30*60)},
	} {
		runtime.GOMAXPROCS(env.cores)
		time.Local = env.zone
		dir, result, _, err := convertLayers(t, 0, layers...)
		if err != nil {
			t.Fatal(err)
		}
		zips := map[string]string{"files": fmt.Sprint(len(result.Layers))}
		for _, name := range append(layerZips(dir, result), functionZip(dir, result)...) {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			zips[filepath.Base(name)] = sha256Base64(b)
		}
		if first == nil {
			first = zips
		}
		if diff := cmp.Diff(first, zips); diff != "" {
			t.Errorf("%d cores, zone %v: zips (+) are not as the first (-):\n%s", env.cores, env.zone, diff)
		}
	}
}

// TestIncompressible is that nothing gets larger by compressing, beyond what
// marks the blocks.
func TestIncompressible(t *testing.T) {
	t.Parallel()
	const size = 4 * blockSize
	dir, _, _, err := convertLayers(t, 0, []imagetest.Entry{imagetest.File("opt/a", tartest.Content(rand.New(rand.NewPCG(1, 2)), "random", size))})
	if err != nil {
		t.Fatal(err)
	}
	z, err := zip.OpenReader(filepath.Join(dir, "layer-1.zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	var stored bytes.Buffer
	w, err := flate.NewWriter(&stored, flate.NoCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got, most := z.File[0].CompressedSize64, uint64(stored.Len()+4*16); got > most {
		t.Errorf("%d bytes became %d, more than the %d of deflate's stored blocks", size, got, most)
	}
}
