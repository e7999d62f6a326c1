package extract

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/awslabs/aws-lambda-container-image-converter/types"
)

// filesOf returns entries for paths with the sizes of their content.
func filesOf(sizes map[string]int64) (entries []*entry) {
	z := new(zipFile)
	for p, n := range sizes {
		entries = append(entries, &entry{path: p, kind: kindFile, zip: z, place: len(z.sizes)})
		z.sizes = append(z.sizes, n)
	}
	return entries
}

// mergeDown takes the two neighbours that are smallest together, at each step
// anew.
func TestMergeDown(t *testing.T) {
	for _, test := range []struct {
		sizes []int64
		most  int
		want  string
	}{
		{[]int64{5, 1, 1, 9, 2}, 0, "0 1 2 3 4"},
		{[]int64{5, 1, 1, 9, 2}, 9, "0 1 2 3 4"},
		{[]int64{5, 1, 1, 9, 2}, 4, "0 1+2 3 4"},
		{[]int64{5, 1, 1, 9, 2}, 3, "0+1+2 3 4"},
		{[]int64{5, 1, 1, 9, 2}, 2, "0+1+2 3+4"},
		{[]int64{5, 1, 1, 9, 2}, 1, "0+1+2+3+4"},
		{[]int64{1, 1, 1}, 2, "0+1 2"}, // the first of equals
		{nil, 1, ""},
	} {
		var groups []group
		for i, n := range test.sizes {
			name := fmt.Sprint(i)
			groups = append(groups, newGroup(filesOf(map[string]int64{"opt/" + name: n}), digest.Digest(name)))
		}
		var got []string
		for _, g := range mergeDown(groups, test.most) {
			got = append(got, strings.ReplaceAll(strings.Trim(fmt.Sprint(g.diffIDs), "[]"), " ", "+"))
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("%v to at most %d: got %q, want %s", test.sizes, test.most, got, test.want)
		}
	}
}

// largest names what to look at: neither all of /opt nor one file of thousands.
func TestLargest(t *testing.T) {
	for _, test := range []struct {
		sizes map[string]int64
		want  []types.Usage
	}{
		{nil, nil},
		{map[string]int64{"opt/a": 0}, nil},
		{
			map[string]int64{"opt/a": 1, "opt/b": 2, "opt/c": 3, "var/task/d": 4},
			[]types.Usage{{Path: "/var/task/d", Size: 4}, {Path: "/opt/c", Size: 3}, {Path: "/opt/b", Size: 2}},
		},
		{ // many small files are their directory
			map[string]int64{"opt/node/a": 4, "opt/node/b": 4, "opt/node/c": 4, "opt/x": 1},
			[]types.Usage{{Path: "/opt/node", Size: 12}, {Path: "/opt/x", Size: 1}},
		},
		{ // one that makes up most is named itself
			map[string]int64{"opt/lib/deep/model.bin": 90, "opt/lib/deep/b": 4, "opt/lib/c": 5},
			[]types.Usage{{Path: "/opt/lib/deep/model.bin", Size: 90}, {Path: "/opt/lib/c", Size: 5}, {Path: "/opt/lib/deep/b", Size: 4}},
		},
	} {
		if diff := cmp.Diff(test.want, largest(filesOf(test.sizes))); diff != "" {
			t.Errorf("%v (-want +got):\n%s", test.sizes, diff)
		}
	}
}
