package types

import (
	"fmt"
	"strconv"
	"strings"
)

// Lambda's quotas. Unless another source is named, they are from the page "Lambda
// quotas" of the Lambda developer guide
// (docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html), where a megabyte is
// 1024 × 1024 bytes.
const (
	// MaxLayersPerFunction is how many layers a function can have.
	MaxLayersPerFunction = 5
	// MaxUnzippedSize is how large, in bytes, a function and all its layers can be
	// together, unzipped. A single layer has to be smaller than that.
	MaxUnzippedSize = 250 << 20
	// MaxDirectUpload is how large, in bytes, a zip in a request can be. A larger one
	// goes through S3.
	MaxDirectUpload = 50 << 20

	// MaxLayerName is the number of characters of a layer's name
	// (PublishLayerVersion, parameter LayerName).
	MaxLayerName = 140
	// MaxLayerARN is the number of characters that the ARN of a function's layer can
	// have (CreateFunction, parameter Layers).
	MaxLayerARN = 140
	// MaxDescription is the number of characters of a layer's description
	// (PublishLayerVersion, parameter Description).
	MaxDescription = 256
	// MaxLicenseInfo is the number of characters of a layer's license
	// (PublishLayerVersion, parameter LicenseInfo).
	MaxLicenseInfo = 512
	// MaxCompatibleRuntimes is how many runtimes a layer can name
	// (PublishLayerVersion, parameter CompatibleRuntimes).
	MaxCompatibleRuntimes = 15
)

// FormatSize returns a number of bytes as people read it, in the units of the
// quotas: 1 KB is 1024 bytes, 1 MB is 1024 KB.
func FormatSize(n int64) string {
	kb := strings.TrimSuffix(fmt.Sprintf("%.1f", float64(n)/(1<<10)), ".0")
	switch {
	case n < 1<<10:
		return strconv.FormatInt(n, 10) + " B"
	case kb != "1024" && n < 1<<20:
		return kb + " KB"
	default:
		return strings.TrimSuffix(fmt.Sprintf("%.1f", float64(n)/(1<<20)), ".0") + " MB"
	}
}
