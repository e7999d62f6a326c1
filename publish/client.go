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

// defaultRegion is used if no region is named anywhere.
const defaultRegion = "us-east-1"

// maxAttempts is how often a call is made before it fails, unless AWS_MAX_ATTEMPTS or
// the profile says otherwise. It is more than the SDK's 3, because everybody in an
// account shares 15 control plane requests a second in each region (quotas page, "API
// requests"). With the SDK's backoff of up to 20 s the last attempt comes after more
// than a minute.
const maxAttempts = 10

// Publisher publishes to regions of one account.
type Publisher struct {
	options   Options
	regions   []region
	byDefault bool // as ByDefault returns
	secrets   []string
	calls     *semaphore.Weighted
	uploads   *semaphore.Weighted
}

// region is a region to publish to.
type region struct {
	name   string
	bucket string // may be empty
	lambda *lambda.Client
	s3     *s3.Client
}

// New finds regions and credentials as the AWS CLI does. If there are no credentials,
// the error says what to do; AWS may still reject those that there are, later.
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
				// Services that stand in for S3 seldom have a host name for
				// each bucket.
				s.UsePathStyle = s.BaseEndpoint != nil
			}),
		})
	}
	return p, nil
}

// load returns the configuration that the SDK finds in the environment and in shared
// files.
func load(ctx context.Context, o Options) (aws.Config, error) {
	set := []func(*config.LoadOptions) error{
		config.WithAppID("img2lambda"),
		stsRegion(o.Regions),
		config.WithLogger(logging.Nop{}), // the errors say enough
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
			// AWS does not redirect, and the SDK would follow for ever.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	attempts := cmp.Or(cfg.RetryMaxAttempts, maxAttempts) // AWS_MAX_ATTEMPTS, max_attempts
	cfg.Retryer = func() aws.Retryer {
		return retry.NewStandard(func(r *retry.StandardOptions) {
			r.MaxAttempts = attempts
			// The SDK's limit on retries is meant for thousands of calls; here
			// it would only make the last layers fail.
			r.RateLimiter = ratelimit.None
			r.Retryables = append([]retry.IsErrorRetryable{retry.IsErrorRetryableFunc(worthwhile)}, r.Retryables...)
		})
	}
	return cfg, nil
}

// stsRegion sets the region in which roles are assumed. If there is one region to
// publish to, it is that one, as with the AWS CLI: credentials of the partition aws-cn
// are unknown in us-east-1. If there are several, the one that the environment or the
// profile names comes first, because the account may not have enabled all the others.
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

// windowsRefused is WSAECONNREFUSED, the error of a refused connection on Windows. No
// call returns syscall.ECONNREFUSED there.
const windowsRefused = syscall.Errno(10061)

// worthwhile reports whether a retry may help: not if nobody listens or answers or
// the host name is unknown, but certainly if an answer was cut off.
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

// sources returns the settings from the environment and from shared files.
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

// hasRegion reports whether the environment or the profile names a region.
func hasRegion(cfg aws.Config) bool {
	env, shared := sources(cfg)
	return env.Region != "" || shared.Region != ""
}

// regionSource returns what the user calls the place that the region comes from.
func regionSource(cfg aws.Config) string {
	if env, _ := sources(cfg); env.Region != "" {
		return "AWS_REGION (or AWS_DEFAULT_REGION)"
	}
	return "the profile"
}

// Regions returns the names of the regions to publish to, each once.
func (p *Publisher) Regions() []string {
	var names []string
	for _, r := range p.regions {
		names = append(names, r.name)
	}
	return names
}

// ByDefault reports whether no region was named in the options, the environment or the
// profile. The user should then be told which one is used.
func (p *Publisher) ByDefault() bool { return p.byDefault }

// Secrets returns what must not be printed, even if AWS repeats it in a message: the
// secret access key and the session token.
func (p *Publisher) Secrets() []string { return p.secrets }
