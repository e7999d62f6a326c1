package extract

import (
	"context"
	"path/filepath"
	"strconv"

	"github.com/opencontainers/image-spec/identity"
	"github.com/pkg/errors"

	"github.com/awslabs/aws-lambda-container-image-converter/types"
)

// assembleAll is the second step: it makes the zips out of what is kept of each
// layer, and says in result what they are.
func (c *converter) assembleAll(ctx context.Context, result *types.Image, layers []keptLayer, o Options) error {
	below, functions := byRoot(layers, c.roots, o.Warn)
	c.paths.addParents(below, c.roots.layer)
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
		zip, err := c.assemble(ctx, o.Dir, "layer-"+strconv.Itoa(i+1)+".zip", c.roots.layer, g.entries)
		if err != nil {
			return err
		}
		result.Layers = append(result.Layers, types.Layer{Digest: identity.ChainID(g.diffIDs), DiffIDs: g.diffIDs, Zip: zip})
	}
	if len(f) > 0 {
		zip, err := c.assemble(ctx, o.Dir, "function.zip", c.roots.function, f)
		if err != nil {
			return err
		}
		result.Function = &zip
	}
	if len(result.Layers) == 0 && result.Function == nil {
		return c.nothing(result.Name)
	}
	c.warnOfRoots(o.Warn)
	for _, g := range groups {
		f = append(f, g.entries...)
	}
	result.Largest = largest(f, c.roots)
	return nil
}

// assemble makes the zip name in dir with the entries, all below root. If that is
// just what the first step made, it is that zip.
func (c *converter) assemble(ctx context.Context, dir, name, root string, entries []*entry) (types.Zip, error) {
	entries = c.paths.parentsFirst(entries)
	z := entries[0].content.zip
	if z == nil || !z.holdsExactly(entries) {
		var err error
		if z, err = c.newZip(root); err != nil {
			return types.Zip{}, err
		}
		if err := z.copyAll(ctx, entries); err != nil {
			return types.Zip{}, err
		}
	}
	info := z.info
	info.File = name
	return info, z.rename(filepath.Join(dir, name))
}
