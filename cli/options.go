package cli

import (
	"github.com/awslabs/aws-lambda-container-image-converter/extract"
	"github.com/pkg/errors"
	"github.com/urfave/cli/v3"
)

const description = `Reads a container image and makes a zip for each image layer that has files
below /opt: a Lambda layer; function.zip holds what is below /var/task.

IMAGE is name[:tag] of an image in the Docker engine, or one of
   docker://HOST/NAME[:TAG]      in a registry, no Docker needed
   docker-archive:FILE[:NAME]    written by 'docker save'
   oci:DIRECTORY[:TAG]           an OCI image layout
   oci-archive:FILE[:TAG]        a tar of one
   docker-daemon:NAME[:TAG]      the same as the bare name`

const helpTemplate = `img2lambda - {{.Usage}}

Usage: {{.UsageText}}

{{.Description}}

Options:{{range .VisibleFlags}}
   {{.}}{{end}}
`

// options are the values of the flags, and what they mean.
type options struct {
	image, imageType string
	outputDirectory  string
	namespace        string
	platform         string
	dryRun           bool
	tlsVerify        bool
	quiet, debug     bool

	reference      extract.Reference
	parsedPlatform extract.Platform
}

func (o *options) flags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{
			Name: "image", Aliases: []string{"i"}, Destination: &o.image,
			Usage: "container image to read, `IMAGE` as above (required)",
		},
		&cli.StringFlag{
			Name: "image-type", Aliases: []string{"t"}, Destination: &o.imageType, Value: "docker",
			Usage: "`TYPE` of a bare IMAGE: docker (engine), or oci: the path of an OCI archive",
		},
		&cli.StringFlag{
			Name: "platform", Destination: &o.platform,
			Usage: "which `OS/ARCHITECTURE` of a multi-platform image (default: this machine's, for Linux)",
		},
		&cli.StringFlag{
			Name: "output-directory", Aliases: []string{"o"}, Destination: &o.outputDirectory, Value: "./output",
			Usage: "`DIRECTORY` for the results",
		},
		&cli.BoolFlag{
			Name: "dry-run", Aliases: []string{"d"}, Destination: &o.dryRun,
			Usage: "make the zips and leave them in the output directory, publish nothing",
		},
		&cli.StringFlag{
			Name: "layer-namespace", Aliases: []string{"n"}, Destination: &o.namespace, Value: "img2lambda",
			Usage: "`PREFIX` of the Lambda layers' names: PREFIX-sha256-DIGEST",
		},
		&cli.BoolWithInverseFlag{
			Name: "tls-verify", Destination: &o.tlsVerify, Value: true,
			Usage: "require TLS and a valid certificate of registries",
		},
		&cli.BoolFlag{
			Name: "quiet", Aliases: []string{"q"}, Destination: &o.quiet,
			Usage: "print nothing but the paths of the zips",
		},
		&cli.BoolFlag{
			Name: "debug", Destination: &o.debug,
			Usage: "print where in the program an error comes from",
		},
	}
}

// check finds what is wrong on the command line before any work is done.
func (o *options) check() (err error) {
	if o.image == "" {
		return errors.New("--image (-i) is required: the container image to convert")
	}
	name := o.image
	switch o.imageType {
	case "docker":
	case "oci":
		name = "oci-archive:" + name
	default:
		return errors.Errorf("--image-type (-t) is docker or oci, not %q", o.imageType)
	}
	if o.reference, err = extract.ParseReference(name); err != nil {
		return errors.WithMessage(err, "--image (-i)")
	}
	if o.platform != "" {
		if o.parsedPlatform, err = extract.ParsePlatform(o.platform); err != nil {
			return errors.WithMessage(err, "--platform")
		}
	}
	if o.outputDirectory == "" {
		return errors.New("--output-directory (-o) is empty")
	}
	return nil
}
