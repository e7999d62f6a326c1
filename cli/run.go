package cli

import (
	"context"
	"fmt"
	"io"
	"path/filepath"

	"github.com/awslabs/aws-lambda-container-image-converter/extract"
	"github.com/awslabs/aws-lambda-container-image-converter/types"
	"github.com/pkg/errors"
)

// run is the program's work once the command line is understood.
func run(ctx context.Context, o *options, stdout, stderr io.Writer) (err error) {
	if !o.dryRun {
		return errors.New("publishing is still to come: use --dry-run (-d)")
	}
	out, err := openOutput(o.outputDirectory)
	if err != nil {
		return err
	}
	defer out.discard()
	progress := newProgress(stderr, o.quiet)
	image, err := extract.Convert(ctx, o.reference, extract.Options{
		Dir:              out.staging,
		Platform:         o.parsedPlatform,
		InsecureRegistry: !o.tlsVerify,
		Progress:         progress,
		Warn:             progress.warn,
	})
	progress.wait()
	if err != nil {
		return err
	}
	for i := range image.Layers {
		image.Layers[i].Name = types.LayerName(o.namespace, image.Layers[i].Digest)
	}
	if err := out.writeReport(image); err != nil {
		return err
	}
	if err := out.commit(); err != nil {
		return err
	}
	if o.quiet {
		for _, a := range archives(image) {
			fmt.Fprintln(stdout, filepath.Join(o.outputDirectory, a.File))
		}
		return nil
	}
	return printReport(stdout, image, o.outputDirectory)
}

// archives are all the zips of a conversion, the function's last.
func archives(image *types.Image) []types.Archive {
	var all []types.Archive
	for _, l := range image.Layers {
		all = append(all, l.Archive)
	}
	if image.Function != nil {
		all = append(all, *image.Function)
	}
	return all
}
