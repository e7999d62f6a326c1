package extract

import (
	"testing"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/imagetest"
)

// restoreCase is one case of what layers can have. It says what comes out, so that
// it does not rest on the reference alone that the random images are compared
// with.
type restoreCase struct {
	name   string
	layers layers
	want   string // as listing has it
}

// checkRestores is law 1 for each case; the real unzip has its say too.
func checkRestores(t *testing.T, tests []restoreCase) {
	t.Helper()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for _, most := range []int{0, 2, 1} { // 0 is no limit
				dir, result, warnings, err := convertLayers(t, most, test.layers...)
				if err != nil {
					t.Fatal(err)
				}
				if len(warnings) > 0 {
					t.Errorf("warnings %q", warnings)
				}
				checkRestored(t, dir, result, test.layers)
				if got := listing(t, dir, result); got != test.want {
					t.Errorf("at most %d layers: got %q\nwant %q", most, got, test.want)
				}
				checkUnzipped(t, dir, result)
			}
		})
	}
}

// TestRestore is law 1 for plain files, links and directories.
func TestRestore(t *testing.T) {
	t.Parallel()
	checkRestores(t, []restoreCase{
		{
			name: "files, links and directories",
			layers: layers{{
				imagetest.Dir("opt/"),
				imagetest.Dir("opt/bin/"),
				imagetest.File("opt/bin/run", "#!/bin/sh"),
				imagetest.Symlink("opt/bin/go", "run"),
				imagetest.Symlink("opt/out", "../../etc/passwd"),
				imagetest.File("opt/nothing", ""),
				imagetest.Dir("opt/empty/"),
				imagetest.Dir("opt/empty/too/"),
				imagetest.File("etc/passwd", "root"),
				imagetest.File("optional", "is not below /opt"),
				imagetest.File("var/tasks/nor", "is this"),
			}},
			want: "opt/bin/ opt/bin/go->run opt/bin/run=#!/bin/sh opt/empty/ opt/empty/too/ opt/nothing= opt/out->../../etc/passwd",
		},
		{
			name: "directories without an entry of their own",
			layers: layers{
				{imagetest.File("opt/a/b/c", "1")},
				{imagetest.File("opt/a/b/d", "2"), imagetest.File("opt/e/f", "3")},
			},
			want: "opt/a/ opt/a/b/ opt/a/b/c=1 opt/a/b/d=2 opt/e/ opt/e/f=3",
		},
		{
			name: "a directory that comes after what is in it",
			layers: layers{{
				imagetest.File("opt/a/b", "1"),
				imagetest.Dir("opt/a/", imagetest.Mode(0o700)),
			}},
			want: "opt/a/ opt/a/b=1",
		},
		{
			name: "function package from several layers",
			layers: layers{
				{imagetest.File("var/task/old", "1"), imagetest.File("var/task/index.js", "1"), imagetest.Dir("var/task/lib/")},
				{imagetest.Whiteout("var/task/old"), imagetest.File("opt/a", "2")},
				{imagetest.File("var/task/index.js", "3"), imagetest.Hardlink("var/task/lib/a", "opt/a")},
			},
			want: "opt/a=2 var/task/index.js=3 var/task/lib/ var/task/lib/a=2",
		},
	})
}

// TestRestoreRepeated is law 1 for one path twice in a tar: the last one counts.
func TestRestoreRepeated(t *testing.T) {
	t.Parallel()
	checkRestores(t, []restoreCase{
		{
			name:   "file twice",
			layers: layers{{imagetest.File("opt/a", "1"), imagetest.File("opt/b", "2"), imagetest.File("./opt/a", "3")}},
			want:   "opt/a=3 opt/b=2",
		},
		{
			name:   "directory twice",
			layers: layers{{imagetest.Dir("opt/d/", imagetest.Mode(0o700)), imagetest.File("opt/d/a", "1"), imagetest.Dir("opt/d", imagetest.Mode(0o777))}},
			want:   "opt/d/ opt/d/a=1",
		},
		{
			name:   "directory, then a file in its place",
			layers: layers{{imagetest.Dir("opt/d/"), imagetest.File("opt/d/a", "1"), imagetest.File("opt/d", "2")}},
			want:   "opt/d=2",
		},
		{
			name:   "file, then a directory in its place",
			layers: layers{{imagetest.File("opt/d", "1"), imagetest.Dir("opt/d/"), imagetest.File("opt/d/a", "2")}},
			want:   "opt/d/ opt/d/a=2",
		},
		{
			name:   "directory, file, directory",
			layers: layers{{imagetest.File("opt/d/a", "1"), imagetest.File("opt/d", "2"), imagetest.File("opt/d/b", "3")}},
			want:   "opt/d/ opt/d/b=3",
		},
		{
			name: "symbolic link, then a file in its place, over a file",
			layers: layers{
				{imagetest.File("opt/a", "1")},
				{imagetest.Symlink("opt/a", "/etc"), imagetest.File("opt/a", "2")},
			},
			want: "opt/a=2",
		},
	})
}

// TestRestoreOver is law 1 for layers over one another.
func TestRestoreOver(t *testing.T) {
	t.Parallel()
	checkRestores(t, []restoreCase{
		{
			name: "file over file and directory over directory",
			layers: layers{
				{imagetest.Dir("opt/d/", imagetest.Mode(0o700)), imagetest.File("opt/d/a", "1"), imagetest.File("opt/d/b", "2")},
				{imagetest.Dir("opt/d/", imagetest.Mode(0o777)), imagetest.File("opt/d/a", "3")},
			},
			want: "opt/d/ opt/d/a=3 opt/d/b=2",
		},
		{
			name: "empty layers between others",
			layers: layers{
				{},
				{imagetest.File("opt/a", "1")},
				{imagetest.File("etc/b", "2")},
				{},
				{imagetest.Dir("opt/")},
				{imagetest.File("opt/c", "3")},
			},
			want: "opt/a=1 opt/c=3",
		},
		{
			name: "symbolic link over a directory, then a path through it",
			layers: layers{
				{imagetest.File("opt/d/a", "1"), imagetest.File("opt/e/b", "2")},
				{imagetest.Symlink("opt/d", "e")},
				{imagetest.File("opt/d/c", "3")},
			},
			want: "opt/d/ opt/d/c=3 opt/e/ opt/e/b=2",
		},
		{
			name: "the same layer twice",
			layers: layers{
				{imagetest.File("opt/a", "1"), imagetest.File("opt/b", "1")},
				{imagetest.File("opt/a", "2"), imagetest.Whiteout("opt/b")},
				{imagetest.File("opt/a", "1"), imagetest.File("opt/b", "1")},
			},
			want: "opt/a=1 opt/b=1",
		},
	})
}
