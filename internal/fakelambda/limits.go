package fakelambda

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// Limits of the service. Those without another source are in the API's model,
// https://docs.aws.amazon.com/lambda/latest/api/API_PublishLayerVersion.html
// and https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html.
const (
	// 50 MiB of zip in base64, and 256 KiB for the rest of the request. The
	// page of quotas has the 50 MB, the service's error message the sum.
	// https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
	maxRequestSize = 70_167_211
	// Of a layer, and of all the layers and the code of a function (same page).
	maxUnzippedSize = 262_144_000
	// Layers of a function (same page).
	maxLayers = 5

	maxPageSize      = 50
	maxNameLength    = 140
	maxARNLength     = 140 // of a layer version in CreateFunction
	maxDescription   = 256
	maxLicenseInfo   = 512
	maxRuntimes      = 15
	maxArchitectures = 2
)

// Patterns of the API's model, to be matched as a whole.
const (
	layerNamePattern    = `(arn:[a-zA-Z0-9-]+:lambda:[a-zA-Z0-9-]+:\d{12}:layer:[a-zA-Z0-9-_]+)|[a-zA-Z0-9-_]+`
	layerARNPattern     = `arn:[a-zA-Z0-9-]+:lambda:[a-zA-Z0-9-]+:\d{12}:layer:[a-zA-Z0-9-_]+:[0-9]+`
	functionNamePattern = `[a-zA-Z0-9-_]{1,64}`
	statementPattern    = `[a-zA-Z0-9-_]{1,100}`
	principalPattern    = `\d{12}|\*|arn:(aws[a-zA-Z-]*):iam::\d{12}:root`
	organizationPattern = `o-[a-z0-9]{10,32}`
	rolePattern         = `arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+`
)

// architectures is the set that the service knows, in its order.
var architectures = []string{"x86_64", "arm64"}

// violations collects what of a request breaks the API's model.
type violations []string

// add tells that a member's value breaks a constraint.
func (v *violations) add(value any, member, constraint string) {
	*v = append(*v, fmt.Sprintf("Value '%v' at '%s' failed to satisfy constraint: %s", value, member, constraint))
}

// length wants at most so many characters.
func (v *violations) length(value, member string, most int) {
	if utf8.RuneCountInString(value) > most {
		v.add(value, member, fmt.Sprintf("Member must have length less than or equal to %d", most))
	}
}

// items wants at most so many values.
func (v *violations) items(values []string, member string, most int) {
	if len(values) > most {
		v.add(list(values), member, fmt.Sprintf("Member must have length less than or equal to %d", most))
	}
}

// pattern wants a value that matches as a whole.
func (v *violations) pattern(value, member, pattern string) {
	if !matches(value, pattern) {
		v.add(value, member, "Member must satisfy regular expression pattern: "+pattern)
	}
}

// architectures wants names that the service knows.
func (v *violations) architectures(values []string, member string) {
	for _, value := range values {
		if value != architectures[0] && value != architectures[1] {
			v.add(list(values), member, "Member must satisfy constraint: [Member must satisfy enum value set: "+list(architectures)+"]")
			return
		}
	}
}

// failure is the error for them all, or nil if there are none.
func (v violations) failure() *apiError {
	if len(v) == 0 {
		return nil
	}
	plural := ""
	if len(v) > 1 {
		plural = "s"
	}
	return &apiError{
		status: 400, code: "ValidationException",
		message: fmt.Sprintf("%d validation error%s detected: %s", len(v), plural, strings.Join(v, "; ")),
	}
}

// matches tells whether a pattern matches the whole value.
func matches(value, pattern string) bool {
	return regexp.MustCompile(`^(?:` + pattern + `)$`).MatchString(value)
}

// list is how the service prints a list.
func list(values []string) string {
	return "[" + strings.Join(values, ", ") + "]"
}
