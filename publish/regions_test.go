package publish

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
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
	"golang.org/x/sync/semaphore"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/fakelambda"
	"github.com/awslabs/aws-lambda-container-image-converter/internal/testrun"
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
	p.uploads = semaphore.NewWeighted(maxUploads) // full with so many small ones
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
	ctx, cancel := context.WithTimeout(t.Context(), testrun.Patience)
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

// TestUploadsAtOnce guards against small zips that wait for each other as large ones
// have to.
func TestUploadsAtOnce(t *testing.T) {
	for size, want := range map[int64]int64{0: 64, 1 << 20: 64, types.MaxDirectUpload: 8, 240 << 20: 8} {
		w := &work{layer: &types.Layer{Zip: types.Zip{CodeSize: size}}}
		if got := maxCalls / w.uploadWeight(); got != want {
			t.Errorf("%d of %d bytes at once, want %d", got, size, want)
		}
	}
}

// waiting tells on a channel of calls that are made again.
type waiting struct {
	*recorder
	retried chan<- struct{}
}

func (w *waiting) Retry(Target, string, time.Duration) { w.retried <- struct{}{} }

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
			want := "the bucket zips-" + name + " is in sa-east-1, but Lambda in " + name
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
