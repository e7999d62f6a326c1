package publish

import (
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
)

// compare warns if a version with the same content differs in its settings from what
// was asked for. Lambda cannot change the settings of a version.
func (w *work) compare(found *lambda.GetLayerVersionOutput) {
	var differences []string
	differ := func(what, has, asked string) {
		if has != asked {
			differences = append(differences, fmt.Sprintf("%s %s instead of %s", what, orNone(has), orNone(asked)))
		}
	}
	in := w.input()
	differ("runtimes", names(found.CompatibleRuntimes), names(in.CompatibleRuntimes))
	// In a region that does not know the parameter, versions have none.
	if w.options.Architectures != nil || len(found.CompatibleArchitectures) > 0 {
		differ("architectures", names(found.CompatibleArchitectures), names(in.CompatibleArchitectures))
	}
	differ("license", aws.ToString(found.LicenseInfo), aws.ToString(in.LicenseInfo))
	if w.options.Description != "" {
		differ("description", aws.ToString(found.Description), w.options.Description)
	}
	if len(differences) > 0 {
		w.progress.Warn(w.target, fmt.Sprintf("%s is there already, as %s with %s: --force publishes it again",
			w.layer.File, w.version.ARN, strings.Join(differences, ", ")))
	}
}

// names lists values whose order does not matter.
func names[S ~string](values []S) string {
	var all []string
	for _, v := range values {
		all = append(all, string(v))
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), ", ")
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return fmt.Sprintf("%q", s)
}
