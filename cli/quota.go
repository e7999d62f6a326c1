package cli

import (
	"fmt"
	"strings"

	"github.com/awslabs/aws-lambda-container-image-converter/types"
)

// overQuota says where an image does not fit into Lambda, and what to do.
func overQuota(image *types.Image, o *options) (warnings []string) {
	warn := func(format string, args ...any) { warnings = append(warnings, fmt.Sprintf(format, args...)) }
	if n := len(image.Layers); n > types.MaxLayersPerFunction {
		warn("%d layers, and a function can have %d: --max-layers %d merges them", n, types.MaxLayersPerFunction, types.MaxLayersPerFunction)
	}
	if n := image.UncompressedSize(); n > types.MaxUnzippedSize {
		var all []string
		for _, u := range image.Largest {
			all = append(all, fmt.Sprintf("%s (%s)", u.Path, types.FormatSize(u.Size)))
		}
		warn("%s unzipped, and a function with its layers can have %s; most is in %s", types.FormatSize(n), types.FormatSize(types.MaxUnzippedSize), strings.Join(all, ", "))
	}
	for _, l := range image.Layers {
		switch {
		case l.UncompressedSize >= types.MaxUnzippedSize:
			warn("%s is %s unzipped, and Lambda takes no layer of %s or more", l.File, types.FormatSize(l.UncompressedSize), types.FormatSize(types.MaxUnzippedSize))
		case l.CodeSize > types.MaxDirectUpload && o.publish.Bucket == "":
			warn("%s is %s, and over %s publishing needs --s3-bucket", l.File, types.FormatSize(l.CodeSize), types.FormatSize(types.MaxDirectUpload))
		}
	}
	if f := image.Function; f != nil && f.CodeSize > types.MaxDirectUpload {
		warn("%s is %s, and over %s it has to go to Lambda through S3", f.File, types.FormatSize(f.CodeSize), types.FormatSize(types.MaxDirectUpload))
	}
	return warnings
}

// quotaLine says where an image stands against Lambda's quotas.
func quotaLine(image *types.Image) string {
	var zip int64
	for _, l := range image.Layers {
		zip = max(zip, l.CodeSize)
	}
	return fmt.Sprintf("Of Lambda's quotas: %d of %d layers, %s of %s unzipped, largest layer zip %s of %s",
		len(image.Layers), types.MaxLayersPerFunction,
		inMB(image.UncompressedSize()), types.FormatSize(types.MaxUnzippedSize), inMB(zip), types.FormatSize(types.MaxDirectUpload))
}

func inMB(n int64) string { return fmt.Sprintf("%.1f", float64(n)/(1<<20)) }
