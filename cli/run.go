package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/awslabs/aws-lambda-container-image-converter/extract"
	"github.com/awslabs/aws-lambda-container-image-converter/extract/source"
	"github.com/awslabs/aws-lambda-container-image-converter/publish"
	"github.com/awslabs/aws-lambda-container-image-converter/types"
)

// run is the program's work once the command line is understood.
func run(ctx context.Context, o *options, stdout io.Writer, stderr *printer) error {
	progress := newProgress(stderr, o.quiet)
	defer progress.close()
	out, err := openOutput(ctx, o.outputDirectory, func() {
		what := fmt.Sprintf("waiting for another run that moves its results to %s", o.outputDirectory)
		progress.now(what)
		progress.log("%s", what)
	})
	if err != nil {
		return err
	}
	defer out.discard()
	var publisher *publish.Publisher
	if !o.dryRun { // before the work, in case there are no credentials
		if publisher, err = newPublisher(ctx, o, progress); err != nil {
			return err
		}
	}
	image, err := convert(ctx, o, out.results(), progress)
	if err != nil {
		return err
	}
	r := &report{options: o, image: image}
	if !o.dryRun {
		if r.regions, err = publishLayers(ctx, publisher, progress, out, image, o); err != nil {
			return err
		}
	} else {
		progress.end()
	}
	if err := out.commit(ctx, r.file()); err != nil {
		return err
	}
	progress.close()
	return r.print(stdout)
}

// newPublisher finds regions and credentials, and says what of it nobody has
// chosen.
func newPublisher(ctx context.Context, o *options, progress *progress) (*publish.Publisher, error) {
	progress.now("looking for AWS credentials")
	o.publish.MFACode = askMFACode(progress.stderr, progress)
	p, err := publish.New(ctx, o.publish)
	if err != nil {
		return nil, err
	}
	progress.stderr.hide(p.Secrets()...)
	if p.ByDefault() {
		progress.log("no region is set (--region, AWS_REGION, the profile): using %s", p.Regions()[0])
	}
	for _, r := range o.publish.UnknownRuntimes() {
		progress.warn(fmt.Sprintf("--compatible-runtime %q: this version of img2lambda does not know it; Lambda will say if it does not either", r))
	}
	return p, nil
}

// convert opens the image and makes the zips, in dir.
func convert(ctx context.Context, o *options, dir string, progress *progress) (*types.Image, error) {
	progress.open(o.reference.String())
	src, err := source.Open(ctx, o.reference, source.Options{
		Dir:       dir,
		Platform:  o.parsedPlatform,
		TLSVerify: o.tlsVerify,
		AuthFile:  o.authFile,
		Warn:      progress.warn,
	})
	if err != nil {
		return nil, err
	}
	defer src.Close()
	image, err := extract.Convert(ctx, src, o.reference.String(), extract.Options{
		Dir:       dir,
		MaxLayers: o.maxLayers,
		Progress:  progress,
		Warn:      progress.warn,
	})
	if err != nil {
		return nil, err
	}
	for i := range image.Layers {
		image.Layers[i].Name = o.publish.Name(image.Layers[i].Digest)
	}
	for _, w := range overQuota(image, o) {
		progress.warn(w)
	}
	return image, nil
}
