package extract

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/flate"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/imagetest"
	"github.com/awslabs/aws-lambda-container-image-converter/types"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
)

// layers are what an image is made of, lowest first.
type layers = [][]imagetest.Entry

// TestRestore is law 1 for one case at a time of what layers can have. Each
// case says what comes out, so that it does not rest on the reference alone
// that the random images are compared with, and the real unzip has its say too.
func TestRestore(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		layers layers
		want   string // as listing has it
	}{
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

		// Hard links.
		{
			name:   "hard link to a file earlier in the tar",
			layers: layers{{imagetest.File("opt/a", "1"), imagetest.Hardlink("opt/b", "opt/a")}},
			want:   "opt/a=1 opt/b=1",
		},
		{
			name:   "hard link to a file later in the tar",
			layers: layers{{imagetest.Hardlink("opt/b", "opt/a"), imagetest.File("opt/a", "1")}},
			want:   "opt/a=1 opt/b=1",
		},
		{
			name: "hard link between two of the same path",
			layers: layers{{
				imagetest.File("opt/a", "1"),
				imagetest.Hardlink("opt/b", "opt/a"),
				imagetest.File("opt/a", "2"),
			}},
			want: "opt/a=2 opt/b=1",
		},
		{
			name: "hard link after two of the same path",
			layers: layers{{
				imagetest.File("opt/a", "1"),
				imagetest.File("opt/a", "2"),
				imagetest.Hardlink("opt/b", "opt/a"),
			}},
			want: "opt/a=2 opt/b=2",
		},
		{
			name: "hard link before two of the same path",
			layers: layers{{
				imagetest.Hardlink("opt/b", "opt/a"),
				imagetest.File("opt/a", "1"),
				imagetest.Symlink("opt/c", "a"),
				imagetest.File("opt/a", "1"),
			}},
			want: "opt/a=1 opt/b=1 opt/c->a",
		},
		{
			name: "hard link into a lower layer",
			layers: layers{
				{imagetest.File("opt/a", "1")},
				{imagetest.File("opt/a", "2")},
				{imagetest.Hardlink("opt/b", "opt/a")},
				{imagetest.File("opt/a", "3")},
			},
			want: "opt/a=3 opt/b=2",
		},
		{
			name: "hard link to what its own layer has, not a lower one",
			layers: layers{
				{imagetest.File("opt/a", "1")},
				{imagetest.File("opt/a", "2"), imagetest.Hardlink("opt/b", "opt/a")},
			},
			want: "opt/a=2 opt/b=2",
		},
		{
			name: "hard link to what a higher layer deletes",
			layers: layers{
				{imagetest.File("opt/a", "1"), imagetest.Hardlink("opt/b", "opt/a")},
				{imagetest.Whiteout("opt/a")},
			},
			want: "opt/b=1",
		},
		{
			name:   "hard link to outside, earlier",
			layers: layers{{imagetest.File("usr/a", "1"), imagetest.Hardlink("opt/b", "usr/a")}},
			want:   "opt/b=1",
		},
		{
			name:   "hard link to outside, later",
			layers: layers{{imagetest.Hardlink("opt/b", "/usr/a"), imagetest.File("./usr/a", "1")}},
			want:   "opt/b=1",
		},
		{
			name: "hard link to outside, in a lower layer",
			layers: layers{
				{imagetest.File("usr/a", "1")},
				{imagetest.File("usr/a", "2")},
				{imagetest.Hardlink("opt/b", "usr/a")},
				{imagetest.File("usr/a", "3")},
				{imagetest.Whiteout("usr/a")},
			},
			want: "opt/b=2",
		},
		{
			name: "hard links to outside, among many that nobody links to",
			layers: layers{
				{imagetest.File("usr/a", "1"), imagetest.File("usr/b", "2"), imagetest.File("usr/c/d", "3")},
				{imagetest.Hardlink("opt/a", "usr/a"), imagetest.Hardlink("var/task/d", "usr/c/d"), imagetest.File("usr/e", "4")},
			},
			want: "opt/a=1 var/task/d=3",
		},
		{
			name: "hard link to a hard link",
			layers: layers{{
				imagetest.Hardlink("opt/c", "opt/b"),
				imagetest.File("opt/a", "1"),
				imagetest.Hardlink("opt/b", "opt/a"),
			}},
			want: "opt/a=1 opt/b=1 opt/c=1",
		},
		{
			name: "hard link to hard links outside, through layers",
			layers: layers{
				{imagetest.File("usr/a", "1")},
				{imagetest.Hardlink("usr/b", "usr/a")},
				{imagetest.Hardlink("lib/c", "usr/b")},
				{imagetest.Hardlink("opt/d", "lib/c")},
			},
			want: "opt/d=1",
		},
		{
			name: "hard link from outside back into /opt",
			layers: layers{
				{imagetest.File("opt/a", "1"), imagetest.Hardlink("usr/b", "opt/a")},
				{imagetest.Hardlink("opt/c", "usr/b")},
			},
			want: "opt/a=1 opt/c=1",
		},
		{
			name:   "hard link to a symbolic link",
			layers: layers{{imagetest.Symlink("opt/a", "nowhere"), imagetest.Hardlink("opt/b", "opt/a")}},
			want:   "opt/a->nowhere opt/b->nowhere",
		},
		{
			name:   "hard link to a symbolic link outside",
			layers: layers{{imagetest.Symlink("usr/a", "/opt"), imagetest.Hardlink("opt/b", "usr/a")}},
			want:   "opt/b->/opt",
		},
		{
			name: "hard link with permissions and time of its own",
			layers: layers{{
				imagetest.File("opt/a", "1", imagetest.Mode(0o600), imagetest.ModTime(time.Unix(1e9, 0))),
				imagetest.Hardlink("opt/b", "opt/a", imagetest.Mode(0o755), imagetest.ModTime(time.Unix(1e9+1, 0))),
			}},
			want: "opt/a=1 opt/b=1",
		},
		{
			name: "hard link to nothing that a higher layer deletes",
			layers: layers{
				{imagetest.File("opt/a", "1"), imagetest.Hardlink("opt/b", "opt/no"), imagetest.Hardlink("opt/c", "usr/no")},
				{imagetest.Whiteout("opt/b"), imagetest.File("opt/c", "2")},
			},
			want: "opt/a=1 opt/c=2",
		},

		{
			name: "hard link in a layer that is there twice, with another target each time",
			layers: layers{
				{imagetest.File("opt/a", "1")},
				{imagetest.Hardlink("opt/b", "opt/a")},
				{imagetest.Hardlink("opt/c", "opt/b")},
				{imagetest.File("opt/a", "2")},
				{imagetest.Hardlink("opt/b", "opt/a")},
			},
			want: "opt/a=2 opt/b=2 opt/c=1",
		},

		// Whiteouts and opaque directories.
		{
			name: "whiteout",
			layers: layers{
				{imagetest.File("opt/a", "1"), imagetest.File("opt/d/b", "2"), imagetest.File("opt/d2", "3"), imagetest.File("opt/c", "4")},
				{imagetest.Whiteout("opt/a"), imagetest.Whiteout("opt/d"), imagetest.Whiteout("./opt/never")},
			},
			want: "opt/c=4 opt/d2=3",
		},
		{
			name: "whiteout that leaves an empty directory",
			layers: layers{
				{imagetest.Dir("opt/d/"), imagetest.File("opt/d/a", "1")},
				{imagetest.Whiteout("opt/d/a")},
			},
			want: "opt/d/",
		},
		{
			name: "whiteout above /opt",
			layers: layers{
				{imagetest.File("opt/a", "1"), imagetest.File("var/task/b", "2")},
				{imagetest.Whiteout("opt"), imagetest.Whiteout("var")},
				{imagetest.File("opt/c", "3")},
			},
			want: "opt/c=3",
		},
		{
			name: "whiteout, then the path again, in one layer",
			layers: layers{
				{imagetest.File("opt/a", "1")},
				{imagetest.Whiteout("opt/a"), imagetest.File("opt/a", "2")},
			},
			want: "opt/a=2",
		},
		{
			name: "the path again, then its whiteout, in one layer",
			layers: layers{
				{imagetest.File("opt/a", "1")},
				{imagetest.File("opt/a", "2"), imagetest.Whiteout("opt/a")},
			},
			want: "opt/a=2",
		},
		{
			name: "whiteout, then the directory again, in one layer",
			layers: layers{
				{imagetest.Dir("opt/d/"), imagetest.File("opt/d/a", "1")},
				{imagetest.Whiteout("opt/d"), imagetest.Dir("opt/d/"), imagetest.File("opt/d/b", "2")},
			},
			want: "opt/d/ opt/d/b=2",
		},
		{
			name: "the directory again, then its whiteout, in one layer",
			layers: layers{
				{imagetest.Dir("opt/d/"), imagetest.File("opt/d/a", "1")},
				{imagetest.Dir("opt/d/"), imagetest.File("opt/d/b", "2"), imagetest.Whiteout("opt/d")},
			},
			want: "opt/d/ opt/d/b=2",
		},
		{
			name: "deleted, and made again in a higher layer",
			layers: layers{
				{imagetest.File("opt/a", "1"), imagetest.File("opt/d/b", "1")},
				{imagetest.Whiteout("opt/a"), imagetest.Whiteout("opt/d")},
				{imagetest.File("opt/a", "3"), imagetest.File("opt/d/c", "3")},
			},
			want: "opt/a=3 opt/d/ opt/d/c=3",
		},
		{
			name: "opaque marker before its siblings",
			layers: layers{
				{imagetest.Dir("opt/d/"), imagetest.File("opt/d/a", "1"), imagetest.File("opt/d/e/f", "1")},
				{imagetest.Dir("opt/d/"), imagetest.Opaque("opt/d"), imagetest.File("opt/d/b", "2")},
			},
			want: "opt/d/ opt/d/b=2",
		},
		{
			name: "opaque marker after its siblings",
			layers: layers{
				{imagetest.Dir("opt/d/"), imagetest.File("opt/d/a", "1"), imagetest.File("opt/d/e/f", "1")},
				{imagetest.File("opt/d/b", "2"), imagetest.File("opt/d/a", "2"), imagetest.Opaque("opt/d")},
			},
			want: "opt/d/ opt/d/a=2 opt/d/b=2",
		},
		{
			name: "opaque marker on a directory with nothing else",
			layers: layers{
				{imagetest.Dir("opt/d/"), imagetest.File("opt/d/a", "1")},
				{imagetest.Opaque("opt/d")},
			},
			want: "opt/d/",
		},
		{
			name: "opaque /opt",
			layers: layers{
				{imagetest.File("opt/a", "1"), imagetest.File("var/task/b", "1")},
				{imagetest.File("opt/c", "2"), imagetest.Opaque("opt")},
			},
			want: "opt/c=2 var/task/b=1",
		},
		{
			name: "opaque root",
			layers: layers{
				{imagetest.File("opt/a", "1"), imagetest.File("var/task/b", "1")},
				{imagetest.Opaque(""), imagetest.File("opt/c", "2")},
			},
			want: "opt/c=2",
		},
		{
			name: "leftovers of AUFS",
			layers: layers{
				{imagetest.File("opt/a", "1"), imagetest.File("opt/plnk", "1")},
				{
					imagetest.File(".wh..wh.aufs", ""),
					imagetest.Dir(".wh..wh.plnk/"),
					imagetest.File(".wh..wh.plnk/42.7", "2"),
					imagetest.File(".wh..wh.plnk/.wh..wh..opq", ""),
					imagetest.Dir(".wh..wh.orph/"),
					imagetest.File("opt/.wh..wh.plnk", ""),
					imagetest.File("opt/.wh..wh.tmp/b", "2"),
				},
			},
			want: "opt/a=1 opt/plnk=1",
		},
		{
			name:   "names that only look like whiteouts",
			layers: layers{{imagetest.File("opt/a", "1"), imagetest.File("opt/wh.a", "2"), imagetest.File("opt/.what", "3"), imagetest.File("opt/b.wh.", "4")}},
			want:   "opt/.what=3 opt/a=1 opt/b.wh.=4 opt/wh.a=2",
		},

		// One path twice in a tar.
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

		// Names.
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

		// Layers over one another.
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
	}
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

