package publish

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/fakelambda"
	"github.com/awslabs/aws-lambda-container-image-converter/types"
)

// bucket is S3 with the bucket "zips". It logs the requests; those with a status
// in fail are answered with it, the first time.
type bucket struct {
	s3 http.Handler

	mu   sync.Mutex
	fail map[string]int // by method
	log  []string
}

func (b *bucket) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	b.log = append(b.log, r.Method)
	status := b.fail[r.Method]
	delete(b.fail, r.Method)
	b.mu.Unlock()
	if status != 0 {
		w.WriteHeader(status)
		if r.Method != http.MethodHead {
			_, _ = w.Write([]byte("<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"))
		}
		return
	}
	b.s3.ServeHTTP(w, r)
}

// storeLayer brings a layer's zip to the first region's bucket.
func storeLayer(t *testing.T, p *Publisher, dir string, l *types.Layer) (*string, error) {
	t.Helper()
	zip, err := os.Open(filepath.Join(dir, l.File))
	if err != nil {
		t.Fatal(err)
	}
	defer zip.Close()
	return newWorkIn(p, dir, l).store(t.Context(), zip)
}

func TestStore(t *testing.T) {
	for _, tt := range []struct {
		name     string
		before   string // the object's content; empty: there is none
		fail     map[string]int
		bucket   string
		requests []string
		want     string // the error
	}{
		{name: "new", requests: []string{"HEAD", "PUT"}},
		{name: "there", before: "zip", requests: []string{"HEAD"}},
		{name: "there, but only in part", before: "zi", requests: []string{"HEAD", "PUT"}},
		// S3 says 403 of what is not there to those who may not list the bucket.
		{name: "may not list", fail: map[string]int{"HEAD": 403}, requests: []string{"HEAD", "PUT"}},
		{name: "may not write", fail: map[string]int{"PUT": 403}, requests: []string{"HEAD", "PUT"}, want: "AccessDenied: Access Denied"},
		{name: "S3 fails for a moment", fail: map[string]int{"HEAD": 503, "PUT": 503}, requests: []string{"HEAD", "HEAD", "PUT", "PUT"}},
		{name: "no such bucket", bucket: "none", requests: []string{"HEAD", "PUT"}, want: "NoSuchBucket: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			backend := s3mem.New()
			if err := backend.CreateBucket("zips"); err != nil {
				t.Fatal(err)
			}
			b := &bucket{s3: gofakes3.New(backend).Server(), fail: tt.fail}
			name := "zips"
			if tt.bucket != "" {
				name = tt.bucket
			}
			p := newPublisher(t, fakelambda.New(fakelambda.WithS3(b)), Options{Namespace: "test", Bucket: name})
			dir, layers := newLayers(t, 1)
			zip, err := os.ReadFile(filepath.Join(dir, layers[0].File))
			if err != nil {
				t.Fatal(err)
			}
			sum, err := base64.StdEncoding.DecodeString(layers[0].CodeSha256)
			if err != nil {
				t.Fatal(err)
			}
			key := "test/" + hex.EncodeToString(sum) + ".zip"
			if tt.before != "" {
				content := zip
				if tt.before == "zi" {
					content = zip[:len(zip)-1]
				}
				if _, err := backend.PutObject("zips", key, nil, bytes.NewReader(content), int64(len(content)), nil); err != nil {
					t.Fatal(err)
				}
			}

			got, err := storeLayer(t, p, dir, &layers[0])
			if diff := cmp.Diff(tt.requests, b.log); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
			if tt.want != "" {
				if want := "s3://" + name + "/" + key + ": " + tt.want; err == nil || !strings.HasPrefix(err.Error(), want) {
					t.Errorf("got error %v, want %s", err, want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if *got != key {
				t.Errorf("the key is %s, want %s", *got, key)
			}
			object, err := backend.GetObject("zips", key, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer object.Contents.Close()
			var content bytes.Buffer
			if _, err := content.ReadFrom(object.Contents); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(content.Bytes(), zip) {
				t.Error("the object is not the zip")
			}
		})
	}
}
