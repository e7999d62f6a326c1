package publish

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"unicode"

	"github.com/aws/smithy-go"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/fakelambda"
	"github.com/awslabs/aws-lambda-container-image-converter/internal/testrun"
	"github.com/awslabs/aws-lambda-container-image-converter/types"
)

// checkARNs fails unless every ARN is that of a version that Lambda has with the
// layer's content, and unless all layers have one if there is no error.
func checkARNs(t *testing.T, api *fakelambda.API, what any, layers []types.Layer, published []string, err error) {
	t.Helper()
	for _, l := range layers {
		if arnOf(l) == "" {
			if err == nil {
				t.Errorf("%v: no error, and %s has no ARN", what, l.Name)
			}
			continue
		}
		if !slices.ContainsFunc(api.Versions(), func(v fakelambda.Version) bool {
			return v.ARN() == arnOf(l) && v.Layer == l.Name && v.CodeSha256() == l.CodeSha256
		}) {
			t.Errorf("%v: Lambda has no %s with that content", what, arnOf(l))
		}
	}
	for _, name := range published {
		if !slices.ContainsFunc(layers, func(l types.Layer) bool { return l.Name == name && arnOf(l) != "" }) {
			t.Errorf("%v: %s is said to be published and has no ARN", what, name)
		}
	}
}

// TestConnections guards against layers that are lost, or taken for others,
// where a connection breaks at any byte of a request or an answer: then it is
// tried again.
func TestConnections(t *testing.T) {
	points := 50
	if testrun.Long {
		points = 5000
	}
	api := fakelambda.New(fakelambda.PageSize(2))
	p := newPublisher(t, api, Options{Namespace: "test"})
	operations := []fakelambda.Operation{fakelambda.ListLayerVersions, fakelambda.GetLayerVersion, fakelambda.PublishLayerVersion}
	for kind, cut := range map[string]func(rng *rand.Rand) fakelambda.Action{
		"request":          func(rng *rand.Rand) fakelambda.Action { return fakelambda.CutRequest(rng.Int64N(1000)) },
		"answer":           func(rng *rand.Rand) fakelambda.Action { return fakelambda.CutAnswer(rng.IntN(900)) },
		"garbled request":  func(rng *rand.Rand) fakelambda.Action { return garbleRequest(rng.Int64N(400)) },
		"unfinished error": func(rng *rand.Rand) fakelambda.Action { return cutError(rng.IntN(200)) },
	} {
		t.Run(kind, func(t *testing.T) {
			rng := testrun.Random(t)
			done, failed := 0, 0
			for i := range points {
				dir, layers := newLayers(t, 2)
				for j := range layers {
					layers[j].Name = fmt.Sprintf("%s-%d-%d", strings.ReplaceAll(kind, " ", "-"), i, j)
				}
				api.ClearRules()
				op, times := operations[rng.IntN(3)], rng.IntN(maxAttempts+2)
				api.On(fakelambda.Rule{Operation: op, Times: times, Do: cut(rng)})
				var err error
				for range 2 { // the second time they are there
					var published []string
					published, err = publishAll(t.Context(), p, dir, layers)
					what := fmt.Sprintf("%s, %d times", op, times)
					checkARNs(t, api, what, layers, published, err)
					if err != nil && strings.ContainsFunc(err.Error(), unicode.IsControl) {
						t.Errorf("%s: got error %q", what, err)
					}
				}
				if done++; err != nil {
					failed++
				}
			}
			t.Logf("%d runs, %d failed", done, failed)
		})
	}
}

// garbleRequest changes a byte of a request before Lambda gets it.
func garbleRequest(n int64) fakelambda.Action {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b, err := io.ReadAll(r.Body)
			if err != nil {
				panic(http.ErrAbortHandler)
			}
			if n < int64(len(b)) {
				b[n] ^= 1
			}
			r.Body = io.NopCloser(strings.NewReader(string(b)))
			next.ServeHTTP(w, r)
		})
	}
}

// cutError answers with the beginning of an error that is worth another try.
func cutError(n int) fakelambda.Action {
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			body := `{"Type":"Service","Message":"` + strings.Repeat("x", 200) + `"}`
			w.Header().Set("Content-Length", fmt.Sprint(len(body)))
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, body[:n])
			panic(http.ErrAbortHandler)
		})
	}
}

