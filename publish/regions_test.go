package publish

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/google/go-cmp/cmp"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/fakelambda"
	"github.com/awslabs/aws-lambda-container-image-converter/types"
)

// recorder is a Progress that notes what it is told, a line each.
type recorder struct {
	mu    sync.Mutex
	lines []string
	done  func(Target, error)
}

func (r *recorder) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, fmt.Sprintf(format, args...))
}

// with returns the lines that begin so.
func (r *recorder) with(prefix string) (lines []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.lines {
		if strings.HasPrefix(l, prefix) {
			lines = append(lines, l)
		}
	}
	return lines
}

func (r *recorder) LookUp(t Target) { r.note("look up %s %s", t.Region, t.Layer) }
func (r *recorder) Retry(t Target, why string, wait time.Duration) {
	r.note("retry %s %s: %s, in %v", t.Region, t.Layer, why, wait)
}
func (r *recorder) Warn(t Target, message string) { r.note("warning %s: %s", t.Region, message) }
func (r *recorder) Upload(t Target, size int64) Upload {
	r.note("upload %s %s", t.Region, t.Layer)
	return &recordedUpload{r, t, size, nil}
}

type recordedUpload struct {
	*recorder
	Target
	size int64
	sent []int64
}

func (u *recordedUpload) Sent(n int64) { u.sent = append(u.sent, n) }
func (u *recordedUpload) Done(err error) {
	u.note("done %s %s: %v, sent %v of %d", u.Region, u.Layer, err, u.sent, u.size)
	if u.done != nil {
		u.done(u.Target, err)
	}
}

// TestRegions guards against a region that fails and takes others with it, and
// against a second run that does not go on from there.
func TestRegions(t *testing.T) {
	api := fakelambda.New()
	p := newPublisher(t, api, Options{Namespace: "test", Regions: []string{"eu-west-1", "us-east-1", "eu-west-1", "ap-south-1", "sa-east-1"}})
	if diff := cmp.Diff([]string{"eu-west-1", "us-east-1", "ap-south-1", "sa-east-1"}, p.Regions()); diff != "" {
		t.Errorf("regions (-want +got):\n%s", diff)
	}
	dir, layers := newLayers(t, 3)
	api.On(fakelambda.Rule{Region: "us-east-1", Do: fakelambda.Throttle(0)})
	api.On(fakelambda.Rule{Region: "sa-east-1", Operation: fakelambda.PublishLayerVersion, Layer: "layer-3", Do: fakelambda.CutRequest(0)})
	summary := func() (lines []string) {
		for _, r := range p.Publish(t.Context(), Content{Dir: dir, Layers: layers}, quiet{}) {
			line := r.Name
			for i, v := range r.Versions {
				if v.ARN != "" && !strings.HasPrefix(v.ARN, "arn:aws:lambda:"+r.Name+":123456789012:layer:"+layers[i].Name+":") {
					t.Errorf("%s: %s has ARN %s", r.Name, layers[i].Name, v.ARN)
				}
				line += fmt.Sprintf(" %t/%t", v.ARN != "", v.Found)
			}
			if r.Err != nil {
				line += " " + r.Err.Error()[:len("layer layer-3 (layer-3.zip): ")]
			}
			lines = append(lines, line)
		}
		return lines
	}
	first := summary()
	if !strings.HasPrefix(first[1], "us-east-1 false/false false/false false/false layer layer-") {
		t.Errorf("the region that throttles: %s", first[1])
	}
	want := []string{
		"eu-west-1 true/false true/false true/false",
		"ap-south-1 true/false true/false true/false",
		"sa-east-1 true/false true/false false/false layer layer-3 (layer-3.zip): ",
	}
	if diff := cmp.Diff(want, slices.Delete(slices.Clone(first), 1, 2)); diff != "" {
		t.Errorf("the others (-want +got):\n%s", diff)
	}
	api.ClearRules()
	want = []string{
		"eu-west-1 true/true true/true true/true",
		"us-east-1 true/false true/false true/false",
		"ap-south-1 true/true true/true true/true",
		"sa-east-1 true/true true/true true/false",
	}
	if diff := cmp.Diff(want, summary()); diff != "" {
		t.Errorf("the second run (-want +got):\n%s", diff)
	}
	if n := len(api.Versions()); n != 12 {
		t.Errorf("there are %d versions, want 12", n)
	}
}

