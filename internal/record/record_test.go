package main

import (
	"encoding/xml"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestPictures fails if the program prints something else than the README shows:
// then `make pictures` is due.
func TestPictures(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("tmux"); err != nil {
		if os.Getenv("IMG2LAMBDA_TEST_TMUX") == "required" {
			t.Fatal(err)
		}
		t.Skip("tmux is not installed")
	}
	bin := t.TempDir()
	out, err := exec.CommandContext(t.Context(), "go", "build", "-ldflags", "-s -w", "-o", filepath.Join(bin, "img2lambda"), "../..").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	// As make does: with the race detector the engine and the API take most of the time.
	dir := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "go", "run", ".", bin, dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want, got := lastLines(readPicture(t, dir, "run.svg")), lastLines(readPicture(t, assets, "run.svg"))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("assets/run.svg (+) is not what the program prints (-):\n%s", diff)
	}
	if len(want) < 20 {
		t.Errorf("the program prints only %d lines", len(want))
	}
}

// lastLines returns the lines that a picture shows in the end, in no order: layers are
// published side by side. What it shows before depends on the time.
func lastLines(picture string) (lines []string) {
	_, last, _ := strings.Cut(picture, lastScreen)
	for _, line := range regexp.MustCompile(`<text [^>]*>(.*)</text>`).FindAllStringSubmatch(last, -1) {
		lines = append(lines, line[1])
	}
	slices.Sort(lines)
	return lines
}

// TestDrawings fails if the drawings are not what they are drawn by.
func TestDrawings(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"layers-light.svg": drawLayers(light), "layers-dark.svg": drawLayers(dark)} {
		if diff := cmp.Diff(want, readPicture(t, assets, name)); diff != "" {
			t.Errorf("assets/%s (+) is not what is drawn (-):\n%s", name, diff)
		}
	}
}

// TestColours checks what is made of a terminal's escape sequences.
func TestColours(t *testing.T) {
	t.Parallel()
	got := drawScreen("\x1b[32m$\x1b[39m \x1b[1ma <b>\x1b[0m  \n\nc  d")
	want := `<text x="17" y="32" textLength="63" lengthAdjust="spacingAndGlyphs" xml:space="preserve"><tspan class="c32">$</tspan> <tspan class="c1">a &lt;b&gt;</tspan></text>
<text x="17" y="74" textLength="36" lengthAdjust="spacingAndGlyphs" xml:space="preserve">c  d</text>
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// assets are the pictures that the README shows.
const assets = "../../assets"

func readPicture(t *testing.T, dir, name string) string {
	t.Helper()
	file := filepath.Join(dir, name)
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := xml.Unmarshal(content, new(struct{ XMLName xml.Name })); err != nil {
		t.Errorf("%s is no XML: %v", file, err)
	}
	return string(content)
}
