package extract

import (
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/imagetest"
)

// TestRestoreNames is law 1 for all ways in which a tar can say a path.
func TestRestoreNames(t *testing.T) {
	t.Parallel()
	checkRestores(t, []restoreCase{
		{
			name: "names with ./ or / in front",
			layers: layers{
				{imagetest.Dir("./"), imagetest.Dir("./opt/"), imagetest.File("./opt/a", "1"), imagetest.File("/opt/b", "2"), imagetest.File("//opt//c", "3"), imagetest.File("opt/./d", "4")},
				{imagetest.Whiteout("/opt/a"), imagetest.File("opt/b", "5"), imagetest.Hardlink("./opt/e", "/opt/./c")},
			},
			want: "opt/b=5 opt/c=3 opt/d=4 opt/e=3",
		},
		{
			name: "names with ..",
			layers: layers{{
				imagetest.File("opt/x/../a", "1"),
				imagetest.File("usr/../opt/b", "2"),
				imagetest.File("opt/../usr/c", "3"),
				imagetest.File("opt/..d", "4"),
			}},
			want: "opt/..d=4 opt/a=1 opt/b=2",
		},
		{
			name: "names that climb out of the image",
			layers: layers{
				{imagetest.File("opt/gone", "1"), imagetest.File("../opt/a", "1"), imagetest.File("/../../opt/b", "2"), imagetest.File("opt/../../etc/c", "3")},
				{imagetest.Whiteout("../../opt/gone"), imagetest.Hardlink("opt/d", "../../../opt/a"), imagetest.Symlink("opt/e", "../../../etc")},
			},
			want: "opt/a=1 opt/b=2 opt/d=1 opt/e->../../../etc",
		},
		{
			name: "entries for the root, whatever they are",
			layers: layers{
				{imagetest.File("opt/a", "1"), imagetest.Dir("/"), imagetest.Dir("opt/..")},
				{imagetest.File("..", "2"), imagetest.Symlink(".", "opt"), imagetest.Hardlink("/", "opt/a"), imagetest.File("opt/b", "2")},
			},
			want: "opt/a=1 opt/b=2",
		},
		{
			name: "long names, PAX",
			layers: layers{{
				imagetest.File("opt/"+long, "1", imagetest.PAX("comment", "long")),
				imagetest.Symlink("opt/a", long, imagetest.PAX("comment", "long")),
				imagetest.Hardlink("opt/b", "opt/"+long, imagetest.PAX("comment", "long")),
			}},
			want: "opt/a->" + long + " opt/b=1 " + dirsOf("opt/"+long) + " opt/" + long + "=1",
		},
		{
			name: "long names, GNU",
			layers: layers{{
				imagetest.File("opt/"+long, "1", imagetest.GNU()),
				imagetest.Symlink("opt/a", long, imagetest.GNU()),
				imagetest.Hardlink("opt/b", "opt/"+long, imagetest.GNU()),
			}},
			want: "opt/a->" + long + " opt/b=1 " + dirsOf("opt/"+long) + " opt/" + long + "=1",
		},
		{
			name:   "non-ASCII names",
			layers: layers{{imagetest.Dir("opt/é/"), imagetest.File("opt/é/日本", "1"), imagetest.Symlink("opt/ß", "é/日本")}},
			want:   "opt/ß->é/日本 opt/é/ opt/é/日本=1",
		},
		{
			name:   "names with all kinds of characters",
			layers: layers{{imagetest.File("opt/\x1b[31m\n\x7f", "1"), imagetest.File(`opt/back\slash`, "2"), imagetest.File("opt/version;1", "3"), imagetest.File("opt/*?[", "4"), imagetest.File("opt/-n", "5")}},
			want:   "opt/\x1b[31m\n\x7f=1 opt/*?[=4 opt/-n=5 opt/back\\slash=2 opt/version;1=3",
		},
	})
}

// long is a path of more than the 256 bytes that a ustar header holds, and
// longer than any part of one.
var long = strings.Repeat(strings.Repeat("n", 120)+"/", 3) + "file"

// dirsOf lists the directories above a path.
func dirsOf(p string) string {
	var dirs []string
	for d := path.Dir(p); d != "opt"; d = path.Dir(d) {
		dirs = append(dirs, d+"/")
	}
	slices.Reverse(dirs)
	return strings.Join(dirs, " ")
}
