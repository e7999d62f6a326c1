package publish

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/fakelambda"
)

// lostAnswer publishes, and answers with an error that does not say so.
func lostAnswer(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(httptest.NewRecorder(), r)
		fakelambda.Fail(http.StatusInternalServerError, "ServiceException", "Out of order.")(nil).ServeHTTP(w, r)
	})
}

// TestLostAnswer guards against a layer that is published again because the answer
// was lost.
func TestLostAnswer(t *testing.T) {
	for name, do := range map[string]fakelambda.Action{
		"connection broke":   fakelambda.CutAnswer(0),
		"half an answer":     fakelambda.CutAnswer(300),
		"published, yet 500": lostAnswer,
		"never arrived":      fakelambda.CutRequest(0),
	} {
		for _, force := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, force %t", name, force), func(t *testing.T) {
				api := fakelambda.New()
				p := newPublisher(t, api, Options{Namespace: "test", Force: force})
				dir, layers := newLayers(t, 1)
				want := 1
				if force { // the same content is there, and is not the one that was lost
					if _, err := publishAll(t.Context(), p, dir, layers); err != nil {
						t.Fatal(err)
					}
					want = 2
				}
				api.On(fakelambda.Rule{Operation: fakelambda.PublishLayerVersion, Times: 1, Do: do})
				// Throttled in between, which says nothing of the attempt before.
				api.On(fakelambda.Rule{Operation: fakelambda.PublishLayerVersion, Skip: 1, Times: 1, Do: fakelambda.Throttle(0)})
				published, err := publishAll(t.Context(), p, dir, layers)
				if err != nil {
					t.Fatal(err)
				}
				if n := len(api.Versions()); n != want || len(published) != 1 || !strings.HasSuffix(arnOf(layers[0]), fmt.Sprintf(":%d", want)) {
					t.Errorf("there are %d versions, want %d; published %q, ARN %s", n, want, published, arnOf(layers[0]))
				}
			})
		}
	}
}

// TestLostAnswerNobodyKnows guards against looking again and again what has become
// of a layer: a lookup between attempts to publish has attempts of its own.
func TestLostAnswerNobodyKnows(t *testing.T) {
	for name, do := range map[string]fakelambda.Action{
		"half an answer": fakelambda.CutAnswer(200),
		"throttled":      fakelambda.Throttle(0),
		"broken":         fakelambda.CutRequest(0),
	} {
		t.Run(name, func(t *testing.T) {
			api := fakelambda.New()
			p := newPublisher(t, api, Options{Namespace: "test"})
			dir, layers := newLayers(t, 1)
			api.On(fakelambda.Rule{Operation: fakelambda.PublishLayerVersion, Times: 1, Do: fakelambda.CutAnswer(0)})
			api.On(fakelambda.Rule{Operation: fakelambda.ListLayerVersions, Skip: 1, Do: do})
			_, err := publishAll(t.Context(), p, dir, layers)
			const want = "layer layer-1 (layer-1.zip): the answer to the upload was lost, and whether Lambda has published the layer could not be looked up: "
			if n := api.Count(fakelambda.ListLayerVersions); err == nil || !strings.HasPrefix(err.Error(), want) || n != 1+maxAttempts {
				t.Errorf("there were %d calls, want %d; got error %v", n, 1+maxAttempts, err)
			}
		})
	}
}

// TestProgress guards against a bar that goes astray: bytes of the zip, not of the
// request or of what is read to sign it, from 0 again for each attempt.
func TestProgress(t *testing.T) {
	backend := s3mem.New()
	if err := backend.CreateBucket("zips"); err != nil {
		t.Fatal(err)
	}
	api := fakelambda.New(fakelambda.WithS3(gofakes3.New(backend).Server()))
	p := newPublisher(t, api, Options{Namespace: "test", Bucket: "zips"})
	dir, layers := newLayers(t, 1)
	size := layers[0].CodeSize
	r := new(recorder)
	api.On(fakelambda.Rule{Operation: fakelambda.PublishLayerVersion, Times: 1, Do: fakelambda.Throttle(0)})
	if err := p.Publish(t.Context(), Content{Dir: dir, Layers: layers}, r)[0].Err; err != nil {
		t.Fatal(err)
	}
	if retries := r.with("retry us-east-1 layer-1: TooManyRequestsException: Rate exceeded, in "); len(retries) != 1 {
		t.Errorf("retries: %q", retries)
	}
	done := r.with("done")
	if len(r.with("look up us-east-1 layer-1")) != 1 || len(r.with("upload us-east-1 layer-1")) != 1 || len(done) != 1 {
		t.Fatalf("got %q", r.lines)
	}
	// Head, zip and tail of two attempts. The end is not read if the answer is
	// there first.
	attempt := fmt.Sprintf(`0( \d+)* %d`, size)
	if want := fmt.Sprintf(`^done us-east-1 layer-1: <nil>, sent \[%s %[1]s\] of %d$`, attempt, size); !regexp.MustCompile(want).MatchString(done[0]) {
		t.Errorf("got %q, want %s", done[0], want)
	}

	// Through S3.
	w := newWorkIn(p, dir, &layers[0])
	r = new(recorder)
	w.progress = r
	zip, err := os.Open(filepath.Join(dir, layers[0].File))
	if err != nil {
		t.Fatal(err)
	}
	defer zip.Close()
	if _, err := w.store(t.Context(), zip); err != nil {
		t.Fatal(err)
	}
	w.upload.Done(nil)
	if want, done := fmt.Sprintf(`^done us-east-1 layer-1: <nil>, sent \[0 %d( %[1]d)?\] of %[1]d$`, size), r.with("done"); !regexp.MustCompile(want).MatchString(done[0]) {
		t.Errorf("got %q, want %s", done[0], want)
	}
}

