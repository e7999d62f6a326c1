package fakelambda_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/fakelambda"
)

// awsCLI finds the AWS CLI, or skips the test. With
// IMG2LAMBDA_TEST_AWSCLI=required the test fails instead.
func awsCLI(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("aws")
	if err == nil {
		return path
	}
	if os.Getenv("IMG2LAMBDA_TEST_AWSCLI") == "required" {
		t.Fatal("the AWS CLI is not installed, and IMG2LAMBDA_TEST_AWSCLI=required")
	}
	t.Skip("the AWS CLI is not installed (Debian package awscli)")
	return ""
}

// TestAWSCLI lets the AWS CLI, which was written for the real service, use
// the API from end to end.
func TestAWSCLI(t *testing.T) {
	program := awsCLI(t)
	bucket := s3mem.New()
	if err := bucket.CreateBucket("zips"); err != nil {
		t.Fatal(err)
	}
	api := fakelambda.New(fakelambda.ExpiredKey("AKIDOLD"), fakelambda.WithS3(gofakes3.New(bucket).Server()))
	url := api.Start()
	defer api.Close()
	dir := t.TempDir()

	key := "AKIDGOOD"
	run := func(arguments ...string) (stdout, stderr []byte, err error) {
		// --endpoint-url, since versions before 2.13 do not know AWS_ENDPOINT_URL.
		command := exec.CommandContext(t.Context(), program, append(arguments, "--endpoint-url", url, "--output", "json")...)
		command.Dir = dir
		// Nothing of the user's own configuration.
		command.Env = slices.DeleteFunc(os.Environ(), func(s string) bool { return strings.HasPrefix(s, "AWS_") })
		command.Env = append(command.Env,
			"AWS_ACCESS_KEY_ID="+key, "AWS_SECRET_ACCESS_KEY=secret",
			"AWS_CONFIG_FILE="+filepath.Join(dir, "config"), "AWS_SHARED_CREDENTIALS_FILE="+filepath.Join(dir, "credentials"),
			"AWS_DEFAULT_REGION="+region, "AWS_PAGER=", "AWS_MAX_ATTEMPTS=1", "AWS_EC2_METADATA_DISABLED=true",
		)
		var out, errs bytes.Buffer
		command.Stdout, command.Stderr = &out, &errs
		err = command.Run()
		return out.Bytes(), errs.Bytes(), err
	}
	// must runs a command that works, and decodes its answer into v.
	must := func(v any, arguments ...string) {
		t.Helper()
		stdout, stderr, err := run(arguments...)
		if err != nil {
			t.Fatalf("aws %s: %v\n%s", strings.Join(arguments, " "), err, stderr)
		}
		if v == nil {
			return
		}
		if err := json.Unmarshal(stdout, v); err != nil {
			t.Fatalf("aws %s: %v\n%s", strings.Join(arguments, " "), err, stdout)
		}
	}
	// fail runs a command that does not work, with an error of this code and
	// message.
	fail := func(code, message string, arguments ...string) {
		t.Helper()
		_, stderr, err := run(arguments...)
		if err == nil || !strings.Contains(string(stderr), "An error occurred ("+code+")") || !strings.Contains(string(stderr), ": "+message) {
			t.Errorf("aws %s: %v\n%s\nwant %s: %s", strings.Join(arguments, " "), err, stderr, code, message)
		}
	}
	write := func(name string, content []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}

	layerZip := zipOf(t, entry{name: "lib/f", content: "content"})
	write("layer.zip", layerZip)
	write("private.zip", zipOf(t, entry{name: "f", mode: 0o600}))

	var published struct {
		LayerVersionArn string
		Content         struct{ CodeSha256 string }
	}
	must(&published, "lambda", "publish-layer-version", "--layer-name", "one", "--zip-file", "fileb://layer.zip",
		"--description", "the first", "--license-info", "MIT-0",
		"--compatible-runtimes", "provided.al2", "python3.9", "--compatible-architectures", "x86_64", "arm64")
	first := "arn:aws:lambda:eu-west-1:123456789012:layer:one:1"
	if published.LayerVersionArn != first {
		t.Errorf("published %s, want %s", published.LayerVersionArn, first)
	}
	fail("InvalidParameterValueException", "Other users cannot read",
		"lambda", "publish-layer-version", "--layer-name", "one", "--zip-file", "fileb://private.zip")
	key = "AKIDOLD"
	fail("ExpiredTokenException", "The security token included in the request is expired",
		"lambda", "list-layer-versions", "--layer-name", "one")
	key = "AKIDGOOD"

	must(nil, "s3api", "put-object", "--bucket", "zips", "--key", "two.zip", "--body", "layer.zip")
	must(&published, "lambda", "publish-layer-version", "--layer-name", "two", "--content", "S3Bucket=zips,S3Key=two.zip")
	second := published.LayerVersionArn

	var got struct {
		Version            int
		Description        string
		CompatibleRuntimes []string
		Content            struct {
			Location, CodeSha256 string
			CodeSize             int
		}
	}
	must(&got, "lambda", "get-layer-version", "--layer-name", "one", "--version-number", "1")
	if got.Version != 1 || got.Description != "the first" || len(got.CompatibleRuntimes) != 2 ||
		got.Content.CodeSize != len(layerZip) || got.Content.CodeSha256 != published.Content.CodeSha256 {
		t.Errorf("got %+v", got)
	}
	if !bytes.Equal(get(t, got.Content.Location), layerZip) {
		t.Error("another zip came back")
	}
	fail("ResourceNotFoundException", "The resource you requested does not exist.",
		"lambda", "get-layer-version", "--layer-name", "one", "--version-number", "2")

	share := []string{
		"lambda", "add-layer-version-permission", "--layer-name", "one", "--version-number", "1",
		"--action", "lambda:GetLayerVersion", "--principal", "*", "--statement-id", "org", "--organization-id", "o-a1b2c3d4e5",
	}
	must(nil, share...)
	fail("ResourceConflictException", "The statement id (org) provided already exists.", share...)
	var policy struct{ Policy string }
	must(&policy, "lambda", "get-layer-version-policy", "--layer-name", "one", "--version-number", "1")
	wantPolicy := `{"Version":"2012-10-17","Id":"default","Statement":[{"Sid":"org","Effect":"Allow","Principal":"*","Action":"lambda:GetLayerVersion",` +
		`"Resource":"` + first + `","Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-a1b2c3d4e5"}}}]}`
	if policy.Policy != wantPolicy {
		t.Errorf("got policy %s, want %s", policy.Policy, wantPolicy)
	}
	fail("ResourceNotFoundException", "No policy is associated with the given resource.",
		"lambda", "get-layer-version-policy", "--layer-name", "two", "--version-number", "1")

	for range 60 {
		api.AddVersion(fakelambda.Version{Region: region, Layer: "many"})
	}
	api.ResetCalls()
	var list struct{ LayerVersions []struct{ Version int } }
	must(&list, "lambda", "list-layer-versions", "--layer-name", "many")
	if versions := list.LayerVersions; len(versions) != 60 || versions[0].Version != 60 || versions[59].Version != 1 {
		t.Errorf("got %d versions: %v", len(versions), versions)
	}
	if n := api.Count(fakelambda.ListLayerVersions); n != 2 {
		t.Errorf("the CLI asked for %d pages, want 2", n)
	}

	// The list of ARNs that the program writes.
	write("layers.json", fmt.Appendf(nil, "[\n  %q,\n  %q\n]\n", first, second))
	create := []string{
		"lambda", "create-function", "--role", "arn:aws:iam::123456789012:role/lambda", "--runtime", "provided.al2",
		"--handler", "f.handler", "--zip-file", "fileb://layer.zip", "--layers", "file://layers.json", "--function-name",
	}
	var function struct{ Layers []struct{ Arn string } }
	must(&function, append(create, "hello")...)
	if len(function.Layers) != 2 || function.Layers[0].Arn != first || function.Layers[1].Arn != second {
		t.Errorf("the function has layers %v, want %s, %s", function.Layers, first, second)
	}
	var configuration struct{ Configuration struct{ State string } }
	must(&configuration, "lambda", "get-function", "--function-name", "hello")
	if state := configuration.Configuration.State; state != "Active" {
		t.Errorf("the function is %s", state)
	}
	api.DeleteVersion(first)
	fail("InvalidParameterValueException", "Layer version "+first+" does not exist.",
		append(create, "late")...)
}
