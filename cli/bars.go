package cli

import (
	"fmt"
	"io"
	"math"
	"slices"
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

// mostBars is how many bars there are at a time, if the terminal has the lines for
// them; the others wait. More than it has would stay on it.
const mostBars = 8

// bar shows how much of something is done. On nil, its methods do nothing.
type bar struct {
	progress *progress
	label    string
	done     atomic.Int64 // bytes
	size     int64        // -1: nobody knows
	line     *mpb.Bar     // nil: it waits
}

// newBar adds a bar for size bytes (-1: nobody knows), unless there are none.
func (p *progress) newBar(label string, size int64) *bar {
	p.mu.Lock()
	p.widest = max(p.widest, utf8.RuneCountInString(label))
	if p.bars == nil {
		p.mu.Unlock()
		return nil
	}
	b := &bar{progress: p, label: label, size: size}
	p.shown = append(p.shown, b)
	p.mu.Unlock()
	p.showBars()
	return b
}

// showBars gives lines to the first bars. It does not hold mu meanwhile, as drawing
// needs it.
func (p *progress) showBars() {
	p.adding.Lock()
	defer p.adding.Unlock()
	p.mu.Lock()
	first := slices.Clone(p.shown[:min(len(p.shown), p.mostBars)])
	bars := p.bars
	p.mu.Unlock()
	for _, b := range first {
		if b.line == nil {
			b.line = newLine(bars, 0, b.draw)
		}
	}
}

func (b *bar) draw(width int) string {
	b.progress.mu.Lock()
	widest := b.progress.widest
	b.progress.mu.Unlock()
	return drawBar(width, widest, printable(b.label), b.done.Load(), b.size)
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

// end removes the bar, and shows one that waits.
func (b *bar) end() {
	if b == nil {
		return
	}
	p := b.progress
	p.mu.Lock()
	p.shown = slices.DeleteFunc(p.shown, func(other *bar) bool { return other == b })
	p.mu.Unlock()
	p.adding.Lock()
	line := b.line
	p.adding.Unlock()
	if line != nil {
		line.Abort(true)
	}
	p.showBars()
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
