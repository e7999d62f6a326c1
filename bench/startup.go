package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// startup is point 6: what the program takes to say how it is used, against a
// Go program that does nothing, and its size.
func startup(b *bench) ([]row, error) {
	source, nothing := filepath.Join(b.dir, "nothing.go"), filepath.Join(b.dir, "nothing")
	if err := os.WriteFile(source, []byte("package main\n\nfunc main() {}\n"), 0o644); err != nil {
		return nil, err
	}
	if out, err := exec.CommandContext(b.ctx, "go", "build", "-o", nothing, source).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build: %w: %s", err, out)
	}
	all, err := inTurn(10*b.runs, // they are short
		func() (usage, error) { return measure(exec.CommandContext(b.ctx, b.program, "--help")) },
		func() (usage, error) { return measure(exec.CommandContext(b.ctx, nothing)) })
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(b.program)
	if err != nil {
		return nil, err
	}
	x, y := median(all[0], wallSeconds), median(all[1], wallSeconds)
	return []row{
		{"--help; a Go program that does nothing; difference", millis(x), millis(y), millis(x - y), "<= 50 ms"},
		{what: "  size of the program", program: megabytes(info.Size()), goal: "<= 25 MB"},
	}, nil
}
