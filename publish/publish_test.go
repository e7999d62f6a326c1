package publish

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
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
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/fakelambda"
	"github.com/awslabs/aws-lambda-container-image-converter/types"
)

// newPublisher returns what New makes for someone with credentials, but without
// the waits between attempts.
func newPublisher(t *testing.T, api *fakelambda.API, o Options) *Publisher {
	t.Helper()
	url := api.Start()
	t.Cleanup(api.Close)
	// In the process's own environment, so tests with it do not run in parallel.
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID":           "AKIDGOOD",
		"AWS_SECRET_ACCESS_KEY":       "secret",
		"AWS_SESSION_TOKEN":           "",
		"AWS_PROFILE":                 "",
		"AWS_REGION":                  "",
		"AWS_DEFAULT_REGION":          "",
		"AWS_CONFIG_FILE":             os.DevNull,
		"AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
		"AWS_ENDPOINT_URL":            url,
	} {
		t.Setenv(name, value)
	}
	p, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	hurry(p)
	return p
}

// hurry takes away the waits between attempts.
func hurry(p *Publisher) {
	for i := range p.regions {
		r := &p.regions[i]
		r.lambda = lambda.New(r.lambda.Options(), func(o *lambda.Options) {
			o.Retryer = retry.AddWithMaxBackoffDelay(o.Retryer, time.Microsecond)
		})
		r.s3 = s3.New(r.s3.Options(), func(o *s3.Options) {
			o.Retryer = retry.AddWithMaxBackoffDelay(o.Retryer, time.Microsecond)
		})
	}
}

// publishAll publishes layers to the first region, sets their ARNs, and returns
// the names of those that were not there.
func publishAll(ctx context.Context, p *Publisher, dir string, layers []types.Layer) (published []string, err error) {
	r := p.Publish(ctx, Content{Dir: dir, Layers: layers}, quiet{})[0]
	for i, v := range r.Versions {
		setARN(&layers[i], v.ARN)
		if v.ARN != "" && !v.Found {
			published = append(published, layers[i].Name)
		}
	}
	return published, r.Err
}

// setARN notes the ARN that a layer has in the first region; empty: it has none.
func setARN(l *types.Layer, arn string) {
	l.Regions = map[string]types.Version{defaultRegion: {ARN: arn}}
}

// arnOf is the ARN that setARN has noted.
func arnOf(l types.Layer) string { return l.Regions[defaultRegion].ARN }

// newWorkIn is the work on a layer in the first region.
func newWorkIn(p *Publisher, dir string, l *types.Layer) *work {
	return (&job{Publisher: p, region: p.regions[0], content: Content{Dir: dir}, progress: quiet{}}).newWork(l)
}

// quiet is a Progress that nobody sees.
type quiet struct{}

func (quiet) LookUp(Target)                       {}
func (quiet) Upload(Target, int64) Upload         { return quiet{} }
func (quiet) Retry(Target, string, time.Duration) {}
func (quiet) Warn(Target, string)                 {}
func (quiet) Sent(int64)                          {}
func (quiet) Done(error)                          {}

// entry is a file of a zip.
type entry struct {
	name string
	mode fs.FileMode
}

// writeZip writes a zip to dir and returns it as a layer called name.
func writeZip(t *testing.T, dir, name string, entries ...entry) types.Layer {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name}
		h.SetMode(e.mode)
		if _, err := w.CreateHeader(h); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	l := types.Layer{Name: name, Zip: types.Zip{
		File: name + ".zip", CodeSha256: sum(b.Bytes()), CodeSize: int64(b.Len()), Files: len(entries),
	}}
	if err := os.WriteFile(filepath.Join(dir, l.File), b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return l
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return base64.StdEncoding.EncodeToString(s[:])
}

// newLayers are layers with one file each, whose zips are in a new directory.
func newLayers(t *testing.T, n int) (dir string, layers []types.Layer) {
	t.Helper()
	dir = t.TempDir()
	for i := range n {
		name := fmt.Sprintf("layer-%d", i+1)
		layers = append(layers, writeZip(t, dir, name, entry{name, 0o644}))
	}
	return dir, layers
}

// failures is how often in a row a call may fail, which is more than the three
// of the SDK itself: others may publish in the same account.
const failures = 9