// TestWithoutArchitectures guards against a region that takes no layer, because of
// a parameter that nobody asked for.
func TestWithoutArchitectures(t *testing.T) {
	for _, tt := range []struct {
		name          string
		architectures []string
		want          []string // of the versions in af-south-1
		refused       bool
	}{
		{"the image's", nil, nil, false},
		{"asked for", []string{"arm64"}, nil, true},
		{"none", []string{}, nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			api := fakelambda.New(fakelambda.WithoutArchitectures("af-south-1"))
			p := newPublisher(t, api, Options{Namespace: "test", Regions: []string{"af-south-1"}, Architectures: tt.architectures})
			dir, layers := newLayers(t, 2)
			r := new(recorder)
			content := Content{Dir: dir, Layers: layers, Architectures: []string{"x86_64"}}
			err := p.Publish(t.Context(), content, r)[0].Err
			if refused := err != nil && strings.Contains(err.Error(), "CompatibleArchitectures are not supported in af-south-1"); refused != tt.refused {
				t.Fatalf("got error %v", err)
			}
			want := 0
			if tt.architectures == nil {
				want = 1
			}
			if warnings := r.with("warning"); len(warnings) != want {
				t.Errorf("got %q, want %d", warnings, want)
			}
			if tt.refused {
				return
			}
			// They are found, and are no other than could be.
			r = new(recorder)
			if v := p.Publish(t.Context(), content, r)[0].Versions; !v[0].Found || !v[1].Found || len(r.with("warning")) > 0 {
				t.Errorf("got %v, %q", v, r.lines)
			}
		})
	}
}

// TestDifferences guards against silence about a version that is found, and is not
// what was asked for; and against warnings about what nobody asked for.
func TestDifferences(t *testing.T) {
	same := Options{Namespace: "test", Runtimes: []string{"a", "b"}, LicenseInfo: "MIT"}
	for _, tt := range []struct {
		name   string
		change func(o *Options)
		want   string // in the warning; empty: there is none
	}{
		{"same", func(*Options) {}, ""},
		{"another order", func(o *Options) { o.Runtimes = []string{"b", "a"} }, ""},
		{"description", func(o *Options) { o.Description = "mine" }, `description "by default" instead of "mine"`},
		{"runtimes", func(o *Options) { o.Runtimes = []string{"c"} }, `runtimes "a, b" instead of "c"`},
		{"license", func(o *Options) { o.LicenseInfo = "" }, `license "MIT" instead of none`},
		{"architecture", func(o *Options) { o.Architectures = []string{"arm64"} }, `architectures "x86_64" instead of "arm64"`},
		{"no architecture", func(o *Options) { o.Architectures = []string{} }, `architectures "x86_64" instead of none`},
		{"two", func(o *Options) { o.LicenseInfo, o.Description = "X", "mine" }, `license "MIT" instead of "X", description "by`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			api := fakelambda.New()
			dir, layers := newLayers(t, 1)
			content := Content{Dir: dir, Layers: layers, Architectures: []string{"x86_64"}, Description: "by default"}
			if err := newPublisher(t, api, same).Publish(t.Context(), content, quiet{})[0].Err; err != nil {
				t.Fatal(err)
			}
			o := same
			tt.change(&o)
			p, err := New(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			api.ResetCalls()
			r := new(recorder)
			if got := p.Publish(t.Context(), content, r)[0]; got.Err != nil || !got.Versions[0].Found || len(api.Calls()) != 2 {
				t.Errorf("got %+v after %d calls", got, len(api.Calls()))
			}
			if got := strings.Join(r.with("warning"), "\n"); (got != "") != (tt.want != "") || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			// Forced, it is as was asked.
			o.Force = true
			if p, err = New(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			r = new(recorder)
			got := p.Publish(t.Context(), content, r)[0]
			if got.Err != nil || got.Versions[0].Found || !strings.HasSuffix(got.Versions[0].ARN, ":2") || len(r.with("warning")) > 0 {
				t.Errorf("forced: got %+v, %q", got, r.lines)
			}
			if v := api.Versions()[1]; o.Description != "" && v.Description != o.Description || v.LicenseInfo != o.LicenseInfo {
				t.Errorf("forced: got %+v", v)
			}
		})
	}
}