// layerZips are the paths of the layers' zips in order.
func layerZips(dir string, result *types.Image) (zips []string) {
	for _, l := range result.Layers {
		zips = append(zips, filepath.Join(dir, l.File))
	}
	return zips
}

// functionZip is the path of the function's zip, if there is one.
func functionZip(dir string, result *types.Image) (zips []string) {
	if result.Function != nil {
		zips = append(zips, filepath.Join(dir, result.Function.File))
	}
	return zips
}

// listing is what the zips restore, sorted: PATH=CONTENT for a file,
// PATH->TARGET for a symbolic link, PATH/ for a directory.
func listing(t testing.TB, dir string, result *types.Image) string {
	t.Helper()
	var all []string
	add := func(root string, tree map[string]imagetest.Node) {
		for p, n := range tree {
			switch n.Kind {
			case imagetest.KindFile:
				p += "=" + n.Body
			case imagetest.KindSymlink:
				p += "->" + n.Linkname
			case imagetest.KindDir:
				p += "/"
			}
			all = append(all, root+"/"+p)
		}
	}
	add(layerRoot, restore(t, layerZips(dir, result)...))
	add(functionRoot, restore(t, functionZip(dir, result)...))
	slices.Sort(all)
	return strings.Join(all, " ")
}

// checkUnzipped fails unless Info-ZIP's unzip, where it is installed, makes on
// disk what restore says.
func checkUnzipped(t testing.TB, dir string, result *types.Image) {
	t.Helper()
	if !haveUnzip() {
		return
	}
	for _, zips := range [][]string{layerZips(dir, result), functionZip(dir, result)} {
		want, got := restore(t, zips...), unzip(t, zips...)
		// unzip sets mode and time of a directory only when it makes it, and
		// never the time of a symbolic link.
		for p, n := range want {
			if n.Kind == imagetest.KindSymlink {
				n.ModTime = got[p].ModTime
				want[p] = n
			}
			if n.Kind == imagetest.KindDir && (n.Implied || zipsWith(t, p, zips) > 1) {
				want[p] = imagetest.Node{Kind: imagetest.KindDir}
				if got[p].Kind == imagetest.KindDir {
					got[p] = want[p]
				}
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("unzip makes (+) of the zips (-):\n%s", diff)
		}
	}
}

// haveUnzip reports whether the real unzip is installed, where file systems can
// hold what images have.
func haveUnzip() bool {
	_, err := exec.LookPath("unzip")
	return err == nil && runtime.GOOS == "linux"
}

// zipsWith counts the zips with something at the path or below it.
func zipsWith(t testing.TB, p string, zips []string) (n int) {
	for _, name := range zips {
		if slices.ContainsFunc(zipNames(t, name), func(s string) bool {
			return strings.TrimSuffix(s, "/") == p || below(s, p)
		}) {
			n++
		}
	}
	return n
}

// zipNames lists the names of a zip's entries.
func zipNames(t testing.TB, name string) (names []string) {
	t.Helper()
	z, err := zip.OpenReader(name)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	defer z.Close()
	for _, f := range z.File {
		names = append(names, f.Name)
	}
	return names
}

// unzip lets the program of that name unzip the zips one over the other, and
// reads what it has made.
func unzip(t testing.TB, zips ...string) map[string]imagetest.Node {
	t.Helper()
	root := memoryDir(t)
	for _, name := range zips {
		// Without -^ and -V it changes names with control characters, and
		// those that end as VMS's with a version do.
		command := exec.Command("unzip", "-qq", "-o", "-^", "-V", "-d", root, name)
		command.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
		if out, err := command.CombinedOutput(); err != nil || len(out) > 0 {
			t.Fatalf("%v: %v\n%s", command, err, out)
		}
	}
	return onDisk(t, root)
}

// onDisk reads the tree below a directory.
func onDisk(t testing.TB, root string) map[string]imagetest.Node {
	t.Helper()
	tree := map[string]imagetest.Node{}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == root {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		n := imagetest.Node{Mode: int64(info.Mode().Perm()), ModTime: info.ModTime().Unix()}
		switch info.Mode().Type() {
		case fs.ModeDir:
			n.Kind = imagetest.KindDir
		case fs.ModeSymlink:
			n.Kind, n.Mode = imagetest.KindSymlink, 0
			n.Linkname, err = os.Readlink(name)
		default:
			n.Kind = imagetest.KindFile
			var b []byte
			b, err = os.ReadFile(name)
			n.Body = string(b)
		}
		tree[filepath.ToSlash(name[len(root)+1:])] = n
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

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
		{"/opt a link to elsewhere", layers{{imagetest.Symlink("opt", "usr/opt"), imagetest.File("usr/opt/a", "1")}}, nothing},
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
			checkEmpty(t, dir)
		})
	}
}

