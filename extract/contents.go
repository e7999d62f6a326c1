package extract

import (
	"fmt"
	"unicode/utf8"

	"github.com/pkg/errors"
)

// byRoot returns for each layer its entries below /opt, and those below /var/task.
// It warns of those that no zip can hold.
func byRoot(layers []keptLayer, at roots, warn func(string)) (below, functions [][]*entry) {
	leftOut := 0
	below, functions = make([][]*entry, len(layers)), make([][]*entry, len(layers))
	for i, l := range layers {
		for _, e := range l.kept {
			switch root, _ := at.of(e.path); {
			case root != outside && e.kind == kindSpecial:
				if leftOut++; leftOut <= maxWarnings {
					warn("left out " + quote("/"+e.path) + ": a zip cannot hold devices and fifos")
				}
			case root == at.layer:
				below[i] = append(below[i], e)
			case root == at.function:
				functions[i] = append(functions[i], e)
			}
		}
	}
	if leftOut > maxWarnings {
		warn(fmt.Sprintf("left out %d more devices and fifos", leftOut-maxWarnings))
	}
	warnOfNames(below, warn)
	warnOfNames(functions, warn)
	return below, functions
}

// warnOfNames warns of the first name that is not UTF-8.
func warnOfNames(layers [][]*entry, warn func(string)) {
	for _, entries := range layers {
		for _, e := range entries {
			if !utf8.ValidString(e.path) {
				warn("the name " + quote("/"+e.path) + " is not UTF-8: such names are kept, but some unzip programs (Java's) refuse a zip with one")
				return
			}
		}
	}
}

// warnOfRoots warns of links in the place of /opt and /var/task.
func (c *converter) warnOfRoots(warn func(string)) {
	for _, note := range c.roots.notes() {
		warn(note)
	}
	if c.overlap != "" {
		warn(c.overlap)
	}
}

// subject begins a message about how much an image has.
func subject(layers []keptLayer) string {
	for _, l := range layers {
		for _, e := range l.kept {
			if e.inZip && e.isCopy() {
				return "with hard links as copies the image has"
			}
		}
	}
	return "the image has"
}

// nothing is the error that an image has nothing for Lambda.
func (c *converter) nothing(name string) error {
	switch {
	case c.overlap != "":
		return errors.Errorf("%s: %s", name, c.overlap)
	case c.roots != lambdaRoots:
		return errors.Errorf("%s has nothing below %s: put the files where the link points, or make it a directory in the image", name, c.roots)
	}
	return errors.Errorf("%s has nothing below %s: nothing to make a Lambda layer or function of", name, c.roots)
}
