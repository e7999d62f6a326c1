package extract

import (
	"archive/tar"
	"bytes"
	"cmp"
	crypto "crypto/rand"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/imagetest"
	"github.com/awslabs/aws-lambda-container-image-converter/internal/testrun"
	"github.com/awslabs/aws-lambda-container-image-converter/internal/ziptest"
)

// engineImages is how many images each engine is given; ten times as many in a
// long run.
var engineImages = flag.Int("engine-images", 100, "number of random images to compare with each engine: the first by -seed, the next by the number after it")

// together is how many images are loaded as one, each below a directory of its
// own.
const together = 50

// TestEngines compares the zips of random images with what real engines make of
// them, path by path: that of this machine, and those of which
// IMG2LAMBDA_TEST_ENGINES has the addresses.
func TestEngines(t *testing.T) {
	t.Parallel()
	n := *engineImages
	if testrun.Long {
		n *= 10
	}
	for _, host := range append([]string{os.Getenv("DOCKER_HOST")}, strings.Fields(os.Getenv("IMG2LAMBDA_TEST_ENGINES"))...) {
		t.Run(cmp.Or(host, "own"), func(t *testing.T) {
			t.Parallel()
			e := engine(host)
			e.require(t)
			// Only engines with containerd's store take a name twice in a tar.
			again := strings.Contains(e.docker(t, "info", "--format", "{{.DriverStatus}}"), "io.containerd.snapshotter")
			for first := 0; first < n && !t.Failed(); first += together {
				var images [][][]imagetest.Entry
				for i := range min(together, n-first) {
					rng := rand.New(rand.NewPCG(*testrun.Seed+uint64(first+i), 1))
					images = append(images, imagetest.Loadable(rng, again && i%2 == 1))
				}
				for i, tree := range e.trees(t, images) {
					t.Run(fmt.Sprint("seed=", *testrun.Seed+uint64(first+i)), func(t *testing.T) {
						testrun.SayHowToRepeat(t, fmt.Sprintf("-engine-images %d -seed %d", i+1, *testrun.Seed+uint64(first)))
						compareWithEngine(t, images[i], tree)
					})
				}
			}
		})
	}
}

// compareWithEngine fails unless the zips of the layers restore the tree.
func compareWithEngine(t *testing.T, layers [][]imagetest.Entry, tree map[string]imagetest.Node) {
	t.Helper()
	for p, n := range tree {
		if n.Kind == imagetest.KindDir && !explicit(layers, p) {
			tree[p] = imagetest.Node{Kind: imagetest.KindDir, Implied: true}
		}
	}
	opt, task, ok := imagetest.Roots(tree)
	wantLayers, wantFunction := ziptest.Below(tree, opt), ziptest.Below(tree, task)
	dir, result, _, err := convertLayers(t, 0, layers...)
	switch {
	case err == nil:
		sameTree(t, ziptest.Restore(t, layerZips(dir, result)...), wantLayers)
		sameTree(t, ziptest.Restore(t, functionZip(dir, result)...), wantFunction)
	case ok && (len(wantLayers) > 0 || len(wantFunction) > 0 || !nothing.MatchString(err.Error())):
		t.Error(err)
	}
	if t.Failed() {
		t.Log(tell(layers))
	}
}

// sameTree is ziptest.Compare without the times of symbolic links: of one with
// several names, Docker's graph drivers keep that of its first header, and
// containerd that of the last.
func sameTree(t *testing.T, got, want map[string]imagetest.Node) {
	t.Helper()
	for _, tree := range []map[string]imagetest.Node{got, want} {
		for p, n := range tree {
			if n.Kind == imagetest.KindSymlink {
				n.ModTime = 0
				tree[p] = n
			}
		}
	}
	ziptest.Compare(t, got, want)
}

