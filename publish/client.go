package publish

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/logging"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/pkg/errors"
)

// defaultRegion is for those who have chosen none anywhere.
const defaultRegion = "us-east-1"

// maxAttempts is, unless the user chooses, for accounts in which others publish as well: Lambda allows
// 15 requests of its control plane a second in all (quotas page, "API
// requests"). With the SDK's backoff of up to 20 s the last one comes after
// more than a minute.
const maxAttempts = 10

const (
	// patience is how long AWS may take for an answer, the time for what is
	// uploaded not included.
	patience = 2 * time.Minute
	// slowest is the least number of bytes a second at which an upload goes on.
	slowest = 32 << 10
)

// limitAttempts bounds the time of each attempt of a call.
func limitAttempts(stack *middleware.Stack) error {
	return stack.Finalize.Insert(middleware.FinalizeMiddlewareFunc("AttemptLimit",
		func(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
			limit := patience
			if r, ok := in.Request.(*smithyhttp.Request); ok {
				if n, known, err := r.StreamLength(); known && err == nil {
					limit += time.Duration(n/slowest) * time.Second
				}
			}
			ctx, cancel := context.WithTimeout(ctx, limit)
			defer cancel()
			return next.HandleFinalize(ctx, in)
		}), "Retry", middleware.After)
}

// Publisher publishes to one region of one account.
type Publisher struct {
	options Options
	secrets []string
	lambda  *lambda.Client
	s3      *s3.Client
}

// New finds region and credentials as the AWS CLI does. The error says what to
// do if there are none; whether they are accepted only shows later.
func New(ctx context.Context, o Options) (*Publisher, error) {
	set := []func(*config.LoadOptions) error{
		config.WithAppID("img2lambda"),
		config.WithDefaultRegion(defaultRegion),
		config.WithLogger(logging.Nop{}), // errors say all that people need
		config.WithAPIOptions([]func(*middleware.Stack) error{limitAttempts}),
	}
	if o.Region != "" {
		set = append(set, config.WithRegion(o.Region))
	}
	if o.Profile != "" {
		set = append(set, config.WithSharedConfigProfile(o.Profile))
	}
	cfg, err := config.LoadDefaultConfig(ctx, set...)
	var noProfile config.SharedConfigProfileNotExistError
	if errors.As(err, &noProfile) {
		return nil, errors.Errorf("there is no AWS profile %q in the shared config and credentials files: `aws configure list-profiles` lists those there are", noProfile.Profile)
	} else if err != nil {
		return nil, errors.Wrap(err, "AWS configuration")
	}
	if cfg.HTTPClient == nil { // there is one if AWS_CA_BUNDLE says so
		cfg.HTTPClient = awshttp.NewBuildableClient()
	}
	if b, ok := cfg.HTTPClient.(*awshttp.BuildableClient); ok {
		cfg.HTTPClient = &http.Client{
			Transport: b.GetTransport(),
			// AWS sends nobody elsewhere, and the SDK would follow for ever.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	attempts := cmp.Or(cfg.RetryMaxAttempts, maxAttempts) // AWS_MAX_ATTEMPTS, max_attempts
	cfg.Retryer = func() aws.Retryer {
		return retry.NewStandard(func(r *retry.StandardOptions) {
			r.MaxAttempts = attempts
			// Layers are few: no need for what keeps thousands of calls from
			// being tried again together.
			r.RateLimiter = ratelimit.None
			r.Retryables = append([]retry.IsErrorRetryable{retry.IsErrorRetryableFunc(unreachable)}, r.Retryables...)
		})
	}
	found, err := cfg.Credentials.Retrieve(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, noCredentials(err, cmp.Or(o.Profile, os.Getenv("AWS_PROFILE")))
	}
	return &Publisher{
		options: o,
		secrets: []string{found.SecretAccessKey, found.SessionToken},
		lambda:  lambda.NewFromConfig(cfg),
		s3: s3.NewFromConfig(cfg, func(s *s3.Options) {
			// What stands in for S3 at AWS_ENDPOINT_URL seldom has a host name
			// for each bucket.
			s.UsePathStyle = s.BaseEndpoint != nil
		}),
	}, nil
}

// unreachable says not to try again where nobody answers, even after a long
// wait, or the name is wrong.
func unreachable(err error) aws.Ternary {
	var dns *net.DNSError
	if errors.Is(err, syscall.ECONNREFUSED) || errors.As(err, &dns) && dns.IsNotFound || errors.Is(err, context.DeadlineExceeded) {
		return aws.FalseTernary
	}
	return aws.UnknownTernary
}

// Secrets are what must not be printed, even if AWS repeats it: the secret access
// key and the session token.
func (p *Publisher) Secrets() []string { return p.secrets }

// noCredentials says in one line what a chain of providers says in ten.
func noCredentials(err error, profile string) error {
	var operation *smithy.OperationError
	asked := errors.As(err, &operation)
	switch imds := asked && operation.Service() == "ec2imds"; {
	case asked && !imds: // there is a role for STS or SSO
		return errors.WithMessagef(explain(err), "AWS credentials, from %s", operation.Service())
	case !imds || profile != "": // there is something, and it does not work
		from := "AWS credentials"
		if profile != "" {
			from += fmt.Sprintf(" of profile %q", profile)
		}
		return &explainedError{fmt.Sprintf("%s: %s; `aws sso login` renews those of SSO, `aws configure` sets others", from, bottom(err)), err}
	}
	const ways = "set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, run `aws configure` or `aws sso login`, or use --dry-run"
	return errors.WithStack(&explainedError{"no AWS credentials: " + ways, err})
}

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
	var api smithy.APIError
	var done *apiError
	var operation *smithy.OperationError
	switch {
	case errors.As(err, &done):
		return err
	case errors.As(err, &api):
	case errors.As(err, &operation): // no answer of AWS's
		why := bottom(operation).Error()
		if errors.Is(err, context.DeadlineExceeded) {
			why = "no answer in time"
		}
		return &explainedError{fmt.Sprintf("%s %s failed: %s", operation.Service(), operation.Operation(), why), err}
	default:
		return err
	}
	switch api.ErrorCode() {
	case "ExpiredToken", "ExpiredTokenException", "RequestExpired":
		return &explainedError{"the AWS credentials have expired: renew them, for example with `aws sso login` (" + api.ErrorMessage() + ")", err}
	case "InvalidSignatureException", "SignatureDoesNotMatch":
		// AWS's message repeats the request's headers, a session token too.
		return errors.Errorf("AWS does not accept the credentials: the secret access key does not belong to the access key ID, or this machine's clock is wrong (%s)", api.ErrorCode())
	case "UnrecognizedClientException", "InvalidClientTokenId", "MissingAuthenticationTokenException", "InvalidAccessKeyId":
		return &explainedError{"AWS does not accept the credentials: " + api.ErrorMessage(), err}
	}
	return &apiError{api, err}
}

// apiError is an AWS error without the account of the request.
type apiError struct {
	smithy.APIError
	cause error
}

func (e *apiError) Error() string { return e.ErrorCode() + ": " + e.ErrorMessage() }
func (e *apiError) Unwrap() error { return e.cause }
