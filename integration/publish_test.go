package integration

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/opencontainers/image-spec/identity"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/fakelambda"
	"github.com/awslabs/aws-lambda-container-image-converter/internal/imagetest"
	"github.com/awslabs/aws-lambda-container-image-converter/types"
)

// TestPublish runs testdata/publish/*.txtar: the program against a Lambda API
// and S3 on loopback. Besides what testscript has, and mkimage, write, exits and
// holds (see TestScripts), a script can use
//
//	cloud [ACTION...]
//		start Lambda and S3, which AWS_ENDPOINT_URL then names. Callers may
//		perform the Lambda actions only: without any, the three that the program
//		needs. The keys AKIDEXPIRED and AKIDINVALID are what they say. A page of
//		versions has two; S3 has the bucket "zips"
//	image IMAGE LAYER...
//		make an image and write it as an OCI layout of the same name. A LAYER is
//		what mkimage reads, with ; between the entries
//	calls list=N get=N publish=N
//		fail unless Lambda got so many calls since this was asked last
//	report FILE
//		read a report.json, and fail if two of its layers have one name, or if
//		Lambda does not have what it says is published. Sets for the first layer
//		NAME1, ARN1, and the zip's SHA-256 as SUM1 in base64 and HEX1 in hex; NAME2
//		and so on for the second
//	provenance IMAGE FILE NAMESPACE
//		fail unless the layers of a report.json hold all layers of the image, in
//		their order, and are named by them
//	versions
//		print the layer versions that there are: ARN, runtimes, architectures,
//		license, description
//	add-version NAME
//		publish other content under the name
//	fault CALL NAME|any [times=N] throttle
//	fault CALL NAME|any [times=N] fail STATUS CODE MESSAGE
//	fault CALL NAME|any [times=N] delete ARN
//		let calls (list, get or publish) for a layer fail from now on, or delete
//		a layer version before they are answered
//	in-order CALL NAME...
//		hold calls for layers back, so that they are answered in this order
//	s3 [may-not-list]
//		print the program's requests to S3 since this was asked last, with the
//		status that they got. With may-not-list, S3 answers from now on as it does
//		to a role that may not list the bucket
func TestPublish(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata/publish",
		Setup: func(e *testscript.Env) error {
			e.Values[rigKey{}] = &rig{t: e.T().(testing.TB), images: map[string]imagetest.Content{}}
			e.Values[cloudKey{}] = new(cloud)
			e.Vars = append(e.Vars, awsEnv(e.WorkDir)...)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"mkimage":     onRig((*rig).mkimage),
			"write":       onRig((*rig).write),
			"exits":       onRig((*rig).exits),
			"holds":       onRig((*rig).holds),
			"image":       onRig((*rig).writeImage),
			"provenance":  onRig((*rig).provenance),
			"cloud":       onCloud((*cloud).start),
			"calls":       onCloud((*cloud).calls),
			"report":      onCloud((*cloud).report),
			"versions":    onCloud((*cloud).versions),
			"add-version": onCloud((*cloud).addVersion),
			"fault":       onCloud((*cloud).fault),
			"in-order":    onCloud((*cloud).inOrder),
			"s3":          onCloud((*cloud).s3),
		},
		Condition: func(name string) (bool, error) {
			if name != "awscli" {
				return condition(name)
			}
			_, err := exec.LookPath("aws")
			if err != nil && os.Getenv("IMG2LAMBDA_TEST_AWSCLI") == "required" {
				return false, errors.New("the AWS CLI is not installed, and IMG2LAMBDA_TEST_AWSCLI=required")
			}
			return err == nil, nil
		},
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

func (r *rig) writeImage(ts *testscript.TestScript, args []string) {
	img, err := imageOf(args[1:]...)
	ts.Check(err)
	r.add(ts, args[0], img)
	ts.Check(imagetest.WriteOCILayout(ts.MkAbs(args[0]), "", img))
}

// imageOf makes an image of layers as parseLayers has them, but with ; between
// the entries.
func imageOf(layers ...string) (v1.Image, error) {
	entries, err := parseLayers("layer\n" + strings.ReplaceAll(strings.Join(layers, "\nlayer\n"), ";", "\n"))
	if err != nil {
		return nil, err
	}
	var tars [][]byte
	for _, e := range entries {
		tars = append(tars, imagetest.Tar(e...))
	}
	return imagetest.Image(imagetest.Options{}, tars...), nil
}

func (r *rig) provenance(ts *testscript.TestScript, args []string) {
	config, err := r.image(ts, args[0]).(v1.Image).ConfigFile()
	ts.Check(err)
	var want, got []string
	for _, d := range config.RootFS.DiffIDs {
		want = append(want, d.String())
	}
	report, err := readReport(ts.MkAbs(args[1]))
	ts.Check(err)
	for _, l := range report.Layers {
		for _, d := range l.DiffIDs {
			got = append(got, d.String())
		}
		chain := identity.ChainID(slices.Clone(l.DiffIDs)) // it is made in place
		if name := args[2] + "-sha256-" + chain.Encoded(); l.Digest != chain || l.Name != name {
			ts.Fatalf("%s has digest %s and name %s, but what it holds gives %s and %s", l.File, l.Digest, l.Name, chain, name)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		ts.Fatalf("the image's layers (-) and the report's (+):\n%s", diff)
	}
}

func readReport(file string) (*types.Image, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var image types.Image
	if err := json.Unmarshal(content, &image); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return &image, nil
}

type cloudKey struct{}

// onCloud adapts a method to what testscript wants of a command.
func onCloud(run func(c *cloud, ts *testscript.TestScript, args []string)) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg {
			ts.Fatalf("! does not go with this command")
		}
		run(ts.Value(cloudKey{}).(*cloud), ts, args)
	}
}

