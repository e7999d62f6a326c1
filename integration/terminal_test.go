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

// TestTerminal guards against names in images and answers of servers that do
// something to a terminal: wherever they come from, with --debug too, nothing
// but printable characters gets there.
func TestTerminal(t *testing.T) {
	t.Parallel()
	const evil = "\x1b[2J\x1b]0;title\x07\r\u009b31m\u202egnp\u2066"
	raw := regexp.MustCompile("[\x00-\x08\x0b-\x1f\x7f\u0080-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
	check := func(t *testing.T, o outcome) {
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
	image := func(o imagetest.Options, layers ...[]imagetest.Entry) imagetest.Content {
		var tars [][]byte
		for _, l := range layers {
			tars = append(tars, imagetest.Tar(l...))
		}
		return imagetest.Image(o, tars...)
	}
	file := []imagetest.Entry{imagetest.File("opt/a", "1")}
	for name, content := range map[string]imagetest.Content{
		"os":                    image(imagetest.Options{OS: evil}, file),
		"architecture":          image(imagetest.Options{Architecture: evil}, file),
		"variant":               image(imagetest.Options{Variant: evil}, file),
		"name of a fifo":        image(imagetest.Options{}, file, []imagetest.Entry{imagetest.Fifo("opt/" + evil)}),
		"name of a link":        image(imagetest.Options{}, []imagetest.Entry{imagetest.Hardlink("opt/"+evil, "opt/"+evil+"x")}),
		"whiteout of nothing":   image(imagetest.Options{}, []imagetest.Entry{imagetest.File("opt/"+evil+"/.wh.", "")}),
		"name that is too long": image(imagetest.Options{}, []imagetest.Entry{imagetest.File("opt/"+evil+strings.Repeat("x", 5000), "")}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := imagetest.WriteOCILayout(filepath.Join(dir, "app"), "", content); err != nil {
				t.Fatal(err)
			}
			for _, args := range [][]string{nil, {"--debug"}, {"--platform", "linux/s390x"}, {"--platform", "linux/s390x", "--debug"}} {
				check(t, run{dir: dir, args: append([]string{"-d", "-i", "oci:app"}, args...)}.do(t))
			}
		})
	}
	t.Run("tags", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		for _, tag := range []string{evil, evil + "2"} {
			if err := imagetest.WriteOCILayout(filepath.Join(dir, "app"), tag, image(imagetest.Options{}, file)); err != nil {
				t.Fatal(err)
			}
		}
		for _, ref := range []string{"oci:app", "oci:app:other", "oci:app:" + evil} {
			for _, debug := range []string{"--debug", "--debug=false"} {
				check(t, run{dir: dir, args: []string{"-d", debug, "-i", ref}}.do(t))
			}
		}
	})
	t.Run("engine", func(t *testing.T) {
		t.Parallel()
		engine := fakeengine.New(fakeengine.Options{}, imagetest.Ref{Name: "app", Content: image(imagetest.Options{}, file)})
		engine.Fail(fakeengine.Export, fakeengine.Fault{Status: 500, Message: evil})
		dir := t.TempDir()
		check(t, run{dir: dir, env: []string{"DOCKER_HOST=" + engine.Start(t)}, args: []string{"-d", "--debug", "-i", "app"}}.do(t))
	})
	t.Run("export", func(t *testing.T) {
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
				check(t, run{dir: dir, args: []string{"-d", "--debug", "-i", "docker-archive:" + ref}}.do(t))
			}
		}
	})
	t.Run("registry", func(t *testing.T) {
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
			check(t, run{dir: dir, args: []string{"-d", "--debug", "--tls-verify=false", "-i", "docker://" + address + "/app"}}.do(t))
		}
	})
	t.Run("AWS", func(t *testing.T) {
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
				check(t, run{dir: dir, env: env, args: append([]string{"-i", "oci:app"}, args...)}.do(t))
			}
		}
	})
}
