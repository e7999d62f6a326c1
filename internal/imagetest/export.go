package imagetest

import (
	"crypto/sha256"
	"encoding/hex"
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

// Format is one of the forms in which engines save images.
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
	// Present are the platforms of an index whose content is in the engine's
	// store; nil is all of them. After a pull it is one platform, and the index
	// lists images that are not there. Only DockerContainerd keeps indexes.
	Present []v1.Platform
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
		config, err := c.ConfigFile()
		if err != nil {
			return nil, err
		}
		if !config.Platform().Satisfies(p) {
			return nil, fmt.Errorf("%w: %v", ErrNoPlatform, p)
		}
		return c, nil
	case v1.ImageIndex:
		manifest, err := c.IndexManifest()
		if err != nil {
			return nil, err
		}
		for _, desc := range manifest.Manifests {
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
	var entries []Entry
	var err error
	switch format {
	case DockerLegacy:
		entries, err = exportLegacy(refs)
	case DockerOCI:
		entries, err = exportOCI(refs)
	case DockerContainerd:
		entries, err = exportContainerd(refs)
	case Podman:
		entries, err = exportPodman(refs)
	default:
		err = fmt.Errorf("imagetest: no format %d", format)
	}
	if err != nil {
		return err
	}
	return writeTar(w, entries)
}

// manifestItem is an image in manifest.json. LayerSources is by DiffID.
type manifestItem struct {
	Config       string
	RepoTags     []string
	Layers       []string
	LayerSources map[string]v1.Descriptor `json:",omitempty"`
}

// repositories is the file of that name: repository, then tag, to the v1 ID of
// the top layer.
type repositories map[string]map[string]string

func (r repositories) add(repository, tag, id string) {
	if r[repository] == nil {
		r[repository] = map[string]string{}
	}
	r[repository][tag] = id
}

// savedImage is an image of an archive, in the formats that have one image for
// each name.
type savedImage struct {
	names   []reference.NamedTagged
	image   v1.Image
	config  *v1.ConfigFile
	raw     []byte // the config
	digest  v1.Hash
	layers  [][]byte // uncompressed
	diffIDs []v1.Hash
}

// collect returns the images of refs, each once.
func collect(refs []Ref) ([]*savedImage, error) {
	var images []*savedImage
	for _, ref := range refs {
		img, err := Select(ref.Content, HostPlatform)
		if c, ok := ref.Content.(v1.Image); ok {
			img, err = c, nil // Stored under its name, whatever its platform.
		}
		if err != nil {
			return nil, err
		}
		digest, err := img.ConfigName()
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(images, func(s *savedImage) bool { return s.digest == digest })
		if i < 0 {
			s, err := newSavedImage(img, digest)
			if err != nil {
				return nil, err
			}
			i, images = len(images), append(images, s)
		}
		name, err := parseName(ref.Name)
		if err != nil {
			return nil, err
		}
		if name != nil && !slices.ContainsFunc(images[i].names, func(n reference.NamedTagged) bool { return n.String() == name.String() }) {
			images[i].names = append(images[i].names, name)
		}
	}
	return images, nil
}

func newSavedImage(img v1.Image, digest v1.Hash) (*savedImage, error) {
	s := &savedImage{image: img, digest: digest}
	var err error
	if s.config, err = img.ConfigFile(); err != nil {
		return nil, err
	}
	if s.raw, err = img.RawConfigFile(); err != nil {
		return nil, err
	}
	layers, err := img.Layers()
	if err != nil {
		return nil, err
	}
	if len(layers) == 0 {
		return nil, errors.New("empty export - not implemented") // Docker's own words.
	}
	// The names in an archive are the config's, though a test may have given
	// the image a layer with other content.
	s.diffIDs = s.config.RootFS.DiffIDs
	for _, l := range layers {
		body, err := readAll(l.Uncompressed)
		if err != nil {
			return nil, err
		}
		s.layers = append(s.layers, body)
	}
	return s, nil
}

// parseName returns name in full, with a tag, or nil for the empty name.
func parseName(name string) (reference.NamedTagged, error) {
	if name == "" {
		return nil, nil
	}
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", name, err)
	}
	tagged, ok := reference.TagNameOnly(named).(reference.NamedTagged)
	if !ok {
		return nil, fmt.Errorf("%q: a name with a digest is not a tag", name)
	}
	return tagged, nil
}