// checkEmpty fails if there is anything in dir besides the place for temporary
// files.
func checkEmpty(t testing.TB, dir string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.Name() != "work" {
			t.Errorf("%s was left behind", f.Name())
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
	if got, want := listing(t, dir, result), "opt/a=1 opt/replaced=2"; got != want {
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

// TestModes is what law 1 says of permissions.
func TestModes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		dir      bool
		in, want fs.FileMode
	}{
		{false, 0o644, 0o644},
		{false, 0o666, 0o666},
		{false, 0o600, 0o644},
		{false, 0o400, 0o444},
		{false, 0o040, 0o444},
		{false, 0o000, 0o444},
		{false, 0o755, 0o755},
		{false, 0o700, 0o755},
		{false, 0o711, 0o755},
		{false, 0o100, 0o555},
		{false, 0o010, 0o555},
		{false, 0o001, 0o555},
		{false, 0o776, 0o777},
		{false, 0o4755, 0o755},
		{false, 0o2711, 0o755},
		{false, 0o4644, 0o644},
		{false, 0o1600, 0o644},
		{true, 0o755, 0o755},
		{true, 0o000, 0o555},
		{true, 0o700, 0o755},
		{true, 0o600, 0o755},
		{true, 0o220, 0o775},
		{true, 0o1777, 0o777},
		{true, 0o2770, 0o775},
	}
	var entries []imagetest.Entry
	want := map[string]string{"link": (fs.ModeSymlink | 0o777).String()}
	for _, test := range tests {
		if name := fmt.Sprintf("%04o", test.in); test.dir {
			entries = append(entries, imagetest.Dir("opt/d"+name+"/", imagetest.Mode(int64(test.in))))
			want["d"+name+"/"] = (fs.ModeDir | test.want).String()
		} else {
			entries = append(entries, imagetest.File("opt/f"+name, name, imagetest.Mode(int64(test.in))))
			want["f"+name] = test.want.String()
		}
	}
	entries = append(entries, imagetest.Symlink("opt/link", "f0000", imagetest.Mode(0o600)))

	layers := layers{entries}
	dir, result, _, err := convertLayers(t, 0, layers...)
	if err != nil {
		t.Fatal(err)
	}
	z, err := zip.OpenReader(filepath.Join(dir, "layer-1.zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	got := map[string]string{}
	for _, f := range z.File {
		got[f.Name] = f.Mode().String()
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("modes (+) are not as expected (-):\n%s", diff)
	}
	checkRestored(t, dir, result, layers)
	checkUnzipped(t, dir, result)
}

// TestModTimes is law 1 for modification times, among them those that the date
// of MS-DOS in each zip entry cannot say.
func TestModTimes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		in, want time.Time
	}{
		{"zero", time.Unix(0, 0), time.Unix(0, 0)},
		{"before 1970", time.Unix(-1, 0), time.Unix(-1, 0)},
		{"long before 1970", time.Date(1066, 10, 14, 0, 0, 0, 0, time.UTC), time.Unix(-1<<31, 0)},
		{"before MS-DOS", time.Date(1979, 12, 31, 23, 59, 59, 0, time.UTC), time.Date(1979, 12, 31, 23, 59, 59, 0, time.UTC)},
		{"MS-DOS", time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)},
		{"odd", time.Date(2021, 3, 4, 5, 6, 7, 0, time.UTC), time.Date(2021, 3, 4, 5, 6, 7, 0, time.UTC)},
		{"fraction", time.Date(2021, 3, 4, 5, 6, 7, 999_999_999, time.UTC), time.Date(2021, 3, 4, 5, 6, 7, 0, time.UTC)},
		{"31 bits", time.Unix(1<<31-1, 0), time.Unix(1<<31-1, 0)},
		{"32 bits", time.Unix(1<<31, 0), time.Unix(1<<31, 0)},
		{"2040", time.Date(2040, 2, 29, 12, 0, 1, 0, time.UTC), time.Date(2040, 2, 29, 12, 0, 1, 0, time.UTC)},
		{"last", time.Unix(1<<32-1, 0), time.Unix(1<<32-1, 0)},
		{"after the last", time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), time.Unix(1<<32-1, 0)},
	}
	var entries []imagetest.Entry
	for _, test := range tests {
		at := func(e *imagetest.Entry) { e.Format, e.Header.ModTime = tar.FormatPAX, test.in }
		entries = append(entries, imagetest.File("opt/"+test.name, "1", at), imagetest.Dir("opt/dir "+test.name+"/", at), imagetest.Symlink("opt/link "+test.name, "1", at))
	}
	dir, result, _, err := convertLayers(t, 0, entries)
	if err != nil {
		t.Fatal(err)
	}
	z, err := zip.OpenReader(filepath.Join(dir, "layer-1.zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	got := map[string]*zip.File{}
	for _, f := range z.File {
		got[f.Name] = f
	}
	for _, test := range tests {
		for _, name := range []string{test.name, "dir " + test.name + "/", "link " + test.name} {
			if got := extendedTime(t, got[name]); !got.Equal(test.want) {
				t.Errorf("%s: got %v, want %v", name, got, test.want.UTC())
			}
		}
	}
	// A program that knows only the date of MS-DOS gets UTC, to two seconds.
	for name, want := range map[string]time.Time{
		"zero":           time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC),
		"before MS-DOS":  time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC),
		"odd":            time.Date(2021, 3, 4, 5, 6, 6, 0, time.UTC),
		"2040":           time.Date(2040, 2, 29, 12, 0, 0, 0, time.UTC),
		"after the last": time.Date(2106, 2, 7, 6, 28, 14, 0, time.UTC),
	} {
		if got := got[name].ModTime(); !got.Equal(want) {
			t.Errorf("%s: got MS-DOS date %v, want %v", name, got, want)
		}
	}

	if !haveUnzip() {
		return
	}
	tree := unzip(t, layerZips(dir, result)...)
	for _, test := range tests {
		want := test.want
		if want.Unix() < 0 { // unzip does not know of these
			want = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)
		}
		for _, name := range []string{test.name, "dir " + test.name} {
			if got := tree[name].ModTime; got != want.Unix() {
				t.Errorf("%s: unzip makes %v, want %v", name, time.Unix(got, 0).UTC(), want.UTC())
			}
		}
	}
}

