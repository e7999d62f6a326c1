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

// bottom returns the innermost error, which says what went wrong. It stops at an error
// of the network, which names the address as well.
func bottom(err error) error {
	for {
		next := errors.Unwrap(err)
		if _, network := err.(*net.OpError); network || next == nil {
			return err
		}
		err = next
	}
}

// explainedError is an error with a message for people. Its cause is for --debug.
type explainedError struct {
	message string
	cause   error
}

func (e *explainedError) Error() string { return e.message }

// Format prints the cause too with %+v, as the errors of github.com/pkg/errors do.
func (e *explainedError) Format(s fmt.State, verb rune) {
	if verb == 'v' && s.Flag('+') {
		fmt.Fprintf(s, "%+v\n", e.cause)
	}
	io.WriteString(s, e.message)
}
func (e *explainedError) Unwrap() error { return e.cause }

const noAnswerInTime = "no answer in time"

// explain shortens an AWS error to what people need: its code and message, and for the
// common ones what to do.
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
			why = noAnswerInTime
		}
		if dns := (*net.DNSError)(nil); errors.As(err, &dns) && dns.IsNotFound {
			why += "; is the region's name right, and the network there?"
		}
		return &explainedError{fmt.Sprintf("%s %s failed: %s", operation.Service(), operation.Operation(), why), err}
	case errors.Is(err, context.DeadlineExceeded): // an attempt at an operation
		return &explainedError{noAnswerInTime, err}
	case errors.As(err, &unsent): // likewise
		return &explainedError{"no answer: " + bottom(unsent).Error(), err}
	}
	return err
}

func explainAPI(api smithy.APIError, err error) error {
	switch api.ErrorCode() {
	case "ExpiredToken", "ExpiredTokenException", "RequestExpired":
		return &explainedError{"the AWS credentials have expired: renew them, for example with `aws sso login` (" + api.ErrorMessage() + ")", err}
	case "InvalidSignatureException", "SignatureDoesNotMatch":
		// Without AWS's message, which repeats the request's headers and with them a
		// session token.
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

// notAWS returns a message if the answer did not come from AWS, but from a proxy for
// instance, and "" otherwise.
func notAWS(err error) string {
	var answer *smithyhttp.ResponseError
	if !errors.As(err, &answer) || answer.Response == nil || answer.Response.Response == nil {
		return ""
	}
	var api smithy.APIError
	var unread *smithy.DeserializationError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, context.DeadlineExceeded), errors.As(err, new(*net.OpError)): // perhaps AWS's
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
	return fmt.Sprintf("%s answered with status %d (%s), and not as AWS does: is there a proxy in between?",
		host, answer.HTTPStatusCode(), http.StatusText(answer.HTTPStatusCode()))
}

// apiError is an AWS error that leaves out the operation and the request's ID.
type apiError struct {
	smithy.APIError
	cause error
}

func (e *apiError) Error() string { return e.ErrorCode() + ": " + e.ErrorMessage() }
func (e *apiError) Unwrap() error { return e.cause }
