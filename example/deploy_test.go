package example

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// arns are the ARNs of a region's layers.
func arns(region string) []string {
	return []string{
		"arn:aws:lambda:" + region + ":123456789012:layer:img2lambda-sha256-1:1",
		"arn:aws:lambda:" + region + ":123456789012:layer:img2lambda-sha256-2:7",
	}
}

// writeOutput makes a folder that holds output, as img2lambda leaves it.
func writeOutput(t *testing.T, regions ...string) (dir string, function []byte) {
	t.Helper()
	dir = t.TempDir()
	for _, region := range regions {
		folder := filepath.Join(dir, "output")
		if len(regions) > 1 {
			folder = filepath.Join(folder, region)
		}
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		layers, err := json.MarshalIndent(arns(region), "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, "layers.json"), layers, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var archive bytes.Buffer // the AWS CLI takes nothing else
	w := zip.NewWriter(&archive)
	if err := errors.Join(w.AddFS(os.DirFS("src")), w.Close()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "output", "function.zip"), archive.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir, archive.Bytes()
}

// awsEnv is an environment in which aws is the AWS CLI, talking to an API on
// loopback, and sleep does not take time. It has nothing of the user's own
// configuration.
func awsEnv(t *testing.T, url string) []string {
	t.Helper()
	needs(t, "sh")
	aws, err := exec.LookPath("aws")
	if err != nil {
		if os.Getenv("IMG2LAMBDA_TEST_AWSCLI") == "required" {
			t.Fatal(err)
		}
		t.Skip("the AWS CLI is not installed (Debian package awscli)")
	}
	bin := t.TempDir()
	// --endpoint-url, since versions before 2.13 do not know AWS_ENDPOINT_URL.
	writeScript(t, filepath.Join(bin, "aws"), "exec '"+aws+"' --endpoint-url '"+url+"' \"$@\"")
	writeScript(t, filepath.Join(bin, "sleep"), "")
	return append(withoutAWS(os.Environ()), "PATH="+bin+":"+os.Getenv("PATH"),
		"AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test", "AWS_DEFAULT_REGION=us-east-1", "AWS_PAGER=", "LC_ALL=C.UTF-8",
		"AWS_CONFIG_FILE="+filepath.Join(bin, "config"), "AWS_SHARED_CREDENTIALS_FILE="+filepath.Join(bin, "credentials"))
}

func writeScript(t *testing.T, name, body string) {
	t.Helper()
	if err := os.WriteFile(name, []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}

// runAWSCLI runs the script in a folder that holds output.
func runAWSCLI(t *testing.T, dir string, env []string, args ...string) string {
	t.Helper()
	script, err := filepath.Abs("deploy/aws-cli.sh")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), script, args...)
	cmd.Dir, cmd.Env = dir, env
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("aws-cli.sh: %v\n%s", err, stderr.String())
	}
	return string(out)
}

// TestDeployAWSCLI runs the script, with the real AWS CLI, twice against an API on
// loopback that notes the requests: the first run creates, the second updates.
func TestDeployAWSCLI(t *testing.T) {
	t.Parallel()
	dir, function := writeOutput(t, "us-east-1")
	api := newLambda(t)
	env := append(awsEnv(t, api.url), "ROLE_ARN=arn:aws:iam::123456789012:role/php", "ARCHITECTURE=arm64")

	if got, want := runAWSCLI(t, dir, env, "goodbye", `{"name": "<Zoë>"}`), `{"event":{"name": "<Zoë>"}}`+"\n"; got != want {
		t.Errorf("answer %q, want %q", got, want)
	}
	wantCalls := []string{"GET", "POST", "GET configuration", "POST invocations"}
	if diff := cmp.Diff(wantCalls, api.calls()); diff != "" {
		t.Errorf("calls of the first run: %s", diff)
	}
	want := configuration{
		FunctionName: "lambda-php-goodbye", Handler: "functions.goodbye", Runtime: "provided.al2023",
		Role: "arn:aws:iam::123456789012:role/php", Architectures: []string{"arm64"}, Layers: arns("us-east-1"),
		Code: code{function}, Region: "us-east-1",
	}
	outdated := want
	outdated.Layers, outdated.Code = nil, code{}
	if diff := cmp.Diff(want, api.swap(outdated)); diff != "" {
		t.Errorf("the function: %s", diff)
	}

	runAWSCLI(t, dir, env, "goodbye")
	wantCalls = []string{
		"GET", "PUT code", "GET configuration", "PUT configuration", "GET configuration", "POST invocations",
	}
	if diff := cmp.Diff(wantCalls, api.calls()); diff != "" {
		t.Errorf("calls of the second run: %s", diff)
	}
	if diff := cmp.Diff(want, api.swap(configuration{})); diff != "" {
		t.Errorf("the updated function: %s", diff)
	}
}

