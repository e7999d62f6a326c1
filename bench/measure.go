package main

import (
	"bytes"
	"cmp"
	"fmt"
	"os/exec"
	"slices"
	"time"
)

// usage is what a run of a command took.
type usage struct {
	wall, cpu time.Duration // cpu includes that of the command's children
	memory    int64         // at the peak, in bytes; 0 if the system does not say
}

// measure runs a command. Its output goes nowhere.
func measure(c *exec.Cmd) (usage, error) {
	var stderr bytes.Buffer
	c.Stderr = &stderr
	settleDisk() // or a run would wait for what the one before has left to write
	start := time.Now()
	err := c.Run()
	wall := time.Since(start)
	if err != nil {
		return usage{}, fmt.Errorf("%s: %w: %s", c.Args[0], err, stderr.Bytes())
	}
	s := c.ProcessState
	return usage{wall, s.UserTime() + s.SystemTime(), maxRSS(s)}, nil
}

// inTurn measures runs of several commands: each once for the caches, then n
// times each in turn, so that what else the machine does hits all of them. It
// returns the counted runs of each.
func inTurn(n int, commands ...func() (usage, error)) ([][]usage, error) {
	counted := make([][]usage, len(commands))
	for i := range n + 1 {
		for j, run := range commands {
			u, err := run()
			if err != nil {
				return nil, err
			}
			if i > 0 {
				counted[j] = append(counted[j], u)
			}
		}
	}
	return counted, nil
}

// compare returns the median wall times of two commands in seconds, and all
// the runs of the first.
func (b *bench) compare(program, against func() (usage, error)) (x, y float64, runs []usage, err error) {
	all, err := inTurn(b.runs, program, against)
	if err != nil {
		return 0, 0, nil, err
	}
	return median(all[0], wallSeconds), median(all[1], wallSeconds), all[0], nil
}

func wallSeconds(u usage) float64 { return u.wall.Seconds() }
func cpuSeconds(u usage) float64  { return u.cpu.Seconds() }

// median of a figure of some runs.
func median[T cmp.Ordered](runs []usage, figure func(usage) T) T {
	var all []T
	for _, u := range runs {
		all = append(all, figure(u))
	}
	slices.Sort(all)
	return all[len(all)/2]
}

func seconds(s float64) string { return fmt.Sprintf("%.2f s", s) }
func millis(s float64) string  { return fmt.Sprintf("%.1f ms", s*1000) }
func ratio(x float64) string   { return fmt.Sprintf("%.2f", x) }
func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/mega) }
