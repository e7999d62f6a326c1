package cli

import (
	"context"

	"github.com/pkg/errors"
	"github.com/urfave/cli/v3"
)

// flags are in the order of their importance, which --help has as well.
func (o *options) flags() []cli.Flag {
	all := o.mainFlags()
	all = append(all, o.layerFlags()...)
	all = append(all, o.imageFlags()...)
	return append(all, o.outputFlags()...)
}

// mainFlags are about what goes where.
func (o *options) mainFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{
			Name: "image", Aliases: []string{"i"}, Destination: &o.image, OnlyOnce: true,
			Usage: "`IMAGE` to read (required)",
		},
		&cli.BoolFlag{
			Name: "dry-run", Aliases: []string{"d"}, Destination: &o.dryRun,
			Usage: "publish nothing: leave the zips in the output directory to look at",
		},
		&cli.StringFlag{
			Name: "output-directory", Aliases: []string{"o"}, Destination: &o.outputDirectory, Value: "./output", OnlyOnce: true,
			Usage: "`DIR` for the results",
		},
		&cli.StringSliceFlag{
			Name: "region", Aliases: []string{"r"}, Destination: &o.publish.Regions,
			Usage: "AWS `REGION`, may be repeated or a list with commas (default: AWS_REGION, AWS_DEFAULT_REGION, the profile's, us-east-1)",
		},
		&cli.StringFlag{
			Name: "profile", Aliases: []string{"p"}, Destination: &o.publish.Profile, OnlyOnce: true,
			Usage: "AWS `PROFILE` for credentials and region (default: AWS_PROFILE)",
		},
	}
}

// layerFlags are about the Lambda layers.
func (o *options) layerFlags() []cli.Flag {
	return []cli.Flag{
		&cli.IntFlag{
			Name: "max-layers", Destination: &o.maxLayers, HideDefault: true, OnlyOnce: true,
			Config: cli.IntegerConfig{Base: 10},
			Usage:  "merge neighbouring layers until at most `N` remain; a function can have 5 (default: no limit)",
			Validator: func(n int) error {
				if n < 1 {
					return errors.New("it has to be 1 or more")
				}
				return nil
			},
		},
		&cli.StringFlag{
			Name: "layer-namespace", Aliases: []string{"n"}, Destination: &o.publish.Namespace, Value: "img2lambda", OnlyOnce: true,
			Usage: "`PREFIX` of the layers' names: PREFIX-sha256-DIGEST",
		},
		&cli.StringFlag{
			Name: "layer-name", Destination: &o.publish.LayerName, OnlyOnce: true,
			Usage: "make one layer of the image, with this `NAME`",
			Validator: func(name string) error {
				if name == "" {
					return errors.New("it is empty")
				}
				return nil
			},
		},
		&cli.StringSliceFlag{
			Name: "share-with", Destination: &o.publish.ShareWith,
			Usage: "let `WHOM` use the layers: an account ID, an organization ID (o-...) or all, likewise a list",
		},
		&cli.StringSliceFlag{
			Name: "compatible-runtime", Aliases: []string{"cr"}, Destination: &o.publish.Runtimes, Value: []string{"provided.al2023"},
			Usage: "`RUNTIME` that new layers are for, likewise a list",
		},
		&cli.StringSliceFlag{
			Name: "compatible-architecture", Aliases: []string{"ca"}, Destination: &o.architectures,
			Usage: "`ARCH` that new layers are for, x86_64 or arm64, likewise a list; none leaves it open (default: the image's)",
		},
		&cli.StringFlag{
			Name: "description", Aliases: []string{"desc"}, Destination: &o.publish.Description, OnlyOnce: true,
			Usage: "`TEXT` for new layers (default: created by img2lambda from image IMAGE)",
		},
		&cli.StringFlag{
			Name: "license-info", Aliases: []string{"l"}, Destination: &o.publish.LicenseInfo, OnlyOnce: true,
			Usage: "`LICENSE` of new layers: SPDX identifier, URL or text",
		},
		&cli.StringFlag{
			Name: "s3-bucket", Destination: &o.publish.Bucket, OnlyOnce: true,
			Usage: "`BUCKET` for zips over 50 MB, which Lambda does not take in a request; {region} in it stands for the region",
		},
		&cli.BoolFlag{
			Name: "force", Destination: &o.publish.Force,
			Usage: "publish layers even if Lambda has them",
		},
	}
}

// imageFlags are about reading the image.
func (o *options) imageFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{
			Name: "platform", Destination: &o.platform, OnlyOnce: true,
			Usage: "`OS/ARCH` to choose of a multi-platform image (default: linux/ and this machine's)",
		},
		&cli.StringFlag{
			Name: "image-type", Aliases: []string{"t"}, Destination: &o.imageType, Value: "docker", OnlyOnce: true,
			Usage: "`TYPE` of a bare IMAGE: docker, or oci for the path of an OCI archive",
		},
		&cli.StringFlag{
			Name: "authfile", Destination: &o.authFile, OnlyOnce: true,
			Usage: "`FILE` with credentials for registries (default: REGISTRY_AUTH_FILE, podman's, docker's)",
		},
		&cli.BoolFlag{
			Name:  "tls-verify",
			Usage: "require TLS and a valid certificate of registries; --tls-verify=false does not (default: true, or what registries.conf says)",
			Action: func(_ context.Context, _ *cli.Command, verify bool) error {
				o.tlsVerify = &verify
				return nil
			},
		},
	}
}

// outputFlags are about what is printed.
func (o *options) outputFlags() []cli.Flag {
	return []cli.Flag{
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
