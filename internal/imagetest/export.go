package imagetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/distribution/reference"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Format is one of the forms in which engines save images. Of each there is what a
// reader may depend on or stumble over. The IDs and the metadata of the image format
// that Docker had before 1.10 are made up: Docker itself no longer reads them.
type Format int

const (
	// DockerLegacy is what Docker up to 24 saves: a directory for each layer,
	// named by an ID of the v1 image format, with layer.tar in it; a layer that
	// has the same content as an earlier one is a symbolic link.
	DockerLegacy Format = iota
	// DockerOCI is what Docker from 25 on saves when it keeps images in graph
	// drivers: an OCI layout of uncompressed layers, with manifest.json besides.
	DockerOCI
	// DockerContainerd is what Docker saves when it keeps images in containerd:
	// an OCI layout with the image or index as it was pulled or built, with
	// manifest.json besides, which describes one image of an index.
	DockerContainerd
	// Podman is what Podman and skopeo write as docker-archive: the layers as
	// files at the top, with symbolic links to them where Docker had them.
	Podman
)

// Formats are all formats.
var Formats = []Format{DockerLegacy, DockerOCI, DockerContainerd, Podman}

// String returns a short name, fit for a subtest's.
func (f Format) String() string {
	return [...]string{"docker-legacy", "docker-oci", "docker-containerd", "podman"}[f]
}

// Ref is a name and what an engine has under it.
type Ref struct {
	// Name is the reference as a user types it; ":latest" is added to a bare
	// one. Empty if the image has no name, or is asked for by ID.
	Name    string
	Content Content
}

// HostPlatform is the platform of the machine on which the engines of this
// package run: of an index, they show the image for it.
var HostPlatform = v1.Platform{OS: "linux", Architecture: "amd64"}

// ErrNoPlatform is the error of Select for a platform that an image is not for.
var ErrNoPlatform = errors.New("no image for that platform")

// Select returns the image of content that is for the platform p; its variant
// counts only if p has one.
func Select(content Content, p v1.Platform) (v1.Image, error) {
	switch c := content.(type) {
	case v1.Image:
		if must(c.ConfigFile()).Platform().Satisfies(p) {
			return c, nil
		}
	case v1.ImageIndex:
		for _, desc := range must(c.IndexManifest()).Manifests {
			if desc.Platform != nil && desc.Platform.Satisfies(p) {
				return c.Image(desc.Digest)
			}
		}
	}
	return nil, fmt.Errorf("%w: %v", ErrNoPlatform, p)
}

// WriteDockerArchive writes an archive as the command "docker save" or "podman
// save" does.
func WriteDockerArchive(file string, format Format, refs ...Ref) error {
	return writeFile(file, func(w io.Writer) error { return Export(w, format, refs...) })
}

// Export writes the archive to w. Several names of the same image are one image
// in it. Of an index, the formats that have none take the image for
// HostPlatform.
func Export(w io.Writer, format Format, refs ...Ref) error {
	images, err := collect(format, refs)
	if err != nil {
		return err
	}
	export := [...]func([]*savedImage) ([]Entry, []manifestItem){exportLegacy, exportOCI, exportContainerd, exportPodman}[format]
	entries, manifest := export(images)
	for i, img := range images {
		for _, name := range img.names {
			tag := reference.FamiliarString(name)
			if format == Podman {
				tag = name.String()
			}
			manifest[i].RepoTags = append(manifest[i].RepoTags, tag)
		}
	}
	entries = append(entries, File("manifest.json", string(must(json.Marshal(manifest)))))
	return writeTar(w, sorted(entries))
}

// manifestItem is an image in manifest.json. LayerSources is by DiffID.
type manifestItem struct {
	Config       string
	RepoTags     []string
	Layers       []string
	LayerSources map[string]v1.Descriptor `json:",omitempty"`
}

// savedImage is an image of an archive.
type savedImage struct {
	names   []reference.NamedTagged
	content Content // what has the names: the image, or an index that it is of
	image   v1.Image
	config  []byte
	digest  v1.Hash // of the config
	// diffIDs are the config's, though a test may have given the image a layer
	// with other content.
	diffIDs []v1.Hash
	layers  []string // uncompressed
}

// collect returns the images of refs, each once.
func collect(format Format, refs []Ref) ([]*savedImage, error) {
	var images []*savedImage
	for _, ref := range refs {
		img, ok := ref.Content.(v1.Image)
		if !ok { // An image is stored under its name, whatever its platform.
			var err error
			if img, err = Select(ref.Content, HostPlatform); err != nil {
				return nil, err
			}
		}
		content := Content(img)
		if format == DockerContainerd {
			content = ref.Content
		}
		digest := must(content.Digest())
		i := slices.IndexFunc(images, func(s *savedImage) bool { return must(s.content.Digest()) == digest })
		if i < 0 {
			i, images = len(images), append(images, newSavedImage(content, img))
		}
		if ref.Name == "" {
			continue
		}
		named, err := reference.ParseNormalizedNamed(ref.Name)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", ref.Name, err)
		}
		name := reference.TagNameOnly(named).(reference.NamedTagged)
		if !slices.Contains(images[i].names, name) {
			images[i].names = append(images[i].names, name)
		}
	}
	return images, nil
}

