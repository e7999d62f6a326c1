package cli

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/awslabs/aws-lambda-container-image-converter/extract/source"
	"github.com/awslabs/aws-lambda-container-image-converter/publish"
	"github.com/awslabs/aws-lambda-container-image-converter/types"
	"github.com/pkg/errors"
)

// options are the values of the flags, and what they mean.
type options struct {
	image, imageType string
	outputDirectory  string
	platform         string
	publish          publish.Options
	architectures    []string
	dryRun           bool
	maxLayers        int
	tlsVerify        *bool // nil: not given
	authFile         string
	quiet, debug     bool

	reference      source.Reference
	parsedPlatform source.Platform
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
	return o.checkPublish()
}

// checkPublish is check for what Lambda is told.
func (o *options) checkPublish() error {
	for _, list := range [][]string{o.publish.Regions, o.publish.ShareWith, o.publish.Runtimes, o.architectures} {
		for i, s := range list {
			list[i] = strings.TrimSpace(s) // "a, b" is a list as well
		}
	}
	switch none := slices.Contains(o.architectures, "none"); {
	case none && len(o.architectures) > 1:
		return errors.New("--compatible-architecture none goes with no other")
	case none:
		o.publish.Architectures = []string{}
	case len(o.architectures) > 0:
		o.publish.Architectures = o.architectures
	}
	if o.publish.LayerName != "" {
		if o.maxLayers > 1 {
			return errors.New("--layer-name makes one layer: leave --max-layers out")
		}
		o.maxLayers = 1
	}
	var problem *publish.OptionError
	if err := o.publish.Check(); errors.As(err, &problem) {
		return errors.WithMessage(err, publishFlags[problem.Option])
	}
	return nil
}

// publishFlags are the flags of the fields of publish.Options.
var publishFlags = map[string]string{
	"Regions":       "--region (-r)",
	"Namespace":     "--layer-namespace (-n)",
	"LayerName":     "--layer-name",
	"Bucket":        "--s3-bucket",
	"ShareWith":     "--share-with",
	"Description":   "--description",
	"LicenseInfo":   "--license-info (-l)",
	"Runtimes":      "--compatible-runtime",
	"Architectures": "--compatible-architecture",
}

// defaultDescription says where a layer comes from. The name of one with a digest
// in its name need not say which image it was; others name the image's digest. It
// is cut to what Lambda takes: nobody has chosen it.
func (o *options) defaultDescription(image *types.Image) string {
	d := "created by img2lambda from image " + o.image
	digest := ""
	if o.publish.LayerName != "" {
		digest = " (" + cmp.Or(image.Digest, image.EngineID, image.ID).String() + ")"
	}
	for utf8.RuneCountInString(d+digest) > types.MaxDescription {
		_, last := utf8.DecodeLastRuneInString(d)
		d = d[:len(d)-last]
	}
	return d + digest
}
