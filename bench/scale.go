package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// bigFile measures a file of 200 MB on all cores against the same on one.
func bigFile(b *bench) ([]row, error) {
	img, err := b.makeImage("big-file", []part{{path: "opt/file", kind: programs, size: 200 * mega, one: true}})
	if err != nil {
		return nil, err
	}
	defer os.Remove(img.archive)
	var zips [2][]byte // their digests
	note := func(i int, run func() (usage, error)) func() (usage, error) {
		return func() (u usage, err error) {
			if u, err = run(); err == nil {
				zips[i], err = fileDigest(filepath.Join(b.output(), "layer-1.zip"))
			}
			return u, err
		}
	}
	x, y, _, err := b.compare(
		note(0, b.dryRun(img.fromOCIArchive())),
		note(1, b.dryRun(img.fromOCIArchive(), "GOMAXPROCS=1")))
	if err != nil {
		return nil, err
	}
	same := "yes"
	if !bytes.Equal(zips[0], zips[1]) {
		same = "no"
	}
	return []row{
		{"one file of 200 MB; with GOMAXPROCS=1 (as fast)", seconds(x), seconds(y), ratio(y / x), ">= 1.7"},
		{what: "  the zip is the same", program: same, goal: "yes"},
	}, nil
}

func fileDigest(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return h.Sum(nil), err
}

// growth measures an image against one of a quarter of it.
func growth(b *bench) ([]row, error) {
	small, err := b.makeImage("small", equalLayers(4)...)
	if err != nil {
		return nil, err
	}
	defer os.Remove(small.archive)
	large, err := b.makeImage("large", equalLayers(16)...)
	if err != nil {
		return nil, err
	}
	defer os.Remove(large.archive)
	x, y, _, err := b.compare(b.dryRun(large.fromOCIArchive()), b.dryRun(small.fromOCIArchive()))
	if err != nil {
		return nil, err
	}
	return []row{{"16 layers of 256 MB; 4 layers of 64 MB", seconds(x), seconds(y), ratio(x / y), "<= 4.4"}}, nil
}

// equalLayers are n layers that differ in the names of their directories only.
func equalLayers(n int) [][]part {
	layers := make([][]part, n)
	for i := range layers {
		layers[i] = []part{
			{path: fmt.Sprintf("usr/%d", i), kind: sources, size: 8 * mega},
			{path: fmt.Sprintf("opt/%d/bin", i), kind: programs, size: 5 * mega},
			{path: fmt.Sprintf("opt/%d/lib", i), kind: sources, size: 3 * mega},
		}
	}
	return layers
}
