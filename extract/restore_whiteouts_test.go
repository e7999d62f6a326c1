package extract

import (
	"testing"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/imagetest"
)

// TestRestoreWhiteouts is law 1 for what a layer deletes of those below it.
func TestRestoreWhiteouts(t *testing.T) {
	t.Parallel()
	checkRestores(t, []restoreCase{
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
	})
}
