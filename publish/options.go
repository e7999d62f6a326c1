// Package publish publishes zips as AWS Lambda layers, in one region or several. It
// leaves out what a region has already, shares the layers with others, and writes
// their ARNs to files.
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

// Options say where layers are published, and how.
type Options struct {
	// Regions are the AWS regions to publish to. If there are none, it is the one
	// that the environment or the profile names, or else us-east-1.
	Regions []string
	// Profile is a profile in the shared config and credentials files. If it is
	// empty, the environment decides.
	Profile string
	// MFACode asks the user for the code of the MFA device with a serial number. If
	// it is nil, a profile that needs such a code is an error.
	MFACode func(ctx context.Context, serial string) (string, error)
	// Namespace is what the names of the layers begin with.
	Namespace string
	// LayerName is the name of the only layer. If it is empty, layers are named
	// after Namespace and their digest.
	LayerName string
	// Description is shown with each layer version. If it is empty, the one in
	// Content is.
	Description string
	// LicenseInfo is shown with each layer version.
	LicenseInfo string
	// Runtimes are the names of the runtimes that the layers are for.
	Runtimes []string
	// Architectures are what the layers are for, by Lambda's names: x86_64, arm64.
	// Nil means the image's; empty but not nil means that none is named.
	Architectures []string
	// Bucket is the S3 bucket for zips that are too large for a request; it may be
	// empty. "{region}" in it stands for the region.
	Bucket string
	// ShareWith says who else may use the layers: account IDs, organization IDs, or
	// "all" for everybody.
	ShareWith []string
	// Force publishes layers even if a region has them already.
	Force bool
}

var (
	// layerName is what Lambda allows (PublishLayerVersion, parameter LayerName),
	// without ARNs.
	layerName = regexp.MustCompile(`^[a-zA-Z0-9_-]+$`)
	// regionName matches what can be part of a host name.
	regionName = regexp.MustCompile(`^[a-z0-9-]+$`)
	// bucketName is what Lambda allows (LayerVersionContentInput, S3Bucket). Old
	// buckets have names that S3 no longer allows.
	bucketName = regexp.MustCompile(`^[0-9A-Za-z._-]{2,62}[0-9A-Za-z_-]$`)
	accountID  = regexp.MustCompile(`^[0-9]{12}$`)
	// organizationID is what Lambda allows (AddLayerVersionPermission, parameter
	// OrganizationId).
	organizationID = regexp.MustCompile(`^o-[a-z0-9]{10,32}$`)
)

// everybody is the value in ShareWith that makes layers public.
const everybody = "all"

// OptionError is about an option that Lambda would not accept.
type OptionError struct {
	Option  string // the field of Options
	Problem string
}

func (e *OptionError) Error() string { return e.Problem }

// Check finds, without a call, what Lambda would refuse. The error is an *OptionError.
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
	case o.Namespace == "":
		return problem("Namespace", "it is empty")
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
			return problem("Bucket", "%q is not the name of a bucket: that is 3 to 63 letters, digits, dots, - and _, without s3://", o.Bucket)
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

// bucketIn returns the name of the bucket for a region.
func bucketIn(bucket, region string) string {
	return strings.ReplaceAll(bucket, "{region}", region)
}

// Name returns the name of the Lambda layer whose content has the digest d.
func (o *Options) Name(d digest.Digest) string {
	if o.LayerName != "" {
		return o.LayerName
	}
	return types.LayerName(o.Namespace, d)
}

// UnknownRuntimes returns those of the options' runtimes that this version of the SDK
// does not list. Lambda may know them all the same.
func (o *Options) UnknownRuntimes() (unknown []string) {
	known := lambdatypes.Runtime("").Values()
	for _, r := range o.Runtimes {
		if !slices.Contains(known, lambdatypes.Runtime(r)) {
			unknown = append(unknown, r)
		}
	}
	return unknown
}

// Architectures returns what Lambda calls an image's architecture ("amd64", "arm64"), or
// nil if Lambda does not have it.
func Architectures(architecture string) []string {
	switch architecture {
	case "amd64":
		return []string{string(lambdatypes.ArchitectureX8664)}
	case "arm64":
		return []string{string(lambdatypes.ArchitectureArm64)}
	}
	return nil
}
