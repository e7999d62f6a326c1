package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// memory measures what the program has at once in memory and on disk while
// it converts an image of 2 GiB.
func memory(b *bench) ([]row, error) {
	const rest = 2<<30 - 240*mega
	parts := [][]part{{{path: "opt/file", kind: programs, size: 240 * mega, one: true}}}
	for i := range 7 {
		parts = append(parts, []part{{path: fmt.Sprintf("usr/%d", i), kind: kind(i % 2), size: rest / 7}})
	}
	img, err := b.makeImage("2-gib", parts...)
	if err != nil {
		return nil, err
	}
	defer os.Remove(img.archive)
	rows, err := b.peaks("OCI archive", img.fromOCIArchive(), img.size)
	if err != nil {
		return nil, err
	}
	there := engines(b.ctx)
	if len(there) == 0 {
		return append(rows, skipped(noEngine)...), nil
	}
	for _, e := range there {
		unload, err := e.load(b.ctx, img)
		if err != nil {
			return nil, err
		}
		more, err := b.peaks(e.name, img.name, img.size, e.env()...)
		unload()
		if err != nil {
			return nil, err
		}
		rows = append(rows, more...)
	}
	return rows, nil
}

// peaks measures a conversion of an image of so many bytes with each of several
// numbers of cores: once, since it is the peaks that count, and in a run are
// many.
func (b *bench) peaks(source, name string, size int64, env ...string) (rows []row, err error) {
	var disk int64
	for _, cores := range []string{"1", "2", "16"} {
		startSmall()
		stop := b.watchDisk()
		u, err := b.dryRun(name, append(env, "GOMAXPROCS="+cores)...)()
		disk = max(disk, stop())
		if err != nil {
			return nil, err
		}
		rows = append(rows, row{
			what:    fmt.Sprintf("memory, 2 GiB, %s, GOMAXPROCS=%s", source, cores),
			program: fmt.Sprintf("%.0f MiB", float64(u.memory)/(1<<20)), goal: "<= 150",
		})
	}
	return append(rows, row{
		"  files on disk; size of the image",
		megabytes(disk), megabytes(size), ratio(float64(disk) / float64(size)), "<= 1",
	}), nil
}

// watchDisk looks at the output directory from time to time until stop is
// called, which returns the most bytes of files that were there at once.
func (b *bench) watchDisk() (stop func() int64) {
	done, peak := make(chan struct{}), make(chan int64)
	go func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		var highest int64
		for {
			highest = max(highest, bytesIn(b.output()))
			select {
			case <-tick.C:
			case <-done:
				peak <- highest
				return
			}
		}
	}()
	return func() int64 {
		close(done)
		return <-peak
	}
}

// bytesIn returns the size of all files below a directory, less those that
// disappear meanwhile.
func bytesIn(dir string) (n int64) {
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		if info, err := d.Info(); err == nil && info.Mode().IsRegular() {
			n += info.Size()
		}
		return nil
	})
	return n
}