// TestTriesAgain lets every call for every layer fail that often. The SDK by
// itself puts up with a hundred in one run.
func TestTriesAgain(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   fakelambda.Action
	}{
		{"throttled", fakelambda.Throttle(0)},
		{"500", fakelambda.Fail(http.StatusInternalServerError, "ServiceException", "Out of order.")},
		{"502", fakelambda.Answer(http.StatusBadGateway, "<html>")},
		{"503", fakelambda.Answer(http.StatusServiceUnavailable, "")},
		{"504", fakelambda.Answer(http.StatusGatewayTimeout, "")},
		{"connection closed", fakelambda.CutRequest(0)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			api := fakelambda.New()
			p := newPublisher(t, api, Options{Namespace: "test"})
			dir, layers := newLayers(t, 2*parallel)
			fail := func(op fakelambda.Operation) {
				for _, l := range layers {
					api.On(fakelambda.Rule{Operation: op, Layer: l.Name, Times: failures, Do: tt.do})
				}
			}
			fail(fakelambda.ListLayerVersions)
			fail(fakelambda.PublishLayerVersion)
			published, err := publishAll(t.Context(), p, dir, layers)
			if err != nil {
				t.Fatal(err)
			}
			if len(published) != len(layers) || len(api.Versions()) != len(layers) {
				t.Errorf("published %v, and Lambda has %d versions; want %d", published, len(api.Versions()), len(layers))
			}

			fail(fakelambda.GetLayerVersion)
			published, err = publishAll(t.Context(), p, dir, layers)
			if err != nil {
				t.Fatal(err)
			}
			if len(published) > 0 {
				t.Errorf("published again: %v", published)
			}
		})
	}
}

// TestGivesUp: nobody waits for ever, and people hear what Lambda says.
func TestGivesUp(t *testing.T) {
	api := fakelambda.New()
	p := newPublisher(t, api, Options{Namespace: "test"})
	dir, layers := newLayers(t, 1)
	api.On(fakelambda.Rule{Operation: fakelambda.ListLayerVersions, Do: fakelambda.Throttle(0)})
	_, err := publishAll(t.Context(), p, dir, layers)
	const want = "layer layer-1 (layer-1.zip): TooManyRequestsException: Rate exceeded"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if n := len(api.Calls()); n != failures+1 {
		t.Errorf("there were %d attempts, want %d", n, failures+1)
	}
}

// TestMaxAttemptsOfTheUser: as with every tool that uses an AWS SDK, the
// environment and the profile say how often to try.
func TestMaxAttemptsOfTheUser(t *testing.T) {
	api := fakelambda.New()
	t.Setenv("AWS_MAX_ATTEMPTS", "2")
	p := newPublisher(t, api, Options{Namespace: "test"})
	if got := p.regions[0].lambda.Options().Retryer.MaxAttempts(); got != 2 {
		t.Errorf("there would be %d attempts, want the 2 of AWS_MAX_ATTEMPTS", got)
	}
}

// TestRoleThatCannotBeAssumed: someone with credentials, though not for the role
// of the profile, has to hear that, and not that there are none.
func TestRoleThatCannotBeAssumed(t *testing.T) {
	for _, tt := range []struct{ code, message, want string }{
		{"AccessDenied", "User: arn:aws:iam::123456789012:user/ci is not authorized to perform: sts:AssumeRole", "not authorized to perform: sts:AssumeRole"},
		{"ExpiredToken", "The security token included in the request is expired", "the AWS credentials have expired"},
	} {
		t.Run(tt.code, func(t *testing.T) {
			// What is not for Lambda goes there.
			sts := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusForbidden)
				fmt.Fprintf(w, "<ErrorResponse><Error><Code>%s</Code><Message>%s</Message></Error></ErrorResponse>", tt.code, tt.message)
			})
			newPublisher(t, fakelambda.New(fakelambda.WithS3(sts)), Options{Namespace: "test"}) // sets the environment
			config := filepath.Join(t.TempDir(), "config")
			if err := os.WriteFile(config, []byte("[profile deploy]\nrole_arn = arn:aws:iam::123456789012:role/deploy\ncredential_source = Environment\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			t.Setenv("AWS_CONFIG_FILE", config)
			t.Setenv("AWS_ENDPOINT_URL_STS", os.Getenv("AWS_ENDPOINT_URL"))
			_, err := New(t.Context(), Options{Namespace: "test", Profile: "deploy"})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want one that says %q", err, tt.want)
			}
		})
	}
}

