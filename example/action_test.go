package example

import (
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	goruntime "runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/fakelambda"
	"github.com/awslabs/aws-lambda-container-image-converter/internal/imagetest"
)

// repository is what releases are of.
const repository = "awslabs/aws-lambda-container-image-converter"

// An action is an action.yml, as far as these tests run it.
type action struct {
	Inputs  map[string]struct{ Default string }
	Outputs map[string]struct{ Value string }
	Runs    struct {
		Steps []struct {
			Name, ID, Shell, Run string
			Env                  map[string]string
		}
	}
}

// expression matches what GitHub evaluates.
var expression = regexp.MustCompile(`\$\{\{\s*(.*?)\s*\}\}`)

func readAction(t *testing.T) (a action) {
	t.Helper()
	content, err := os.ReadFile("../action.yml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(content, &a); err != nil {
		t.Fatal(err)
	}
	return a
}

// runAction is runActionIn in a directory of its own.
func runAction(t *testing.T, env []string, values map[string]string) (outputs map[string]string, summary string, err error) {
	t.Helper()
	return runActionIn(t, t.TempDir(), env, values)
}

// runActionIn runs the shell of the action's steps as a runner does, and returns the
// outputs and the job's summary. Of the context, values has what differs.
func runActionIn(t *testing.T, dir string, env []string, values map[string]string) (outputs map[string]string, summary string, err error) {
	t.Helper()
	a := readAction(t)
	top, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	context := map[string]string{"github.action_path": top, "github.repository": repository}
	for name, input := range a.Inputs {
		context["inputs."+name] = input.Default
	}
	for name, value := range values {
		context[name] = value
	}
	files := t.TempDir()
	for _, step := range a.Runs.Steps {
		output := filepath.Join(files, "output")
		stepEnv := append(slices.Clone(env), "GITHUB_OUTPUT="+output, "GITHUB_STEP_SUMMARY="+filepath.Join(files, "summary"))
		for name, value := range step.Env {
			stepEnv = append(stepEnv, name+"="+evaluate(value, context))
		}
		if err := runStep(t, dir, stepEnv, step.Run); err != nil {
			return nil, "", err
		}
		set, err := os.ReadFile(output)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		_ = os.Remove(output)
		for line := range strings.Lines(string(set)) {
			name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
			context["steps."+step.ID+".outputs."+name] = value
		}
	}
	outputs = make(map[string]string)
	for name, output := range a.Outputs {
		outputs[name] = evaluate(output.Value, context)
	}
	written, err := os.ReadFile(filepath.Join(files, "summary"))
	return outputs, string(written), err
}

// runStep runs a script as a step with "shell: bash" is run.
func runStep(t *testing.T, dir string, env []string, script string) error {
	t.Helper()
	file := filepath.Join(t.TempDir(), "step.sh")
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "bash", "--noprofile", "--norc", "-e", "-o", "pipefail", file)
	cmd.Dir, cmd.Env = dir, env
	if out, err := cmd.CombinedOutput(); err != nil {
		return stepError{err, string(out)}
	}
	return nil
}

type stepError struct {
	err error
	out string
}

func (e stepError) Error() string { return e.err.Error() + "\n" + e.out }

// evaluate replaces expressions: names of the context, and || between them.
func evaluate(s string, context map[string]string) string {
	return expression.ReplaceAllStringFunc(s, func(found string) string {
		for name := range strings.SplitSeq(expression.FindStringSubmatch(found)[1], "||") {
			if value := context[strings.TrimSpace(name)]; value != "" {
				return value
			}
		}
		return ""
	})
}

// needs skips a test that has to run programs that are not there, and on Windows: that
// has no POSIX shell of its own, and the action is tried there by a workflow.
func needs(t *testing.T, programs ...string) {
	t.Helper()
	if goruntime.GOOS == "windows" {
		t.Skip("this needs a POSIX shell")
	}
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not installed", program)
		}
	}
}

// writeImage makes an image of a layer and a function, and returns its name for -i.
func writeImage(t *testing.T) string {
	t.Helper()
	archive := filepath.Join(t.TempDir(), "image.tar")
	if err := imagetest.WriteOCIArchive(archive, "latest", smallImage()); err != nil {
		t.Fatal(err)
	}
	return "oci-archive:" + archive
}

// TestAction publishes with the action, by a release and built from its source.
func TestAction(t *testing.T) {
	t.Parallel()
	needs(t, "bash", "jq", "curl")
	url := serveRelease(t, releaseDir(t))
	for name, ref := range map[string]string{"release": version, "source": "0123456789abcdef0123456789abcdef01234567"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api := fakelambda.New()
			lambda := api.Start()
			t.Cleanup(api.Close)
			env := append(os.Environ(), "GITHUB_SERVER_URL="+url, "AWS_ENDPOINT_URL="+lambda, "AWS_REGION=eu-west-1",
				"AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test")
			outputs, summary, err := runAction(t, env, map[string]string{
				"github.action_ref":         ref,
				"inputs.image":              writeImage(t),
				"inputs.description":        `"; exit 1; $(exit 1) 'ü`,
				"inputs.compatible-runtime": "nodejs22.x, python3.13\nprovided.al2023",
			})
			if err != nil {
				t.Fatal(err)
			}
			versions := api.Versions()
			if len(versions) != 1 {
				t.Fatalf("the API has %d layer versions, want 1", len(versions))
			}
			arn := versions[0].ARN()
			want := map[string]string{
				"arns":             `["` + arn + `"]`,
				"arns-by-region":   `{"eu-west-1":["` + arn + `"]}`,
				"output-directory": "output",
				"report":           "output/report.json",
			}
			if diff := cmp.Diff(want, outputs); diff != "" {
				t.Errorf("outputs: %s", diff)
			}
			if got := versions[0].Description; got != `"; exit 1; $(exit 1) 'ü` {
				t.Errorf("description %q", got)
			}
			if diff := cmp.Diff([]string{"nodejs22.x", "python3.13", "provided.al2023"}, versions[0].CompatibleRuntimes); diff != "" {
				t.Errorf("runtimes: %s", diff)
			}
			for _, line := range []string{
				"\n| `layer-1.zip` | `" + strings.TrimPrefix(path.Base(strings.Split(arn, ":")[6]), "img2lambda-sha256-")[:12] + "` | 1 |",
				"\n| `function.zip` | `/var/task` | 1 |", "\n- `" + arn + "`, published\n",
			} {
				if !strings.Contains(summary, line) {
					t.Errorf("no %q in the summary\n%s", line, summary)
				}
			}
		})
	}
}

