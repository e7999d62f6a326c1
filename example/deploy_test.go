package example

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/fakelambda"
)

// arns is what layers.json and layers.yaml hold in these tests.
var arns = []string{
	"arn:aws:lambda:us-east-1:123456789012:layer:img2lambda-sha256-1:1",
	"arn:aws:lambda:us-east-1:123456789012:layer:img2lambda-sha256-2:7",
}

// writeOutput makes a folder that holds output, as img2lambda leaves it.
func writeOutput(t *testing.T) (dir string, function []byte) {
	t.Helper()
	dir = t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "output"), 0o755); err != nil {
		t.Fatal(err)
	}
	layers, err := json.MarshalIndent(arns, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer // the AWS CLI takes nothing else
	w := zip.NewWriter(&archive)
	if err := errors.Join(w.AddFS(os.DirFS("src")), w.Close()); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		"layers.json":  append(layers, '\n'),
		"function.zip": archive.Bytes(),
	} {
		if err := os.WriteFile(filepath.Join(dir, "output", name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir, archive.Bytes()
}

// TestDeployAWSCLI runs the script, with the real AWS CLI, twice against an API on
// loopback, whose functions answer with the event: the first run creates, the
// second updates.
func TestDeployAWSCLI(t *testing.T) {
	t.Parallel()
	aws, err := exec.LookPath("aws")
	if err != nil {
		if os.Getenv("IMG2LAMBDA_TEST_AWSCLI") == "required" {
			t.Fatal(err)
		}
		t.Skip("the AWS CLI is not installed (Debian package awscli)")
	}
	script, err := filepath.Abs("deploy/aws-cli.sh")
	if err != nil {
		t.Fatal(err)
	}
	dir, function := writeOutput(t)
	api := fakelambda.New()
	url := api.Start()
	t.Cleanup(api.Close)
	var layer bytes.Buffer
	w := zip.NewWriter(&layer)
	if err := errors.Join(w.AddFS(os.DirFS("runtime")), w.Close()); err != nil {
		t.Fatal(err)
	}
	for _, arn := range arns {
		name := strings.Split(arn, ":")[6]
		for api.AddVersion(fakelambda.Version{Region: "us-east-1", Layer: name, Zip: layer.Bytes()}) != arn {
		}
	}

	// --endpoint-url, since versions before 2.13 do not know AWS_ENDPOINT_URL.
	bin := t.TempDir()
	wrapper := "#!/bin/sh\nexec '" + aws + "' --endpoint-url '" + url + "' \"$@\"\n"
	if err := os.WriteFile(filepath.Join(bin, "aws"), []byte(wrapper), 0o755); err != nil {
		t.Fatal(err)
	}
	// Nothing of the user's own configuration.
	env := append(withoutAWS(os.Environ()), "PATH="+bin+":"+os.Getenv("PATH"),
		"AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test", "AWS_DEFAULT_REGION=us-east-1", "AWS_PAGER=", "LC_ALL=C.UTF-8",
		"AWS_CONFIG_FILE="+filepath.Join(bin, "config"), "AWS_SHARED_CREDENTIALS_FILE="+filepath.Join(bin, "credentials"),
		"ROLE_ARN=arn:aws:iam::123456789012:role/php", "ARCHITECTURE=arm64")

	run := func(program string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), program, args...)
		cmd.Dir, cmd.Env = dir, env
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v\n%s", program, err, stderr.String())
		}
		return string(out)
	}

	var answer struct{ Event struct{ Name string } }
	if err := json.Unmarshal([]byte(run(script, "goodbye", `{"name": "<Zoë>"}`)), &answer); err != nil || answer.Event.Name != "<Zoë>" {
		t.Errorf("the answer has event %+v, %v", answer.Event, err)
	}
	wantCalls(t, api, fakelambda.GetFunction, fakelambda.CreateFunction, fakelambda.GetFunctionConfiguration, fakelambda.InvokeFunction)
	sum := sha256.Sum256(function)
	want := configuration{
		FunctionName: "lambda-php-goodbye", Handler: "functions.goodbye", Runtime: "provided.al2023",
		Role: "arn:aws:iam::123456789012:role/php", Architectures: []string{"arm64"},
		Layers: []struct{ Arn string }{{arns[0]}, {arns[1]}}, CodeSha256: base64.StdEncoding.EncodeToString(sum[:]),
	}
	show := func() (got configuration) {
		t.Helper()
		if err := json.Unmarshal([]byte(run(filepath.Join(bin, "aws"), "lambda", "get-function-configuration", "--function-name", "lambda-php-goodbye")), &got); err != nil {
			t.Fatal(err)
		}
		return got
	}
	if diff := cmp.Diff(want, show()); diff != "" {
		t.Errorf("the function: %s", diff)
	}

	// It is brought up to date with other content.
	dir, function = writeOutput(t)
	changed := append(slices.Clone(function), 0) // after the end of a zip's directory
	if err := os.WriteFile(filepath.Join(dir, "output", "function.zip"), changed, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "output", "layers.json"), fmt.Appendf(nil, "[%q]", arns[1]), 0o644); err != nil {
		t.Fatal(err)
	}
	api.ResetCalls()
	run(script, "goodbye")
	wantCalls(t, api, fakelambda.GetFunction, fakelambda.UpdateFunctionCode, fakelambda.GetFunctionConfiguration,
		fakelambda.UpdateFunctionConfiguration, fakelambda.GetFunctionConfiguration, fakelambda.InvokeFunction)
	sum = sha256.Sum256(changed)
	want.CodeSha256, want.Layers = base64.StdEncoding.EncodeToString(sum[:]), want.Layers[1:]
	if diff := cmp.Diff(want, show()); diff != "" {
		t.Errorf("the updated function: %s", diff)
	}
}

