package example

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
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
// loopback that notes the requests: the first run creates, the second updates.
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
	api := newLambda(t)

	// --endpoint-url, since versions before 2.13 do not know AWS_ENDPOINT_URL.
	bin := t.TempDir()
	wrapper := "#!/bin/sh\nexec '" + aws + "' --endpoint-url '" + api.url + "' \"$@\"\n"
	if err := os.WriteFile(filepath.Join(bin, "aws"), []byte(wrapper), 0o755); err != nil {
		t.Fatal(err)
	}
	// Nothing of the user's own configuration.
	env := append(withoutAWS(os.Environ()), "PATH="+bin+":"+os.Getenv("PATH"),
		"AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test", "AWS_DEFAULT_REGION=us-east-1", "AWS_PAGER=", "LC_ALL=C.UTF-8",
		"AWS_CONFIG_FILE="+filepath.Join(bin, "config"), "AWS_SHARED_CREDENTIALS_FILE="+filepath.Join(bin, "credentials"),
		"ROLE_ARN=arn:aws:iam::123456789012:role/php", "ARCHITECTURE=arm64")

	run := func(args ...string) string {
		t.Helper()
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

	if got, want := run("goodbye", `{"name": "<Zoë>"}`), `{"event":{"name": "<Zoë>"}}`+"\n"; got != want {
		t.Errorf("answer %q, want %q", got, want)
	}
	wantCalls := []string{"GET", "POST", "GET configuration", "POST invocations"}
	if diff := cmp.Diff(wantCalls, api.calls()); diff != "" {
		t.Errorf("calls of the first run: %s", diff)
	}
	want := configuration{
		FunctionName: "lambda-php-goodbye", Handler: "functions.goodbye", Runtime: "provided.al2023",
		Role: "arn:aws:iam::123456789012:role/php", Architectures: []string{"arm64"}, Layers: arns,
		Code: code{function},
	}
	outdated := want
	outdated.Layers, outdated.Code = nil, code{}
	if diff := cmp.Diff(want, api.swap(outdated)); diff != "" {
		t.Errorf("the function: %s", diff)
	}

	run("goodbye")
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

type code struct{ ZipFile []byte }

type configuration struct {
	FunctionName, Handler, Runtime, Role string
	Architectures, Layers                []string
	Code                                 code
}

// lambda has one function, whose answer is the event.
type lambda struct {
	url string

	mu       sync.Mutex
	noted    []string
	exists   bool
	function configuration
}

func newLambda(t *testing.T) *lambda {
	l := new(lambda)
	const prefix = "/2015-03-31/functions"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, ok := strings.CutPrefix(r.URL.Path, prefix)
		if !ok {
			t.Errorf("%s %s is not of the API", r.Method, r.URL.Path)
		}
		_, path, _ = strings.Cut(strings.TrimPrefix(path, "/"), "/")
		call := strings.TrimSpace(r.Method + " " + path)
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.noted = append(l.noted, call)
		w.Header().Set("Content-Type", "application/json")
		switch {
		case call == "POST":
			l.exists = true
			err = json.Unmarshal(body, &l.function)
			w.WriteHeader(http.StatusCreated)
			_, _ = io.WriteString(w, "{}")
		case !l.exists:
			w.Header().Set("X-Amzn-ErrorType", "ResourceNotFoundException")
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, `{"Message":"no such function"}`)
		case call == "PUT code":
			err = json.Unmarshal(body, &l.function.Code)
			_, _ = io.WriteString(w, "{}")
		case call == "PUT configuration":
			err = json.Unmarshal(body, &l.function)
			_, _ = io.WriteString(w, "{}")
		case call == "POST invocations":
			_, _ = io.WriteString(w, `{"event":`+string(body)+`}`)
		default:
			_, _ = io.WriteString(w, `{"State":"Active","LastUpdateStatus":"Successful"}`)
		}
		if err != nil {
			t.Errorf("%s: %v", call, err)
		}
	}))
	t.Cleanup(server.Close)
	l.url = server.URL
	return l
}

// calls returns what was called since it was last asked.
func (l *lambda) calls() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	noted := l.noted
	l.noted = nil
	return noted
}

// swap puts another function in the place of the one that there is.
func (l *lambda) swap(f configuration) configuration {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.function, f = f, l.function
	return f
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