// explicit reports whether the uppermost layer that has to do with a directory
// says what the directory is like; where it does not, engines differ.
func explicit(layers [][]imagetest.Entry, dir string) bool {
	for i := range layers {
		touched := false
		for _, e := range imagetest.Resolve(layers[len(layers)-1-i]) {
			name := path.Clean("/" + e.Name)[1:]
			if name == dir && e.Typeflag == tar.TypeDir {
				return true
			}
			touched = touched || strings.HasPrefix(name, dir+"/")
		}
		if touched {
			return false
		}
	}
	return false
}

// engine is the address of a Docker engine.
type engine string

func (e engine) require(t *testing.T) {
	t.Helper()
	c := exec.Command("docker", "version", "--format", "{{.Server.Version}}")
	c.Env = append(os.Environ(), "DOCKER_HOST="+string(e))
	if out, err := c.CombinedOutput(); err != nil {
		if os.Getenv("IMG2LAMBDA_TEST_DOCKER") == "required" {
			t.Fatalf("no Docker engine, and IMG2LAMBDA_TEST_DOCKER=required: %v\n%s", err, out)
		}
		t.Skipf("no Docker engine: %v %s", err, bytes.TrimSpace(out))
	}
}

// docker runs the docker command and returns what it prints.
func (e engine) docker(t *testing.T, args ...string) string {
	t.Helper()
	c := exec.Command("docker", args...)
	c.Env = append(os.Environ(), "DOCKER_HOST="+string(e))
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	if err := c.Run(); err != nil {
		t.Fatalf("%v: %v\n%s", c, err, &stderr)
	}
	return stdout.String()
}

// trees returns what a container has of each of some images.
func (e engine) trees(t *testing.T, images [][][]imagetest.Entry) []map[string]imagetest.Node {
	t.Helper()
	var layers [][]imagetest.Entry
	for i, image := range images {
		for j, entries := range image {
			if j == len(layers) {
				layers = append(layers, nil)
			}
			layers[j] = append(layers[j], moved(entries, fmt.Sprintf("image%d", i))...)
		}
	}
	var tars [][]byte
	for _, entries := range layers {
		tars = append(tars, imagetest.Tar(entries...))
	}
	name := "img2lambda-test-" + strings.ToLower(crypto.Text())
	file := filepath.Join(t.TempDir(), "image.tar")
	image := imagetest.Image(imagetest.Options{Config: v1.Config{Cmd: []string{"/none"}}}, tars...)
	if err := imagetest.WriteDockerArchive(file, imagetest.DockerLegacy, imagetest.Ref{Name: name, Content: image}); err != nil {
		t.Fatal(err)
	}
	e.docker(t, "load", "--quiet", "--input", file)
	defer e.docker(t, "image", "rm", name)
	e.docker(t, "create", "--network", "none", "--name", name, name)
	defer e.docker(t, "rm", name)
	whole := treeOf(t, e.docker(t, "export", name))
	trees := make([]map[string]imagetest.Node, len(images))
	for i := range trees {
		trees[i] = map[string]imagetest.Node{}
		prefix := fmt.Sprintf("image%d", i)
		for p, n := range whole {
			if strings.HasPrefix(p, prefix+"/") {
				n.Linkname = strings.TrimPrefix(n.Linkname, "/"+prefix)
				trees[i][p[len(prefix)+1:]] = n
			}
		}
	}
	return trees
}

// moved returns the entries as they are if their image's root is a directory.
func moved(entries []imagetest.Entry, dir string) (moved []imagetest.Entry) {
	for _, e := range entries {
		e.Name = dir + "/" + e.Name
		switch {
		case e.Typeflag == tar.TypeLink:
			e.Linkname = dir + "/" + e.Linkname
		case e.Typeflag == tar.TypeSymlink && e.Linkname[0] == '/':
			e.Linkname = "/" + dir + e.Linkname
		}
		moved = append(moved, e)
	}
	return moved
}

// treeOf reads what `docker export` writes.
func treeOf(t *testing.T, exported string) map[string]imagetest.Node {
	t.Helper()
	tree, err := imagetest.FlattenExport(strings.NewReader(exported))
	if err != nil {
		t.Fatal(err)
	}
	return tree
}