func exportLegacy(refs []Ref) ([]Entry, error) {
	images, err := collect(refs)
	if err != nil {
		return nil, err
	}
	var entries []Entry
	var manifest []manifestItem
	repos := repositories{}
	paths := map[v1.Hash]string{} // where a DiffID's bytes are
	for _, img := range images {
		created := ModTime(img.config.Created.Time)
		item := manifestItem{Config: img.digest.Hex + ".json"}
		entries = append(entries, File(item.Config, string(img.raw), created))
		metadata, err := legacyMetadata(img)
		if err != nil {
			return nil, err
		}
		var top string
		for i, m := range metadata {
			top = m.id
			file := m.id + "/layer.tar"
			item.Layers = append(item.Layers, file)
			entries = append(entries,
				Dir(m.id+"/", created),
				File(m.id+"/VERSION", "1.0", created),
				File(m.id+"/json", string(m.json), created))
			switch diffID := img.diffIDs[i]; {
			case paths[diffID] == "":
				paths[diffID] = file
				entries = append(entries, File(file, string(img.layers[i]), created))
			case paths[diffID] != file:
				entries = append(entries, Symlink(file, "../"+paths[diffID], created))
			}
		}
		for _, name := range img.names {
			item.RepoTags = append(item.RepoTags, reference.FamiliarString(name))
			repos.add(reference.FamiliarName(name), name.Tag(), top)
		}
		manifest = append(manifest, item)
	}
	return sorted(withManifest(entries, manifest, repos)), nil
}

// withManifest adds the files that all of Docker's graph driver formats have.
func withManifest(entries []Entry, manifest []manifestItem, repos repositories) []Entry {
	entries = append(entries, epoch(File("manifest.json", jsonLine(manifest))))
	if len(repos) > 0 {
		entries = append(entries, epoch(File("repositories", jsonLine(repos))))
	}
	return entries
}

func exportOCI(refs []Ref) ([]Entry, error) {
	images, err := collect(refs)
	if err != nil {
		return nil, err
	}
	entries := []Entry{epoch(Dir("blobs/")), epoch(Dir("blobs/sha256/"))}
	add := func(digest v1.Hash, body []byte, opts ...Option) string {
		name := "blobs/sha256/" + digest.Hex
		entries = append(entries, File(name, string(body), opts...))
		return name
	}
	var manifest []manifestItem
	var descs []v1.Descriptor
	repos := repositories{}
	for _, img := range images {
		created := ModTime(img.config.Created.Time)
		item := manifestItem{
			Config:       add(img.digest, img.raw, created),
			LayerSources: map[string]v1.Descriptor{},
		}
		metadata, err := legacyMetadata(img)
		if err != nil {
			return nil, err
		}
		for _, m := range metadata {
			add(sha256Of(m.json), m.json, created)
		}
		ociManifest := v1.Manifest{
			SchemaVersion: 2,
			MediaType:     types.OCIManifestSchema1,
			Config:        v1.Descriptor{MediaType: types.OCIConfigJSON, Digest: img.digest, Size: int64(len(img.raw))},
		}
		for i, diffID := range img.diffIDs {
			desc := v1.Descriptor{MediaType: types.OCIUncompressedLayer, Digest: diffID, Size: int64(len(img.layers[i]))}
			item.Layers = append(item.Layers, add(diffID, img.layers[i], created))
			item.LayerSources[diffID.String()] = desc
			ociManifest.Layers = append(ociManifest.Layers, desc)
		}
		raw := must(json.Marshal(ociManifest))
		digest := sha256Of(raw)
		entries = append(entries, epoch(File("blobs/sha256/"+digest.Hex, string(raw))))
		desc := v1.Descriptor{MediaType: types.OCIManifestSchema1, Digest: digest, Size: int64(len(raw))}
		for _, name := range img.names {
			item.RepoTags = append(item.RepoTags, reference.FamiliarString(name))
			repos.add(reference.FamiliarName(name), name.Tag(), img.diffIDs[len(img.diffIDs)-1].Hex)
			descs = append(descs, named(desc, name))
		}
		if len(img.names) == 0 {
			descs = append(descs, desc)
		}
		manifest = append(manifest, item)
	}
	entries = append(entries,
		epoch(File("index.json", indexJSON(descs))),
		epoch(File("oci-layout", `{"imageLayoutVersion": "1.0.0"}`)))
	return sorted(withManifest(entries, manifest, repos)), nil
}

// named returns desc with the annotations by which containerd knows its name.
func named(desc v1.Descriptor, name reference.NamedTagged) v1.Descriptor {
	desc.Annotations = map[string]string{
		"io.containerd.image.name": name.String(),
		refNameAnnotation:          name.Tag(),
	}
	return desc
}