func newSavedImage(content Content, img v1.Image) *savedImage {
	s := &savedImage{
		content: content,
		image:   img,
		config:  must(img.RawConfigFile()),
		digest:  must(img.ConfigName()),
		diffIDs: must(img.ConfigFile()).RootFS.DiffIDs,
	}
	for _, l := range must(img.Layers()) {
		s.layers = append(s.layers, string(must(readAll(l.Uncompressed))))
	}
	return s
}

// legacyIDs returns the names of the layers' directories: an ID stands for a layer
// and all below it.
func (s *savedImage) legacyIDs() (ids []string) {
	id := ""
	for _, diffID := range s.diffIDs {
		id = sha256Of([]byte(id + diffID.Hex)).Hex
		ids = append(ids, id)
	}
	return ids
}

// legacyFiles are what such a directory has beside the layer.
func legacyFiles(id string) []Entry {
	return []Entry{Dir(id + "/"), File(id+"/VERSION", "1.0"), File(id+"/json", `{"id":"`+id+`"}`)}
}

func exportLegacy(images []*savedImage) (entries []Entry, manifest []manifestItem) {
	paths := map[v1.Hash]string{} // where a DiffID's bytes are
	for _, img := range images {
		item := manifestItem{Config: img.digest.Hex + ".json"}
		entries = append(entries, File(item.Config, string(img.config)))
		for i, id := range img.legacyIDs() {
			file := id + "/layer.tar"
			item.Layers = append(item.Layers, file)
			entries = append(entries, legacyFiles(id)...)
			switch diffID := img.diffIDs[i]; paths[diffID] {
			case "":
				paths[diffID] = file
				entries = append(entries, File(file, img.layers[i]))
			case file:
			default:
				entries = append(entries, Symlink(file, "../"+paths[diffID]))
			}
		}
		manifest = append(manifest, item)
	}
	return entries, manifest
}

func exportPodman(images []*savedImage) (entries []Entry, manifest []manifestItem) {
	for _, img := range images {
		item := manifestItem{Config: img.digest.Hex + ".json", RepoTags: []string{}}
		entries = append(entries, File(item.Config, string(img.config)))
		for i, id := range img.legacyIDs() {
			file := img.diffIDs[i].Hex + ".tar"
			item.Layers = append(item.Layers, file)
			entries = append(entries, File(file, img.layers[i]), Symlink(id+"/layer.tar", "../"+file))
			entries = append(entries, legacyFiles(id)...)
		}
		manifest = append(manifest, item)
	}
	return entries, manifest
}

func exportOCI(images []*savedImage) (entries []Entry, manifest []manifestItem) {
	var descs []v1.Descriptor
	for _, img := range images {
		entries = append(entries, blob(img.digest, img.config))
		item := manifestItem{Config: blobName(img.digest), LayerSources: map[string]v1.Descriptor{}}
		ociManifest := v1.Manifest{
			SchemaVersion: 2,
			MediaType:     types.OCIManifestSchema1,
			Config:        v1.Descriptor{MediaType: types.OCIConfigJSON, Digest: img.digest, Size: int64(len(img.config))},
		}
		for i, diffID := range img.diffIDs {
			desc := v1.Descriptor{MediaType: types.OCIUncompressedLayer, Digest: diffID, Size: int64(len(img.layers[i]))}
			entries = append(entries, blob(diffID, []byte(img.layers[i])))
			item.Layers = append(item.Layers, blobName(diffID))
			item.LayerSources[diffID.String()] = desc
			ociManifest.Layers = append(ociManifest.Layers, desc)
		}
		raw := must(json.Marshal(ociManifest))
		digest := sha256Of(raw)
		entries = append(entries, blob(digest, raw))
		descs = append(descs, img.named(v1.Descriptor{MediaType: types.OCIManifestSchema1, Digest: digest, Size: int64(len(raw))})...)
		manifest = append(manifest, item)
	}
	return append(entries, layoutFiles(descs)...), manifest
}

func exportContainerd(images []*savedImage) (entries []Entry, manifest []manifestItem) {
	var descs []v1.Descriptor
	for _, img := range images {
		entries = append(entries, blobs(img.content)...)
		descs = append(descs, img.named(*must(partial.Descriptor(img.content)))...)
		item := manifestItem{Config: blobName(img.digest)}
		for _, l := range must(img.image.Manifest()).Layers {
			item.Layers = append(item.Layers, blobName(l.Digest))
		}
		manifest = append(manifest, item)
	}
	return append(entries, layoutFiles(descs)...), manifest
}

// named returns desc for each of the image's names, with the annotations by which
// containerd knows it, or as it is if there are none.
func (s *savedImage) named(desc v1.Descriptor) []v1.Descriptor {
	if len(s.names) == 0 {
		return []v1.Descriptor{desc}
	}
	var descs []v1.Descriptor
	for _, name := range s.names {
		desc.Annotations = map[string]string{
			"io.containerd.image.name": name.String(),
			refNameAnnotation:          name.Tag(),
		}
		descs = append(descs, desc)
	}
	return descs
}
