package source

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/imagetest"
	"github.com/awslabs/aws-lambda-container-image-converter/internal/testrun"
)

// exportOf is an export of an image with the last of the layers, each named by
// its place: l0, l1 …
func exportOf(layers ...[]byte) io.Reader {
	last := len(layers) - 1
	config := `{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":["` + digest.FromBytes(layers[last]).String() + `"]}}`
	var entries []imagetest.Entry
	for i, l := range layers {
		entries = append(entries, imagetest.File("l"+string(rune('0'+i)), string(l)))
	}
	entries = append(entries, imagetest.File("config.json", config),
		imagetest.File("manifest.json", `[{"Config":"config.json","Layers":["l`+string(rune('0'+last))+`"]}]`))
	return bytes.NewReader(imagetest.Tar(entries...))
}

// hashLayer is a LayerFunc that takes the whole layer.
func hashLayer(_ context.Context, _ string, _ int64, r io.Reader) (digest.Digest, error) {
	return digest.FromReader(r)
}

var exportPlatform = Platform{OS: "linux", Architecture: "amd64"}

// An export goes on to its next layer while one is still being worked on.
func TestExportSideBySide(t *testing.T) {
	lower, upper := imagetest.Tar(imagetest.File("opt/a", "a")), imagetest.Tar(imagetest.File("opt/b", "b"))
	begun := make(chan struct{})
	img, err := readExport(t.Context(), exportOf(lower, upper), exportPlatform,
		func(ctx context.Context, name string, size int64, r io.Reader) (digest.Digest, error) {
			if name == "layer l1" {
				close(begun)
			}
			select {
			case <-begun:
			case <-time.After(testrun.Patience):
				t.Error("the second layer does not begin before the first one ends")
			}
			return hashLayer(ctx, name, size, r)
		})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]digest.Digest{digest.FromBytes(upper)}, img.Layers); diff != "" {
		t.Error(diff)
	}
}

// A file that is no layer after all, and longer than what is read ahead, does not
// hold up those that follow.
func TestExportRefusedLayer(t *testing.T) {
	const size = 2 * feedChunks * feedChunk
	long, layer := imagetest.Tar(imagetest.File("a", strings.Repeat("a", size))), imagetest.Tar(imagetest.File("opt/b", strings.Repeat("b", size)))
	img, err := readExport(t.Context(), exportOf(long, long, long, long, layer), exportPlatform,
		func(ctx context.Context, name string, n int64, r io.Reader) (digest.Digest, error) {
			if name != "layer l4" {
				_, err := io.ReadFull(r, make([]byte, feedChunk+1))
				return "", errors.Join(errors.New("refused"), err)
			}
			return hashLayer(ctx, name, n, r)
		})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]digest.Digest{digest.FromBytes(layer)}, img.Layers); diff != "" {
		t.Error(diff)
	}
}

// An export that breaks off ends the work on all of its layers.
func TestExportBreaksOff(t *testing.T) {
	layer := imagetest.Tar(imagetest.File("opt/a", strings.Repeat("a", 4*feedChunk)))
	whole, err := io.ReadAll(exportOf(layer, layer))
	if err != nil {
		t.Fatal(err)
	}
	working := 0
	_, err = readExport(t.Context(), bytes.NewReader(whole[:len(layer)+2*feedChunk]), exportPlatform,
		func(ctx context.Context, name string, n int64, r io.Reader) (digest.Digest, error) {
			if name == "layer l0" {
				<-ctx.Done()
				working++
			}
			return hashLayer(ctx, name, n, r)
		})
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got error %v, want %v", err, io.ErrUnexpectedEOF)
	}
	if working != 1 {
		t.Error("the first layer was still being worked on")
	}
}

// Guards against waiting for an engine that has sent the image and removes its
// temporary files.
func TestExportEnd(t *testing.T) {
	layer := imagetest.Tar(imagetest.File("opt/a", "a"))
	r, w := io.Pipe()
	defer w.Close()
	go func() { _, _ = io.Copy(w, exportOf(layer)) }()
	done := make(chan error)
	go func() {
		_, err := readExport(t.Context(), r, exportPlatform, hashLayer)
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(testrun.Patience):
		t.Error("it waits for the end of the stream")
	}
}
