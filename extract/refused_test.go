package extract

import (
	"regexp"
	"strings"
	"testing"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/testrun"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/imagetest"
)

// noFile matches the error that names a hard link and its target.
func noFile(link, target string) string {
	return `^"?` + regexp.QuoteMeta(link) + `"? is a hard link to "?` + regexp.QuoteMeta(target) + `"?, which is no file in the image$`
}

// TestRefused is what cannot become zips; the error says why.
func TestRefused(t *testing.T) {
	t.Parallel()
	const nothing = "^test has nothing below /opt or /var/task: "
	tests := []struct {
		name   string
		layers layers
		want   string // a regular expression
	}{
		{"hard link to nothing", layers{{imagetest.Hardlink("./opt/a", "/opt/no")}}, noFile("/opt/a", "/opt/no")},
		{"hard link to nothing, outside", layers{{imagetest.Hardlink("opt/a", "usr/no")}}, noFile("/opt/a", "/usr/no")},
		{"hard link to nothing, in the function", layers{{imagetest.Hardlink("var/task/a", "usr/no")}}, noFile("/var/task/a", "/usr/no")},
		{"hard link to itself", layers{{imagetest.Hardlink("opt/a", "opt/a")}}, noFile("/opt/a", "/opt/a")},
		{"hard links in a circle", layers{{imagetest.Hardlink("opt/a", "opt/b"), imagetest.Hardlink("opt/b", "opt/c"), imagetest.Hardlink("opt/c", "opt/a")}}, noFile("/opt/a", "/opt/b")},
		{"hard links in a circle, outside", layers{{imagetest.Hardlink("opt/a", "usr/b"), imagetest.Hardlink("usr/b", "usr/c"), imagetest.Hardlink("usr/c", "usr/b")}}, noFile("/opt/a", "/usr/b")},
		{"hard link to a directory", layers{{imagetest.Dir("opt/d/"), imagetest.Hardlink("opt/a", "opt/d")}}, noFile("/opt/a", "/opt/d")},
		{"hard link to a directory, outside", layers{{imagetest.Dir("usr/d/"), imagetest.Hardlink("opt/a", "usr/d")}}, noFile("/opt/a", "/usr/d")},
		{"hard link to a directory without an entry", layers{{imagetest.File("opt/d/x", "1"), imagetest.Hardlink("opt/a", "opt/d")}}, noFile("/opt/a", "/opt/d")},
		{"hard link to what a layer between has deleted", layers{
			{imagetest.File("opt/b", "1")},
			{imagetest.Whiteout("opt/b")},
			{imagetest.Hardlink("opt/a", "opt/b")},
		}, noFile("/opt/a", "/opt/b")},
		{"hard link to what a layer between has deleted, outside", layers{
			{imagetest.File("usr/d/b", "1")},
			{imagetest.Whiteout("usr/d")},
			{imagetest.Hardlink("opt/a", "usr/d/b")},
		}, noFile("/opt/a", "/usr/d/b")},
		{"hard link to what an opaque directory hides", layers{
			{imagetest.File("usr/d/b", "1")},
			{imagetest.Opaque("usr/d"), imagetest.Hardlink("opt/a", "usr/d/b")},
		}, noFile("/opt/a", "/usr/d/b")},
		{"hard link to what its own layer deletes", layers{
			{imagetest.File("opt/b", "1")},
			{imagetest.Hardlink("opt/a", "opt/b"), imagetest.Whiteout("opt/b")},
		}, noFile("/opt/a", "/opt/b")},
		{"hard link below what became a file", layers{
			{imagetest.File("opt/d/b", "1")},
			{imagetest.File("opt/d", "2")},
			{imagetest.Hardlink("opt/a", "opt/d/b")},
		}, noFile("/opt/a", "/opt/d/b")},
		{"hard link to /opt", layers{{imagetest.Dir("opt/"), imagetest.Hardlink("opt/a", "opt")}}, noFile("/opt/a", "/opt")},

		{"no layers", layers{}, nothing},
		{"empty layers", layers{{}, {}}, nothing},
		{"nothing below /opt", layers{{imagetest.Dir("opt/"), imagetest.Dir("var/task/"), imagetest.File("etc/a", "1"), imagetest.File("opt-a", "2")}}, nothing},
		{
			"/opt a link to nowhere",
			layers{{imagetest.Symlink("opt", "usr/opt"), imagetest.File("usr/a", "1")}},
			`^test has nothing below /opt \(a symbolic link to "/usr/opt"\) or /var/task: put the files where the link points, or make it a directory`,
		},
		{
			"/opt a link to all",
			layers{{imagetest.Symlink("opt", "usr/.."), imagetest.File("usr/a", "1")}},
			`^test: /opt is a symbolic link to "/", which overlaps with /opt: .* make it a directory`,
		},
		{"/opt a link to a link back", layers{{imagetest.Symlink("opt", "/usr"), imagetest.Symlink("usr", "opt")}}, "lead round in a circle|leads round in a circle"},
		{
			"path in a circle",
			layers{{imagetest.Symlink("opt/a", "b"), imagetest.Symlink("opt/b", "../opt/a"), imagetest.File("opt/a/c", "1")}},
			`^layer 0: "opt/a/c": symbolic links lead round in a circle at "/opt/`,
		},
		{
			"hard link in a circle",
			layers{{imagetest.Symlink("opt/a", "a"), imagetest.Hardlink("opt/c", "opt/a/c")}},
			`^layer 0: "opt/c": symbolic links lead round in a circle at "/opt/a"`,
		},
		{"nothing left below /opt", layers{{imagetest.File("opt/a", "1")}, {imagetest.Whiteout("opt/a")}}, nothing},
		{"/opt gone", layers{{imagetest.File("opt/d/a", "1")}, {imagetest.File("opt", "2")}}, nothing},
		{"nothing but special files below /opt", layers{{imagetest.Fifo("opt/a")}}, nothing},

		{"whiteout of nothing", layers{{imagetest.File("opt/.wh.", "")}}, `^layer 0: "opt/\.wh\.": .*whiteout`},
		{"whiteout of its directory", layers{{imagetest.File("./opt/.wh..", "")}}, `^layer 0: "\./opt/\.wh\.\.": .*whiteout`},
		{"whiteout of the directory above", layers{{imagetest.File("opt/a", "1")}, {imagetest.File("opt/d/.wh...", "")}}, `^layer 1: "opt/d/\.wh\.\.\.": .*whiteout`},
		{"path that is too long", layers{{imagetest.File("opt/"+strings.Repeat("d/", 2500)+"a", "1")}}, `^layer 0: "opt/d/d/.{1,300}5005 bytes`},
		{"path that is too deep", layers{{imagetest.File("opt/"+strings.Repeat("d/", 300)+"a", "1")}}, `^layer 0: "opt/d/d/.{1,300}301 directories deep`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir, _, _, err := convertLayers(t, 0, test.layers...)
			if err == nil || !regexp.MustCompile(test.want).MatchString(err.Error()) {
				t.Errorf("got error  %v\nwant error %s", err, test.want)
			}
			testrun.CheckEmpty(t, dir)
		})
	}
}
