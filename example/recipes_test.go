package example

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/fakeengine"
	"github.com/awslabs/aws-lambda-container-image-converter/internal/imagetest"
)

// TestRecipes runs the commands of the recipes for CI services, in their order, as
// they stand there. Docker has the image already, and apk nothing to do.
func TestRecipes(t *testing.T) {
	t.Parallel()
	needs(t, "bash", "curl", "jq")
	url := serveRelease(t, releaseDir(t))
	for _, file := range []string{"github.yml", "buildspec.yml", "gitlab.yml"} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			engine := fakeengine.New(fakeengine.Options{}, imagetest.Ref{Name: "my-image", Content: smallImage()})
			api := newLambda(t)
			api.exists = true
			bin, dir := t.TempDir(), t.TempDir()
			env := append(awsEnv(t, api.url), "AWS_ENDPOINT_URL="+api.url, "AWS_REGION=eu-west-1", "DOCKER_HOST="+engine.Start(t),
				"AWS_WEB_IDENTITY_TOKEN_FILE="+filepath.Join(dir, "token"), "GITHUB_SERVER_URL="+url)
			curl, _ := exec.LookPath("curl")
			writeScript(t, filepath.Join(bin, "docker"), `[ "$*" = "build -t my-image ." ]`)
			writeScript(t, filepath.Join(bin, "apk"), `[ "$*" = "add aws-cli curl" ]`)
			// install.sh is that of the checkout.
			writeScript(t, filepath.Join(bin, "curl"), `for arg; do
				shift
				case $arg in https://raw.githubusercontent.com/`+repository+`/`+version+`/*) arg=`+url+`/raw/${arg##*/} ;; esac
				set -- "$@" "$arg"
			done
			exec `+curl+` "$@"`)
			path := slices.IndexFunc(env, func(s string) bool { return strings.HasPrefix(s, "PATH="+os.TempDir()) })
			env[path] = "PATH=" + bin + ":" + strings.TrimPrefix(env[path], "PATH=")

			for _, command := range commandsOf(t, filepath.Join("ci", file)) {
				var err error
				if command == actionName {
					_, _, err = runActionIn(t, dir, env, map[string]string{"inputs.image": "my-image", "github.action_ref": version})
				} else {
					err = runStep(t, dir, env, strings.ReplaceAll(command, "/usr/local/bin", bin))
				}
				if err != nil {
					t.Fatalf("%s: %v", command, err)
				}
			}
			versions := api.layers.Versions()
			if len(versions) != 1 {
				t.Fatalf("%d layer versions, want 1", len(versions))
			}
			updated := api.swap(configuration{})
			if diff := cmp.Diff([]string{versions[0].ARN()}, updated.Layers); diff != "" {
				t.Errorf("the function's layers: %s", diff)
			}
			function, err := os.ReadFile(filepath.Join(dir, "output/function.zip"))
			if err != nil || string(function) != string(updated.Code.ZipFile) {
				t.Errorf("the function's code is not function.zip: %v", err)
			}
		})
	}
}

// actionName is where recipes find the action.
const actionName = repository + "@" + version

// commandsOf returns what a recipe runs: shell, and actionName for the action. It
// fails for what it does not know, which would not be tested.
func commandsOf(t *testing.T, file string) (commands []string) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var recipe struct {
		// AWS CodeBuild
		Version string
		Phases  struct {
			Install, Build struct{ Commands []string }
		}
		Artifacts any
		// GitLab
		Deploy struct {
			BeforeScript                                 []string `yaml:"before_script"`
			Script                                       []string
			Image, Services, Rules, Variables, Artifacts any
			IDTokens                                     any `yaml:"id_tokens"`
		}
		// GitHub
		Name            string
		On, Permissions any
		Jobs            struct {
			Deploy struct {
				RunsOn string `yaml:"runs-on"`
				Steps  []struct {
					Uses, Run string
					With      map[string]string
				}
			}
		}
	}
	decoder := yaml.NewDecoder(strings.NewReader(string(content)))
	decoder.KnownFields(true)
	if err := decoder.Decode(&recipe); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	commands = slices.Concat(recipe.Phases.Install.Commands, recipe.Phases.Build.Commands, recipe.Deploy.BeforeScript, recipe.Deploy.Script)
	for _, step := range recipe.Jobs.Deploy.Steps {
		switch {
		case step.Run != "":
			commands = append(commands, step.Run)
		case strings.HasPrefix(step.Uses, repository):
			commands = append(commands, step.Uses)
		}
	}
	if len(commands) < 3 {
		t.Fatalf("%s: only %d commands", file, len(commands))
	}
	return commands
}

// TestActionlint reads the workflows as GitHub does.
func TestActionlint(t *testing.T) {
	t.Parallel()
	const actionlint = "github.com/rhysd/actionlint/cmd/actionlint@v1.7.12"
	if out, err := exec.CommandContext(t.Context(), "go", "run", actionlint, "-version").CombinedOutput(); err != nil {
		if os.Getenv("IMG2LAMBDA_TEST_ACTIONLINT") == "required" {
			t.Fatalf("%v\n%s", err, out)
		}
		t.Skip("actionlint cannot be had from the Go module proxy")
	}
	workflows, err := filepath.Glob("../.github/workflows/*.yml")
	if err != nil || len(workflows) == 0 {
		t.Fatal(workflows, err)
	}
	cmd := exec.CommandContext(t.Context(), "go", slices.Concat([]string{"run", actionlint, "ci/github.yml"}, workflows)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestPinned checks that the project's own workflows name actions by the digest of a
// commit, with the version behind it.
func TestPinned(t *testing.T) {
	t.Parallel()
	workflows, err := filepath.Glob("../.github/workflows/*.yml")
	if err != nil || len(workflows) == 0 {
		t.Fatal(workflows, err)
	}
	pinned := regexp.MustCompile(`^[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$`)
	for _, file := range workflows {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, uses := range regexp.MustCompile(`(?m)uses: (.*)$`).FindAllStringSubmatch(string(content), -1) {
			if uses[1] != "./" && !pinned.MatchString(uses[1]) {
				t.Errorf("%s: %s", file, uses[1])
			}
		}
	}
}

// TestShellcheck reads the scripts that are not tests.
func TestShellcheck(t *testing.T) {
	t.Parallel()
	needs(t, "shellcheck")
	scripts := []string{"../install.sh", "../.github/image.sh", "../.github/newcomer.sh", "base.sh", "deploy/aws-cli.sh"}
	if out, err := exec.CommandContext(t.Context(), "shellcheck", scripts...).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// quoted matches a file that the README quotes: its name in a comment, then a block.
var quoted = regexp.MustCompile("(?ms)^<!-- (example/\\S+) -->\n+```\\w*\n(.*?)^```$")

// TestQuotes checks that the README's blocks are the files that they are said to be.
func TestQuotes(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if !quoted.Match(readme) {
		t.Fatal("the README quotes no file")
	}
	var names []string
	for _, quote := range quoted.FindAllStringSubmatch(string(readme), -1) {
		names = append(names, quote[1])
		content, err := os.ReadFile(filepath.Join("..", quote[1]))
		if err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(string(content), quote[2]); diff != "" {
			t.Errorf("the README (+) and %s (-): %s", quote[1], diff)
		}
	}
	for _, name := range []string{"example/ci/github.yml", "example/ci/buildspec.yml", "example/ci/gitlab.yml"} {
		if !slices.Contains(names, name) {
			t.Errorf("the README does not quote %s", name)
		}
	}
}
