// Package publish brings zips to AWS Lambda as layers, in one region or in
// several: those that a region does not have yet. It shares them with others, and
// writes down their ARNs.
package publish

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/opencontainers/go-digest"
	"github.com/pkg/errors"

	"github.com/awslabs/aws-lambda-container-image-converter/types"
)

// Options are what Lambda is told of the layers, and where they go.
type Options struct {
	// Regions are AWS regions. If there are none, the SDK finds one
	// (environment, shared files), and us-east-1 is the last resort.
	Regions []string
	// Profile is a profile of the shared files; empty: the SDK's choice.
	Profile string
	// MFACode asks for the code of the MFA device with a serial number, for a
	// profile that has one. If it is nil, such a profile is an error.
	MFACode func(ctx context.Context, serial string) (string, error)
	// Namespace is what the names of the layers begin with.
	Namespace string
	// LayerName is the name of the only layer, whatever it holds; empty: names
	// are made of Namespace and digest.
	LayerName string
	// Description is shown with each layer version. Unlike the one in Content,
	// which stands in for an empty one, somebody has chosen it.
	Description string
	// LicenseInfo is shown with each layer version.
	LicenseInfo string
	// Runtimes are the names of the runtimes that the layers are for.
	Runtimes []string
	// Architectures are what the layers are for, as Lambda calls it: x86_64,
	// arm64. If it is nil, the image's is; if it is empty, none is named.
	Architectures []string
	// Bucket is the S3 bucket for zips that are too large for a request;
	// empty: there is none. "{region}" in it stands for the region.
	Bucket string
	// ShareWith are those who may use the layers: account IDs, organization IDs,
	// or "all" for everybody.
	ShareWith []string
	// Force publishes layers even if Lambda has them.
	Force bool
}

var (
	// layerName is what Lambda allows (PublishLayerVersion, parameter LayerName;
	// full ARNs aside).
	layerName = regexp.MustCompile(`^[a-zA-Z0-9_-]+$`)
	// regionName is what can be part of a host name.
	regionName = regexp.MustCompile(`^[a-z0-9-]+$`)
	// bucketName is what Lambda allows (LayerVersionContentInput, S3Bucket), which
	// is more than S3 does today: there are old buckets.
	bucketName = regexp.MustCompile(`^[0-9A-Za-z._-]{2,62}[0-9A-Za-z_-]$`)
	accountID  = regexp.MustCompile(`^[0-9]{12}$`)
	// organizationID is what Lambda allows (AddLayerVersionPermission, parameter
	// OrganizationId).
	organizationID = regexp.MustCompile(`^o-[a-z0-9]{10,32}$`)
)

// everybody is who layers are shared with when they are public.
const everybody = "all"

// OptionError says what Lambda would not accept.
type OptionError struct {
	Option  string // the field of Options
	Problem string
}

func (e *OptionError) Error() string { return e.Problem }

// Check finds what Lambda would refuse, without asking it. The error is an
// *OptionError.
func (o *Options) Check() error {
	for _, check := range []func() error{o.checkNames, o.checkTexts, o.checkPlaces, o.checkSharing} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (o *Options) checkNames() error {
	longest := types.LayerName(o.Namespace, digest.FromString(""))
	switch {
	case !layerName.MatchString(o.Namespace):
		return problem("Namespace", "Lambda allows letters, digits, - and _ in a layer's name")
	case o.LayerName == "" && len(longest) > types.MaxLayerName:
		return problem("Namespace", "it makes layer names of %d characters, Lambda allows %d: shorten it by %d",
			len(longest), types.MaxLayerName, len(longest)-types.MaxLayerName)
	case o.LayerName != "" && !layerName.MatchString(o.LayerName):
		return problem("LayerName", "Lambda allows letters, digits, - and _ in a layer's name")
	case len(o.LayerName) > types.MaxLayerName:
		return problem("LayerName", "it has %d characters, Lambda allows %d", len(o.LayerName), types.MaxLayerName)
	}
	return nil
}

func (o *Options) checkTexts() error {
	switch {
	case utf8.RuneCountInString(o.Description) > types.MaxDescription:
		return problem("Description", "it has %d characters, Lambda allows %d", utf8.RuneCountInString(o.Description), types.MaxDescription)
	case utf8.RuneCountInString(o.LicenseInfo) > types.MaxLicenseInfo:
		return problem("LicenseInfo", "it has %d characters, Lambda allows %d", utf8.RuneCountInString(o.LicenseInfo), types.MaxLicenseInfo)
	case len(o.Runtimes) > types.MaxCompatibleRuntimes:
		return problem("Runtimes", "there are %d, Lambda allows %d", len(o.Runtimes), types.MaxCompatibleRuntimes)
	case slices.Contains(o.Runtimes, ""):
		return problem("Runtimes", "the name of a runtime is empty")
	}
	for _, a := range o.Architectures {
		if known := lambdatypes.Architecture("").Values(); !slices.Contains(known, lambdatypes.Architecture(a)) {
			return problem("Architectures", "Lambda has no architecture %q, only x86_64 and arm64", a)
		}
	}
	return nil
}

func (o *Options) checkPlaces() error {
	for _, r := range o.Regions {
		if !regionName.MatchString(r) {
			return problem("Regions", "%q is not the name of a region, such as eu-west-1", r)
		}
	}
	regions := o.Regions
	if len(regions) == 0 {
		regions = []string{defaultRegion}
	}
	for _, r := range regions {
		if o.Bucket != "" && !bucketName.MatchString(bucketIn(o.Bucket, r)) {
			return problem("Bucket", "%q is not the name of a bucket: it has 3 to 63 letters, digits, dots, - and _, and no s3:// before it", o.Bucket)
		}
	}
	return nil
}

func (o *Options) checkSharing() error {
	for _, with := range o.ShareWith {
		if !accountID.MatchString(with) && !organizationID.MatchString(with) && with != everybody {
			return problem("ShareWith", "%q is not an AWS account ID (12 digits), an organization ID (o- and 10 to 32 letters and digits) or %q", with, everybody)
		}
	}
	return nil
}

func problem(option, format string, args ...any) error {
	return &OptionError{option, errors.Errorf(format, args...).Error()}
}

// bucketIn is the name of the bucket for a region.
func bucketIn(bucket, region string) string {
	return strings.ReplaceAll(bucket, "{region}", region)
}

// Name is the name that Lambda knows a layer by that is made of what d is the
// digest of.
func (o *Options) Name(d digest.Digest) string {
	if o.LayerName != "" {
		return o.LayerName
	}
	return types.LayerName(o.Namespace, d)
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
func Architectures(architecture string) []string {
	switch architecture {
	case "amd64":
		return []string{string(lambdatypes.ArchitectureX8664)}
	case "arm64":
		return []string{string(lambdatypes.ArchitectureArm64)}
	}
	return nil
}
