package cli

import (
	"fmt"

	"github.com/awslabs/aws-lambda-container-image-converter/extract"
	"github.com/awslabs/aws-lambda-container-image-converter/types"
	"github.com/opencontainers/go-digest"
)

// reading is how far the image has been read.
type reading struct {
	layersBegun, layersRead int
	bytesRead               int64
}

// open tells that the image is being looked for, until its first layer comes: an
// engine may take its time to get everything together.
func (p *progress) open(image string) {
	p.now("opening " + image)
	p.begin()
}

// Start is part of extract.Progress. The bar does not say which layer it is: the
// name is the source's, and only what is read has a DiffID.
func (p *progress) Start(_ string, size int64) extract.Task {
	p.mu.Lock()
	p.layersBegun++
	p.doing = p.readingStatus
	p.mu.Unlock()
	return &task{progress: p, size: size, bar: p.newBar("reading a layer", size)}
}

func (p *progress) readingStatus() string {
	read := fmt.Sprintf("%s, %s read", count(p.layersRead, "layer"), types.FormatSize(p.bytesRead))
	if p.layersBegun == p.layersRead {
		return read + ", making the zips"
	}
	return read + ", reading on"
}

// count is a number of things.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// task is one layer being read.
type task struct {
	*progress
	size int64
	bar  *bar
}

// Add is part of extract.Task.
func (t *task) Add(n int) {
	t.bar.add(int64(n))
	t.mu.Lock()
	defer t.mu.Unlock()
	t.bytesRead += int64(n)
}

// Done is part of extract.Task.
func (t *task) Done(d digest.Digest) {
	t.bar.end()
	if d == "" {
		return
	}
	t.mu.Lock()
	t.layersRead++
	t.mu.Unlock()
	if !t.onBars {
		t.log("read layer %s (%s)", short(d), types.FormatSize(t.size))
	}
}