func (c *cloud) start(ts *testscript.TestScript, actions []string) {
	allowed := []fakelambda.Operation{fakelambda.ListLayerVersions, fakelambda.GetLayerVersion, fakelambda.PublishLayerVersion}
	if len(actions) > 0 {
		allowed = nil
	}
	for _, action := range actions {
		allowed = append(allowed, fakelambda.Operation(action))
	}
	*c = *newCloud(fakelambda.Allow(allowed...))
	ts.Defer(c.Close)
	ts.Setenv("AWS_ENDPOINT_URL", c.url)
}

// operations are the Lambda calls by their names in scripts.
var operations = map[string]fakelambda.Operation{
	"list":    fakelambda.ListLayerVersions,
	"get":     fakelambda.GetLayerVersion,
	"publish": fakelambda.PublishLayerVersion,
}

func (c *cloud) calls(ts *testscript.TestScript, want []string) {
	var got []string
	for _, name := range []string{"list", "get", "publish"} {
		got = append(got, fmt.Sprintf("%s=%d", name, c.Count(operations[name])))
	}
	c.ResetCalls()
	if !slices.Equal(got, want) {
		ts.Fatalf("calls: %s", strings.Join(got, " "))
	}
}

func (c *cloud) report(ts *testscript.TestScript, args []string) {
	image, err := readReport(ts.MkAbs(args[0]))
	ts.Check(err)
	names := make(map[string]bool)
	for i, l := range image.Layers {
		if names[l.Name] {
			ts.Fatalf("two layers are named %s", l.Name)
		}
		names[l.Name] = true
		if l.ARN != "" && !c.has(l) {
			ts.Fatalf("Lambda does not have %s with SHA-256 %s", l.ARN, l.CodeSha256)
		}
		sum, err := base64.StdEncoding.DecodeString(l.CodeSha256)
		ts.Check(err)
		ts.Setenv(fmt.Sprint("NAME", i+1), l.Name)
		ts.Setenv(fmt.Sprint("ARN", i+1), l.ARN)
		ts.Setenv(fmt.Sprint("SUM", i+1), l.CodeSha256)
		ts.Setenv(fmt.Sprint("HEX", i+1), hex.EncodeToString(sum))
	}
}

