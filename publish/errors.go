package publish

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/pkg/errors"
)

// bottom is the error that the others are wrapped around; it says what went
// wrong, or an error of the network just above it does.
func bottom(err error) error {
	for {
		next := errors.Unwrap(err)
		if _, network := err.(*net.OpError); network || next == nil {
			return err
		}
		err = next
	}
}

// explainedError is an error for people; its cause is for --debug.
type explainedError struct {
	message string
	cause   error
}

func (e *explainedError) Error() string { return e.message }

// Format prints the cause as well with %+v, as github.com/pkg/errors does.
func (e *explainedError) Format(s fmt.State, verb rune) {
	if verb == 'v' && s.Flag('+') {
		fmt.Fprintf(s, "%+v\n", e.cause)
	}
	io.WriteString(s, e.message)
}
func (e *explainedError) Unwrap() error { return e.cause }

// explain makes of an AWS error what people need: its code and message, and
// what to do about the common ones.
func explain(err error) error {
	var done *explainedError
	var doneAPI *apiError
	var api smithy.APIError
	var operation *smithy.OperationError
	var look *lookError
	var file *fs.PathError
	var unsent *smithyhttp.RequestSendError
	switch {
	case errors.As(err, &done), errors.As(err, &doneAPI):
		return err
	case errors.As(err, &look):
		return &explainedError{"the answer to the upload was lost, and whether Lambda has published the layer could not be looked up: " + explain(look.error).Error(), err}
	case errors.As(err, &file): // the zip, while it was sent
		return &explainedError{file.Error(), err}
	case notAWS(err) != "":
		return &explainedError{notAWS(err), err}
	case errors.As(err, &api):
		return explainAPI(api, err)
	case errors.As(err, &operation): // no answer
		why := bottom(operation).Error()
		if errors.Is(err, context.DeadlineExceeded) {
			why = "no answer in time"
		}
		return &explainedError{fmt.Sprintf("%s %s failed: %s", operation.Service(), operation.Operation(), why), err}
	case errors.As(err, &unsent): // an attempt at an operation
		return &explainedError{"no answer: " + bottom(unsent).Error(), err}
	}
	return err
}

func explainAPI(api smithy.APIError, err error) error {
	switch api.ErrorCode() {
	case "ExpiredToken", "ExpiredTokenException", "RequestExpired":
		return &explainedError{"the AWS credentials have expired: renew them, for example with `aws sso login` (" + api.ErrorMessage() + ")", err}
	case "InvalidSignatureException", "SignatureDoesNotMatch":
		// AWS's message repeats the request's headers, a session token too.
		return errors.Errorf("AWS does not accept the credentials: the secret access key does not belong to the access key ID, or this machine's clock is wrong (%s)", api.ErrorCode())
	case "UnrecognizedClientException", "InvalidClientTokenId", "MissingAuthenticationTokenException", "InvalidAccessKeyId":
		return &explainedError{"AWS does not accept the credentials: " + api.ErrorMessage(), err}
	case "CodeStorageExceededException":
		// The quota is 75 GB by default (quotas page, "Function and layer storage").
		return &explainedError{"the account has no room for more functions and layers in this region: delete versions that nobody uses, " +
			"or ask AWS for a higher quota \"Function and layer storage\" (" + api.ErrorCode() + ")", err}
	}
	return &apiError{api, err}
}

// notAWS says of an answer that is not AWS's, a proxy's for instance, who gave it;
// it is empty for others.
func notAWS(err error) string {
	var answer *smithyhttp.ResponseError
	if !errors.As(err, &answer) || answer.Response == nil || answer.Response.Response == nil {
		return ""
	}
	var api smithy.APIError
	var unread *smithy.DeserializationError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, context.DeadlineExceeded), errors.As(err, new(*net.OpError)): // AWS's, perhaps
		return ""
	case errors.As(err, &unread):
	case errors.As(err, &api) && api.ErrorCode() == "UnknownError" && api.ErrorMessage() == "UnknownError":
	default:
		return ""
	}
	host := "the host"
	if r := answer.Response.Request; r != nil {
		host = r.URL.Host
	}
	return fmt.Sprintf("%s has answered with status %d and what is not an answer of AWS's: is a proxy in between? (%s)",
		host, answer.HTTPStatusCode(), http.StatusText(answer.HTTPStatusCode()))
}

// apiError is an AWS error without the account of the request.
type apiError struct {
	smithy.APIError
	cause error
}

func (e *apiError) Error() string { return e.ErrorCode() + ": " + e.ErrorMessage() }
func (e *apiError) Unwrap() error { return e.cause }
