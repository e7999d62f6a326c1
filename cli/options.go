package cli

import (
	"strings"
	"unicode/utf8"

	"github.com/awslabs/aws-lambda-container-image-converter/extract/source"
	"github.com/awslabs/aws-lambda-container-image-converter/publish"
	"github.com/awslabs/aws-lambda-container-image-converter/types"
	"github.com/pkg/errors"
	"github.com/urfave/cli/v3"
)

// options are the values of the flags, and what they mean.
type options struct {
	image, imageType string
	outputDirectory  string
	platform         string
	publish          publish.Options
	region           string
	dryRun           bool
	maxLayers        int
	tlsVerify        bool
	authFile         string
	quiet, debug     bool

	reference      source.Reference
	parsedPlatform source.Platform
}

func (o *options) flags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{
			Name: "image", Aliases: []string{"i"}, Destination: &o.image,
			Usage: "`IMAGE` to read (required)",
		},
		&cli.StringFlag{
			Name: "image-type", Aliases: []string{"t"}, Destination: &o.imageType, Value: "docker",
			Usage: "`TYPE` of a bare IMAGE: docker, or oci for the path of an OCI archive",
		},
		&cli.StringFlag{
			Name: "platform", Destination: &o.platform,
			Usage: "`OS/ARCH` to choose of a multi-platform image (default: linux/ and this machine's)",
		},
		&cli.StringFlag{
			Name: "output-directory", Aliases: []string{"o"}, Destination: &o.outputDirectory, Value: "./output",
			Usage: "`DIR` for the results",
		},
		&cli.BoolFlag{
			Name: "dry-run", Aliases: []string{"d"}, Destination: &o.dryRun,
			Usage: "publish nothing: leave the zips in the output directory to look at",
		},
		&cli.IntFlag{
			Name: "max-layers", Destination: &o.maxLayers, HideDefault: true,
			Usage: "merge neighbouring layers until at most `N` remain; a function can have 5 (default: no limit)",
			Validator: func(n int) error {
				if n < 1 {
					return errors.New("it has to be 1 or more")
				}
				return nil
			},
		},
		&cli.StringFlag{
			Name: "layer-namespace", Aliases: []string{"n"}, Destination: &o.publish.Namespace, Value: "img2lambda",
			Usage: "`PREFIX` of the layers' names: PREFIX-sha256-DIGEST",
		},
		&cli.StringFlag{
			Name: "description", Aliases: []string{"desc"}, Destination: &o.publish.Description,
			Usage: "`TEXT` for new layers (default: created by img2lambda from image IMAGE)",
		},
		&cli.StringFlag{
			Name: "license-info", Aliases: []string{"l"}, Destination: &o.publish.LicenseInfo,
			Usage: "`LICENSE` of new layers: SPDX identifier, URL or text",
		},
		&cli.StringSliceFlag{
			Name: "compatible-runtime", Aliases: []string{"cr"}, Destination: &o.publish.Runtimes, Value: []string{"provided.al2023"},
			Usage: "`RUNTIME` that new layers are for, may be repeated",
		},
		&cli.StringFlag{
			Name: "s3-bucket", Destination: &o.publish.Bucket,
			Usage: "`BUCKET` for zips over 50 MB, which Lambda does not take in a request",
		},
		&cli.StringFlag{
			Name: "region", Aliases: []string{"r"}, Destination: &o.region,
			Usage: "AWS `REGION` (default: AWS_REGION, AWS_DEFAULT_REGION, the profile's, us-east-1)",
		},
		&cli.StringFlag{
			Name: "profile", Aliases: []string{"p"}, Destination: &o.publish.Profile,
			Usage: "AWS `PROFILE` for credentials and region (default: AWS_PROFILE)",
		},
		&cli.StringFlag{
			Name: "authfile", Destination: &o.authFile,
			Usage: "`FILE` with credentials for registries (default: REGISTRY_AUTH_FILE, podman's, docker's)",
		},
		&cli.BoolFlag{
			Name: "tls-verify", Destination: &o.tlsVerify, Value: true,
			Usage: "require TLS and a valid certificate of registries; --tls-verify=false does not (default: true)",
		},
		&cli.BoolFlag{
			Name: "quiet", Aliases: []string{"q"}, Destination: &o.quiet,
			Usage: "print nothing but the layers' ARNs, or the zips' paths in a dry run",
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
		if source.HasTransport(name) {
			transport, _, _ := strings.Cut(name, ":")
			return errors.Errorf("--image-type (-t) oci is for a path alone: leave it out with %s:", transport)
		}
		name = "oci-archive:" + name
	default:
		return errors.Errorf("--image-type (-t) is docker or oci, not %q", o.imageType)
	}
	if o.reference, err = source.ParseReference(name); err != nil {
		return errors.WithMessage(err, "--image (-i)")
	}
	if o.platform != "" {
		if o.parsedPlatform, err = source.ParsePlatform(o.platform); err != nil {
			return errors.WithMessage(err, "--platform")
		}
	}
	if o.outputDirectory == "" {
		return errors.New("--output-directory (-o) is empty")
	}
	if o.region != "" {
		o.publish.Regions = []string{o.region}
	}
	var problem *publish.OptionError
	if err := o.publish.Check(); errors.As(err, &problem) {
		return errors.WithMessage(err, publishFlags[problem.Option])
	}
	return nil
}

// publishFlags are the flags of the fields of publish.Options.
var publishFlags = map[string]string{
	"Regions":     "--region (-r)",
	"Namespace":   "--layer-namespace (-n)",
	"Bucket":      "--s3-bucket",
	"Description": "--description",
	"LicenseInfo": "--license-info (-l)",
	"Runtimes":    "--compatible-runtime",
}

// defaultDescription is cut to what Lambda takes: nobody has chosen it.
func defaultDescription(image string) string {
	d := "created by img2lambda from image " + image
	for utf8.RuneCountInString(d) > types.MaxDescription {
		_, last := utf8.DecodeLastRuneInString(d)
		d = d[:len(d)-last]
	}
	return d
}
