package extract

import (
	"math"
	"math/bits"

	"github.com/opencontainers/go-digest"
)

// group is the content of one Lambda layer.
type group struct {
	entries []*entry
	diffIDs []digest.Digest // of the image layers that it comes from, lowest first
	size    int64           // of its files, in bytes
}

func newGroup(entries []*entry, diffIDs ...digest.Digest) group {
	g := group{entries: entries, diffIDs: diffIDs}
	for _, e := range entries {
		g.size += e.size()
	}
	return g
}

// mergeDown merges neighbours so that there are no more groups than most; most 0
// is no limit.
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

// partition parts sizes, in their order, into so many groups, and returns where
// each ends. The largest group is as small as can be: what Lambda bounds is the
// size of a zip. Among such partitions it takes the most even one (the sum of the
// squares is least), and of equals the one whose first groups are shortest.
func partition(sizes []int64, groups int) (ends []int) {
	total := int64(0)
	for _, n := range sizes {
		total += n
	}
	limit := leastMaximum(sizes, groups, total)
	shift := max(0, bits.Len64(uint64(total))-31) // squares have to fit into 63 bits
	n := len(sizes)
	// best[k][i] is the least sum of squares of sizes[i:] in k groups, and
	// next[k][i] where the first of these ends.
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

// leastMaximum returns the size that the largest group has at least, if sizes are
// parted into so many groups.
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
