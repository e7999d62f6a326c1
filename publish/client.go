package publish

import (
	"cmp"
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"syscall"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/logging"
	"github.com/aws/smithy-go/middleware"
	"github.com/pkg/errors"
	"golang.org/x/sync/semaphore"
)

// defaultRegion is for those who have chosen none anywhere.
const defaultRegion = "us-east-1"

// maxAttempts is how often a call is made, unless the user has chosen: others may
// publish in the same account, and Lambda allows it 15 requests of its control
// plane a second in each region (quotas page, "API requests"). With the SDK's
// backoff of up to 20 s the last one comes after more than a minute.
const maxAttempts = 10

// Publisher publishes to regions of one account.
type Publisher struct {
	options   Options
	regions   []region
	byDefault bool // nobody has named a region
	secrets   []string
	calls     *semaphore.Weighted
	uploads   *semaphore.Weighted
}

// region is one of those that are published to.
type region struct {
	name   string
	bucket string // empty: there is none
	lambda *lambda.Client
	s3     *s3.Client
}

// New finds regions and credentials as the AWS CLI does. The error says what to
// do if there are none; whether they are accepted only shows later.
func New(ctx context.Context, o Options) (*Publisher, error) {
	cfg, err := load(ctx, o)
	if err != nil {
		return nil, err
	}
	found, err := cfg.Credentials.Retrieve(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, noCredentials(err, cfg, profileOf(cfg, o))
	}
	p := &Publisher{
		options: o,
		secrets: []string{found.SecretAccessKey, found.SessionToken},
		calls:   semaphore.NewWeighted(maxCalls),
		uploads: semaphore.NewWeighted(maxCalls),
	}
	names := slices.Clone(o.Regions)
	if len(names) == 0 {
		names = []string{cfg.Region}
		p.byDefault = !hasRegion(cfg)
	}
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			continue
		}
		cfg := cfg.Copy()
		cfg.Region = name
		p.regions = append(p.regions, region{
			name:   name,
			bucket: bucketIn(o.Bucket, name),
			lambda: lambda.NewFromConfig(cfg),
			s3: s3.NewFromConfig(cfg, func(s *s3.Options) {
				// What stands in for S3 at AWS_ENDPOINT_URL seldom has a host
				// name for each bucket.
				s.UsePathStyle = s.BaseEndpoint != nil
			}),
		})
	}
	return p, nil
}

// load loads what the SDK finds in the environment and in shared files.
func load(ctx context.Context, o Options) (aws.Config, error) {
	set := []func(*config.LoadOptions) error{
		config.WithAppID("img2lambda"),
		stsRegion(o.Regions),
		config.WithLogger(logging.Nop{}), // errors say all that people need
		config.WithAPIOptions([]func(*middleware.Stack) error{limitAttempts}),
	}
	var endpoint *string
	set = append(set, roleOptions(ctx, o, &endpoint)...)
	if o.Profile != "" {
		set = append(set, config.WithSharedConfigProfile(o.Profile))
	}
	cfg, err := config.LoadDefaultConfig(ctx, set...)
	if err != nil {
		return cfg, noConfig(err, o)
	}
	endpoint = cfg.BaseEndpoint
	if len(o.Regions) == 0 && !regionName.MatchString(cfg.Region) {
		return cfg, problem("Regions", "%s has %q, which is not the name of a region, such as eu-west-1", regionSource(cfg), cfg.Region)
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
			r.Retryables = append([]retry.IsErrorRetryable{retry.IsErrorRetryableFunc(worthwhile)}, r.Retryables...)
		})
	}
	return cfg, nil
}

// stsRegion sets the region in which roles are assumed. For one region it is that
// one, as with the AWS CLI: credentials of aws-cn mean nothing in us-east-1. For
// several, the environment or the profile may name it, so that the first region does
// not stop the others if the account has not enabled it.
func stsRegion(regions []string) config.LoadOptionsFunc {
	switch len(regions) {
	case 0:
		return config.WithDefaultRegion(defaultRegion)
	case 1:
		return config.WithRegion(regions[0])
	default:
		return config.WithDefaultRegion(regions[0])
	}
}

// windowsRefused is WSAECONNREFUSED, with which Windows refuses a connection; its
// syscall.ECONNREFUSED is Go's own, and no call returns it.
const windowsRefused = syscall.Errno(10061)

// worthwhile says not to try again where nobody answers, even after a long
// wait, or the name is wrong; and to do so where an answer was cut.
func worthwhile(err error) aws.Ternary {
	var dns *net.DNSError
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return aws.TrueTernary
	}
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, windowsRefused) || errors.As(err, &dns) && dns.IsNotFound || errors.Is(err, context.DeadlineExceeded) {
		return aws.FalseTernary
	}
	return aws.UnknownTernary
}

// sources returns what the SDK has found in the environment and in shared files.
func sources(cfg aws.Config) (env config.EnvConfig, shared config.SharedConfig) {
	for _, s := range cfg.ConfigSources {
		switch s := s.(type) {
		case config.EnvConfig:
			env = s
		case config.SharedConfig:
			shared = s
		}
	}
	return env, shared
}

// hasRegion tells whether the environment or the profile names a region.
func hasRegion(cfg aws.Config) bool {
	env, shared := sources(cfg)
	return env.Region != "" || shared.Region != ""
}

// regionSource is where the region comes from, for people.
func regionSource(cfg aws.Config) string {
	if env, _ := sources(cfg); env.Region != "" {
		return "AWS_REGION (or AWS_DEFAULT_REGION)"
	}
	return "the profile"
}

// Regions are the names of the regions that are published to, each once.
func (p *Publisher) Regions() []string {
	var names []string
	for _, r := range p.regions {
		names = append(names, r.name)
	}
	return names
}

// ByDefault tells whether nobody has named a region, neither in the options nor in
// the environment or the profile, so that people should hear which one it is.
func (p *Publisher) ByDefault() bool { return p.byDefault }

// Secrets are what must not be printed, even if AWS repeats it: the secret access
// key and the session token.
func (p *Publisher) Secrets() []string { return p.secrets }