func exportContainerd(refs []Ref) ([]Entry, error) {
	var entries []Entry
	var descs []v1.Descriptor
	var manifest []manifestItem
	items := map[v1.Hash]int{} // place in manifest by the digest of the content
	for _, ref := range refs {
		desc, err := partial.Descriptor(ref.Content)
		if err != nil {
			return nil, err
		}
		name, err := parseName(ref.Name)
		if err != nil {
			return nil, err
		}
		if name != nil {
			*desc = named(*desc, name)
		}
		descs = append(descs, *desc)

		members, err := blobs(ref.Content, ref.present)
		if err != nil {
			return nil, err
		}
		entries = append(entries, members...)

		i, ok := items[desc.Digest]
		if !ok {
			img, err := ref.preferred()
			if err != nil {
				return nil, err
			}
			item, err := itemOf(img)
			if err != nil {
				return nil, err
			}
			i, manifest = len(manifest), append(manifest, item)
			items[desc.Digest] = i
		}
		if name != nil {
			manifest[i].RepoTags = append(manifest[i].RepoTags, reference.FamiliarString(name))
		}
	}
	raw := string(must(json.Marshal(manifest)))
	return sorted(append(entries,
		epoch(File("index.json", indexJSON(descs))),
		epoch(File("manifest.json", raw)),
		readOnly("oci-layout", layoutJSON))), nil
}

// present says whether the store has the content of desc, of an index.
func (r Ref) present(desc v1.Descriptor) bool {
	return r.Present == nil || desc.Platform == nil || slices.ContainsFunc(r.Present, func(p v1.Platform) bool {
		return desc.Platform.Satisfies(p)
	})
}

// preferred returns the image that manifest.json describes: the host's if it is
// there, else the first.
func (r Ref) preferred() (v1.Image, error) {
	idx, ok := r.Content.(v1.ImageIndex)
	if !ok {
		return r.Content.(v1.Image), nil
	}
	m, err := idx.IndexManifest()
	if err != nil {
		return nil, err
	}
	var first *v1.Descriptor
	for _, desc := range m.Manifests {
		switch {
		case !r.present(desc):
		case desc.Platform != nil && desc.Platform.Satisfies(HostPlatform):
			return idx.Image(desc.Digest)
		case first == nil:
			first = &desc
		}
	}
	if first == nil {
		return nil, errors.New("no manifest found for platform: not found") // containerd's own words
	}
	return idx.Image(first.Digest)
}

func itemOf(img v1.Image) (manifestItem, error) {
	m, err := img.Manifest()
	if err != nil {
		return manifestItem{}, err
	}
	item := manifestItem{Config: "blobs/sha256/" + m.Config.Digest.Hex}
	for _, l := range m.Layers {
		item.Layers = append(item.Layers, "blobs/sha256/"+l.Digest.Hex)
	}
	return item, nil
}

func exportPodman(refs []Ref) ([]Entry, error) {
	images, err := collect(refs)
	if err != nil {
		return nil, err
	}
	var entries []Entry
	manifest := []manifestItem{}
	repos := repositories{}
	written := map[string]bool{}
	add := func(entry Entry) {
		if !written[entry.Name] {
			written[entry.Name] = true
			entries = append(entries, epoch(entry))
		}
	}
	for _, img := range images {
		item := manifestItem{Config: img.digest.Hex + ".json", RepoTags: []string{}, Layers: []string{}}
		for i, diffID := range img.diffIDs {
			item.Layers = append(item.Layers, diffID.Hex+".tar")
			add(readOnly(diffID.Hex+".tar", string(img.layers[i])))
		}
		add(readOnly(item.Config, string(img.raw)))
		metadata, err := podmanMetadata(img)
		if err != nil {
			return nil, err
		}
		var top string
		for i, m := range metadata {
			top = m.id
			add(Symlink(m.id+"/layer.tar", "../"+item.Layers[i], Mode(0)))
			add(readOnly(m.id+"/VERSION", "1.0"))
			add(readOnly(m.id+"/json", string(m.json)))
		}
		for _, name := range img.names {
			item.RepoTags = append(item.RepoTags, name.String())
			repos.add(name.Name(), name.Tag(), top)
		}
		manifest = append(manifest, item)
	}
	add(readOnly("manifest.json", string(must(json.Marshal(manifest)))))
	add(readOnly("repositories", string(must(json.Marshal(repos)))))
	return entries, nil
}

// jsonLine returns v as json.Encoder writes it, with a line end.
func jsonLine(v any) string { return string(must(json.Marshal(v))) + "\n" }

// chainIDs returns for each layer the digest that stands for it and all layers
// below it, as the OCI image spec computes it.
func chainIDs(diffIDs []v1.Hash) []string {
	ids := make([]string, len(diffIDs))
	for i, diffID := range diffIDs {
		ids[i] = diffID.String()
		if i > 0 {
			sum := sha256.Sum256([]byte(ids[i-1] + " " + ids[i]))
			ids[i] = "sha256:" + hex.EncodeToString(sum[:])
		}
	}
	return ids
}
