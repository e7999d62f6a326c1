package source

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/awslabs/aws-lambda-container-image-converter/extract"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/tartest"
	"github.com/awslabs/aws-lambda-container-image-converter/internal/testrun"

	"github.com/google/go-cmp/cmp"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/imagetest"
)

// TestNoTemporaryFiles is law 4 for whole conversions: whatever happens, what
// is left in the directory is the result, or nothing.
func TestNoTemporaryFiles(t *testing.T) {
	t.Parallel()
	good := imagetest.Tar(imagetest.File("opt/a", tartest.Content(rand.New(rand.NewPCG(1, 2)), "text", 512<<10)), imagetest.File("opt/b", "1"))
	top := imagetest.Tar(imagetest.Whiteout("opt/b"), imagetest.File("var/task/f", "2"))
	img := imagetest.Image(imagetest.Options{Compression: imagetest.Gzip, OCI: true}, good, top)
	damaged := imagetest.ImageOf(imagetest.Options{OCI: true},
		imagetest.SwapContent(imagetest.Layer(good, imagetest.None, true), imagetest.Layer(top, imagetest.None, true)),
		imagetest.Layer(top, imagetest.Gzip, true))

	in := t.TempDir()
	for name, content := range map[string]imagetest.Content{"good": img, "damaged": damaged} {
		if err := imagetest.WriteOCILayout(filepath.Join(in, name), "", content); err != nil {
			t.Fatal(err)
		}
		if err := imagetest.WriteOCIArchive(filepath.Join(in, name+".oci.tar"), "", content); err != nil {
			t.Fatal(err)
		}
		if err := imagetest.WriteDockerArchive(filepath.Join(in, name+".tar"), imagetest.DockerOCI, imagetest.Ref{Content: content}); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"good.tar", "good.oci.tar"} {
		b, err := os.ReadFile(filepath.Join(in, name))
		if err != nil {
			t.Fatal(err)
		}
		compressed := tartest.Gzip(t, b)
		for file, content := range map[string][]byte{
			"cut." + name:          b[:len(b)*2/3],
			name + ".gz":           compressed,
			"cut." + name + ".gz":  compressed[:len(compressed)*2/3],
			"flip." + name + ".gz": tartest.Flipped(compressed),
		} {
			if err := os.WriteFile(filepath.Join(in, file), content, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}

	for _, test := range []struct {
		transport, file string
		good            bool
	}{
		{"oci", "good", true},
		{"oci", "damaged", false},
		{"oci", "missing", false},
		{"oci-archive", "good.oci.tar", true},
		{"oci-archive", "good.oci.tar.gz", true},
		{"oci-archive", "damaged.oci.tar", false},
		{"oci-archive", "cut.good.oci.tar", false},
		{"oci-archive", "cut.good.oci.tar.gz", false},
		{"oci-archive", "flip.good.oci.tar.gz", false},
		{"oci-archive", "missing", false},
		{"docker-archive", "good.tar", true},
		{"docker-archive", "good.tar.gz", true},
		{"docker-archive", "damaged.tar", false},
		{"docker-archive", "cut.good.tar", false},
		{"docker-archive", "cut.good.tar.gz", false},
		{"docker-archive", "flip.good.tar.gz", false},
		{"docker-archive", "missing", false},
	} {
		t.Run(test.transport+" "+test.file, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			_, _, err := convert(t.Context(), parsed(t, test.transport+":"+filepath.Join(in, test.file)), dir)
			if (err == nil) != test.good {
				t.Errorf("error %v", err)
			}
			var want []string
			if test.good {
				want = []string{"function.zip", "layer-1.zip"}
			}
			files, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range files {
				got = append(got, f.Name())
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("files (+) are not as expected (-):\n%s", diff)
			}
		})
	}
}

// TestInterruptedWhileUnpacking is likewise for an archive that is compressed as
// a whole, and first written to disk.
func TestInterruptedWhileUnpacking(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{"docker-archive:", "oci-archive:"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			name := filepath.Join(t.TempDir(), "archive")
			if err := os.WriteFile(name, tartest.Gzip(t, make([]byte, 1<<20)), 0o600); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			dir := t.TempDir()
			_, _, err := convert(ctx, parsed(t, transport+name), dir)
			if !errors.Is(err, context.Canceled) {
				t.Errorf("got error %v", err)
			}
			testrun.CheckEmpty(t, dir)
		})
	}
}

