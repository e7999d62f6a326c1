package fakelambda

import (
	"fmt"
	"net/http"
	"strings"
)

// caller is who all the requests come from.
const caller = "user/caller"

// authenticate checks that a request is signed with a good key for Lambda,
// and returns the region that it is signed for. The signature itself is not
// verified, since the API knows no secrets.
func (a *API) authenticate(r *http.Request) (region string, failure *apiError) {
	header := r.Header.Get("Authorization")
	if header == "" {
		return "", &errMissingToken
	}
	parameters, ok := strings.CutPrefix(header, "AWS4-HMAC-SHA256 ")
	values := make(map[string]string)
	for parameter := range strings.SplitSeq(parameters, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(parameter), "=")
		values[name] = value
	}
	if !ok || values["Credential"] == "" || values["SignedHeaders"] == "" || values["Signature"] == "" {
		return "", &errIncompleteToken
	}
	// The scope: key ID, date, region, service, "aws4_request".
	scope := strings.Split(values["Credential"], "/")
	if len(scope) != 5 || scope[4] != "aws4_request" {
		return "", &errIncompleteToken
	}
	if scope[3] != "lambda" {
		return "", &errWrongService
	}
	if failure, ok := a.badKeys[scope[0]]; ok {
		return "", &failure
	}
	return scope[2], nil
}

// authorize checks that the caller may perform the operation on a resource.
func (a *API) authorize(r request, resource string) *apiError {
	if a.allowed == nil || a.allowed[r.operation] {
		return nil
	}
	return accessDenied(r, r.operation, resource, "identity-based")
}

// accessDenied is the error of a caller without a policy of that kind that
// allows an operation on a resource.
func accessDenied(r request, op Operation, resource, policy string) *apiError {
	return &apiError{
		status: 403, code: "AccessDeniedException",
		message: fmt.Sprintf("User: arn:%s:iam::%s:%s is not authorized to perform: lambda:%s on resource: %s"+
			" because no %s policy allows the lambda:%s action",
			partition(r.region), AccountID, caller, op, resource, policy, op),
	}
}

// partition returns the part of AWS that a region belongs to.
func partition(region string) string {
	switch {
	case strings.HasPrefix(region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(region, "us-gov-"):
		return "aws-us-gov"
	}
	return "aws"
}