// TestRefusalIsFinal: what Lambda refuses is not tried again, and no more
// layers are begun.
func TestRefusalIsFinal(t *testing.T) {
	api := fakelambda.New()
	p := newPublisher(t, api, Options{Namespace: "test"})
	dir, layers := newLayers(t, 3*parallel)
	api.On(fakelambda.Rule{
		Operation: fakelambda.PublishLayerVersion,
		Do:        fakelambda.Fail(http.StatusBadRequest, "CodeStorageExceededException", "Code storage limit exceeded."),
	})
	published, err := publishAll(t.Context(), p, dir, layers)
	if want := `"Function and layer storage" (CodeStorageExceededException)`; err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("got %v, want … %s", err, want)
	}
	if n := api.Count(fakelambda.PublishLayerVersion); n > parallel || published != nil {
		t.Errorf("%d calls came after the first refusal, and %v was published", n-1, published)
	}
}

// TestFailureKeepsARNs: those that were published beside the one that failed
// have their ARNs, so that people can be told.
func TestFailureKeepsARNs(t *testing.T) {
	api := fakelambda.New()
	p := newPublisher(t, api, Options{Namespace: "test"})
	dir, layers := newLayers(t, 3)
	var begun sync.WaitGroup // the two calls that go on
	begun.Add(2)
	refused := make(chan struct{})
	api.On(fakelambda.Rule{Operation: fakelambda.PublishLayerVersion, Layer: "layer-2", Do: func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			begun.Wait()
			fakelambda.Fail(http.StatusBadRequest, "InvalidParameterValueException", "No.")(nil).ServeHTTP(w, r)
			close(refused)
		})
	}})
	for _, other := range []string{"layer-1", "layer-3"} {
		begin := sync.OnceFunc(begun.Done)
		api.On(fakelambda.Rule{Operation: fakelambda.PublishLayerVersion, Layer: other, Do: fakelambda.Before(func() { begin(); <-refused })})
	}
	published, err := publishAll(t.Context(), p, dir, layers)
	if want := "layer layer-2 (layer-2.zip): InvalidParameterValueException: No."; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	slices.Sort(published)
	if diff := cmp.Diff([]string{"layer-1", "layer-3"}, published); diff != "" {
		t.Errorf("published (-want +got):\n%s", diff)
	}
	for i, there := range []bool{true, false, true} {
		if (arnOf(layers[i]) != "") != there {
			t.Errorf("%s has ARN %q", layers[i].Name, arnOf(layers[i]))
		}
	}
}

// TestUnreadableFileIsRefused shows that the Lambda of tests finds what must
// never be in a zip of ours: a file or directory that Lambda's user cannot read.
func TestUnreadableFileIsRefused(t *testing.T) {
	for _, tt := range []struct {
		entry   entry
		refused bool
	}{
		{entry{"f", 0o644}, false},
		{entry{"f", 0o004}, false},
		{entry{"f", 0o640}, true},
		{entry{"f", 0}, true},
		{entry{"d/", fs.ModeDir | 0o755}, false},
		{entry{"d/", fs.ModeDir | 0o754}, true},
		{entry{"d/", fs.ModeDir | 0o751}, true},
	} {
		t.Run(tt.entry.name+tt.entry.mode.String(), func(t *testing.T) {
			p := newPublisher(t, fakelambda.New(), Options{Namespace: "test"})
			dir := t.TempDir()
			layers := []types.Layer{writeZip(t, dir, "layer", tt.entry)}
			_, err := publishAll(t.Context(), p, dir, layers)
			if refused := err != nil && strings.Contains(err.Error(), "Other users cannot read"); refused != tt.refused {
				t.Errorf("got error %v, want one: %t", err, tt.refused)
			}
		})
	}
}

// TestOtherContentArrives guards against trusting an ARN whose content is not
// what was sent.
func TestOtherContentArrives(t *testing.T) {
	api := fakelambda.New()
	p := newPublisher(t, api, Options{Namespace: "test"})
	dir, layers := newLayers(t, 1)
	answer, err := json.Marshal(map[string]any{
		"LayerVersionArn": "arn:aws:lambda:us-east-1:123456789012:layer:layer-1:1",
		"Content":         map[string]any{"CodeSha256": sum(nil), "CodeSize": layers[0].CodeSize},
	})
	if err != nil {
		t.Fatal(err)
	}
	api.On(fakelambda.Rule{Operation: fakelambda.PublishLayerVersion, Do: fakelambda.Answer(http.StatusCreated, string(answer))})
	if _, err := publishAll(t.Context(), p, dir, layers); err == nil || !strings.Contains(err.Error(), layers[0].CodeSha256) {
		t.Errorf("got %v, want an error that names the zip's SHA-256", err)
	}
	if arnOf(layers[0]) != "" {
		t.Errorf("the layer has ARN %s", arnOf(layers[0]))
	}
}

