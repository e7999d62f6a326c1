package extract

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"

	"github.com/opencontainers/image-spec/identity"
	"github.com/pkg/errors"

	"github.com/awslabs/aws-lambda-container-image-converter/types"
)

// assembleAll is the second step: it makes the zips out of what is kept of each
// layer, and says in result what they are.
func (c *converter) assembleAll(ctx context.Context, result *types.Image, layers []keptLayer, o Options) error {
	for _, note := range c.notes() {
		o.Warn(note)
	}
	below, functions := byRoot(layers, c.roots, o.Warn)
	addParents(below, c.roots.layer)
	var groups []group
	for i, entries := range below {
		if len(entries) == 0 && len(functions[i]) == 0 && !layers[i].again {
			result.EmptyLayers++
		}
		if len(entries) > 0 {
			groups = append(groups, newGroup(entries, layers[i].diffID))
		}
	}
	groups = mergeDown(groups, o.MaxLayers)
	f := merge(functions...)
	size := newGroup(f).size
	for _, g := range groups {
		size += g.size
	}
	if size > maxContent { // hard links may make much of little
		return errors.Errorf("%s %s", subject(layers), errTooMuch)
	}
	for i, g := range groups {
		zip, err := c.assemble(ctx, o.Dir, "layer-"+strconv.Itoa(i+1)+".zip", g.entries)
		if err != nil {
			return err
		}
		result.Layers = append(result.Layers, types.Layer{Digest: identity.ChainID(g.diffIDs), DiffIDs: g.diffIDs, Zip: zip})
	}
	if len(f) > 0 {
		zip, err := c.assemble(ctx, o.Dir, "function.zip", f)
		if err != nil {
			return err
		}
		result.Function = &zip
	}
	if len(result.Layers) == 0 && result.Function == nil {
		return c.nothing(result.Name)
	}
	for _, g := range groups {
		f = append(f, g.entries...)
	}
	result.Largest = largest(f, c.roots)
	return nil
}

// subject begins a message about how much an image has.
func subject(layers []keptLayer) string {
	for _, l := range layers {
		for _, e := range l.kept {
			if e.header != nil && e.isCopy() {
				return "with hard links as copies the image has"
			}
		}
	}
	return "the image has"
}

// notes says what is special about where the roots are.
func (c *converter) notes() []string {
	notes := c.roots.notes()
	if c.overlap != "" {
		notes = append(notes, c.overlap)
	}
	return notes
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
	return below, functions
}

// assemble makes the zip name in dir with the entries. If that is just what
// the first step made, it is that zip.
func (c *converter) assemble(ctx context.Context, dir, name string, entries []*entry) (types.Zip, error) {
	entries = parentsFirst(entries)
	z := entries[0].zip
	if z == nil || !z.holdsExactly(entries) {
		var err error
		if z, err = c.newZip(); err != nil {
			return types.Zip{}, err
		}
		for _, e := range entries {
			if ctx.Err() != nil {
				return types.Zip{}, ctx.Err()
			}
			if err := z.copyEntry(*e.header, e.zip, e.place); err != nil {
				return types.Zip{}, err
			}
		}
		if err := z.finish(); err != nil {
			return types.Zip{}, err
		}
	}
	info := z.info
	info.File = name
	return info, z.rename(filepath.Join(dir, name))
}
