package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// hello is a program that prints one line.
const hello = `package main

import "fmt"

func main() { fmt.Println("hello") }
`

// startup measures what the program takes to say how it is used, against a Go
// program that prints one line, and its size.
func startup(b *bench) ([]row, error) {
	source, program := filepath.Join(b.dir, "hello.go"), filepath.Join(b.dir, "hello")
	if err := os.WriteFile(source, []byte(hello), 0o644); err != nil {
		return nil, err
	}
	build := exec.CommandContext(b.ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", program, source)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build: %w: %s", err, out)
	}
	all, err := inTurn(10*b.runs, // they are short
		func() (usage, error) { return measure(exec.CommandContext(b.ctx, b.program, "--help")) },
		func() (usage, error) { return measure(exec.CommandContext(b.ctx, program)) })
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(b.program)
	if err != nil {
		return nil, err
	}
	x, y := median(all[0], wallSeconds), median(all[1], wallSeconds)
	return []row{
		{"--help; a Go program that prints one line", millis(x), millis(y), ratio(x / y), "<= 1.5"},
		{what: "  size of the program", program: megabytes(info.Size()), goal: "<= 16 MB"},
	}, nil
}
