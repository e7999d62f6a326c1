package source

import (
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// TestManyElements guards against documents of a few megabytes that take hundreds
// of them in memory: empty elements are written with three bytes.
func TestManyElements(t *testing.T) {
	t.Parallel()
	many := "[" + strings.Repeat("{},", maxElements) + "{}]"
	put := func(files inMemory, content string) digest.Digest {
		d := digest.FromString(content)
		files[blobFile(d)] = []byte(content)
		return d
	}
	docker := func(files inMemory) error {
		_, err := findDockerImage(files, Reference{path: "app.tar"}, Platform{})
		return err
	}
	image := func(content, mediaType string) func(inMemory) error {
		return func(files inMemory) error {
			l := &layout{files: files, image: ispec.Descriptor{MediaType: mediaType, Digest: put(files, content)}}
			_, _, err := (&manifestSource{store: l}).choose(t.Context())
			return err
		}
	}
	for _, tt := range []struct {
		name string
		read func(inMemory) error
	}{
		{"manifest.json", func(files inMemory) error {
			files["manifest.json"] = []byte(many)
			return docker(files)
		}},
		{"config", func(files inMemory) error {
			files["config"] = []byte(`{"history": ` + many + `}`)
			files["manifest.json"] = []byte(`[{"Config": "config"}]`)
			return docker(files)
		}},
		{"index.json", func(files inMemory) error {
			files["index.json"] = []byte(`{"manifests": ` + many + `}`)
			return (&layout{files: files}).find(Reference{path: "app.tar"}, Platform{})
		}},
		{"index", image(`{"schemaVersion": 2, "manifests": `+many+`}`, ispec.MediaTypeImageIndex)},
		{"manifest", image(`{"schemaVersion": 2, "config": {"digest": "x"}, "layers": `+many+`}`, ispec.MediaTypeImageManifest)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			want := regexp.MustCompile("it has [0-9]+ elements; [0-9]+ are supported$")
			if err := tt.read(inMemory{}); err == nil || !want.MatchString(err.Error()) {
				t.Errorf("got error %.300v, want %s", err, want)
			}
		})
	}
}

// TestElementsInText guards against counting what only looks like elements: labels
// hold whole documents.
func TestElementsInText(t *testing.T) {
	t.Parallel()
	label, err := json.Marshal(strings.Repeat(`{"a\\": [1,2]},`, maxElements))
	if err != nil {
		t.Fatal(err)
	}
	if err := checkElements([]byte(`{"config": {"Labels": {"bom": ` + string(label) + `}}}`)); err != nil {
		t.Error(err)
	}
}

// TestIndexWithoutDigest guards against a crash where an index in an index leads
// nowhere.
func TestIndexWithoutDigest(t *testing.T) {
	t.Parallel()
	for _, d := range []digest.Digest{"", "x", "md5:d41d8cd98f00b204e9800998ecf8427e", "sha256:x"} {
		content, err := json.Marshal(ispec.Index{Manifests: []ispec.Descriptor{{MediaType: ispec.MediaTypeImageManifest, Digest: d}}})
		if err != nil {
			t.Fatal(err)
		}
		index := ispec.Descriptor{MediaType: ispec.MediaTypeImageIndex, Digest: digest.FromBytes(content)}
		s := &manifestSource{store: &layout{files: inMemory{blobFile(index.Digest): content}, image: index}}
		want := fmt.Sprintf("the image's index: digest %q: ", d)
		if _, _, err := s.choose(t.Context()); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("digest %q: got error %v, want %s", d, err, want)
		}
	}
}

// counted counts how often a file is opened.
type counted struct {
	files
	opened map[string]int
}

func (c counted) open(name string) (io.ReadCloser, int64, error) {
	c.opened[name]++
	return c.files.open(name)
}

// TestSharedConfig guards against reading and keeping a config, which may be large,
// once for each of the many images that name it.
func TestSharedConfig(t *testing.T) {
	t.Parallel()
	files := counted{
		inMemory{
			"manifest.json": []byte("[" + strings.Repeat(`{"Config": "config"},`, 1000) + `{"Config": "config"}]`),
			"config":        []byte(`{"os": "linux"}`),
		},
		make(map[string]int),
	}
	found, _, err := dockerImages(files, Reference{path: "app.tar"})
	if err != nil || len(found) != 1001 || files.opened["config"] != 1 {
		t.Errorf("got %d images, error %v, and the config was opened %d times; want 1001, and once", len(found), err, files.opened["config"])
	}
}
