package publish

import (
	"context"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/awslabs/aws-lambda-container-image-converter/types"
)

// Content is what is published.
type Content struct {
	// Dir is the directory of the zips.
	Dir string
	// Layers have their names.
	Layers []types.Layer
	// Architectures are those of the image, for options that name none.
	Architectures []string
	// Description is for options without one.
	Description string
}

// Region is what has become of the layers in a region.
type Region struct {
	Name string
	// Versions are those of the layers, in their order. One without an ARN is not
	// there; then there is an error.
	Versions []Version
	// Err is the first failure.
	Err error
}

// Version is the version of a layer that a region has.
type Version struct {
	ARN string
	// Found tells that it was there already.
	Found bool
}

// Publish makes sure that all regions have the layers, side by side. A version
// with the same name, SHA-256 and size serves as it is. The results are in the
// order of [Publisher.Regions]; where something failed, publishing again goes on
// from there.
//
// Nothing is uploaded to a region if one of the layers is too large for Lambda. If
// one fails otherwise, no more are begun in its region, and the others go on.
func (p *Publisher) Publish(ctx context.Context, content Content, progress Progress) []Region {
	results := make([]Region, len(p.regions))
	var wg sync.WaitGroup
	for i, r := range p.regions {
		wg.Go(func() {
			j := &job{Publisher: p, region: r, content: content, progress: progress}
			versions, err := j.run(ctx)
			results[i] = Region{r.name, versions, err}
		})
	}
	wg.Wait()
	return results
}

// parallel is how many layers of a region are worked on at a time.
const parallel = 8

// job is the work in one region.
type job struct {
	*Publisher
	region
	content  Content
	progress Progress
	// noArchitectures tells that the region does not know the parameter
	// CompatibleArchitectures.
	noArchitectures atomic.Bool
}

// run returns the versions that there are, and the first failure.
func (j *job) run(ctx context.Context) (versions []Version, err error) {
	works := make([]*work, len(j.content.Layers))
	for i := range works {
		works[i] = j.newWork(&j.content.Layers[i])
	}
	defer func() {
		for _, w := range works {
			versions = append(versions, w.version)
		}
	}()
	if err := each(ctx, works, (*work).lookUp); err != nil {
		return nil, err
	}
	for _, w := range works {
		if err := w.checkSize(); err != nil && w.version.ARN == "" {
			return nil, w.wrap(err)
		}
	}
	return nil, each(ctx, works, (*work).publish)
}

// each does something for all layers, some at a time. After a failure it starts no
// more, and lets those end that have begun: what they publish should be known.
func each(ctx context.Context, works []*work, do func(*work, context.Context) error) error {
	var failed atomic.Bool
	var g errgroup.Group
	g.SetLimit(parallel)
	for _, w := range works {
		g.Go(func() error {
			if failed.Load() {
				return nil
			}
			err := do(w, ctx)
			if err != nil {
				failed.Store(true)
				err = w.wrap(err)
			}
			return err
		})
	}
	return g.Wait()
}