// TestWaitingHoldsNobodyUp guards against a region whose uploads wait to be tried
// again, and keep those of others from beginning.
func TestWaitingHoldsNobodyUp(t *testing.T) {
	api := fakelambda.New()
	p := newPublisher(t, api, Options{Namespace: "test", Regions: []string{"us-east-1", "eu-west-1"}})
	slow := &p.regions[0]
	slow.lambda = lambda.New(slow.lambda.Options(), func(o *lambda.Options) {
		o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) {
			o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return time.Hour, nil })
		})
	})
	dir, layers := newLayers(t, maxUploads)
	refused := make(chan struct{}, maxUploads)
	api.On(fakelambda.Rule{Region: "eu-west-1", Operation: fakelambda.PublishLayerVersion, Layer: "layer-1", Do: fakelambda.Before(func() {
		for range maxUploads { // until all of the other region wait
			<-refused
		}
	})})
	api.On(fakelambda.Rule{Region: "us-east-1", Operation: fakelambda.PublishLayerVersion, Do: fakelambda.Throttle(0)})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	published := 0
	r := new(recorder)
	r.done = func(target Target, err error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if target.Region == "eu-west-1" && err == nil {
			if published++; published == len(layers) {
				cancel()
			}
		}
	}
	results := p.Publish(ctx, Content{Dir: dir, Layers: layers}, &waiting{r, refused})
	if err := results[1].Err; err != nil || published != len(layers) {
		t.Errorf("%d were published in the other region: %v", published, err)
	}
	if !errors.Is(results[0].Err, context.Canceled) {
		t.Errorf("got %v, want the interrupt", results[0].Err)
	}
}

// waiting tells on a channel of calls that are made again.
type waiting struct {
	*recorder
	retried chan<- struct{}
}

func (w *waiting) Retry(Target, string, time.Duration) { w.retried <- struct{}{} }

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
				if n := len(api.Versions()); n != want || len(published) != 1 || !strings.HasSuffix(layers[0].ARN, fmt.Sprintf(":%d", want)) {
					t.Errorf("there are %d versions, want %d; published %q, ARN %s", n, want, published, layers[0].ARN)
				}
			})
		}
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
	// Head, zip, tail and end of two attempts.
	attempt := fmt.Sprintf(`0( \d+)* %d %[1]d`, size)
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

// TestBuckets: each region has the bucket that is named for it, and S3 says where
// one is that is elsewhere.
func TestBuckets(t *testing.T) {
	backend := s3mem.New()
	for _, name := range []string{"zips-eu-west-1", "zips-us-east-1"} {
		if err := backend.CreateBucket(name); err != nil {
			t.Fatal(err)
		}
	}
	s3 := gofakes3.New(backend).Server()
	var elsewhere http.HandlerFunc
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if elsewhere != nil {
			elsewhere(w, r)
			return
		}
		s3.ServeHTTP(w, r)
	})
	p := newPublisher(t, fakelambda.New(fakelambda.WithS3(handler)),
		Options{Namespace: "test", Bucket: "zips-{region}", Regions: []string{"eu-west-1", "us-east-1"}})
	dir, layers := newLayers(t, 1)
	for i, name := range p.Regions() {
		w := newWorkIn(p, dir, &layers[0])
		w.region = p.regions[i]
		zip, err := os.Open(w.zip)
		if err != nil {
			t.Fatal(err)
		}
		defer zip.Close()
		key, err := w.store(t.Context(), zip)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := backend.HeadObject("zips-"+name, *key); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for what, answer := range map[string]http.HandlerFunc{
			"a header": func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("X-Amz-Bucket-Region", "sa-east-1")
				w.WriteHeader(http.StatusMovedPermanently)
			},
			"a message": func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodHead {
					w.WriteHeader(http.StatusForbidden)
					return
				}
				w.WriteHeader(http.StatusBadRequest)
				fmt.Fprint(w, "<Error><Code>AuthorizationHeaderMalformed</Code><Message>The authorization header is malformed; "+
					"the region 'us-east-1' is wrong; expecting 'sa-east-1'</Message><Region>sa-east-1</Region></Error>")
			},
		} {
			elsewhere = answer
			if _, err := zip.Seek(0, io.SeekStart); err != nil {
				t.Fatal(err)
			}
			want := "the bucket zips-" + name + " is in sa-east-1, and Lambda in " + name
			if _, err := w.store(t.Context(), zip); err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("%s, %s: got error %v, want %s", name, what, err, want)
			}
		}
		elsewhere = nil
	}
}