// TestS3Connections is likewise for S3.
func TestS3Connections(t *testing.T) {
	rng := testrun.Random(t)
	backend := s3mem.New()
	if err := backend.CreateBucket("zips"); err != nil {
		t.Fatal(err)
	}
	s3 := gofakes3.New(backend).Server()
	var after, left atomic.Int64
	p := newPublisher(t, fakelambda.New(fakelambda.WithS3(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if left.Add(-1) >= 0 {
			_, _ = io.CopyN(io.Discard, r.Body, after.Load())
			panic(http.ErrAbortHandler)
		}
		s3.ServeHTTP(w, r)
	}))), Options{Namespace: "test", Bucket: "zips"})
	for range 20 {
		dir, layers := newLayers(t, 1)
		after.Store(rng.Int64N(300))
		times := rng.Int64N(2 * maxAttempts)
		left.Store(times)
		key, err := storeLayer(t, p, dir, &layers[0])
		if err != nil {
			if times < maxAttempts {
				t.Errorf("after %d breaks: got error %v", times, err)
			}
			continue
		}
		object, err := backend.HeadObject("zips", *key)
		if err != nil || object.Size != layers[0].CodeSize {
			t.Errorf("the object is not the zip: %v", err)
		}
	}
}

// TestGarbage guards against answers that are none: a layer must not be taken
// for published, or its ARN for good, because somebody answers something.
func TestGarbage(t *testing.T) {
	const arn = `"LayerVersionArn":"arn:aws:lambda:us-east-1:123456789012:layer:layer-1:1"`
	for name, tt := range map[string]struct {
		op     fakelambda.Operation
		status int
		body   string
	}{
		"published, it says, but not what":     {fakelambda.PublishLayerVersion, 201, `{}`},
		"published as nothing":                 {fakelambda.PublishLayerVersion, 201, `{"LayerVersionArn":"","Content":{"CodeSha256":"SUM","CodeSize":SIZE}}`},
		"published as what is no ARN":          {fakelambda.PublishLayerVersion, 201, `{"LayerVersionArn":"yes\n\u001b[2J","Content":{"CodeSha256":"SUM","CodeSize":SIZE}}`},
		"published as another layer":           {fakelambda.PublishLayerVersion, 201, `{"LayerVersionArn":"arn:aws:lambda:us-east-1:123456789012:layer:another:1","Content":{"CodeSha256":"SUM","CodeSize":SIZE}}`},
		"published without content":            {fakelambda.PublishLayerVersion, 201, `{` + arn + `}`},
		"published null":                       {fakelambda.PublishLayerVersion, 201, `null`},
		"published a page":                     {fakelambda.PublishLayerVersion, 200, `<html>Sign in to the network</html>`},
		"published a list":                     {fakelambda.PublishLayerVersion, 200, `[[[`},
		"published nothing":                    {fakelambda.PublishLayerVersion, 200, ``},
		"listed a page":                        {fakelambda.ListLayerVersions, 200, `<html>Sign in to the network</html>`},
		"found as nothing":                     {fakelambda.GetLayerVersion, 200, `{"LayerVersionArn":"","Content":{"CodeSha256":"SUM","CodeSize":SIZE}}`},
		"found as what is no ARN":              {fakelambda.GetLayerVersion, 200, `{"LayerVersionArn":"yes\n\u001b[2J","Content":{"CodeSha256":"SUM","CodeSize":SIZE}}`},
		"found a page":                         {fakelambda.GetLayerVersion, 200, `<html>Sign in to the network</html>`},
		"refused with control characters":      {fakelambda.PublishLayerVersion, 400, "{\"message\":\"no\\u001b[2J\\n\\u202e\"}"},
		"refused in an unknown way":            {fakelambda.PublishLayerVersion, 418, "\x00\xff\x1b[2J"},
		"a redirect":                           {fakelambda.PublishLayerVersion, 302, ""},
		"a redirect that the SDK would follow": {fakelambda.PublishLayerVersion, 307, ""},
	} {
		t.Run(name, func(t *testing.T) {
			api := fakelambda.New()
			p := newPublisher(t, api, Options{Namespace: "test"})
			dir, layers := newLayers(t, 1)
			if tt.op == fakelambda.GetLayerVersion {
				api.AddVersion(fakelambda.Version{Region: defaultRegion, Layer: "layer-1", Zip: []byte("another")})
			}
			calls := 0
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			api.On(fakelambda.Rule{Operation: tt.op, Do: fakelambda.Before(func() {
				if calls++; calls > 10*maxAttempts {
					cancel()
				}
			})})
			body := strings.NewReplacer("SUM", layers[0].CodeSha256, "SIZE", fmt.Sprint(layers[0].CodeSize)).Replace(tt.body)
			api.On(fakelambda.Rule{Operation: tt.op, Do: fakelambda.Answer(tt.status, body)})
			_, err := publishAll(ctx, p, dir, layers)
			if ctx.Err() != nil || err == nil || arnOf(layers[0]) != "" {
				t.Errorf("got ARN %q, error %v", arnOf(layers[0]), err)
			}
		})
	}
}

