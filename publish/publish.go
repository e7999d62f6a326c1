package publish

import (
	"context"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/awslabs/aws-lambda-container-image-converter/types"
)

// Content is what to publish.
type Content struct {
	// Dir is the directory that holds the zips.
	Dir string
	// Layers are the layers to publish, with their names set.
	Layers []types.Layer
	// Architectures are the image's. They are used if the options name none.
	Architectures []string
	// Description is used if the options have none.
	Description string
}

// Region is the outcome in one region.
type Region struct {
	Name string
	// Versions has one version for each layer, in the same order. Its ARN is empty
	// if the layer could not be published; then Err is set.
	Versions []Version
	// Err is the first failure.
	Err error
}

// Version is a layer version in a region.
type Version struct {
	ARN string
	// Found is set if the version was there before.
	Found bool
}

// Publish makes sure that every region has the layers. A version with the same name,
// SHA-256 and size is not published again, so that a second run goes on where the
// first one failed. Regions are worked on side by side; the results are in the order
// of [Publisher.Regions].
//
// Nothing is uploaded to a region if one of the layers is too large for Lambda. After
// any other failure, no further layer is started in that region; those under way and
// the other regions go on.
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

// parallel is how many layers of one region are worked on at a time.
const parallel = 8

// job is the work in one region.
type job struct {
	*Publisher
	region
	content  Content
	progress Progress
	// noArchitectures is set if the region does not know the parameter
	// CompatibleArchitectures.
	noArchitectures atomic.Bool
}

// run looks up and publishes the layers. It returns a version for each of them, with
// an ARN as far as it got, and the first failure.
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

// each calls do for all layers, a few at a time. After a failure it starts no more,
// but waits for those under way, so that what they publish is known.
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