// TestStableName guards against a version that is published again under a stable
// name, because a newer one has other content.
func TestStableName(t *testing.T) {
	o := Options{Namespace: "test", LayerName: "php-84"}
	api := fakelambda.New(fakelambda.PageSize(2))
	p := newPublisher(t, api, o)
	var all []types.Layer
	dir := t.TempDir()
	for i := range 5 {
		l := writeZip(t, dir, fmt.Sprint(i), entry{fmt.Sprint(i), 0o644})
		l.Name = o.Name("sha256:0")
		all = append(all, l)
	}
	for round := range 2 {
		for i := range all {
			got := p.Publish(t.Context(), Content{Dir: dir, Layers: all[i : i+1]}, quiet{})[0]
			want := Version{ARN: fmt.Sprintf("arn:aws:lambda:us-east-1:123456789012:layer:php-84:%d", i+1), Found: round > 0}
			if got.Err != nil || got.Versions[0] != want {
				t.Errorf("got %+v, want %v", got, want)
			}
		}
	}
}

// TestShare guards against layers that others cannot use though they should, or
// that more can use, and against a second run that fails because they can.
func TestShare(t *testing.T) {
	api := fakelambda.New(fakelambda.Allow(fakelambda.ListLayerVersions, fakelambda.GetLayerVersion,
		fakelambda.PublishLayerVersion, fakelambda.AddLayerVersionPermission))
	p := newPublisher(t, api, Options{Namespace: "test", Regions: []string{"cn-north-1"}, ShareWith: []string{"111122223333", "o-a1b2c3d4e5", "all"}})
	dir, layers := newLayers(t, 1)
	for range 2 {
		if _, err := publishAll(t.Context(), p, dir, layers); err != nil {
			t.Fatal(err)
		}
	}
	// What was found is shared as well, with one more.
	again, err := New(t.Context(), Options{Namespace: "test", Regions: []string{"cn-north-1"}, ShareWith: []string{"444455556666"}})
	if err != nil {
		t.Fatal(err)
	}
	if published, err := publishAll(t.Context(), again, dir, layers); err != nil || published != nil {
		t.Errorf("published %q: %v", published, err)
	}
	const version = `"Effect":"Allow","Principal":%s,"Action":"lambda:GetLayerVersion","Resource":"arn:aws-cn:lambda:cn-north-1:123456789012:layer:layer-1:1"`
	want := `{"Version":"2012-10-17","Id":"default","Statement":[` +
		`{"Sid":"img2lambda-111122223333",` + fmt.Sprintf(version, `{"AWS":"arn:aws-cn:iam::111122223333:root"}`) + `},` +
		`{"Sid":"img2lambda-o-a1b2c3d4e5",` + fmt.Sprintf(version, `"*"`) + `,"Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-a1b2c3d4e5"}}},` +
		`{"Sid":"img2lambda-all",` + fmt.Sprintf(version, `"*"`) + `},` +
		`{"Sid":"img2lambda-444455556666",` + fmt.Sprintf(version, `{"AWS":"arn:aws-cn:iam::444455556666:root"}`) + `}]}`
	if got := api.Policy(layers[0].ARN); got != want {
		t.Errorf("got policy\n%s\nwant\n%s", got, want)
	}

	// Those who may not share hear that the layer is published.
	api.On(fakelambda.Rule{Operation: fakelambda.AddLayerVersionPermission, Do: fakelambda.Fail(403, "AccessDeniedException", "No.")})
	r := p.Publish(t.Context(), Content{Dir: dir, Layers: layers}, quiet{})[0]
	const denied = "layer layer-1 (layer-1.zip): it is published, but not shared with 111122223333: AccessDeniedException: No."
	if r.Err == nil || r.Err.Error() != denied || r.Versions[0].ARN != layers[0].ARN {
		t.Errorf("got %+v, want %s", r, denied)
	}
}

// TestWriteARNsOfRegions: each region has a directory of its own.
func TestWriteARNsOfRegions(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	regions := []Region{
		{Name: "eu-west-1", Versions: []Version{{ARN: "arn:1"}}},
		{Name: "us-east-1", Versions: []Version{{ARN: "arn:2"}}},
	}
	if err := WriteARNs(dir, regions); err != nil {
		t.Fatal(err)
	}
	for _, r := range regions {
		want := fmt.Sprintf("[\n  %q\n]\n", r.Versions[0].ARN)
		if got, err := os.ReadFile(filepath.Join(dir, r.Name, "layers.json")); err != nil || string(got) != want {
			t.Errorf("%s: got %q, %v", r.Name, got, err)
		}
	}
	if names, err := filepath.Glob(dir + "/*/layers.yaml"); err != nil || len(names) != 2 {
		t.Errorf("got %q, %v", names, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "layers.json")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("there is a list at the top as well (%v)", err)
	}
}
