package cli

import (
	"fmt"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
)

// longestSilence is how long people hear nothing where there are no bars.
const longestSilence = 4 * time.Second

// progress tells people what is going on: bars on a terminal, lines elsewhere.
type progress struct {
	stderr *printer
	quiet  bool
	onBars bool // there may be bars

	mu      sync.Mutex
	bars    *mpb.Progress // nil: lines
	last    *mpb.Bar      // the lowest one, which says what is being done
	doing   func() string // what is being done; called with mu held
	silence *time.Timer   // nil: nothing is to be said
	widest  int           // label of a bar, in columns
	shown   []*bar        // the first mostBars of them, others wait
	reading
	publishing

	adding   sync.Mutex // held while lines are added, and before mu
	mostBars int
}

func newProgress(w *printer, quiet bool) *progress {
	p := &progress{stderr: w, quiet: quiet, onBars: !quiet && terminalWidth(w.w) > 0}
	if !quiet {
		p.silence = time.AfterFunc(longestSilence, p.breakSilence)
	}
	return p
}

// log tells of something that has happened.
func (p *progress) log(format string, args ...any) {
	if p.quiet {
		return
	}
	line := "img2lambda: " + oneLine(fmt.Sprintf(format, args...)) + "\n"
	p.mu.Lock()
	bars := p.bars
	p.silence.Reset(longestSilence)
	p.mu.Unlock()
	if bars != nil { // above them
		if _, err := bars.Write([]byte(p.stderr.clean(line))); err == nil {
			return
		}
	}
	fmt.Fprint(p.stderr, line)
}

func (p *progress) warn(message string) { p.log("warning: %s", message) }

// now sets what is being done.
func (p *progress) now(what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.doing = func() string { return what }
}

// status is what is being done.
func (p *progress) status() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.doing == nil {
		return ""
	}
	return p.doing()
}

// breakSilence says what is being done, unless bars do.
func (p *progress) breakSilence() {
	p.mu.Lock()
	bars := p.bars
	p.silence.Reset(longestSilence)
	p.mu.Unlock()
	if s := p.status(); s != "" && bars == nil {
		p.log("%s", s)
	}
}

// pause keeps silence until resume is called.
func (p *progress) pause() (resume func()) {
	if p.silence == nil {
		return func() {}
	}
	p.silence.Stop()
	return func() { p.silence.Reset(longestSilence) }
}

// begin shows bars from now on, if there may be any.
func (p *progress) begin() {
	if !p.onBars || p.bars != nil {
		return
	}
	p.mostBars = max(min(mostBars, terminalHeight(p.stderr.w)-2), 1)
	bars := newBars(p.stderr.w)
	last := newStatusBar(bars, p.status)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bars, p.last = bars, last
}

// end ends the bars.
func (p *progress) end() {
	p.mu.Lock()
	bars, last := p.bars, p.last
	p.mu.Unlock()
	if bars == nil {
		return
	}
	last.Abort(true)
	bars.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bars = nil
}

// close says no more.
func (p *progress) close() {
	p.end()
	if p.silence != nil {
		p.silence.Stop()
	}
}
