package extract

import (
	"fmt"
	"math"
	"math/bits"
	"strings"
	"testing"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/testrun"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/awslabs/aws-lambda-container-image-converter/types"
)

// filesOf returns entries for paths with the sizes of their content.
func filesOf(sizes map[string]int64) (entries []*entry) {
	for p, n := range sizes {
		entries = append(entries, &entry{path: p, kind: kindFile, content: content{size: uint32(n)}})
	}
	return entries
}

// TestMergeDown guards against a group that is larger than it has to be, and so
// perhaps than Lambda takes.
func TestMergeDown(t *testing.T) {
	t.Parallel()
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
		{[]int64{20, 15, 15, 20}, 2, "0+1 2+3"}, // not 50 and 20
		{[]int64{9, 1, 1, 1, 3}, 3, "0 1+2+3 4"},
		{[]int64{1, 1, 1}, 2, "0 1+2"},
		{[]int64{0, 0, 0}, 2, "0 1+2"},
		{[]int64{900 << 30, 900 << 30, 900 << 30}, 2, "0 1+2"},
		{nil, 1, ""},
	} {
		if got := mergedTo(test.sizes, test.most); got != test.want {
			t.Errorf("%v to at most %d: got %q, want %s", test.sizes, test.most, got, test.want)
		}
	}
}

// mergedTo describes the groups that layers of these sizes are merged to.
func mergedTo(sizes []int64, most int) string {
	var groups []group
	for i, n := range sizes {
		name := fmt.Sprint(i)
		groups = append(groups, newGroup(filesOf(map[string]int64{"opt/" + name: n}), digest.Digest(name)))
	}
	var got []string
	for _, g := range mergeDown(groups, most) {
		got = append(got, strings.ReplaceAll(strings.Trim(fmt.Sprint(g.diffIDs), "[]"), " ", "+"))
	}
	return strings.Join(got, " ")
}

// TestPartition compares with trying all partitions.
func TestPartition(t *testing.T) {
	t.Parallel()
	rng := testrun.Random(t)
	for range 500 {
		sizes := make([]int64, 1+rng.IntN(9))
		for i := range sizes {
			sizes[i] = rng.Int64N(30)
		}
		groups := 1 + rng.IntN(len(sizes))
		largest, squares := int64(math.MaxInt64), int64(math.MaxInt64)
		for cuts := range 1 << (len(sizes) - 1) {
			if bits.OnesCount(uint(cuts)) != groups-1 {
				continue
			}
			var ends []int
			for i := range len(sizes) - 1 {
				if cuts>>i&1 == 1 {
					ends = append(ends, i+1)
				}
			}
			if l, s := figures(sizes, append(ends, len(sizes))); l < largest || l == largest && s < squares {
				largest, squares = l, s
			}
		}
		if l, s := figures(sizes, partition(sizes, groups)); l != largest || s != squares {
			t.Errorf("%v in %d groups: ends %v with largest %d, squares %d; there is one with %d, %d",
				sizes, groups, partition(sizes, groups), l, s, largest, squares)
		}
	}
}

// figures returns the size of the largest group and the sum of the squares.
func figures(sizes []int64, ends []int) (largest, squares int64) {
	start := 0
	for _, end := range ends {
		sum := int64(0)
		for _, n := range sizes[start:end] {
			sum += n
		}
		largest, squares, start = max(largest, sum), squares+sum*sum, end
	}
	return largest, squares
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
		if diff := cmp.Diff(test.want, largest(filesOf(test.sizes), lambdaRoots)); diff != "" {
			t.Errorf("%v (-want +got):\n%s", test.sizes, diff)
		}
	}
}