func (c *cloud) versions(ts *testscript.TestScript, _ []string) {
	for _, v := range c.Versions() {
		fmt.Fprintf(ts.Stdout(), "%s %v %v %q %q\n", v.ARN(), v.CompatibleRuntimes, v.CompatibleArchitectures, v.LicenseInfo, v.Description)
	}
}

func (c *cloud) addVersion(_ *testscript.TestScript, args []string) {
	c.AddVersion(fakelambda.Version{Region: "us-east-1", Layer: args[0], Zip: []byte("other content")})
}

func (c *cloud) fault(ts *testscript.TestScript, args []string) {
	rule := fakelambda.Rule{Operation: operations[args[0]]}
	if args[1] != "any" {
		rule.Layer = args[1]
	}
	args = args[2:]
	number := func(s string) int {
		n, err := strconv.Atoi(s)
		ts.Check(err)
		return n
	}
	if times, ok := strings.CutPrefix(args[0], "times="); ok {
		rule.Times, args = number(times), args[1:]
	}
	switch args[0] {
	case "throttle":
		rule.Do = fakelambda.Throttle(0)
	case "fail":
		rule.Do = fakelambda.Fail(number(args[1]), args[2], args[3])
	case "delete":
		rule.Do = fakelambda.Before(func() { c.DeleteVersion(args[1]) })
	default:
		ts.Fatalf("there is no fault %q", args[0])
	}
	c.On(rule)
}

func (c *cloud) inOrder(_ *testscript.TestScript, args []string) {
	c.answerInOrder(operations[args[0]], args[1:]...)
}

func (c *cloud) s3(ts *testscript.TestScript, args []string) {
	if len(args) > 0 {
		c.storage.mayNotList.Store(true)
	}
	fmt.Fprint(ts.Stdout(), c.storage.takeRequests())
}

// cloud is Lambda and S3 for one test.
type cloud struct {
	*fakelambda.API
	url     string
	storage *storage
}

// newCloud starts Lambda and S3. Close stops them.
func newCloud(options ...fakelambda.Option) *cloud {
	c := &cloud{storage: newStorage()}
	c.API = fakelambda.New(append(options,
		fakelambda.WithS3(c.storage), fakelambda.PageSize(2),
		fakelambda.ExpiredKey("AKIDEXPIRED"), fakelambda.InvalidKey("AKIDINVALID"))...)
	c.url = c.Start()
	return c
}

// has tells whether Lambda has a layer as a report describes it.
func (c *cloud) has(l types.Layer) bool {
	return slices.ContainsFunc(c.Versions(), func(v fakelambda.Version) bool {
		return v.ARN() == l.ARN && v.Layer == l.Name && v.CodeSha256() == l.CodeSha256 && int64(len(v.Zip)) == l.CodeSize
	})
}

// answerInOrder holds the first call for each layer back until those for the
// layers named before it have been answered.
func (c *cloud) answerInOrder(op fakelambda.Operation, layers ...string) {
	turn := make(chan struct{})
	close(turn)
	for _, layer := range layers {
		mine, next := turn, make(chan struct{})
		c.On(fakelambda.Rule{Operation: op, Layer: layer, Times: 1, Do: func(answer http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				select {
				case <-mine:
				case <-time.After(time.Minute): // only if the calls come one by one
					answer = fakelambda.Fail(http.StatusBadRequest, "TestFailure", "another call should have come meanwhile")(answer)
				}
				answer.ServeHTTP(w, r)
				_ = http.NewResponseController(w).Flush() // the client may have left
				close(next)
			})
		}})
		turn = next
	}
}

// storage is S3 with the bucket "zips".
type storage struct {
	s3         http.Handler
	mayNotList atomic.Bool

	mu       sync.Mutex
	requests strings.Builder
}

