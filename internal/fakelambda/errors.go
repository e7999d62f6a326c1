package fakelambda

import (
	"io"
	"net/http"
)

// An apiError is an answer that tells of an error.
type apiError struct {
	status  int
	code    string // the exception's name, for the X-Amzn-ErrorType header
	message string
	header  http.Header // further headers
	reason  string      // of throttling
}

// Errors that are always the same. Those of the service's front door
// (signatures, routing) have no Type in their body, those of Lambda itself do.
var (
	errMissingToken     = apiError{status: 403, code: "MissingAuthenticationTokenException", message: "Missing Authentication Token"}
	errIncompleteToken  = apiError{status: 403, code: "IncompleteSignatureException", message: "Authorization header requires 'Credential', 'SignedHeaders' and 'Signature' parameters."}
	errWrongService     = apiError{status: 403, code: "InvalidSignatureException", message: "Credential should be scoped to correct service: 'lambda'. "}
	errExpiredToken     = apiError{status: 403, code: "ExpiredTokenException", message: "The security token included in the request is expired"}
	errUnknownToken     = apiError{status: 403, code: "UnrecognizedClientException", message: "The security token included in the request is invalid."}
	errUnknownOperation = apiError{status: 404, code: "UnknownOperationException", message: "Unknown operation"}
	errNotFound         = apiError{status: 404, code: "ResourceNotFoundException", message: "The resource you requested does not exist."}
)

// invalidParameter is the error of a value that is well-formed, but not good.
func invalidParameter(message string) *apiError {
	return &apiError{status: 400, code: "InvalidParameterValueException", message: message}
}

// invalidBody is the error of a body that cannot be read as JSON.
func invalidBody(err error) *apiError {
	return &apiError{
		status: 400, code: "InvalidRequestContentException",
		message: "Could not parse request body into json: " + err.Error(),
	}
}

// writeError answers with an error.
func writeError(w http.ResponseWriter, r *http.Request, e apiError) {
	// A client that still writes when the connection closes may see that
	// instead of the answer.
	_, _ = io.Copy(io.Discard, r.Body)

	body := map[string]string{}
	switch e.code {
	case "AccessDeniedException":
		body["Message"] = e.message
	case "ResourceNotFoundException":
		body["Type"], body["Message"] = "User", e.message
	case "ServiceException":
		body["Type"], body["Message"] = "Service", e.message
	case "InvalidParameterValueException", "InvalidRequestContentException", "ResourceConflictException",
		"RequestEntityTooLargeException", "TooManyRequestsException":
		body["Type"], body["message"] = "User", e.message
	default:
		body["message"] = e.message
	}
	if e.reason != "" {
		body["Reason"] = e.reason
	}
	for name, values := range e.header {
		w.Header()[name] = values
	}
	w.Header().Set("X-Amzn-Errortype", e.code)
	writeJSON(w, e.status, body)
}
