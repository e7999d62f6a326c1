package integration

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/fakelambda"
	"github.com/awslabs/aws-lambda-container-image-converter/internal/testrun"
	"github.com/awslabs/aws-lambda-container-image-converter/types"
)

// cloud is Lambda and S3 for one test.
type cloud struct {
	*fakelambda.API
	url     string
	storage *storage
}

// startCloud starts Lambda and S3 for the length of a test.
func startCloud(t testing.TB, options ...fakelambda.Option) *cloud {
	c := &cloud{storage: newStorage()}
	c.API = fakelambda.New(append(options,
		fakelambda.WithS3(c.storage), fakelambda.PageSize(2),
		fakelambda.ExpiredKey("AKIDEXPIRED"), fakelambda.InvalidKey("AKIDINVALID"))...)
	c.url = c.Start()
	t.Cleanup(c.Close)
	return c
}

// env is the environment of somebody with good credentials.
func (c *cloud) env() []string {
	return []string{"AWS_ENDPOINT_URL=" + c.url, "AWS_ACCESS_KEY_ID=AKIDGOOD", "AWS_SECRET_ACCESS_KEY=secret"}
}

func (r *rig) startCloud(ts *testscript.TestScript, actions []string) {
	allowed := []fakelambda.Operation{fakelambda.ListLayerVersions, fakelambda.GetLayerVersion, fakelambda.PublishLayerVersion}
	if len(actions) > 0 {
		allowed = nil
	}
	for _, action := range actions {
		allowed = append(allowed, fakelambda.Operation(action))
	}
	r.cloud = startCloud(r.t, fakelambda.Allow(allowed...))
	for _, v := range r.cloud.env() {
		name, value, _ := strings.Cut(v, "=")
		ts.Setenv(name, value)
	}
}

// operations are the Lambda calls by their names in scripts.
var operations = map[string]fakelambda.Operation{
	"any":     "",
	"list":    fakelambda.ListLayerVersions,
	"get":     fakelambda.GetLayerVersion,
	"publish": fakelambda.PublishLayerVersion,
	"share":   fakelambda.AddLayerVersionPermission,
}

func (c *cloud) calls(ts *testscript.TestScript, want []string) {
	var got []string
	for _, name := range []string{"list", "get", "publish"} {
		got = append(got, fmt.Sprintf("%s=%d", name, c.Count(operations[name])))
	}
	if n := c.Count(fakelambda.AddLayerVersionPermission); n > 0 {
		got = append(got, fmt.Sprintf("share=%d", n))
	}
	c.ResetCalls()
	if !slices.Equal(got, want) {
		ts.Fatalf("calls: %s", strings.Join(got, " "))
	}
}

func (c *cloud) versions(ts *testscript.TestScript, _ []string) {
	for _, v := range c.Versions() {
		fmt.Fprintf(ts.Stdout(), "%s %v %v %q %q\n", v.ARN(), v.CompatibleRuntimes, v.CompatibleArchitectures, v.LicenseInfo, v.Description)
	}
}

func (c *cloud) shared(ts *testscript.TestScript, _ []string) {
	for _, v := range c.Versions() {
		fmt.Fprintln(ts.Stdout(), v.ARN(), c.Policy(v.ARN()))
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
	if region, ok := strings.CutPrefix(args[0], "region="); ok {
		rule.Region, args = region, args[1:]
	}
	if times, ok := strings.CutPrefix(args[0], "times="); ok {
		rule.Times, args = number(times), args[1:]
	}
	switch args[0] {
	case "throttle":
		rule.Do = fakelambda.Throttle(0)
	case "fail":
		rule.Do = fakelambda.Fail(number(args[1]), args[2], args[3])
	case "hang":
		rule.Do = fakelambda.NewGate().Hold
	case "cut":
		rule.Do = fakelambda.CutRequest(0)
	case "delete":
		rule.Do = fakelambda.Before(func() { c.DeleteVersion(args[1]) })
	default:
		ts.Fatalf("there is no fault %q", args[0])
	}
	c.On(rule)
}

func (c *cloud) heal(_ *testscript.TestScript, _ []string) { c.ClearRules() }

func (c *cloud) inOrder(_ *testscript.TestScript, args []string) {
	c.answerInOrder(operations[args[0]], args[1:]...)
}

// has tells whether Lambda has a layer as a report describes it, in all regions
// that the report names.
func (c *cloud) has(l types.Layer) bool {
	for region, version := range l.Regions {
		if !slices.ContainsFunc(c.Versions(), func(v fakelambda.Version) bool {
			return v.ARN() == version.ARN && v.Region == region && version.Account == fakelambda.AccountID &&
				v.Layer == l.Name && v.CodeSha256() == l.CodeSha256 && int64(len(v.Zip)) == l.CodeSize
		}) {
			return false
		}
	}
	return true
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
				case <-time.After(testrun.Patience): // only if the calls come one by one
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