func newStorage() *storage {
	backend := s3mem.New()
	if err := backend.CreateBucket("zips"); err != nil {
		panic(err) // in memory
	}
	return &storage{s3: gofakes3.New(backend).Server()}
}

func (s *storage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") == "" { // Lambda's own request
		s.s3.ServeHTTP(w, r)
		return
	}
	answer := &recorded{ResponseWriter: w, status: http.StatusOK, hideMissing: s.mayNotList.Load()}
	s.s3.ServeHTTP(answer, r)
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintln(&s.requests, r.Method, r.URL.Path, answer.status)
}

// takeRequests returns the requests since it was called last, a line each.
func (s *storage) takeRequests() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.requests.Reset()
	return s.requests.String()
}

// recorded remembers the status of an answer.
type recorded struct {
	http.ResponseWriter
	status      int
	hideMissing bool // 403 instead of 404
}

func (r *recorded) WriteHeader(status int) {
	if status == http.StatusNotFound && r.hideMissing {
		status = http.StatusForbidden
	}
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

// awsEnv is the environment of someone who has credentials and nothing else. dir
// is for what they might have in HOME.
func awsEnv(dir string) []string {
	return []string{
		"HOME=" + filepath.Join(dir, "home"),
		"AWS_ACCESS_KEY_ID=AKIDGOOD",
		"AWS_SECRET_ACCESS_KEY=secret",
		"AWS_EC2_METADATA_DISABLED=true", // it is not there to be waited for
		"GORACE=atexit_sleep_ms=0",       // nor is anything after the program's end
	}
}

// program is a run of img2lambda.
type program struct {
	*exec.Cmd
	stdout, stderr bytes.Buffer
}

// start runs img2lambda in dir, with its HOME and temporary files there too.
func start(t *testing.T, c *cloud, dir string, args ...string) *program {
	t.Helper()
	p := &program{Cmd: exec.CommandContext(deadline(t), "img2lambda", args...)}
	p.Dir, p.Stdout, p.Stderr = dir, &p.stdout, &p.stderr
	p.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "AWS_") })
	p.Env = append(append(p.Env, awsEnv(dir)...), "AWS_ENDPOINT_URL="+c.url, "TMPDIR="+dir)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

// wantExit waits for the program's end and checks its exit code.
func (p *program) wantExit(t *testing.T, want int) {
	t.Helper()
	err := p.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if got := p.ProcessState.ExitCode(); got != want {
		t.Fatalf("img2lambda exited with %d, want %d\n%s", got, want, &p.stderr)
	}
}

// deadline is for what happens at once unless something is broken.
func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// startCloud is newCloud for the length of a test.
func startCloud(t *testing.T) *cloud {
	c := newCloud()
	t.Cleanup(c.Close)
	return c
}

// writeLayout makes an image as imageOf does, and an OCI layout of it.
func writeLayout(t *testing.T, dir string, layers ...string) {
	t.Helper()
	img, err := imageOf(layers...)
	if err != nil {
		t.Fatal(err)
	}
	if err := imagetest.WriteOCILayout(dir, "", img); err != nil {
		t.Fatal(err)
	}
}

