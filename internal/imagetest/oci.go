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
	"time"

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
	entries, err := layoutMembers(manifests, tag, content)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := filepath.Join(dir, filepath.FromSlash(e.Name))
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
	entries, err := layoutMembers(nil, tag, content)
	if err != nil {
		return err
	}
	return writeFile(file, func(w io.Writer) error { return writeTar(w, entries) })
}

// layoutMembers returns the members of an OCI image layout with content and, in
// index.json only, others.
func layoutMembers(others []v1.Descriptor, tag string, content Content) ([]Entry, error) {
	desc, err := partial.Descriptor(content)
	if err != nil {
		return nil, err
	}
	if tag != "" {
		desc.Annotations = map[string]string{refNameAnnotation: tag}
	}
	entries, err := blobs(content, nil)
	if err != nil {
		return nil, err
	}
	entries = append(entries,
		readOnly("index.json", indexJSON(append(others, *desc))),
		readOnly("oci-layout", layoutJSON))
	return sorted(entries), nil
}

const layoutJSON = `{"imageLayoutVersion":"1.0.0"}`

func indexJSON(manifests []v1.Descriptor) string {
	return string(must(json.Marshal(v1.IndexManifest{
		SchemaVersion: 2,
		MediaType:     types.OCIImageIndex,
		Manifests:     manifests,
	})))
}

// blobs returns the members below blobs/ for content and all that it refers to,
// with duplicates. keep says which manifests of an index to include; nil is all.
func blobs(content Content, keep func(v1.Descriptor) bool) ([]Entry, error) {
	entries := []Entry{epoch(Dir("blobs/")), epoch(Dir("blobs/sha256/"))}
	switch c := content.(type) {
	case v1.Image:
		raw, err := c.RawManifest()
		if err != nil {
			return nil, err
		}
		config, err := c.RawConfigFile()
		if err != nil {
			return nil, err
		}
		entries = append(entries, blob(sha256Of(raw), raw), blob(sha256Of(config), config))
		layers, err := c.Layers()
		if err != nil {
			return nil, err
		}
		for _, l := range layers {
			digest, err := l.Digest()
			if err != nil {
				return nil, err
			}
			body, err := readAll(l.Compressed)
			if err != nil {
				return nil, err
			}
			entries = append(entries, blob(digest, body))
		}
	case v1.ImageIndex:
		raw, err := c.RawManifest()
		if err != nil {
			return nil, err
		}
		entries = append(entries, blob(sha256Of(raw), raw))
		manifest, err := c.IndexManifest()
		if err != nil {
			return nil, err
		}
		for _, desc := range manifest.Manifests {
			if keep != nil && !keep(desc) {
				continue
			}
			child, err := manifestOf(c, desc)
			if err != nil {
				return nil, err
			}
			below, err := blobs(child, keep)
			if err != nil {
				return nil, err
			}
			entries = append(entries, below...)
		}
	default:
		return nil, fmt.Errorf("imagetest: %T is neither an image nor an index", content)
	}
	return entries, nil
}

// manifestOf returns the image or index that desc, one of idx, stands for.
func manifestOf(idx v1.ImageIndex, desc v1.Descriptor) (Content, error) {
	if desc.MediaType.IsIndex() {
		return idx.ImageIndex(desc.Digest)
	}
	return idx.Image(desc.Digest)
}

func blob(digest v1.Hash, body []byte) Entry {
	return readOnly("blobs/sha256/"+digest.Hex, string(body))
}

func readOnly(name, body string) Entry { return epoch(File(name, body, Mode(0o444))) }

// epoch returns e with the modification time 0, which tools give to members
// that have none of their own.
func epoch(e Entry) Entry {
	e.Header.ModTime = time.Unix(0, 0)
	return e
}

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