// extendedTime reads the extended timestamp of a zip entry: 32 bits with a
// sign, unless the date of MS-DOS says that it is after 2038.
func extendedTime(t testing.TB, f *zip.File) time.Time {
	t.Helper()
	e := f.Extra
	if len(e) != 9 || string(e[:5]) != "UT\x05\x00\x01" {
		t.Fatalf("%s: extra field % x", f.Name, e)
	}
	sec := binary.LittleEndian.Uint32(e[5:])
	if f.ModTime().Year() < 2038 {
		return time.Unix(int64(int32(sec)), 0).UTC()
	}
	return time.Unix(int64(sec), 0).UTC()
}

// TestNames is the flag by which zips tell names in UTF-8, and the bytes of
// names that are not: programs guess otherwise.
func TestNames(t *testing.T) {
	t.Parallel()
	want := map[string]bool{"plain": false, "é": true, "日本/": true, "\xe9": false, "\xe6\x97/": false}
	var entries []imagetest.Entry
	for name := range want {
		if strings.HasSuffix(name, "/") {
			entries = append(entries, imagetest.Dir("opt/"+name, imagetest.GNU()))
		} else {
			entries = append(entries, imagetest.File("opt/"+name, "1", imagetest.GNU()))
		}
	}
	dir, result, _, err := convertLayers(t, 0, entries)
	if err != nil {
		t.Fatal(err)
	}
	z, err := zip.OpenReader(filepath.Join(dir, "layer-1.zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	got := map[string]bool{}
	for _, f := range z.File {
		got[f.Name] = f.Flags&flagUTF8 != 0
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("names with the flag (+) are not as expected (-):\n%s", diff)
	}
	if !haveUnzip() {
		return
	}
	tree := unzip(t, layerZips(dir, result)...)
	for name := range want {
		if _, ok := tree[strings.TrimSuffix(name, "/")]; !ok {
			t.Errorf("unzip does not make %q", name)
		}
	}
}

// TestParents is the times of directories to which a later layer adds something
// and whose entry it does not repeat: unzipping it over the others must not
// leave them with the time of the day, nor with modes of the program's choice.
func TestParents(t *testing.T) {
	t.Parallel()
	one, two := time.Unix(1e9, 0), time.Unix(1e9+60, 0)
	layers := layers{
		{
			imagetest.Dir("opt/"),
			imagetest.Dir("opt/d/", imagetest.ModTime(one), imagetest.Mode(0o775)),
			imagetest.Dir("opt/d/e/", imagetest.ModTime(two), imagetest.Mode(0o777)),
			imagetest.File("opt/d/e/a", "1"),
		},
		{imagetest.File("opt/d/e/f/b", "2")},
		{imagetest.File("opt/d/c", "3")},
	}
	dir, result, _, err := convertLayers(t, 0, layers...)
	if err != nil {
		t.Fatal(err)
	}
	checkRestored(t, dir, result, layers)
	tree := restore(t, layerZips(dir, result)...)
	if got := tree["d"]; got.ModTime != one.Unix() || got.Mode != 0o775 {
		t.Errorf("/opt/d has time %v and mode %o", time.Unix(got.ModTime, 0).UTC(), got.Mode)
	}
	if got := tree["d/e"]; got.ModTime != two.Unix() || got.Mode != 0o777 {
		t.Errorf("/opt/d/e has time %v and mode %o", time.Unix(got.ModTime, 0).UTC(), got.Mode)
	}
}

// TestOneLayerEach is which Lambda layers there are, and from which image
// layers: none for layers of which nothing is seen, one for the same layer
// twice.
func TestOneLayerEach(t *testing.T) {
	t.Parallel()
	base := []imagetest.Entry{imagetest.File("opt/base", "1"), imagetest.File("opt/a", "1")}
	hidden := []imagetest.Entry{imagetest.File("opt/b", "2"), imagetest.Dir("opt/c/"), imagetest.File("opt/c/d", "2")}
	other := []imagetest.Entry{imagetest.File("etc/b", "3")}
	hides := []imagetest.Entry{imagetest.Whiteout("opt/b"), imagetest.Symlink("opt/c", "a")}
	tests := []struct {
		name   string
		layers layers
		want   []int // places in layers of those that have a zip
	}{
		{"a layer that is wholly hidden", layers{base, hidden, other, hides}, []int{0, 3}},
		{"a layer that is wholly deleted", layers{hidden, {imagetest.Opaque("opt")}, base}, []int{2}},
		{"the same layer twice", layers{base, hidden, base}, []int{1, 2}},
		{"the same layer twice, neighbours", layers{base, base}, []int{1}},
		{"the same layer three times", layers{base, hidden, base, other, base}, []int{1, 4}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir, result, _, err := convertLayers(t, 0, test.layers...)
			if err != nil {
				t.Fatal(err)
			}
			checkRestored(t, dir, result, test.layers)
			var got, want []string
			for _, l := range result.Layers {
				got = append(got, l.File+" "+l.Digest.String())
				if len(l.DiffIDs) != 1 || l.DiffIDs[0] != l.Digest {
					t.Errorf("%s: DiffIDs %v, digest %v", l.File, l.DiffIDs, l.Digest)
				}
			}
			for i, place := range test.want {
				want = append(want, fmt.Sprintf("layer-%d.zip %s", i+1, digest.FromBytes(imagetest.Tar(test.layers[place]...))))
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("layers (+) are not as expected (-):\n%s", diff)
			}
		})
	}
}

// TestFigures is what the result says of a zip.
func TestFigures(t *testing.T) {
	t.Parallel()
	dir, result, _, err := convertLayers(t, 0, []imagetest.Entry{
		imagetest.Dir("opt/d/"),
		imagetest.File("opt/d/a", strings.Repeat("a", 1000)),
		imagetest.Hardlink("opt/b", "opt/d/a"),
		imagetest.Symlink("opt/c", "d/a"),
		imagetest.File("var/task/f", "12345"),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		got         types.Archive
		files, size int
	}{
		{result.Layers[0].Archive, 3, 2003},
		{*result.Function, 1, 5},
	} {
		b, err := os.ReadFile(filepath.Join(dir, test.got.File))
		if err != nil {
			t.Fatal(err)
		}
		if test.got.Files != test.files || test.got.UncompressedSize != int64(test.size) {
			t.Errorf("%s: got %d files of %d bytes, want %d of %d", test.got.File, test.got.Files, test.got.UncompressedSize, test.files, test.size)
		}
		if want := sha256Base64(b); test.got.CodeSize != int64(len(b)) || test.got.CodeSha256 != want {
			t.Errorf("%s: got %d bytes, SHA-256 %s; want %d, %s", test.got.File, test.got.CodeSize, test.got.CodeSha256, len(b), want)
		}
	}
}

// content makes bytes that shrink well, a little, or not.
func content(rng *rand.Rand, kind string, n int) string {
	b := make([]byte, n)
	for i := range b {
		switch kind {
		case "random":
			b[i] = byte(rng.Uint32())
		case "text":
			b[i] = "etaoin shrdlu\n"[rng.IntN(14)]
		case "mixed": // each block different
			if i/blockSize%2 == 0 {
				b[i] = byte(rng.Uint32())
			}
		}
	}
	return string(b)
}

// bigFiles are files around the sizes at which compressing in blocks can go
// wrong, with small ones between.
func bigFiles() []imagetest.Entry {
	rng := rand.New(rand.NewPCG(1, 2))
	var entries []imagetest.Entry
	for _, size := range []int{0, 1, windowSize, blockSize - 1, blockSize, blockSize + 1, 2 * blockSize, 3*blockSize + 12345} {
		for _, kind := range []string{"zeros", "random", "text", "mixed"} {
			entries = append(entries, imagetest.File(fmt.Sprintf("opt/%s-%d", kind, size), content(rng, kind, size)))
		}
		for i := range 500 {
			entries = append(entries, imagetest.File(fmt.Sprintf("opt/small/%d-%d", size, i), content(rng, "text", rng.IntN(100))))
		}
	}
	return entries
}

// TestBlocks is the content of files of several blocks.
func TestBlocks(t *testing.T) {
	t.Parallel()
	layers := layers{bigFiles()}
	dir, result, _, err := convertLayers(t, 0, layers...)
	if err != nil {
		t.Fatal(err)
	}
	want := expected(imagetest.Flatten(layers), layerRoot)
	got := restore(t, layerZips(dir, result)...)
	for p, n := range want {
		if got[p].Body != n.Body { // a diff would be of megabytes
			t.Errorf("/opt/%s is not as it was", p)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d paths, want %d", len(got), len(want))
	}
	if !haveUnzip() {
		return
	}
	if out, err := exec.Command("unzip", "-tqq", filepath.Join(dir, "layer-1.zip")).CombinedOutput(); err != nil {
		t.Errorf("unzip -t: %v\n%s", err, out)
	}
}

// TestSameZips is law 2 as far as the machine goes: number of cores, time zone,
// clock, file mode mask. It is not parallel, since it changes these.
func TestSameZips(t *testing.T) {
	zone, cores := time.Local, runtime.GOMAXPROCS(0)
	t.Cleanup(func() {
		time.Local = zone
		runtime.GOMAXPROCS(cores)
	})
	layers := layers{
		bigFiles(),
		{imagetest.File("opt/small/x", "1"), imagetest.Whiteout("opt/small/0-1"), imagetest.File("var/task/a", "1")},
	}
	var first map[string]string
	for _, env := range []struct {
		cores int
		zone  *time.Location
	}{
		{1, time.UTC},
		{2, time.FixedZone("east", 9*60*60)},
		{8, time.FixedZone("west", -9*60*60-30*60)},
	} {
		runtime.GOMAXPROCS(env.cores)
		time.Local = env.zone
		dir, result, _, err := convertLayers(t, 0, layers...)
		if err != nil {
			t.Fatal(err)
		}
		zips := map[string]string{"files": fmt.Sprint(len(result.Layers))}
		for _, name := range append(layerZips(dir, result), functionZip(dir, result)...) {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			zips[filepath.Base(name)] = sha256Base64(b)
		}
		if first == nil {
			first = zips
		}
		if diff := cmp.Diff(first, zips); diff != "" {
			t.Errorf("%d cores, zone %v: zips (+) are not as the first (-):\n%s", env.cores, env.zone, diff)
		}
	}
}

// TestSharedBase is that a base layer of which the layers above hide nothing is
// the same zip in all images, so that Lambda has it once.
func TestSharedBase(t *testing.T) {
	t.Parallel()
	base := []imagetest.Entry{
		imagetest.Dir("opt/"),
		imagetest.Dir("opt/d/"),
		imagetest.File("opt/d/a", content(rand.New(rand.NewPCG(1, 2)), "text", 2*blockSize)),
		imagetest.Hardlink("opt/b", "usr/b"),
		imagetest.Symlink("opt/c", "d/a"),
	}
	below := []imagetest.Entry{imagetest.File("usr/b", "1")}
	var first types.Archive
	for i, top := range [][]imagetest.Entry{
		{},
		{imagetest.File("etc/a", "2")},
		{imagetest.File("opt/more", "2"), imagetest.File("opt/d/more", "2")},
		{imagetest.Dir("opt/d/", imagetest.Mode(0o700)), imagetest.File("opt/d/a", "2"), imagetest.File("opt/b", "2")},
		{imagetest.Whiteout("opt/never"), imagetest.Opaque("opt/new")},
	} {
		_, result, _, err := convertLayers(t, 0, below, base, top)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = result.Layers[0].Archive
		}
		if diff := cmp.Diff(first, result.Layers[0].Archive); diff != "" {
			t.Errorf("below layer %d, the base (+) is not as it was (-):\n%s", i, diff)
		}
	}
	_, result, _, err := convertLayers(t, 0, below, base, []imagetest.Entry{imagetest.Whiteout("opt/d")})
	if err != nil {
		t.Fatal(err)
	}
	if result.Layers[0].CodeSha256 == first.CodeSha256 {
		t.Error("below a layer that hides something, the base is as it was")
	}
}

// TestRawCopy is that a zip which is written again, as a layer above hides some
// of it, has the compressed bytes that it had before: compressing is most of
// the work.
func TestRawCopy(t *testing.T) {
	t.Parallel()
	base := []imagetest.Entry{
		imagetest.File("opt/gone", "1"),
		imagetest.File("opt/big", content(rand.New(rand.NewPCG(1, 2)), "mixed", 3*blockSize+1)),
		imagetest.File("opt/small", "22222222222222222222222222222222222222"),
		imagetest.Symlink("opt/link", "big"),
	}
	compressed := func(layers layers) map[string]string {
		dir, _, _, err := convertLayers(t, 0, layers...)
		if err != nil {
			t.Fatal(err)
		}
		z, err := zip.OpenReader(filepath.Join(dir, "layer-1.zip"))
		if err != nil {
			t.Fatal(err)
		}
		defer z.Close()
		raw := map[string]string{}
		for _, f := range z.File {
			r, err := f.OpenRaw()
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			raw[f.Name] = fmt.Sprint(f.Method, " ", len(b), " ", sha256Base64(b))
		}
		return raw
	}
	want := compressed(layers{base})
	delete(want, "gone")
	got := compressed(layers{base, {imagetest.Whiteout("opt/gone"), imagetest.File("opt/new", "2")}})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("compressed again (+), not as it was (-):\n%s", diff)
	}
}

// TestIncompressible is that nothing gets larger by compressing, beyond what
// marks the blocks.
func TestIncompressible(t *testing.T) {
	t.Parallel()
	const size = 4 * blockSize
	dir, _, _, err := convertLayers(t, 0, []imagetest.Entry{imagetest.File("opt/a", content(rand.New(rand.NewPCG(1, 2)), "random", size))})
	if err != nil {
		t.Fatal(err)
	}
	z, err := zip.OpenReader(filepath.Join(dir, "layer-1.zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	var stored bytes.Buffer
	w, err := flate.NewWriter(&stored, flate.NoCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got, most := z.File[0].CompressedSize64, uint64(stored.Len()+4*16); got > most {
		t.Errorf("%d bytes became %d, more than the %d of deflate's stored blocks", size, got, most)
	}
}

// claims is a source whose config names other layers than it has.
type claims struct {
	memory
	diffIDs []digest.Digest
}

func (c claims) read(ctx context.Context, repack repackFunc) (*image, error) {
	img, err := c.memory.read(ctx, repack)
	if err == nil {
		img.config.RootFS.DiffIDs = c.diffIDs
	}
	return img, err
}

// TestOtherContent is law 3: a layer that is not the one that the config names
// is refused, whatever is in it.
func TestOtherContent(t *testing.T) {
	t.Parallel()
	good := imagetest.Tar(imagetest.File("opt/a", "1"))
	other := imagetest.Tar(imagetest.File("opt/a", "2"))
	outside := imagetest.Tar(imagetest.File("etc/a", "2"))
	trailing := append(slices.Clone(good), make([]byte, 512)...)
	for name, bad := range map[string][]byte{"other content": other, "content outside": outside, "something behind the end": trailing, "nothing": {}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := memoryDir(t)
			err := convertSource(t, t.Context(), dir, claims{memory{good, bad}, []digest.Digest{digest.FromBytes(good), digest.FromBytes(good)}})
			want := fmt.Sprintf("layer 2 of 2 should be %s by the image's config, but what was read is %s: the image is damaged", digest.FromBytes(good), digest.FromBytes(bad))
			if err == nil || err.Error() != want {
				t.Errorf("got error  %v\nwant error %s", err, want)
			}
			checkEmpty(t, dir)
		})
	}
}

// convertSource converts what src has to zips in dir.
func convertSource(t testing.TB, ctx context.Context, dir string, src source) error {
	t.Helper()
	work := filepath.Join(dir, "work")
	if err := os.Mkdir(work, 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := convert(ctx, "test", src, work, Options{Dir: dir, Progress: silent{}, Warn: func(string) {}})
	return err
}

// interrupted is a source of layers in memory, several of which are read at a
// time. Reading one of them comes to what then does, after some bytes.
type interrupted struct {
	memory
	layer, after int
	then         func(ctx context.Context) io.Reader
}

func (s interrupted) read(ctx context.Context, repack repackFunc) (*image, error) {
	img := &image{}
	var blobs []layerBlob
	for i, b := range s.memory {
		img.config.RootFS.DiffIDs = append(img.config.RootFS.DiffIDs, digest.FromBytes(b))
		blobs = append(blobs, layerBlob{
			key:  fmt.Sprint(i),
			name: fmt.Sprint("layer ", i),
			open: func(ctx context.Context) (io.ReadCloser, int64, error) {
				var r io.Reader = bytes.NewReader(b)
				if i == s.layer {
					r = io.MultiReader(bytes.NewReader(b[:s.after]), s.then(ctx), bytes.NewReader(b[s.after:]))
				}
				return io.NopCloser(r), int64(len(b)), nil
			},
		})
	}
	var err error
	img.layers, err = repackAll(ctx, blobs, repack)
	return img, err
}

// TestBrokenReading is law 4: wherever reading a layer breaks off, nothing
// appears in the output directory, and everything that was under way ends
// (synctest.Test fails otherwise).
func TestBrokenReading(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	src := memory{
		imagetest.Tar(imagetest.File("opt/a", content(rng, "text", 3*blockSize))),
		imagetest.Tar(imagetest.File("opt/b", content(rng, "random", 5*blockSize)), imagetest.File("opt/c", "3"), imagetest.File("opt/d", "4")),
		imagetest.Tar(imagetest.File("opt/e", content(rng, "text", 3*blockSize))),
	}
	end := len(src[1]) - 4096 // before opt/d
	broken := errors.New("broken off")
	ways := []struct {
		name string
		then func(ctx context.Context, cancel func(), dir string) error // of Read
		want error
	}{
		{"error", func(context.Context, func(), string) error { return broken }, broken},
		{"cut", func(context.Context, func(), string) error { return io.ErrUnexpectedEOF }, io.ErrUnexpectedEOF},
		{"interrupt", func(_ context.Context, cancel func(), _ string) error {
			cancel()
			return io.EOF // the rest comes all the same
		}, context.Canceled},
		{"interrupt of a stalled read", func(ctx context.Context, cancel func(), _ string) error {
			cancel()
			<-ctx.Done()
			return ctx.Err()
		}, context.Canceled},
		{"no place for zips", func(_ context.Context, _ func(), dir string) error {
			if err := os.RemoveAll(dir); err != nil {
				return err
			}
			return io.EOF
		}, fs.ErrNotExist},
	}
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			for _, after := range []int{0, 1, 511, 512, 513, chunkSize, blockSize, blockSize + 512, 3*blockSize + 77, end - 1, end} {
				synctest.Test(t, func(t *testing.T) {
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					dir := filepath.Join(memoryDir(t), "out")
					if err := os.Mkdir(dir, 0o755); err != nil {
						t.Fatal(err)
					}
					err := convertSource(t, ctx, dir, interrupted{src, 1, after, func(ctx context.Context) io.Reader {
						return readFunc(func() error { return way.then(ctx, cancel, dir) })
					}})
					if !errors.Is(err, way.want) {
						t.Errorf("after %d bytes: got error %v, want %v", after, err, way.want)
					}
					checkEmpty(t, dir)
				})
			}
		})
	}
}