// TestActionRegions publishes one layer for others, to two regions.
func TestActionRegions(t *testing.T) {
	t.Parallel()
	needs(t, "bash", "jq", "curl")
	api := fakelambda.New()
	lambda := api.Start()
	t.Cleanup(api.Close)
	env := append(withoutAWS(os.Environ()), "GITHUB_SERVER_URL="+serveRelease(t, releaseDir(t)), "AWS_ENDPOINT_URL="+lambda, "AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test")
	values := map[string]string{
		"inputs.version": version, "inputs.image": writeImage(t), "inputs.region": "eu-west-1,us-east-1", "inputs.layer-name": "hello",
		"inputs.share-with": "o-0123456789", "inputs.compatible-architecture": "x86_64\narm64",
	}
	dir := t.TempDir()
	for _, run := range []struct{ force, how, version string }{
		{"false", "published", "1"}, {"false", "already there", "1"}, {"true", "published", "2"},
	} {
		values["inputs.force"] = run.force
		outputs, summary, err := runActionIn(t, dir, env, values)
		if err != nil {
			t.Fatal(err)
		}
		const arn = "arn:aws:lambda:%s:123456789012:layer:hello:%s"
		west, east := fmt.Sprintf(arn, "eu-west-1", run.version), fmt.Sprintf(arn, "us-east-1", run.version)
		want := map[string]string{
			"arns":             fmt.Sprintf("[%q,%q]", west, east),
			"arns-by-region":   fmt.Sprintf(`{"eu-west-1":[%q],"us-east-1":[%q]}`, west, east),
			"output-directory": "output",
			"report":           "output/report.json",
		}
		if diff := cmp.Diff(want, outputs); diff != "" {
			t.Errorf("outputs: %s", diff)
		}
		if line := "\n- `" + west + "`, " + run.how + "\n- `" + east + "`, " + run.how + "\n"; !strings.Contains(summary, line) {
			t.Errorf("no %q in the summary\n%s", line, summary)
		}
	}
	for _, v := range api.Versions() {
		if diff := cmp.Diff([]string{"x86_64", "arm64"}, v.CompatibleArchitectures); diff != "" {
			t.Errorf("architectures of %s: %s", v.ARN(), diff)
		}
	}
	shared := 0
	for _, call := range api.Calls() {
		if call.Operation == fakelambda.AddLayerVersionPermission {
			shared++
		}
	}
	if shared == 0 {
		t.Error("nothing was shared")
	}
}

// TestActionDryRun is an action's run without AWS, that leaves zips.
func TestActionDryRun(t *testing.T) {
	t.Parallel()
	needs(t, "bash", "jq", "curl")
	output := t.TempDir()
	outputs, summary, err := runAction(t, append(os.Environ(), "GITHUB_SERVER_URL="+serveRelease(t, releaseDir(t))), map[string]string{
		"inputs.version": version, "inputs.image": writeImage(t), "inputs.dry-run": "true", "inputs.output-directory": output,
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"arns": "", "arns-by-region": "", "output-directory": output, "report": output + "/report.json",
	}
	if diff := cmp.Diff(want, outputs); diff != "" {
		t.Errorf("outputs: %s", diff)
	}
	if !strings.Contains(summary, "`layer-1.zip`") {
		t.Errorf("summary %s", summary)
	}
	if _, err := os.Stat(filepath.Join(output, "layer-1.zip")); err != nil {
		t.Error(err)
	}
}

// TestActionInputs checks that each option of the program is an input, and that no
// input gets into the shell but as a variable.
func TestActionInputs(t *testing.T) {
	t.Parallel()
	a := readAction(t)
	for _, step := range a.Runs.Steps {
		if found := expression.FindString(step.Run); found != "" {
			t.Errorf("step %q has %s in its script", step.Name, found)
		}
	}
	help := output(t, command(t.Context(), builtProgram(t), "--help"))
	for _, option := range regexp.MustCompile(`(?m)^ +(?:-\w, )? *--([a-z0-9-]+)`).FindAllStringSubmatch(help, -1) {
		switch name := option[1]; name {
		case "quiet", "debug", "help", "version": // for people
		default:
			if _, ok := a.Inputs[name]; !ok {
				t.Errorf("no input for --%s", name)
			}
		}
	}
}

// smallImage has a file below /opt and one below /var/task.
func smallImage() imagetest.Content {
	return imagetest.Image(imagetest.Options{},
		imagetest.Tar(imagetest.Dir("opt/"), imagetest.File("opt/hello", "Hello")),
		imagetest.Tar(imagetest.Dir("var/task/"), imagetest.File("var/task/handler", "Hello")),
	)
}