// configuration is what the AWS CLI shows of a function.
type configuration struct {
	FunctionName, Handler, Runtime, Role string
	Architectures                        []string
	Layers                               []struct{ Arn string }
	CodeSha256                           string
}

func wantCalls(t *testing.T, api *fakelambda.API, want ...fakelambda.Operation) {
	t.Helper()
	var got []fakelambda.Operation
	for _, call := range api.Calls() {
		got = append(got, call.Operation)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

// TestDeployPaths checks that the templates find what img2lambda leaves in
// example/output, and name functions that there are.
func TestDeployPaths(t *testing.T) {
	t.Parallel()
	functions, err := os.ReadFile("src/functions.php")
	if err != nil {
		t.Fatal(err)
	}
	for file, wantFiles := range map[string][]string{
		"deploy/sam/template.yaml":         {"output/function.zip"},
		"deploy/serverless/serverless.yml": {"output/function.zip", "output/layers.yaml"},
		"deploy/terraform/main.tf":         {"output"},
	} {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var found []string
		for _, path := range regexp.MustCompile(`\.\./[\w./]+`).FindAllString(string(content), -1) {
			found = append(found, filepath.Join(filepath.Dir(file), path))
		}
		slices.Sort(found)
		if diff := cmp.Diff(wantFiles, slices.Compact(found)); diff != "" {
			t.Errorf("%s: paths: %s", file, diff)
		}
		for _, handler := range regexp.MustCompile(`functions\.(\w+)\n`).FindAllSubmatch(content, -1) {
			if !bytes.Contains(functions, []byte("function "+string(handler[1])+"(")) {
				t.Errorf("%s: there is no function %s", file, handler[1])
			}
		}
		if strings.HasPrefix(filepath.Ext(file), ".y") {
			if err := yaml.Unmarshal(content, new(yaml.Node)); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
	}
}

// TestDeploySAM runs the command that the template says makes its parameter.
func TestDeploySAM(t *testing.T) {
	t.Parallel()
	template, err := os.ReadFile("deploy/sam/template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	match := regexp.MustCompile(`"Layers=(\$\(.*\))"`).FindSubmatch(template)
	if match == nil {
		t.Fatal("no command in the template")
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", `printf %s "`+string(match[1])+`"`)
	cmd.Dir, _ = writeOutput(t)
	got, err := cmd.Output()
	if want := strings.Join(arns, ","); err != nil || string(got) != want {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
}

func TestDeployTerraform(t *testing.T) {
	t.Parallel()
	terraform, err := exec.LookPath("terraform")
	if err != nil {
		t.Skip("terraform is not installed")
	}
	if out, err := exec.CommandContext(t.Context(), terraform, "fmt", "-check", "-diff", "deploy/terraform").CombinedOutput(); err != nil {
		t.Errorf("terraform fmt: %v\n%s", err, out)
	}
}
