package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/awslabs/aws-lambda-container-image-converter/extract"
	"github.com/awslabs/aws-lambda-container-image-converter/extract/source"
	"github.com/awslabs/aws-lambda-container-image-converter/publish"
	"github.com/awslabs/aws-lambda-container-image-converter/types"
	"github.com/pkg/errors"
)

// run is the program's work once the command line is understood.
func run(ctx context.Context, o *options, stdout, stderr *printer) error {
	out, err := openOutput(o.outputDirectory)
	if err != nil {
		return err
	}
	defer out.discard()
	progress := newProgress(stderr, o.quiet)
	var publisher *publish.Publisher
	if !o.dryRun { // before the work, in case there are no credentials
		if publisher, err = publish.New(ctx, o.publish); err != nil {
			return err
		}
		stderr.hide(publisher.Secrets()...)
		for _, r := range o.publish.UnknownRuntimes() {
			progress.warn(fmt.Sprintf("--compatible-runtime %q: this version of img2lambda does not know it; Lambda will say if it does not either", r))
		}
	}
	progress.open(o.reference.String())
	image, err := convert(ctx, o, out.staging, progress)
	progress.wait()
	if err != nil {
		return err
	}
	for i := range image.Layers {
		image.Layers[i].Name = o.publish.Name(image.Layers[i].Digest)
	}
	for _, w := range overQuota(image, o) {
		progress.warn(w)
	}
	if o.dryRun {
		if err := out.commit(ctx, image, dryRunFiles); err != nil {
			return err
		}
		return printReport(stdout, o, image, nil)
	}
	published := make(map[string]bool) // by name
	if err := publishLayers(ctx, publisher, progress, out, image, o, published); err != nil {
		return err
	}
	return printReport(stdout, o, image, published)
}

// convert opens the image and makes the zips, in dir.
func convert(ctx context.Context, o *options, dir string, progress *progress) (*types.Image, error) {
	src, err := source.Open(ctx, o.reference, source.Options{
		Dir:              dir,
		Platform:         o.parsedPlatform,
		InsecureRegistry: !o.tlsVerify,
		AuthFile:         o.authFile,
		Warn:             progress.warn,
	})
	if err != nil {
		return nil, err
	}
	defer src.Close()
	return extract.Convert(ctx, src, o.reference.String(), extract.Options{
		Dir:       dir,
		MaxLayers: o.maxLayers,
		Progress:  progress,
		Warn:      progress.warn,
	})
}

// publishLayers publishes the layers of the image and commits the results. If
// that fails, the zips stay for people to look at, and layers.json as it was.
func publishLayers(ctx context.Context, p *publish.Publisher, progress *progress, out *output, image *types.Image, o *options, published map[string]bool) error {
	_, architecture, _ := strings.Cut(image.Platform, "/")
	architecture, _, _ = strings.Cut(architecture, "/")
	architectures := publish.Architectures(architecture)
	if architectures == nil {
		progress.warn(fmt.Sprintf("Lambda has no architecture %q: the layers will not say what they are for", architecture))
	}
	regions := p.Publish(ctx, publish.Content{
		Dir: out.staging, Layers: image.Layers, Architectures: architectures, Description: defaultDescription(o.image),
	}, publishing{progress})
	err := regions[0].Err
	for i, v := range regions[0].Versions {
		image.Layers[i].ARN = v.ARN
		published[image.Layers[i].Name] = !v.Found
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		if problem := out.commit(ctx, image, dryRunFiles); problem != nil {
			return errors.WithMessagef(err, "%s, and before that", problem)
		}
		var there []string
		for _, l := range image.Layers {
			if l.ARN != "" {
				there = append(there, l.File)
			}
		}
		if len(there) > 0 {
			return errors.Errorf("%s; a rerun will find what Lambda has already: %s", strings.TrimSuffix(err.Error(), "."), strings.Join(there, ", "))
		}
		return err
	}
	for _, l := range image.Layers {
		if over := len(l.ARN) - types.MaxLayerARN; over > 0 {
			progress.warn(fmt.Sprintf("%s has an ARN of %d characters, and functions take %d: make --layer-namespace %d shorter", l.File, len(l.ARN), types.MaxLayerARN, over))
		}
	}
	if err := publish.WriteARNs(out.staging, regions); err != nil {
		return err
	}
	return out.commit(ctx, image, publishedFiles)
}

// publishing tells what is published.
type publishing struct{ *progress }

func (p publishing) LookUp(publish.Target)                       {}
func (p publishing) Retry(publish.Target, string, time.Duration) {}
func (p publishing) Warn(_ publish.Target, message string)       { p.warn(message) }
func (p publishing) Upload(t publish.Target, _ int64) publish.Upload {
	return uploading{p, t}
}

type uploading struct {
	publishing
	publish.Target
}

func (uploading) Sent(int64) {}
func (u uploading) Done(err error) {
	if err == nil {
		u.log("published " + u.File)
	}
}
