package extract

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"

	"github.com/awslabs/aws-lambda-container-image-converter/types"
	"github.com/opencontainers/image-spec/identity"
	"github.com/pkg/errors"
)

// assembleAll is the second step: it makes the zips out of what is kept of each
// layer, and says in result what they are.
func (c *converter) assembleAll(ctx context.Context, result *types.Image, layers []keptLayer, o Options) error {
	below, functions := byRoot(layers, o.Warn)
	addParents(below, layerRoot)
	var groups []group
	for i, entries := range below {
		if len(entries) == 0 && len(functions[i]) == 0 {
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
		return errors.Errorf("with hard links as copies the image has %s", errTooMuch)
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
		return errors.Errorf("%s has nothing below /opt or /var/task: nothing to make a Lambda layer or function of", result.Name)
	}
	for _, g := range groups {
		f = append(f, g.entries...)
	}
	result.Largest = largest(f)
	return nil
}

// byRoot returns for each layer its entries below /opt, and those below /var/task.
// It warns of those that no zip can hold.
func byRoot(layers []keptLayer, warn func(string)) (below, functions [][]*entry) {
	leftOut := 0
	below, functions = make([][]*entry, len(layers)), make([][]*entry, len(layers))
	for i, l := range layers {
		for _, e := range l.kept {
			switch root, _ := rootOf(e.path); {
			case root != outside && e.kind == kindSpecial:
				if leftOut++; leftOut <= maxWarnings {
					warn("left out " + quote("/"+e.path) + ": a zip cannot hold devices and fifos")
				}
			case root == layerRoot:
				below[i] = append(below[i], e)
			case root == functionRoot:
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
	if !z.holdsExactly(entries) {
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
