package extract

import (
	"math"
	"math/bits"

	"github.com/opencontainers/go-digest"
)

// group is the content of one Lambda layer.
type group struct {
	entries []*entry
	diffIDs []digest.Digest // of the image layers in it, the lowest first
	size    int64           // of its files, in bytes
}

func newGroup(entries []*entry, diffIDs ...digest.Digest) group {
	g := group{entries: entries, diffIDs: diffIDs}
	for _, e := range entries {
		g.size += e.size()
	}
	return g
}

// mergeDown merges neighbours until there are at most that many groups; 0 means no limit.
func mergeDown(groups []group, most int) []group {
	if most == 0 || len(groups) <= most {
		return groups
	}
	sizes := make([]int64, len(groups))
	for i, g := range groups {
		sizes[i] = g.size
	}
	var merged []group
	start := 0
	for _, end := range partition(sizes, most) {
		var entries [][]*entry
		var diffIDs []digest.Digest
		for _, g := range groups[start:end] {
			entries = append(entries, g.entries)
			diffIDs = append(diffIDs, g.diffIDs...)
		}
		merged = append(merged, newGroup(merge(entries...), diffIDs...))
		start = end
	}
	return merged
}

// partition splits sizes, in their order, into that many groups, and returns where each
// one ends. The largest group is as small as possible, because Lambda limits the size of
// a layer. Among such partitions it takes the most even one, which has the least sum of
// squares, and among equals the one whose first groups are shortest.
func partition(sizes []int64, groups int) (ends []int) {
	total := int64(0)
	for _, n := range sizes {
		total += n
	}
	limit := leastMaximum(sizes, groups, total)
	shift := max(0, bits.Len64(uint64(total))-31) // squares have to fit into 63 bits
	n := len(sizes)
	// best[k][i] is the least sum of squares for sizes[i:] in k groups, and next[k][i]
	// is where the first of those groups ends.
	best, next := make([][]int64, groups+1), make([][]int, groups+1)
	for k := range best {
		best[k], next[k] = make([]int64, n+1), make([]int, n+1)
		for i := range best[k] {
			best[k][i] = math.MaxInt64
		}
	}
	best[0][n] = 0
	for k := 1; k <= groups; k++ {
		for i := range n {
			sum := int64(0)
			for end := i + 1; end <= n; end++ {
				if sum += sizes[end-1]; sum > limit {
					break
				}
				if rest := best[k-1][end]; rest < math.MaxInt64 {
					if squares := rest + (sum>>shift)*(sum>>shift); squares < best[k][i] {
						best[k][i], next[k][i] = squares, end
					}
				}
			}
		}
	}
	for k, i := groups, 0; k > 0; k-- {
		i = next[k][i]
		ends = append(ends, i)
	}
	return ends
}

// leastMaximum returns the least size that the largest group can have if sizes are split
// into that many groups.
func leastMaximum(sizes []int64, groups int, total int64) int64 {
	low, high := int64(0), total // high is enough
	for low < high {
		limit, count, sum := low+(high-low)/2, 1, int64(0)
		fits := true
		for _, n := range sizes {
			if sum+n > limit {
				count++
				sum = 0
			}
			sum += n
			fits = fits && n <= limit
		}
		if fits && count <= groups {
			high = limit
		} else {
			low = limit + 1
		}
	}
	return low
}
