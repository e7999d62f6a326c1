// Record makes the README's pictures: what the program prints in a real terminal,
// and the drawing of layers. It is what `make pictures` runs, from the top of the
// repository. Nothing reaches Docker or AWS: an engine and a Lambda API on loopback
// stand for them. It needs tmux.
package main

import (
	"fmt"
	"os"
)

func main() {
	if err := record(); err != nil {
		fmt.Fprintln(os.Stderr, "record:", err)
		os.Exit(1)
	}
}

func record() error {
	screens, err := perform("bin/local")
	if err != nil {
		return err
	}
	for name, picture := range map[string]string{
		"assets/run.svg":          drawTerminal(screens),
		"assets/layers-light.svg": drawLayers(light),
		"assets/layers-dark.svg":  drawLayers(dark),
	} {
		if err := os.WriteFile(name, []byte(picture), 0o644); err != nil {
			return err
		}
	}
	return nil
}
