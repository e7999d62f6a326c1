// Record makes the README's pictures, as `make pictures` does: what the program
// prints in a real terminal, and the drawing of layers.
//
//	record BIN DIR
//
// It runs the img2lambda in BIN, and writes the pictures to DIR. Nothing reaches
// Docker or AWS: an engine and a Lambda API on loopback stand for them. It needs tmux.
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: record BIN DIR")
		os.Exit(2)
	}
	if err := record(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "record:", err)
		os.Exit(1)
	}
}

func record(bin, dir string) error {
	screens, err := perform(bin)
	if err != nil {
		return err
	}
	for name, picture := range map[string]string{
		"run.svg":          drawTerminal(screens),
		"layers-light.svg": drawLayers(light),
		"layers-dark.svg":  drawLayers(dark),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(picture), 0o644); err != nil {
			return err
		}
	}
	return nil
}
