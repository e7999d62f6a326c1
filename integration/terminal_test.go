package integration

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/fakeengine"
	"github.com/awslabs/aws-lambda-container-image-converter/internal/fakelambda"
	"github.com/awslabs/aws-lambda-container-image-converter/internal/imagetest"
)

// evil does something to a terminal that gets it as it is.
const evil = "\x1b[2J\x1b]0;title\x07\r\u009b31m\u202egnp\u2066"

// raw are the characters that no terminal should get.
var raw = regexp.MustCompile("[\x00-\x08\x0b-\x1f\x7f\u0080-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]")

// checkTerminal guards against names in images and answers of servers that do
// something to a terminal: wherever they come from, with --debug too, nothing
// but printable characters gets there.
func checkTerminal(t *testing.T, o outcome) {
	t.Helper()
	for what, text := range map[string]string{"stdout": o.stdout, "stderr": o.stderr} {
		if found := raw.FindString(text); found != "" {
			t.Errorf("%s has %q: %.300q", what, found, text)
		}
		if !strings.HasSuffix(text, "\n") && text != "" {
			t.Errorf("%s does not end a line: %.300q", what, text)
		}
	}
}

// imageOf makes an image with options of layers.
func imageOf(o imagetest.Options, layers ...[]imagetest.Entry) imagetest.Content {
	var tars [][]byte
	for _, l := range layers {
		tars = append(tars, imagetest.Tar(l...))
	}
	return imagetest.Image(o, tars...)
}

// aFile is a layer that converts well.
var aFile = []imagetest.Entry{imagetest.File("opt/a", "1")}

// TestTerminalImages is what an image says of itself, and names in it.
func TestTerminalImages(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]imagetest.Content{
		"os":                    imageOf(imagetest.Options{OS: evil}, aFile),
		"architecture":          imageOf(imagetest.Options{Architecture: evil}, aFile),
		"variant":               imageOf(imagetest.Options{Variant: evil}, aFile),
		"name of a fifo":        imageOf(imagetest.Options{}, aFile, []imagetest.Entry{imagetest.Fifo("opt/" + evil)}),
		"name of a link":        imageOf(imagetest.Options{}, []imagetest.Entry{imagetest.Hardlink("opt/"+evil, "opt/"+evil+"x")}),
		"whiteout of nothing":   imageOf(imagetest.Options{}, []imagetest.Entry{imagetest.File("opt/"+evil+"/.wh.", "")}),
		"name that is too long": imageOf(imagetest.Options{}, []imagetest.Entry{imagetest.File("opt/"+evil+strings.Repeat("x", 5000), "")}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := imagetest.WriteOCILayout(filepath.Join(dir, "app"), "", content); err != nil {
				t.Fatal(err)
			}
			for _, args := range [][]string{nil, {"--debug"}, {"--platform", "linux/s390x"}, {"--platform", "linux/s390x", "--debug"}} {
				checkTerminal(t, run{dir: dir, args: append([]string{"-d", "-i", "oci:app"}, args...)}.do(t))
			}
		})
	}
}

// TestTerminalTags is names of images in a layout, and on the command line.
func TestTerminalTags(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, tag := range []string{evil, evil + "2"} {
		if err := imagetest.WriteOCILayout(filepath.Join(dir, "app"), tag, imageOf(imagetest.Options{}, aFile)); err != nil {
			t.Fatal(err)
		}
	}
	for _, ref := range []string{"oci:app", "oci:app:other", "oci:app:" + evil} {
		for _, debug := range []string{"--debug", "--debug=false"} {
			checkTerminal(t, run{dir: dir, args: []string{"-d", debug, "-i", ref}}.do(t))
		}
	}
}

// TestTerminalEngine is an engine's error.
func TestTerminalEngine(t *testing.T) {
	t.Parallel()
	engine := fakeengine.New(fakeengine.Options{}, imagetest.Ref{Name: "app", Content: imageOf(imagetest.Options{}, aFile)})
	engine.Fail(fakeengine.Export, fakeengine.Fault{Status: 500, Message: evil})
	dir := t.TempDir()
	checkTerminal(t, run{dir: dir, env: []string{"DOCKER_HOST=" + engine.Start(t)}, args: []string{"-d", "--debug", "-i", "app"}}.do(t))
}

// TestTerminalExports is names in archives, and digests that are none.
func TestTerminalExports(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	manifest := fmt.Sprintf(`[{"Config":%q,"RepoTags":[%q],"Layers":[%q]}]`, "c.json", "app:"+evil, evil)
	for i, entries := range [][]imagetest.Entry{
		{imagetest.File("manifest.json", manifest)},
		{imagetest.File("c.json", `{"rootfs":{"diff_ids":["sha256:`+evil+`"]}}`), imagetest.File("manifest.json", manifest)},
		{imagetest.File("c.json", fmt.Sprintf(`{"rootfs":{"diff_ids":["sha256:%064d"]}}`, 0)), imagetest.File("manifest.json", manifest)},
		{imagetest.File("c.json", fmt.Sprintf(`{"rootfs":{"diff_ids":["sha256:%064d"]}}`, 0)), imagetest.File(evil, "\x1f\x8bnothing"), imagetest.File("manifest.json", manifest)},
	} {
		name := fmt.Sprint(i, ".tar")
		if err := os.WriteFile(filepath.Join(dir, name), imagetest.Tar(entries...), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, ref := range []string{name, name + ":other"} {
			checkTerminal(t, run{dir: dir, args: []string{"-d", "--debug", "-i", "docker-archive:" + ref}}.do(t))
		}
	}
}

// TestTerminalRegistry is a registry's error.
func TestTerminalRegistry(t *testing.T) {
	t.Parallel()
	for _, where := range []string{"/manifests/", "/blobs/"} {
		g := &guarded{misbehave: func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, where) {
				return false
			}
			w.Header().Set("Content-Type", evil)
			w.WriteHeader(500)
			fmt.Fprintf(w, `{"errors":[{"code":"X","message":%q}]}`, evil)
			return true
		}}
		address, dir := startGuarded(t, g)
		checkTerminal(t, run{dir: dir, args: []string{"-d", "--debug", "--tls-verify=false", "-i", "docker://" + address + "/app"}}.do(t))
	}
}

// TestTerminalAWS is what Lambda answers.
func TestTerminalAWS(t *testing.T) {
	t.Parallel()
	c, dir := startCloud(t), t.TempDir()
	writeLayout(t, filepath.Join(dir, "app"), "file opt/a 1")
	env := c.env()
	for _, do := range []fakelambda.Action{
		fakelambda.Fail(400, "No", evil),
		fakelambda.Fail(403, "ExpiredTokenException", evil),
		fakelambda.Answer(201, fmt.Sprintf(`{"LayerVersionArn":"arn%s"}`, `\u001b[2J\u202e`)),
		fakelambda.Answer(200, evil),
	} {
		c.ClearRules()
		c.On(fakelambda.Rule{Operation: fakelambda.PublishLayerVersion, Do: do})
		for _, args := range [][]string{{"--debug"}, {"-q"}} {
			checkTerminal(t, run{dir: dir, env: env, args: append([]string{"-i", "oci:app"}, args...)}.do(t))
		}
	}
}
