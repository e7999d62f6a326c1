package source

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/testrun"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/imagetest"
)

// registry is one with the image app:latest (OCI distribution spec).
type registry struct {
	files map[string][]byte // by path
	types map[string]string
	// before may answer in its place, for a file of a kind: ping, manifest,
	// config, or layer.
	before func(w http.ResponseWriter, r *http.Request, kind string) (done bool)
	kinds  map[string]string
}

func (s *registry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, ok := s.files[r.URL.Path]
	if s.before != nil && s.before(w, r, s.kinds[r.URL.Path]) {
		return
	}
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", s.types[r.URL.Path])
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b)) // ranges too
}

func newRegistry(t testing.TB, img v1.Image) *registry {
	t.Helper()
	s := &registry{
		files: map[string][]byte{"/v2/": []byte("{}")},
		types: map[string]string{},
		kinds: map[string]string{"/v2/": "ping"},
	}
	put := func(kind, path, mediaType string, b []byte, err error) {
		if err != nil {
			t.Fatal(err)
		}
		s.files[path], s.types[path], s.kinds[path] = b, mediaType, kind
	}
	manifest, config, _, _ := digests(t, img)
	mediaType, err := img.MediaType()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := img.RawManifest()
	put("manifest", "/v2/app/manifests/latest", string(mediaType), raw, err)
	put("manifest", "/v2/app/manifests/"+manifest.String(), string(mediaType), raw, err)
	raw, err = img.RawConfigFile()
	put("config", "/v2/app/blobs/"+config.String(), "application/octet-stream", raw, err)
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range layers {
		d, err := l.Digest()
		if err != nil {
			t.Fatal(err)
		}
		r, err := l.Compressed()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		put("layer", "/v2/app/blobs/"+d.String(), "application/octet-stream", b, err)
	}
	return s
}

// TestURLs guards against images that make the program fetch things from where
// they like: foreign layers name URLs.
func TestURLs(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { asked.Add(1) }))
	t.Cleanup(elsewhere.Close)
	s := newRegistry(t, served(imagetest.Gzip))
	var manifest map[string]any
	if err := json.Unmarshal(s.files["/v2/app/manifests/latest"], &manifest); err != nil {
		t.Fatal(err)
	}
	layer := manifest["layers"].([]any)[1].(map[string]any)
	layer["mediaType"] = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
	layer["urls"] = []string{elsewhere.URL + "/layer"}
	b, err := json.Marshal(manifest)
	if err != nil {
		t.Fatal(err)
	}
	s.files["/v2/app/manifests/latest"] = b
	for _, missing := range []bool{false, true} {
		if missing {
			delete(s.files, "/v2/app/blobs/"+layer["digest"].(string))
		}
		_, _, err := remote{"", s, openApp}.zips(t.Context(), testrun.MemoryDir(t), flaw{kind: sound})
		if (err != nil) != missing || missing && !strings.Contains(err.Error(), "layer "+layer["digest"].(string)) {
			t.Errorf("missing %t: got error %v", missing, err)
		}
	}
	if asked.Load() > 0 {
		t.Error("the layer's URL was asked")
	}
}
