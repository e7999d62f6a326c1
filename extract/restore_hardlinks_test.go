package extract

import (
	"testing"
	"time"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/imagetest"
)

// TestRestoreHardLinks is law 1 for hard links, which become copies.
func TestRestoreHardLinks(t *testing.T) {
	t.Parallel()
	checkRestores(t, []restoreCase{
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
			name: "hard link to what a lower layer has from outside, before its own layer has something else",
			layers: layers{
				{imagetest.File("usr/a", "1"), imagetest.Hardlink("opt/a", "usr/a")},
				{imagetest.Hardlink("opt/b", "opt/a"), imagetest.Symlink("opt/a", "b")},
			},
			want: "opt/a->b opt/b=1",
		},
		{
			name: "hard link to what has taken the place of another one outside",
			layers: layers{
				{
					imagetest.File("opt/a", "1", imagetest.ModTime(time.Unix(1e9, 0))),
					imagetest.Hardlink("usr/a", "opt/a", imagetest.ModTime(time.Unix(1e9+1, 0))),
					imagetest.File("usr/a", "2"),
					imagetest.Hardlink("opt/b", "usr/a", imagetest.ModTime(time.Unix(1e9+2, 0))),
				},
				{imagetest.Whiteout("opt/b")},
			},
			want: "opt/a=1",
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
	})
}
