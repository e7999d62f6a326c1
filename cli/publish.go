package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/awslabs/aws-lambda-container-image-converter/publish"
	"github.com/awslabs/aws-lambda-container-image-converter/types"
	"github.com/pkg/errors"
)

// publishLayers publishes the layers of the image. If all regions have them, it
// writes their ARNs beside the zips, and removes those of the layers.
func publishLayers(ctx context.Context, p *publish.Publisher, progress *progress, out *output, image *types.Image, o *options) ([]publish.Region, error) {
	_, architecture, _ := strings.Cut(image.Platform, "/")
	architecture, _, _ = strings.Cut(architecture, "/")
	architectures := publish.Architectures(architecture)
	if architectures == nil && o.publish.Architectures == nil {
		progress.warn(fmt.Sprintf("Lambda has no architecture %q: the layers will not say what they are for", architecture))
	}
	progress.publish(len(image.Layers), p.Regions())
	regions := p.Publish(ctx, publish.Content{
		Dir: out.results(), Layers: image.Layers, Architectures: architectures, Description: o.defaultDescription(image),
	}, publishProgress{progress})
	for i := range image.Layers {
		image.Layers[i].Regions = versionsOf(regions, i)
	}
	for _, w := range longARNs(image, o) {
		progress.warn(w)
	}
	progress.end()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err := failure(progress.stderr, image, regions, o.debug); err != nil {
		return nil, err
	}
	for _, l := range image.Layers {
		if err := os.Remove(filepath.Join(out.results(), l.File)); err != nil {
			return nil, err
		}
	}
	return regions, publish.WriteARNs(out.results(), regions)
}

// versionsOf are the versions of the layer with an index, by region.
func versionsOf(regions []publish.Region, layer int) map[string]types.Version {
	versions := make(map[string]types.Version)
	for _, r := range regions {
		if v := r.Versions[layer]; v.ARN != "" {
			// arn:PARTITION:lambda:REGION:ACCOUNT:layer:NAME:VERSION
			versions[r.Name] = types.Version{ARN: v.ARN, Account: strings.Split(v.ARN, ":")[4], Found: v.Found}
		}
	}
	return versions
}

// longARNs warns of layers that no function can name.
func longARNs(image *types.Image, o *options) (warnings []string) {
	flag := "--layer-namespace"
	if o.publish.LayerName != "" {
		flag = "--layer-name"
	}
	for _, l := range image.Layers {
		longest := 0
		for _, v := range l.Regions {
			longest = max(longest, len(v.ARN))
		}
		if over := longest - types.MaxLayerARN; over > 0 {
			warnings = append(warnings, fmt.Sprintf("%s has an ARN of %d characters, and functions take %d: make %s %d shorter", l.File, longest, types.MaxLayerARN, flag, over))
		}
	}
	return warnings
}

// failure is the error of a run that has failed in some regions. With several, a
// line is printed for each error; most are the same in all regions.
func failure(stderr *printer, image *types.Image, regions []publish.Region, debug bool) error {
	var messages []string
	failed := make(map[string][]string) // regions, by message
	for _, r := range regions {
		if r.Err == nil {
			continue
		}
		message := strings.TrimSuffix(oneLine(r.Err.Error()), ".")
		if failed[message] == nil {
			messages = append(messages, message)
		}
		failed[message] = append(failed[message], r.Name)
		if debug {
			fmt.Fprintf(stderr, "%s: %+v\n", r.Name, r.Err)
		}
	}
	if len(messages) == 0 {
		return nil
	}
	if len(regions) == 1 {
		if there := published(image); len(there) > 0 {
			return errors.Errorf("%s; a rerun will find what Lambda has already: %s", messages[0], strings.Join(there, ", "))
		}
		return regions[0].Err
	}
	bad := 0
	for _, m := range messages {
		bad += len(failed[m])
		fmt.Fprintf(stderr, "img2lambda: %s: %s\n", strings.Join(failed[m], ", "), m)
	}
	return errors.Errorf("%d of %d regions failed; a rerun finds what the others have, and goes on from there", bad, len(regions))
}

// published are the zips of the layers that a region has.
func published(image *types.Image) (files []string) {
	for _, l := range image.Layers {
		if len(l.Regions) > 0 {
			files = append(files, l.File)
		}
	}
	return files
}
