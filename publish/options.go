// Package publish brings zips to AWS Lambda as layers, those that are not there
// yet, and writes down their ARNs.
package publish

import (
	"regexp"
	"slices"
	"unicode/utf8"

	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/awslabs/aws-lambda-container-image-converter/types"
	"github.com/opencontainers/go-digest"
	"github.com/pkg/errors"
)

// Options are what Lambda gets to know of the layers, and where they go.
type Options struct {
	// Region and Profile are AWS's; empty ones are for the SDK to find
	// (environment, shared files), and then us-east-1.
	Region, Profile string
	// Namespace is what the names of the layers begin with.
	Namespace string
	// Description and LicenseInfo are shown with each layer version.
	Description, LicenseInfo string
	// Runtimes are the names of the runtimes that the layers are for.
	Runtimes []string
	// Bucket is the S3 bucket for zips that are too large for a request;
	// empty: there is none.
	Bucket string
}

// layerName is what Lambda allows (PublishLayerVersion, parameter LayerName;
// full ARNs aside).
var layerName = regexp.MustCompile(`^[a-zA-Z0-9_-]+$`)

// region is what can be part of a host name.
var region = regexp.MustCompile(`^[a-z0-9-]+$`)

// OptionError says what Lambda would not accept.
type OptionError struct {
	Option  string // the field of Options
	Problem string
}

func (e *OptionError) Error() string { return e.Problem }

// Check finds what Lambda would refuse, without asking it. The error is an
// *OptionError.
func (o *Options) Check() error {
	longest := types.LayerName(o.Namespace, digest.FromString(""))
	switch {
	case !layerName.MatchString(o.Namespace):
		return &OptionError{"Namespace", "Lambda allows letters, digits, - and _ in a layer's name"}
	case o.Region != "" && !region.MatchString(o.Region):
		return problem("Region", "%q is no name of a region, such as eu-west-1", o.Region)
	case len(longest) > types.MaxLayerName:
		return problem("Namespace", "it makes layer names of %d characters, Lambda allows %d: shorten it by %d",
			len(longest), types.MaxLayerName, len(longest)-types.MaxLayerName)
	case utf8.RuneCountInString(o.Description) > types.MaxDescription:
		return problem("Description", "it has %d characters, Lambda allows %d", utf8.RuneCountInString(o.Description), types.MaxDescription)
	case utf8.RuneCountInString(o.LicenseInfo) > types.MaxLicenseInfo:
		return problem("LicenseInfo", "it has %d characters, Lambda allows %d", utf8.RuneCountInString(o.LicenseInfo), types.MaxLicenseInfo)
	case len(o.Runtimes) > types.MaxCompatibleRuntimes:
		return problem("Runtimes", "there are %d, Lambda allows %d", len(o.Runtimes), types.MaxCompatibleRuntimes)
	}
	return nil
}

func problem(option, format string, args ...any) error {
	return &OptionError{option, errors.Errorf(format, args...).Error()}
}

// UnknownRuntimes returns the names among the options' that this version of the
// SDK does not list. Lambda may know them all the same.
func (o *Options) UnknownRuntimes() (unknown []string) {
	known := lambdatypes.Runtime("").Values()
	for _, r := range o.Runtimes {
		if !slices.Contains(known, lambdatypes.Runtime(r)) {
			unknown = append(unknown, r)
		}
	}
	return unknown
}

// Architectures are what Lambda calls the architecture of an image
// ("amd64", "arm64"); nil for one that Lambda does not have.
func Architectures(architecture string) []lambdatypes.Architecture {
	switch architecture {
	case "amd64":
		return []lambdatypes.Architecture{lambdatypes.ArchitectureX8664}
	case "arm64":
		return []lambdatypes.Architecture{lambdatypes.ArchitectureArm64}
	}
	return nil
}