// TestDeployAWSCLIRole runs the script without a role, with the layers of two
// regions.
func TestDeployAWSCLIRole(t *testing.T) {
	t.Parallel()
	dir, _ := writeOutput(t, "eu-west-1", "us-east-1")
	api := newLambda(t)
	runAWSCLI(t, dir, append(awsEnv(t, api.url), "ROLE_ARN=", "AWS_REGION=eu-west-1"))
	wantCalls := []string{
		"GET", "GetRole", "CreateRole", "AttachRolePolicy", "POST", "POST", "GET configuration", "POST invocations",
	}
	if diff := cmp.Diff(wantCalls, api.calls()); diff != "" {
		t.Errorf("calls: %s", diff)
	}
	function := api.swap(configuration{})
	if function.Region != "eu-west-1" || function.Role != madeRole {
		t.Errorf("the function is in %s with role %s", function.Region, function.Role)
	}
	if diff := cmp.Diff(arns("eu-west-1"), function.Layers); diff != "" {
		t.Errorf("layers: %s", diff)
	}
}

// TestDeployPaths checks that the templates find what img2lambda leaves in output at
// the top of the repository, and name functions that there are.
func TestDeployPaths(t *testing.T) {
	t.Parallel()
	functions, err := os.ReadFile("src/functions.php")
	if err != nil {
		t.Fatal(err)
	}
	for file, wantFiles := range map[string][]string{
		"deploy/sam/template.yaml":         {"../output/function.zip"},
		"deploy/serverless/serverless.yml": {"../output/", "../output/function.zip", "../output/layers.yaml"},
		"deploy/terraform/main.tf":         {"../output"},
	} {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var found []string
		for _, path := range regexp.MustCompile(`\.\./[\w./]+`).FindAllString(string(content), -1) {
			found = append(found, strings.TrimPrefix(path, "../../"))
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
	cmd.Dir, _ = writeOutput(t, "us-east-1")
	got, err := cmd.Output()
	if want := strings.Join(arns("us-east-1"), ","); err != nil || string(got) != want {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
}

// TestDeployTerraform checks the form of the files, and what they make of what
// img2lambda leaves. That part needs no provider, and so no network.
func TestDeployTerraform(t *testing.T) {
	t.Parallel()
	terraform, err := exec.LookPath("terraform")
	if err != nil {
		t.Skip("terraform is not installed")
	}
	if out, err := exec.CommandContext(t.Context(), terraform, "fmt", "-check", "-diff", "deploy/terraform").CombinedOutput(); err != nil {
		t.Errorf("terraform fmt: %v\n%s", err, out)
	}
	layers, err := os.ReadFile("deploy/terraform/layers.tf")
	if err != nil {
		t.Fatal(err)
	}
	for _, regions := range [][]string{{"us-east-1"}, {"eu-west-1", "us-east-1"}} {
		dir, _ := writeOutput(t, regions...)
		rest := "variable \"output\" {\n  default = \"output\"\n}\noutput \"all\" {\n  value = [local.layers, local.functions]\n}\n"
		if err := os.WriteFile(filepath.Join(dir, "main.tf"), slices.Concat(layers, []byte(rest)), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{"apply", "-auto-approve"}, {"output", "-json", "all"}} {
			cmd := exec.CommandContext(t.Context(), terraform, args...)
			cmd.Dir = dir
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("terraform %s: %v\n%s", args[0], err, stderr.String())
			}
			if args[0] == "output" {
				checkTerraform(t, out, regions)
			}
		}
	}
}

func checkTerraform(t *testing.T, out []byte, regions []string) {
	t.Helper()
	type function struct{ Region, Name string }
	gotLayers, gotFunctions := map[string][]string{}, map[string]function{}
	if err := json.Unmarshal(out, &[]any{&gotLayers, &gotFunctions}); err != nil {
		t.Fatal(err)
	}
	wantLayers, wantFunctions := map[string][]string{}, map[string]function{}
	for _, region := range regions {
		wantLayers[region] = arns(region)
		for _, name := range []string{"hello", "goodbye"} {
			wantFunctions[region+"/"+name] = function{region, name}
		}
	}
	if diff := cmp.Diff(wantLayers, gotLayers); diff != "" {
		t.Errorf("layers: %s", diff)
	}
	if diff := cmp.Diff(wantFunctions, gotFunctions); diff != "" {
		t.Errorf("functions: %s", diff)
	}
}
