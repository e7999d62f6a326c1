package extract

import (
	"slices"
	"strings"
	"testing"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/imagetest"
)

// TestKindChanges is law 1 for a path that is one thing in a layer and another
// in the next.
func TestKindChanges(t *testing.T) {
	t.Parallel()
	kinds := []struct {
		name    string
		entries []imagetest.Entry
		want    string
	}{
		{"file", []imagetest.Entry{imagetest.File("opt/x", "file")}, " opt/x=file"},
		{"directory", []imagetest.Entry{imagetest.Dir("opt/x/"), imagetest.File("opt/x/in", "1")}, " opt/x/ opt/x/in=1"},
		{"implied directory", []imagetest.Entry{imagetest.File("opt/x/of/it", "2")}, " opt/x/ opt/x/of/ opt/x/of/it=2"},
		{"symbolic link", []imagetest.Entry{imagetest.Symlink("opt/x", "keep")}, " opt/x->keep"},
		{"symbolic link to a directory", []imagetest.Entry{imagetest.Symlink("opt/x", ".")}, " opt/x->."},
		{"hard link", []imagetest.Entry{imagetest.Hardlink("opt/x", "opt/keep")}, " opt/x=kept"},
		{"fifo", []imagetest.Entry{imagetest.Fifo("opt/x")}, ""},
		{"device", []imagetest.Entry{imagetest.CharDev("opt/x")}, ""},
	}
	base := []imagetest.Entry{imagetest.File("opt/keep", "kept")}
	for _, from := range kinds {
		for _, to := range kinds {
			if from.name == to.name || strings.HasSuffix(from.name, "directory") && strings.HasSuffix(to.name, "directory") {
				continue // nothing changes
			}
			t.Run(from.name+" to "+to.name, func(t *testing.T) {
				t.Parallel()
				// The other way round is in the next layer.
				layers := layers{base, from.entries, to.entries}
				dir, result, _, err := convertLayers(t, 0, layers...)
				if err != nil {
					t.Fatal(err)
				}
				checkRestored(t, dir, result, layers)
				if got, want := listing(t, dir, result), "opt/keep=kept"+to.want; got != want {
					t.Errorf("got  %q\nwant %q", got, want)
				}
				checkUnzipped(t, dir, result)
			})
		}
	}
}

// TestSpecialFiles are left out; a warning names each, once, if it is in the
// image at all.
func TestSpecialFiles(t *testing.T) {
	t.Parallel()
	layers := layers{
		{imagetest.Fifo("opt/gone"), imagetest.CharDev("opt/replaced"), imagetest.Fifo("usr/fifo"), imagetest.Fifo("opt/twice")},
		{
			imagetest.Fifo("opt/fifo"),
			imagetest.CharDev("opt/d/char"),
			imagetest.BlockDev("var/task/block"),
			imagetest.Hardlink("opt/link", "usr/fifo"),
			imagetest.File("opt/a", "1"),
			imagetest.Whiteout("opt/gone"),
			imagetest.File("opt/replaced", "2"),
			imagetest.Fifo("opt/twice"),
		},
	}
	dir, result, warnings, err := convertLayers(t, 0, layers...)
	if err != nil {
		t.Fatal(err)
	}
	checkRestored(t, dir, result, layers)
	if got, want := listing(t, dir, result), "opt/a=1 opt/d/ opt/replaced=2"; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	want := []string{"/opt/d/char", "/opt/fifo", "/opt/link", "/opt/twice", "/var/task/block"}
	for _, p := range want {
		names := func(warning string) bool { return strings.Contains(warning, p) }
		if !slices.ContainsFunc(warnings, names) {
			t.Errorf("no warning names %s", p)
		}
	}
	if len(warnings) != len(want) {
		t.Errorf("warnings are %q", warnings)
	}
}