// TestEndlessList guards against reading pages for ever, if each says that the
// same one follows.
func TestEndlessList(t *testing.T) {
	api := fakelambda.New()
	p := newPublisher(t, api, Options{Namespace: "test"})
	dir, layers := newLayers(t, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	calls := 0
	api.On(fakelambda.Rule{Operation: fakelambda.ListLayerVersions, Do: fakelambda.Before(func() {
		if calls++; calls > 100 {
			cancel()
		}
	})})
	api.On(fakelambda.Rule{Operation: fakelambda.ListLayerVersions, Do: fakelambda.Answer(200, `{"LayerVersions":[],"NextMarker":"again"}`)})
	published, err := publishAll(ctx, p, dir, layers)
	if ctx.Err() != nil {
		t.Errorf("after %d pages: got error %v", calls, err)
	}
	api.ClearRules()
	checkARNs(t, api, "endless list", layers, published, err)
}

// TestRedirectLoop guards against going round for ever, and against a redirect
// that takes what signs requests to another host.
func TestRedirectLoop(t *testing.T) {
	t.Run("to itself", func(t *testing.T) {
		api := fakelambda.New()
		p := newPublisher(t, api, Options{Namespace: "test"})
		dir, layers := newLayers(t, 1)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		calls := 0
		api.On(fakelambda.Rule{Operation: fakelambda.ListLayerVersions, Do: fakelambda.Before(func() {
			if calls++; calls > maxAttempts {
				cancel()
			}
		})})
		api.On(fakelambda.Rule{Operation: fakelambda.ListLayerVersions, Do: fakelambda.RedirectLoop()})
		if _, err := publishAll(ctx, p, dir, layers); err == nil || ctx.Err() != nil {
			t.Errorf("after %d calls: got error %v", calls, err)
		}
	})
	t.Run("to another host", func(t *testing.T) {
		var headers atomic.Pointer[http.Header]
		other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { headers.Store(&r.Header) }))
		t.Cleanup(other.Close)
		api := fakelambda.New()
		newPublisher(t, api, Options{})
		p := withToken(t)
		dir, layers := newLayers(t, 1)
		api.On(fakelambda.Rule{Do: func(http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, strings.Replace(other.URL, "127.0.0.1", "localhost", 1), http.StatusTemporaryRedirect)
			})
		}})
		if _, err := publishAll(t.Context(), p, dir, layers); err == nil {
			t.Error("no error")
		}
		if h := headers.Load(); h != nil && (h.Get("Authorization") != "" || h.Get("X-Amz-Security-Token") != "") {
			t.Errorf("the other host got %v", *h)
		}
	})
}

// withToken is a publisher of someone with temporary credentials, for the API of
// the one before.
func withToken(t *testing.T) *Publisher {
	t.Helper()
	t.Setenv("AWS_SESSION_TOKEN", "THE-TOKEN")
	p, err := New(t.Context(), Options{Namespace: "test"})
	if err != nil {
		t.Fatal(err)
	}
	hurry(p)
	return p
}

// TestZipThatChanged guards against blaming Lambda for a zip that cannot be read.
func TestZipThatChanged(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(zip string) error
		want   string
	}{
		"gone":      {os.Remove, "open ZIP: "},
		"shortened": {func(zip string) error { return os.Truncate(zip, 10) }, "ZIP has 10 bytes instead of 128: something else has written to it"},
	} {
		t.Run(name, func(t *testing.T) {
			api := fakelambda.New()
			p := newPublisher(t, api, Options{Namespace: "test"})
			dir, layers := newLayers(t, 1)
			zip := filepath.Join(dir, layers[0].File)
			if err := tt.change(zip); err != nil {
				t.Fatal(err)
			}
			_, err := publishAll(t.Context(), p, dir, layers)
			want := "layer layer-1 (layer-1.zip): " + strings.ReplaceAll(tt.want, "ZIP", zip)
			if err == nil || !strings.HasPrefix(err.Error(), want) || api.Count(fakelambda.PublishLayerVersion) > 0 {
				t.Errorf("got error %v, want %s", err, want)
			}
		})
	}
	unread := &smithy.OperationError{ServiceID: "Lambda", OperationName: "PublishLayerVersion", Err: &fs.PathError{Op: "read", Path: "layer-1.zip", Err: syscall.EIO}}
	if got := explain(unread).Error(); !strings.HasPrefix(got, "read layer-1.zip: ") {
		t.Errorf("got %s", got)
	}
}
