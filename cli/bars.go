package cli

import (
	"fmt"
	"io"
	"math"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

func newBars(w io.Writer) *mpb.Progress { return mpb.New(mpb.WithOutput(w)) }

// newStatusBar adds a line below all bars.
func newStatusBar(bars *mpb.Progress, status func() string) *mpb.Bar {
	frames := []rune("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")
	at := 0
	return newLine(bars, math.MaxInt, func(int) string {
		at++
		return string(frames[at%len(frames)]) + " " + printable(status())
	})
}

// newLine adds a line that is drawn anew all the time, for a terminal of so many
// columns. What is too long is cut.
func newLine(bars *mpb.Progress, priority int, draw func(width int) string) *mpb.Bar {
	return bars.New(0, nil, mpb.BarPriority(priority), mpb.BarFillerTrim(),
		mpb.PrependDecorators(decor.Any(func(s decor.Statistics) string { return draw(s.AvailableWidth) })))
}

// bar shows how much of something is done. On nil, its methods do nothing.
type bar struct {
	line *mpb.Bar
	done atomic.Int64 // bytes
}

// newBar adds a bar for size bytes (-1: nobody knows), unless there are none.
func (p *progress) newBar(label string, size int64) *bar {
	p.mu.Lock()
	bars := p.bars
	p.widest = max(p.widest, utf8.RuneCountInString(label))
	p.mu.Unlock()
	if bars == nil {
		return nil
	}
	b := new(bar)
	b.line = newLine(bars, 0, func(width int) string {
		p.mu.Lock()
		widest := p.widest
		p.mu.Unlock()
		return drawBar(width, widest, printable(label), b.done.Load(), size)
	})
	return b
}

func (b *bar) add(n int64) {
	if b != nil {
		b.done.Add(n)
	}
}

func (b *bar) set(n int64) {
	if b != nil {
		b.done.Store(n)
	}
}

func (b *bar) end() {
	if b != nil {
		b.line.Abort(true)
	}
}

const (
	// longestBar is how many columns the bar itself takes at most.
	longestBar = 40
	// shortestBar is with how many it is left out.
	shortestBar = 8
)

// drawBar draws a bar on a line: a label, which gets as many columns as the widest
// one, the bar, and bytes. Where the line is too narrow, the bar is left out, and
// the label shortened.
func drawBar(width, widest int, label string, done, size int64) string {
	bytes := inMB(done) + " MB"
	if size > 0 {
		done = min(done, size)
		bytes = fmt.Sprintf("%*s / %s MB", len(inMB(size)), inMB(done), inMB(size))
	}
	if most := max(width-len(bytes)-2, 0); widest > most {
		widest = most
	}
	label = shorten(label, widest)
	line := label + strings.Repeat(" ", widest-utf8.RuneCountInString(label)) + "  "
	if room := min(width-widest-len(bytes)-6, longestBar); room >= shortestBar && size > 0 {
		full := int(done * int64(room) / size)
		line += "[" + strings.Repeat("=", full) + strings.Repeat(" ", room-full) + "]  "
	}
	return line + bytes
}
