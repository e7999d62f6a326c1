package main

import (
	"archive/tar"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
)

// image is an archive that is both an OCI image layout and what `docker load`
// takes: the same image for either.
type image struct {
	name    string // for Docker
	archive string // its path
	layers  []ispec.Descriptor
	size    int64 // of the layers' content in bytes, as far as it is files'
}

// makeImage makes an image of layers in the directory of the bench.
func (b *bench) makeImage(name string, layers ...[]part) (*image, error) {
	blobs := make([]*blob, len(layers))
	img := &image{name: "img2lambda-bench:" + name, archive: filepath.Join(b.dir, name+".tar")}
	var g errgroup.Group
	g.SetLimit(runtime.NumCPU())
	for i, parts := range layers {
		members := b.corpus.members(parts)
		for _, p := range parts {
			img.size += p.size
		}
		g.Go(func() (err error) {
			blobs[i], err = writeBlob(b.ctx, filepath.Join(b.dir, fmt.Sprintf("%s-%d.gz", name, i)), members)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	for _, l := range blobs {
		defer os.Remove(l.path)
		img.layers = append(img.layers, l.desc)
	}
	f, err := os.Create(img.archive)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := writeImage(f, img.name, blobs); err != nil {
		return nil, err
	}
	return img, f.Close()
}

// writeImage writes an archive that holds an image (OCI image spec,
// image-layout.md; Docker image spec v1.2 for manifest.json).
func writeImage(w io.Writer, name string, layers []*blob) error {
	config := ispec.Image{
		Platform: ispec.Platform{OS: "linux", Architecture: runtime.GOARCH},
		RootFS:   ispec.RootFS{Type: "layers"},
	}
	manifest := ispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ispec.MediaTypeImageManifest}
	var paths []string
	for _, l := range layers {
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, l.diffID)
		manifest.Layers = append(manifest.Layers, l.desc)
		paths = append(paths, blobPath(l.desc))
	}
	configJSON, desc, err := document(ispec.MediaTypeImageConfig, config)
	if err != nil {
		return err
	}
	manifest.Config = desc
	manifestJSON, desc, err := document(ispec.MediaTypeImageManifest, manifest)
	if err != nil {
		return err
	}
	desc.Annotations = map[string]string{"io.containerd.image.name": "docker.io/library/" + name}
	index, _, err := document(ispec.MediaTypeImageIndex, ispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ispec.MediaTypeImageIndex, Manifests: []ispec.Descriptor{desc},
	})
	if err != nil {
		return err
	}
	docker, _, err := document("", []any{
		map[string]any{"Config": blobPath(manifest.Config), "RepoTags": []string{name}, "Layers": paths},
	})
	if err != nil {
		return err
	}

	t := tar.NewWriter(w)
	for _, d := range []struct {
		name    string
		content []byte
	}{
		{ispec.ImageLayoutFile, []byte(`{"imageLayoutVersion":"` + ispec.ImageLayoutVersion + `"}`)},
		{ispec.ImageIndexFile, index},
		{"manifest.json", docker},
		{blobPath(desc), manifestJSON},
		{blobPath(manifest.Config), configJSON},
	} {
		h := header(tar.TypeReg, d.name, 0o644)
		h.Size = int64(len(d.content))
		if err := t.WriteHeader(h); err != nil {
			return err
		}
		if _, err := t.Write(d.content); err != nil {
			return err
		}
	}
	for _, l := range layers {
		h := header(tar.TypeReg, blobPath(l.desc), 0o644)
		h.Size = l.desc.Size
		if err := t.WriteHeader(h); err != nil {
			return err
		}
		if err := copyPiece(t, piece{file: file{path: l.path, size: l.desc.Size}}); err != nil {
			return err
		}
	}
	return t.Close()
}

// document is a value as JSON, and its descriptor.
func document(mediaType string, v any) ([]byte, ispec.Descriptor, error) {
	b, err := json.Marshal(v)
	return b, ispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(b), Size: int64(len(b))}, err
}

func blobPath(d ispec.Descriptor) string {
	return ispec.ImageBlobsDir + "/sha256/" + d.Digest.Encoded()
}
