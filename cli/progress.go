package cli

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"unicode"

	"github.com/awslabs/aws-lambda-container-image-converter/extract"
	"github.com/awslabs/aws-lambda-container-image-converter/types"
	"github.com/opencontainers/go-digest"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

// progress tells people what is going on: bars on a terminal, lines elsewhere.
type progress struct {
	stderr *printer
	w      io.Writer     // for lines
	bars   *mpb.Progress // nil: lines
	held   bytes.Buffer  // lines for after the bars, which would hide late ones
	opened func()        // ends what open shows
}

func newProgress(w *printer, quiet bool) *progress {
	p := &progress{stderr: w, w: w}
	if f, ok := w.w.(*os.File); ok && !quiet && term.IsTerminal(int(f.Fd())) {
		p.bars = mpb.New(mpb.WithOutput(f), mpb.WithWidth(64))
		p.w = &p.held
	}
	if quiet {
		p.w = io.Discard
	}
	return p
}

func (p *progress) log(message string) {
	fmt.Fprintf(p.w, "img2lambda: %s\n", oneLine(message))
}

func (p *progress) warn(message string) { p.log("warning: " + message) }

// open shows on a terminal that the image is being looked for, until its first
// layer comes: an engine may take its time to get everything together.
func (p *progress) open(image string) {
	p.opened = func() {}
	if p.bars != nil {
		bar := p.bars.New(0, mpb.SpinnerStyle().PositionLeft(), mpb.BarPriority(-1), mpb.BarWidth(1),
			mpb.AppendDecorators(decor.Name("opening "+printable(image))))
		p.opened = sync.OnceFunc(func() { bar.Abort(true) })
	}
}

// wait ends the bars.
func (p *progress) wait() {
	p.opened()
	if p.bars != nil {
		p.bars.Wait()
		p.bars, p.w = nil, p.stderr
		p.held.WriteTo(p.w)
	}
}

// Start is part of extract.Progress.
func (p *progress) Start(name string, size int64) extract.Task {
	p.opened()
	t := &task{progress: p, size: size}
	if p.bars != nil {
		t.bar = p.bars.AddBar(max(size, 0), mpb.BarRemoveOnComplete(),
			mpb.PrependDecorators(decor.Name(brief(name), decor.WCSyncSpaceR)),
			mpb.AppendDecorators(decor.CountersKibiByte("% .1f / % .1f")))
	}
	return t
}

// brief is a layer's name with its digest cut to what fits on a line.
func brief(name string) string {
	const most = len("layer sha256:") + 12
	return printable(name[:min(len(name), most)])
}

// printable is a text for a bar, which does not go through the printer.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

// task is one layer being read.
type task struct {
	*progress
	size int64
	bar  *mpb.Bar
}

// Add is part of extract.Task.
func (t *task) Add(n int) {
	if t.bar != nil {
		t.bar.IncrBy(n)
	}
}

// Done is part of extract.Task.
func (t *task) Done(d digest.Digest) {
	switch {
	case t.bar == nil && d != "":
		fmt.Fprintf(t.w, "img2lambda: read layer %s (%s)\n", short(d), types.FormatSize(t.size))
	case t.bar != nil && d != "":
		t.bar.SetTotal(-1, true)
	case t.bar != nil:
		t.bar.Abort(true)
	}
}