// TestEverybodyCanRead guards against a zip with what Lambda's user cannot
// read, in whatever way the image protects it: Lambda would take the zip, and
// the function would fail. The Lambda of tests refuses such zips (so
// TestUnreadableFileIsRefused in publish).
func TestEverybodyCanRead(t *testing.T) {
	t.Parallel()
	c, dir := startCloud(t), t.TempDir()
	none := imagetest.Mode(0)
	tars := [][]byte{
		imagetest.Tar(
			imagetest.Dir("opt/", none), imagetest.File("opt/secret", "a", none), imagetest.Hardlink("opt/link", "opt/secret", none),
			imagetest.Dir("opt/bin/", imagetest.Mode(0o700)), imagetest.File("opt/bin/run", "b", imagetest.Mode(0o4100)),
			imagetest.File("opt/kept", "c", imagetest.Mode(0o600)), imagetest.File("opt/rewritten", "d", none),
		),
		imagetest.Tar(imagetest.Dir("opt/", none), imagetest.Dir("opt/sub", imagetest.Mode(0o1000)), imagetest.Whiteout("opt/rewritten")),
	}
	if err := imagetest.WriteOCILayout(filepath.Join(dir, "app"), "", imagetest.Image(imagetest.Options{}, tars...)); err != nil {
		t.Fatal(err)
	}
	start(t, c, dir, "-i", "oci:app").wantExit(t, 0)
	start(t, c, dir, "-i", "oci:app", "--max-layers", "1").wantExit(t, 0)
	if n := len(c.Versions()); n != 3 {
		t.Errorf("Lambda has %d layer versions, want 3", n)
	}
}

// TestPublishesSeveralAtOnce guards against layers that are looked up or
// published one after the other: the gates open only when as many calls wait
// there as there may be.
func TestPublishesSeveralAtOnce(t *testing.T) {
	t.Parallel()
	const atOnce = 8
	c, dir := startCloud(t), t.TempDir()
	var layers []string
	for i := range atOnce + 2 {
		layers = append(layers, fmt.Sprintf("file opt/%d %d", i, i))
	}
	writeLayout(t, filepath.Join(dir, "app"), layers...)

	var gates []*fakelambda.Gate
	for _, op := range []fakelambda.Operation{fakelambda.ListLayerVersions, fakelambda.PublishLayerVersion} {
		gate := fakelambda.NewGate()
		c.On(fakelambda.Rule{Operation: op, Do: gate.Hold})
		gates = append(gates, gate)
	}
	p := start(t, c, dir, "-i", "oci:app")
	for _, gate := range gates {
		if err := gate.Wait(deadline(t), atOnce); err != nil {
			t.Errorf("fewer than %d calls at once: %v", atOnce, err)
		}
		gate.Open()
	}
	p.wantExit(t, 0)
	if got := c.MaxInFlight(); got != atOnce {
		t.Errorf("there were %d calls at once, want %d and no more", got, atOnce)
	}
}

// TestInterruptedWhilePublishing guards against a Ctrl-C that waits for calls
// or for their retries, and against halves of results.
func TestInterruptedWhilePublishing(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		op   fakelambda.Operation
		do   fakelambda.Action // after the call has come in
	}{
		{"looking up", fakelambda.ListLayerVersions, fakelambda.NewGate().Hold},
		{"publishing", fakelambda.PublishLayerVersion, fakelambda.NewGate().Hold},
		{"waiting to try again", fakelambda.ListLayerVersions, fakelambda.Throttle(0)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, dir := startCloud(t), t.TempDir()
			writeLayout(t, filepath.Join(dir, "old"), "file opt/a old")
			writeLayout(t, filepath.Join(dir, "new"), "file opt/a new")
			start(t, c, dir, "-i", "oci:old").wantExit(t, 0)
			before := files(t, dir)

			came := make(chan struct{}, 100)
			c.On(fakelambda.Rule{Operation: tt.op, Do: fakelambda.Before(func() { came <- struct{}{} })})
			c.On(fakelambda.Rule{Operation: tt.op, Do: tt.do})
			c.ResetCalls()
			for _, output := range []string{"output", "another/output"} {
				p := start(t, c, dir, "-i", "oci:new", "-o", output)
				select {
				case <-came:
				case <-deadline(t).Done():
					t.Fatalf("no %s came", tt.op)
				}
				if err := p.Process.Signal(syscall.SIGINT); err != nil {
					t.Fatal(err)
				}
				p.wantExit(t, 130)
				if got := p.stderr.String(); !strings.HasSuffix(got, "\nimg2lambda: interrupt\n") {
					t.Errorf("it said %q", got)
				}
				if diff := cmp.Diff(before, files(t, dir)); diff != "" {
					t.Errorf("files changed (- before, + after):\n%s", diff)
				}
			}
			// One for each run, and one more that was on its way.
			if n := c.Count(tt.op); n > 4 {
				t.Errorf("it went on: %d calls", n)
			}
		})
	}
}

