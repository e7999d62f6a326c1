package main

import (
	"fmt"
	"os"
)

// manyFiles measures memory and time by the number of files below /opt.
func manyFiles(b *bench) (rows []row, err error) {
	var first usage
	const few = 30_000
	for _, n := range []int{few, 100_000, 300_000} {
		img, err := b.makeImage("files", []part{{path: "opt", kind: sources, files: n}})
		if err != nil {
			return nil, err
		}
		startSmall()
		u, err := b.dryRun(img.fromOCIArchive())() // once: the peak is what counts
		os.Remove(img.archive)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row{
			fmt.Sprintf("%d small files: memory; time", n),
			fmt.Sprintf("%.0f MiB", float64(u.memory)/(1<<20)), seconds(u.wall.Seconds()), "", "<= 150",
		})
		if n == few {
			first = u
			continue
		}
		rows = append(rows, row{
			what:    "  for each beyond 30000: memory; time",
			program: fmt.Sprintf("%.2f kB", float64(u.memory-first.memory)/float64(n-few)/1e3),
			against: fmt.Sprintf("%.1f µs", float64(u.wall.Microseconds()-first.wall.Microseconds())/float64(n-few)), goal: "<= 0.35",
		})
	}
	return rows, nil
}
