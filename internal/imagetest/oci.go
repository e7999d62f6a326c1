package imagetest

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Content is a v1.Image or a v1.ImageIndex.
type Content = mutate.Appendable

const refNameAnnotation = "org.opencontainers.image.ref.name"

// WriteOCILayout writes content as an OCI image layout into the directory dir,
// which is made if it does not exist. A layout that is there already keeps its
// other images. tag becomes the image's name in index.json; an image with an
// empty tag has none.
func WriteOCILayout(dir, tag string, content Content) error {
	indexFile := filepath.Join(dir, "index.json")
	var manifests []v1.Descriptor
	if raw, err := os.ReadFile(indexFile); err == nil {
		var old v1.IndexManifest
		if err := json.Unmarshal(raw, &old); err != nil {
			return fmt.Errorf("%s: %w", indexFile, err)
		}
		manifests = old.Manifests
	} else if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, e := range layoutMembers(manifests, tag, content) {
		name := filepath.Join(dir, filepath.FromSlash(e.Name))
		var err error
		if e.Typeflag == tar.TypeDir {
			err = os.MkdirAll(name, 0o755)
		} else {
			err = os.WriteFile(name, e.Body, 0o644)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// WriteOCIArchive writes a tar of an OCI image layout that holds content under
// the name tag, as WriteOCILayout has it.
func WriteOCIArchive(file, tag string, content Content) error {
	return writeFile(file, func(w io.Writer) error { return writeTar(w, layoutMembers(nil, tag, content)) })
}

// layoutMembers returns the members of an OCI image layout with content and, in
// index.json only, others. Unlike go-containerregistry's layout package it takes
// layers whose content is not what their digest says.
func layoutMembers(others []v1.Descriptor, tag string, content Content) []Entry {
	desc := must(partial.Descriptor(content))
	if tag != "" {
		desc.Annotations = map[string]string{refNameAnnotation: tag}
	}
	return sorted(append(blobs(content), layoutFiles(append(others, *desc))...))
}

// layoutFiles are the files of a layout that are no blobs.
func layoutFiles(manifests []v1.Descriptor) []Entry {
	index := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: manifests}
	return []Entry{
		File("index.json", string(must(json.Marshal(index)))),
		File("oci-layout", `{"imageLayoutVersion":"1.0.0"}`),
		Dir("blobs/"), Dir("blobs/sha256/"),
	}
}

// blobs returns the members below blobs/ for content and all that it refers to,
// with duplicates.
func blobs(content Content) []Entry {
	switch c := content.(type) {
	case v1.Image:
		config := must(c.RawConfigFile())
		entries := []Entry{blob(must(c.Digest()), must(c.RawManifest())), blob(sha256Of(config), config)}
		for _, l := range must(c.Layers()) {
			entries = append(entries, blob(must(l.Digest()), must(readAll(l.Compressed))))
		}
		return entries
	case v1.ImageIndex:
		entries := []Entry{blob(must(c.Digest()), must(c.RawManifest()))}
		for _, desc := range must(c.IndexManifest()).Manifests {
			entries = append(entries, blobs(must(manifestOf(c, desc)))...)
		}
		return entries
	}
	panic(fmt.Sprintf("imagetest: %T is neither an image nor an index", content))
}

// manifestOf returns the image or index that desc, one of idx, stands for.
func manifestOf(idx v1.ImageIndex, desc v1.Descriptor) (Content, error) {
	if desc.MediaType.IsIndex() {
		return idx.ImageIndex(desc.Digest)
	}
	return idx.Image(desc.Digest)
}

func blobName(digest v1.Hash) string { return "blobs/sha256/" + digest.Hex }

func blob(digest v1.Hash, body []byte) Entry { return File(blobName(digest), string(body)) }

// sorted returns entries by name, each name once.
func sorted(entries []Entry) []Entry {
	slices.SortStableFunc(entries, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
	return slices.CompactFunc(entries, func(a, b Entry) bool { return a.Name == b.Name })
}

func readAll(open func() (io.ReadCloser, error)) ([]byte, error) {
	r, err := open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func writeFile(name string, write func(io.Writer) error) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	if err := write(f); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