// files returns the content of the files and the names of the directories
// below dir.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			all[path] = "directory"
			return err
		}
		content, err := os.ReadFile(path)
		all[path] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestTwoRunsInOneDirectory guards against results of two runs that get mixed:
// they end at the same moment, and the directory has to be the one's or the
// other's. The more files they leave, the likelier they would meet.
func TestTwoRunsInOneDirectory(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		exit   int
		layers map[string]int // of the images
		held   int            // calls before both may end
	}{
		{"published", 0, map[string]int{"first": 7, "second": 8}, 7 + 8},
		{"refused", 1, map[string]int{"first": 40, "second": 50}, 8 + 8},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for name, n := range tt.layers {
				var layers []string
				for i := range n {
					layers = append(layers, fmt.Sprintf("file opt/%s/%d %d", name, i, i))
				}
				writeLayout(t, filepath.Join(dir, name), layers...)
			}
			for range 3 {
				c := startCloud(t)
				gate := fakelambda.NewGate()
				c.On(fakelambda.Rule{Operation: fakelambda.PublishLayerVersion, Do: gate.Hold})
				if tt.exit != 0 {
					c.On(fakelambda.Rule{
						Operation: fakelambda.PublishLayerVersion,
						Do:        fakelambda.Fail(http.StatusBadRequest, "InvalidParameterValueException", "No."),
					})
				}
				var runs []*program
				for name := range tt.layers {
					runs = append(runs, start(t, c, dir, "-i", "oci:"+name))
				}
				if err := gate.Wait(deadline(t), tt.held); err != nil {
					t.Fatal(err)
				}
				gate.Open()
				for _, p := range runs {
					p.wantExit(t, tt.exit)
				}
				checkWhole(t, c, filepath.Join(dir, "output"), tt.layers)
			}
		})
	}
}

// checkWhole checks that an output directory holds what one run leaves, and no
// more. images are the numbers of layers of the images by their name.
func checkWhole(t *testing.T, c *cloud, dir string, images map[string]int) {
	t.Helper()
	report, err := readReport(filepath.Join(dir, "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := len(report.Layers), images[strings.TrimPrefix(report.Name, "oci:")]; got != want {
		t.Errorf("the report of %s has %d layers, want %d", report.Name, got, want)
	}
	want := []string{"report.json"}
	var arns []string
	for _, l := range report.Layers {
		if l.ARN != "" {
			arns = append(arns, l.ARN)
			if !c.has(l) {
				t.Errorf("Lambda does not have %s as reported", l.ARN)
			}
			continue
		}
		want = append(want, l.File)
		content, err := os.ReadFile(filepath.Join(dir, l.File))
		if err != nil {
			t.Error(err)
		} else if sum := sha256.Sum256(content); base64.StdEncoding.EncodeToString(sum[:]) != l.CodeSha256 {
			t.Errorf("%s is not the one of the report", l.File)
		}
	}
	if arns != nil {
		want = append(want, "layers.json", "layers.yaml")
		content, err := os.ReadFile(filepath.Join(dir, "layers.json"))
		if err != nil {
			t.Fatal(err)
		}
		var written []string
		if err := json.Unmarshal(content, &written); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(arns, written); diff != "" {
			t.Errorf("ARNs in report.json (-) and in layers.json (+):\n%s", diff)
		}
	}
	var got []string
	for path, content := range files(t, dir) {
		if content != "directory" {
			got = append(got, strings.TrimPrefix(path, dir+"/"))
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files of one run (-) and those there are (+):\n%s", diff)
	}
}
