package extract

import (
	"archive/zip"
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/imagetest"
	"github.com/awslabs/aws-lambda-container-image-converter/types"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"
)

var (
	images = flag.Int("images", 2000, "number of random images to convert")
	seed   = flag.Uint64("seed", uint64(time.Now().UnixNano()), "seed of the first random image")
)

// memory is a source of layers that are in memory.
type memory [][]byte

func (m memory) read(ctx context.Context, repack repackFunc) (*image, error) {
	img := &image{config: ispec.Image{Platform: ispec.Platform{OS: "linux", Architecture: "amd64"}}}
	done := map[string]*repacked{}
	for i, b := range m {
		l := done[string(b)]
		if l == nil {
			var err error
			if l, err = repack(ctx, fmt.Sprint("layer ", i), int64(len(b)), bytes.NewReader(b)); err != nil {
				return nil, err
			}
			done[string(b)] = l
		}
		img.layers = append(img.layers, l)
		img.config.RootFS.DiffIDs = append(img.config.RootFS.DiffIDs, digest.FromBytes(b))
	}
	return img, nil
}

func (m memory) close() error { return nil }

// silent is a Progress that nobody watches.
type silent struct{}

func (silent) Start(string, int64) Task { return silent{} }
func (silent) Add(int)                  {}
func (silent) Done(digest.Digest)       {}

// memoryDir returns a new directory, in memory where that can be had: making
// and removing small files is most of what a small image costs.
func memoryDir(t testing.TB) string {
	dir, err := os.MkdirTemp("/dev/shm", "img2lambda-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// convertLayers converts layers to zips in a new directory.
func convertLayers(t testing.TB, maxLayers int, layers ...[]imagetest.Entry) (dir string, result *types.Image, warnings []string, err error) {
	t.Helper()
	var src memory
	for _, entries := range layers {
		src = append(src, imagetest.Tar(entries...))
	}
	dir = memoryDir(t)
	work := filepath.Join(dir, "work")
	if err := os.Mkdir(work, 0o700); err != nil {
		t.Fatal(err)
	}
	result, err = convert(context.Background(), "test", src, work, Options{
		Dir:       dir,
		MaxLayers: maxLayers,
		Progress:  silent{},
		Warn:      func(s string) { warnings = append(warnings, s) },
	})
	return dir, result, warnings, err
}

// touched is the modification time of a directory into which something was
// unzipped that did not set the time afterwards.
const touched = -1 << 62

// restore does what unzipping the zips one over the other does, and fails where
// what comes out depends on the program that unzips.
func restore(t testing.TB, zips ...string) map[string]imagetest.Node {
	t.Helper()
	tree := map[string]imagetest.Node{}
	for _, name := range zips {
		z, err := zip.OpenReader(name)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		seen := map[string]bool{}
		dirs := map[string]imagetest.Node{}
		for _, f := range z.File {
			p := strings.TrimSuffix(f.Name, "/")
			if !fs.ValidPath(p) || seen[p] {
				t.Fatalf("%s: %q: not a path to unzip, or twice", name, f.Name)
			}
			seen[p] = true
			n := imagetest.Node{Mode: int64(f.Mode().Perm()), ModTime: modTime(t, f)}
			r, err := f.Open()
			if err != nil {
				t.Fatalf("%s: %q: %v", name, f.Name, err)
			}
			body, err := io.ReadAll(r)
			if err != nil {
				t.Fatalf("%s: %q: %v", name, f.Name, err)
			}
			switch f.Mode().Type() {
			case fs.ModeDir:
				n.Kind = imagetest.KindDir
				dirs[p] = n
			case fs.ModeSymlink:
				n.Kind, n.Linkname, n.Mode = imagetest.KindSymlink, string(body), 0
			case 0:
				n.Kind, n.Body = imagetest.KindFile, string(body)
			default:
				t.Fatalf("%s: %q has mode %v", name, f.Name, f.Mode())
			}
			old, overlaps := tree[p]
			if overlaps && (old.Kind != n.Kind || n.Kind == imagetest.KindSymlink) {
				t.Fatalf("%s: %q is unzipped over another kind, or a link", name, f.Name)
			}
			if n.Kind == imagetest.KindDir && overlaps {
				continue // its metadata is set at the end
			}
			tree[p] = n
			for d := path.Dir(p); d != "."; d = path.Dir(d) {
				parent, ok := tree[d]
				if ok && parent.Kind != imagetest.KindDir {
					t.Fatalf("%s: %q is unzipped below something else than a directory", name, f.Name)
				}
				if ok {
					parent.ModTime = touched
					tree[d] = parent
					break
				}
				tree[d] = imagetest.Node{Kind: imagetest.KindDir, Implied: true, ModTime: touched}
			}
		}
		for p, n := range dirs {
			tree[p] = n
		}
		z.Close()
	}
	return tree
}

// expected is the part of an image's tree below root as a Lambda layer can have
// it.
func expected(tree map[string]imagetest.Node, root string) map[string]imagetest.Node {
	want := map[string]imagetest.Node{}
	for p, n := range tree {
		if !below(p, root) || n.Kind == imagetest.KindSpecial {
			continue
		}
		switch {
		case n.Implied:
		case n.Kind == imagetest.KindSymlink:
			n.Mode = 0
		case n.Kind == imagetest.KindDir:
			n.Mode = n.Mode&0o777 | 0o555
		default:
			n.Mode = n.Mode&0o777 | 0o444
			if n.Mode&0o111 != 0 {
				n.Mode |= 0o111
			}
		}
		want[p[len(root)+1:]] = n
	}
	// A directory that is there only for something that is left out.
	for p, n := range want {
		if n.Implied {
			used := false
			for q := range want {
				used = used || below(q, p) && !want[q].Implied
			}
			if !used {
				delete(want, p)
			}
		}
	}
	return want
}

// checkRestored fails unless the zips give back what the image has.
func checkRestored(t testing.TB, dir string, result *types.Image, layers [][]imagetest.Entry) {
	t.Helper()
	tree := imagetest.Flatten(layers)
	var zips []string
	for _, l := range result.Layers {
		zips = append(zips, filepath.Join(dir, l.File))
	}
	compare(t, restore(t, zips...), expected(tree, layerRoot))
	if result.Function != nil {
		zips = []string{filepath.Join(dir, result.Function.File)}
	} else {
		zips = nil
	}
	compare(t, restore(t, zips...), expected(tree, functionRoot))
}

func compare(t testing.TB, got, want map[string]imagetest.Node) {
	t.Helper()
	for p, n := range want {
		if g, ok := got[p]; n.Implied && ok { // nobody says what it is like
			g.ModTime, g.Mode, g.Implied = 0, 0, true
			got[p] = g
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("restored tree (+) is not the image's (-):\n%s", diff)
	}
}

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
			empty := len(expected(tree, layerRoot)) == 0 && len(expected(tree, functionRoot)) == 0
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

// modTime is an entry's modification time in seconds since 1970.
func modTime(t testing.TB, f *zip.File) int64 { return extendedTime(t, f).Unix() }