func TestMatching(t *testing.T) {
	content := []byte("the zip")
	same := types.Layer{Name: "layer", Zip: types.Zip{File: "layer.zip", CodeSha256: sum(content), CodeSize: int64(len(content))}}
	for _, tt := range []struct {
		name   string
		change func(l *types.Layer)
		found  bool
	}{
		{"same", func(*types.Layer) {}, true},
		{"other name", func(l *types.Layer) { l.Name = "another" }, false},
		{"other SHA-256", func(l *types.Layer) { l.CodeSha256 = sum(nil) }, false},
		{"other size", func(l *types.Layer) { l.CodeSize++ }, false},
		// What is there already needs neither a bucket nor to be small.
		{"too large to publish", func(l *types.Layer) { l.UncompressedSize = types.MaxUnzippedSize }, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			api := fakelambda.New()
			arn := api.AddVersion(fakelambda.Version{Region: defaultRegion, Layer: "layer", Zip: content})
			p := newPublisher(t, api, Options{Namespace: "test"})
			l := same
			tt.change(&l)
			w := newWorkIn(p, "", &l)
			if err := w.lookUp(t.Context()); err != nil {
				t.Fatal(err)
			}
			setARN(&l, w.version.ARN)
			if found := arnOf(l) == arn; found != tt.found || !found && arnOf(l) != "" {
				t.Errorf("found %q, want %s: %t", arnOf(l), arn, tt.found)
			}
			if tt.found {
				layers := []types.Layer{l}
				layers[0].Regions = nil
				if _, err := publishAll(t.Context(), p, t.TempDir(), layers); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestTooLarge(t *testing.T) {
	const direct, unzipped = types.MaxDirectUpload, types.MaxUnzippedSize
	for _, tt := range []struct {
		name           string
		size, unzipped int64
		bucket         string
		want           []string // in the error; none: there is no error
	}{
		{"as large as a request takes", direct, unzipped - 1, "", nil},
		{"larger than a request takes", direct + 1, direct, "", []string{"50 MB", "--s3-bucket"}},
		{"through S3", direct + 1, unzipped - 1, "zips", nil},
		{"unzipped", 1, unzipped, "", []string{"250 MB unzipped"}},
		{"unzipped, through S3", direct + 1, unzipped, "zips", []string{"250 MB unzipped"}},
		{"both", direct + 1, unzipped, "", []string{"250 MB unzipped"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			api := fakelambda.New()
			p := newPublisher(t, api, Options{Namespace: "test", Bucket: tt.bucket})
			dir, layers := newLayers(t, 2)
			layers[1].CodeSize, layers[1].UncompressedSize = tt.size, tt.unzipped
			if tt.want == nil {
				if err := newWorkIn(p, dir, &layers[1]).checkSize(); err != nil {
					t.Errorf("got %v, want no error", err)
				}
				return
			}
			_, err := publishAll(t.Context(), p, dir, layers)
			for _, want := range append(tt.want, "layer-2 (layer-2.zip)") {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("got error %v, want one with %q", err, want)
				}
			}
			if n := api.Count(fakelambda.PublishLayerVersion); n > 0 {
				t.Errorf("%d layers were uploaded", n)
			}
		})
	}
}

func TestWriteARNs(t *testing.T) {
	for _, want := range [][]string{
		{},
		{"arn:aws:lambda:us-east-1:123456789012:layer:a:1"},
		{"arn:aws:lambda:us-east-1:123456789012:layer:b:2", "arn:aws:lambda:us-east-1:123456789012:layer:a:1"},
	} {
		t.Run(fmt.Sprint(len(want)), func(t *testing.T) {
			dir := t.TempDir()
			var versions []Version
			for _, arn := range want {
				versions = append(versions, Version{ARN: arn})
			}
			if err := WriteARNs(dir, []Region{{Name: "us-east-1", Versions: versions}}); err != nil {
				t.Fatal(err)
			}
			for file, decode := range map[string]func([]byte, any) error{"layers.json": json.Unmarshal, "layers.yaml": yaml.Unmarshal} {
				content, err := os.ReadFile(filepath.Join(dir, file))
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				if err := decode(content, &got); err != nil {
					t.Errorf("%s: %v", file, err)
				}
				// Not nil: null is no list.
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s (-want +got):\n%s", file, diff)
				}
			}
		})
	}
}