// TestLinksInArchives guards against archives whose own links lead to themselves
// or to files of the machine.
func TestLinksInArchives(t *testing.T) {
	t.Parallel()
	img := imagetest.Image(imagetest.Options{}, craftedLayers...)
	var export bytes.Buffer
	if err := imagetest.Export(&export, imagetest.Podman, imagetest.Ref{Content: img}); err != nil {
		t.Fatal(err)
	}
	_, config, _, diffIDs := digests(t, img)
	for name, tt := range map[string]struct{ file, target string }{
		"a layer to itself":            {diffIDs[0].Hex + ".tar", diffIDs[0].Hex + ".tar"},
		"a layer to the machine's":     {diffIDs[0].Hex + ".tar", "/etc/passwd"},
		"a layer to the machine's, up": {diffIDs[0].Hex + ".tar", "../../../../../../../../etc/passwd"},
		"a layer to a document":        {diffIDs[0].Hex + ".tar", "manifest.json"},
		"a layer to another":           {diffIDs[0].Hex + ".tar", diffIDs[1].Hex + ".tar"},
		"the config to the machine's":  {config.Hex + ".json", "/etc/passwd"},
		"the manifest to itself":       {"manifest.json", "manifest.json"},
		"the manifest to the config":   {"manifest.json", config.Hex + ".json"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var changed bytes.Buffer
			w := tar.NewWriter(&changed)
			for r := tar.NewReader(bytes.NewReader(export.Bytes())); ; {
				h, err := r.Next()
				if err == io.EOF {
					break
				} else if err != nil {
					t.Fatal(err)
				}
				if h.Name == tt.file {
					h = &tar.Header{Typeflag: tar.TypeSymlink, Name: h.Name, Linkname: tt.target}
				}
				if err := w.WriteHeader(h); err != nil {
					t.Fatal(err)
				}
				if _, err := io.CopyN(w, r, h.Size); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			dir := testrun.MemoryDir(t)
			file := filepath.Join(dir, "archive.tar")
			if err := os.WriteFile(file, changed.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			for how, open := range map[string]func(work string) (extract.Source, error){
				"archive": func(work string) (extract.Source, error) {
					return Open(t.Context(), parsed(t, "docker-archive:"+file), Options{Dir: work})
				},
				"engine": func(string) (extract.Source, error) { return streamed{&changed}, nil },
			} {
				_, err := zipsOf(t.Context(), dir, open)
				if err == nil || strings.Contains(err.Error(), "left behind") || strings.Contains(err.Error(), "root:") {
					t.Errorf("%s: got error %v", how, err)
				}
			}
		})
	}
}

// TestFIFO guards against waiting for ever for somebody to write to what is in
// the place of a file.
func TestFIFO(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("mkfifo"); err != nil {
		t.Skip("no mkfifo")
	}
	img := imagetest.Image(imagetest.Options{OCI: true}, craftedLayers...)
	manifest, config, layers, _ := digests(t, img)
	for name, file := range map[string]string{
		"index": "index.json", "manifest": "blobs/sha256/" + manifest.Hex, "config": "blobs/sha256/" + config.Hex, "layer": "blobs/sha256/" + layers[1].Hex,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := t.TempDir()
			if err := imagetest.WriteOCILayout(in, "", img); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(in, filepath.FromSlash(file))
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command("mkfifo", file).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			testrun.Soon(t, func() {
				_, _, err := convert(t.Context(), parsed(t, "oci:"+in), t.TempDir())
				if err == nil || !strings.Contains(err.Error(), "is not a file") {
					t.Errorf("got error %v", err)
				}
			})
		})
	}
}
