package integration

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/fakelambda"
	"github.com/awslabs/aws-lambda-container-image-converter/internal/testrun"
)

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
				var runs []*process
				for name := range tt.layers {
					runs = append(runs, run{dir: dir, env: c.env(), race: true, args: []string{"-i", "oci:" + name}}.start(t))
				}
				if err := gate.Wait(testrun.Deadline(t), tt.held); err != nil {
					t.Fatal(err)
				}
				gate.Open()
				for _, p := range runs {
					p.wait(t).wantExit(t, tt.exit)
				}
				if out := filepath.Join(dir, "output"); tt.exit == 0 {
					checkWhole(t, c, out, tt.layers)
				} else if left := files(t, out); len(left) > 1 { // who came second has not made the directory
					t.Errorf("%v is left", slices.Sorted(maps.Keys(left)))
				}
			}
		})
	}
}

// TestManyRunsInOneDirectory guards against results that get mixed: what is
// there in the end is the whole result of one run.
func TestManyRunsInOneDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	images := map[string]int{}
	for n := range 6 {
		name := fmt.Sprint("image", n)
		images[name] = n + 1
		writeLayout(t, filepath.Join(dir, name), layersOf(name, n+1)...)
	}
	for range 3 {
		var runs []*process
		for name := range images {
			runs = append(runs, run{dir: dir, args: []string{"-d", "-q", "-i", "oci:" + name}}.start(t))
		}
		for _, p := range runs {
			p.wait(t).wantExit(t, 0)
		}
		checkWhole(t, nil, filepath.Join(dir, "output"), images)
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
	want := []string{".", "report.json"}
	check := func(file, sum string) {
		t.Helper()
		want = append(want, file)
		content, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Error(err)
		} else if got := sha256.Sum256(content); base64.StdEncoding.EncodeToString(got[:]) != sum {
			t.Errorf("%s is not the one of the report", file)
		}
	}
	var arns []string
	for _, l := range report.Layers {
		if l.Regions == nil {
			check(l.File, l.CodeSha256)
			continue
		}
		arns = append(arns, l.Regions["us-east-1"].ARN)
		if !c.has(l) {
			t.Errorf("Lambda does not have %v as reported", l.Regions)
		}
	}
	if report.Function != nil {
		check(report.Function.File, report.Function.CodeSha256)
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
	slices.Sort(want)
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(files(t, dir)))); diff != "" {
		t.Errorf("files of one run (-) and those there are (+):\n%s", diff)
	}
}