// readFunc is a reader that has nothing but an error.
type readFunc func() error

func (f readFunc) Read([]byte) (int, error) { return 0, f() }

// TestNoTemporaryFiles is law 4 for whole conversions: whatever happens, what
// is left in the directory is the result, or nothing.
func TestNoTemporaryFiles(t *testing.T) {
	t.Parallel()
	good := imagetest.Tar(imagetest.File("opt/a", content(rand.New(rand.NewPCG(1, 2)), "text", blockSize)), imagetest.File("opt/b", "1"))
	top := imagetest.Tar(imagetest.Whiteout("opt/b"), imagetest.File("var/task/f", "2"))
	img := imagetest.Image(imagetest.Options{Compression: imagetest.Gzip, OCI: true}, good, top)
	damaged := imagetest.ImageOf(imagetest.Options{OCI: true},
		imagetest.SwapContent(imagetest.Layer(good, imagetest.None, true), imagetest.Layer(top, imagetest.None, true)),
		imagetest.Layer(top, imagetest.Gzip, true))

	in := t.TempDir()
	for name, content := range map[string]imagetest.Content{"good": img, "damaged": damaged} {
		if err := imagetest.WriteOCILayout(filepath.Join(in, name), "", content); err != nil {
			t.Fatal(err)
		}
		if err := imagetest.WriteOCIArchive(filepath.Join(in, name+".oci.tar"), "", content); err != nil {
			t.Fatal(err)
		}
		if err := imagetest.WriteDockerArchive(filepath.Join(in, name+".tar"), imagetest.DockerOCI, imagetest.Ref{Content: content}); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"good.tar", "good.oci.tar"} {
		b, err := os.ReadFile(filepath.Join(in, name))
		if err != nil {
			t.Fatal(err)
		}
		compressed := gzipOf(t, b)
		for file, content := range map[string][]byte{
			"cut." + name:          b[:len(b)*2/3],
			name + ".gz":           compressed,
			"cut." + name + ".gz":  compressed[:len(compressed)*2/3],
			"flip." + name + ".gz": flipped(compressed),
		} {
			if err := os.WriteFile(filepath.Join(in, file), content, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}

	for _, test := range []struct {
		transport, file string
		good            bool
	}{
		{"oci", "good", true},
		{"oci", "damaged", false},
		{"oci", "missing", false},
		{"oci-archive", "good.oci.tar", true},
		{"oci-archive", "good.oci.tar.gz", true},
		{"oci-archive", "damaged.oci.tar", false},
		{"oci-archive", "cut.good.oci.tar", false},
		{"oci-archive", "cut.good.oci.tar.gz", false},
		{"oci-archive", "flip.good.oci.tar.gz", false},
		{"oci-archive", "missing", false},
		{"docker-archive", "good.tar", true},
		{"docker-archive", "good.tar.gz", true},
		{"docker-archive", "damaged.tar", false},
		{"docker-archive", "cut.good.tar", false},
		{"docker-archive", "cut.good.tar.gz", false},
		{"docker-archive", "flip.good.tar.gz", false},
		{"docker-archive", "missing", false},
	} {
		t.Run(test.transport+" "+test.file, func(t *testing.T) {
			t.Parallel()
			ref, err := ParseReference(test.transport + ":" + filepath.Join(in, test.file))
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			_, err = Convert(t.Context(), ref, Options{Dir: dir, Progress: silent{}, Warn: func(string) {}})
			if (err == nil) != test.good {
				t.Errorf("error %v", err)
			}
			var want []string
			if test.good {
				want = []string{"function.zip", "layer-1.zip"}
			}
			files, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range files {
				got = append(got, f.Name())
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("files (+) are not as expected (-):\n%s", diff)
			}
		})
	}
}
