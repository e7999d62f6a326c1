package publish

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/pkg/errors"
)

// roleOptions returns the settings for profiles with a role. A role is assumed at
// *endpoint if that is not nil by then.
func roleOptions(ctx context.Context, o Options, endpoint **string) []func(*config.LoadOptions) error {
	return []func(*config.LoadOptions) error{
		config.WithAssumeRoleCredentialOptions(func(r *stscreds.AssumeRoleOptions) {
			if c, ok := r.Client.(*sts.Client); ok {
				r.Client = stsClient{c, endpoint}
			}
			if serial := aws.ToString(r.SerialNumber); o.MFACode != nil && serial != "" {
				r.TokenProvider = func() (string, error) { return o.MFACode(ctx, serial) }
			}
		}),
		config.WithWebIdentityRoleCredentialOptions(func(r *stscreds.WebIdentityRoleOptions) {
			if c, ok := r.Client.(*sts.Client); ok {
				r.Client = stsClient{c, endpoint}
			}
		}),
	}
}

// stsClient is a client for STS that goes to AWS_ENDPOINT_URL or the profile's
// endpoint_url, as clients for other services do: the SDK makes this one before it
// has read them.
type stsClient struct {
	*sts.Client
	endpoint **string
}

func (c stsClient) AssumeRole(ctx context.Context, in *sts.AssumeRoleInput, set ...func(*sts.Options)) (*sts.AssumeRoleOutput, error) {
	return c.Client.AssumeRole(ctx, in, append(set, c.atEndpoint)...)
}

func (c stsClient) AssumeRoleWithWebIdentity(ctx context.Context, in *sts.AssumeRoleWithWebIdentityInput, set ...func(*sts.Options)) (*sts.AssumeRoleWithWebIdentityOutput, error) {
	return c.Client.AssumeRoleWithWebIdentity(ctx, in, append(set, c.atEndpoint)...)
}

func (c stsClient) atEndpoint(o *sts.Options) {
	if o.BaseEndpoint == nil { // there is one if AWS_ENDPOINT_URL_STS says so
		o.BaseEndpoint = *c.endpoint
	}
}

// chosenProfile returns the profile that the user has named, or "".
func chosenProfile(o Options) string {
	return cmp.Or(o.Profile, os.Getenv("AWS_PROFILE"), os.Getenv("AWS_DEFAULT_PROFILE"))
}

// profileOf returns the name of the profile in use, or "" if there is none. It is
// "default" only if that one exists.
func profileOf(cfg aws.Config, o Options) string {
	_, shared := sources(cfg)
	name := chosenProfile(o)
	if name == "" && shared.Profile != "" && fromProfile(cfg) {
		name = shared.Profile
	}
	return name
}

// providers returns where the credentials come from, the outermost source last.
func providers(cfg aws.Config) []aws.CredentialSource {
	if c, ok := cfg.Credentials.(aws.CredentialProviderSource); ok {
		return c.ProviderSources()
	}
	return nil
}

// fromProfile reports whether the credentials come from a profile.
func fromProfile(cfg aws.Config) bool {
	return slices.ContainsFunc(providers(cfg), func(s aws.CredentialSource) bool {
		return s >= aws.CredentialSourceProfile && s <= aws.CredentialSourceProcess || s == aws.CredentialSourceProfileLogin
	})
}

// noConfig explains why the SDK did not even begin to look for credentials.
func noConfig(err error, o Options) error {
	var noProfile config.SharedConfigProfileNotExistError
	var noMFA config.AssumeRoleTokenProviderNotSetError
	switch {
	case errors.As(err, &noProfile):
		return errors.Errorf("there is no AWS profile %q in the shared config and credentials files: `aws configure list-profiles` lists those there are", noProfile.Profile)
	case errors.As(err, &noMFA):
		profile := cmp.Or(chosenProfile(o), "default")
		return &explainedError{fmt.Sprintf("AWS profile %q needs the code of an MFA device, and there is no terminal to ask for it: "+
			"run `eval \"$(aws configure export-credentials --profile %s --format env)\"` in a terminal first", profile, profile), err}
	}
	return errors.WithStack(&explainedError{"AWS configuration: " + strings.Join(strings.Fields(err.Error()), " "), err})
}

// noCredentials explains in one line what the SDK's chain of providers says in ten.
func noCredentials(err error, cfg aws.Config, profile string) error {
	from := "AWS credentials"
	if profile != "" {
		from += fmt.Sprintf(" of profile %q", profile)
	}
	say := func(format string, args ...any) error {
		return errors.WithStack(&explainedError{from + ": " + fmt.Sprintf(format, args...), err})
	}
	has := func(s ...aws.CredentialSource) bool {
		return slices.ContainsFunc(providers(cfg), func(p aws.CredentialSource) bool { return slices.Contains(s, p) })
	}
	service := askedService(err)
	switch {
	case service == sts.ServiceID: // there are credentials, but they get no role
		return errors.WithMessagef(explain(err), "%s, from %s", from, service)
	case has(aws.CredentialSourceSSO, aws.CredentialSourceSSOLegacy):
		return say("%s: sign in with `aws sso login%s`", noSession(err), profileOption(cfg, profile))
	case has(aws.CredentialSourceLogin):
		return say("%s: sign in with `aws login%s`", noSession(err), profileOption(cfg, profile))
	case has(aws.CredentialSourceProcess):
		return say("its credential_process failed: %s: run `aws configure export-credentials%s` to see whether it works for the AWS CLI", reason(err), profileOption(cfg, profile))
	case service != "" && service != imdsService:
		return errors.WithMessagef(explain(err), "%s, from %s", from, service)
	case service == "" || profile != "": // there is something, but it does not work
		return say("%s; `aws sso login` renews those of SSO, `aws configure` sets others", bottom(err))
	}
	const ways = "set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, run `aws configure` or `aws sso login`, or use --dry-run"
	return errors.WithStack(&explainedError{"no AWS credentials: " + ways, err})
}

// imdsService is the EC2 instance metadata service, which is the last to be asked.
const imdsService = "ec2imds"

// askedService returns the service that was asked for credentials and gave none, or "" if
// none was asked. A call does not count if there were no credentials to sign it with.
func askedService(err error) (service string) {
	var operation *smithy.OperationError
	for rest := err; errors.As(rest, &operation); rest = operation.Err {
		service = operation.Service()
	}
	var answered *smithyhttp.ResponseError
	var unsent *smithyhttp.RequestSendError
	if service != imdsService && !errors.As(err, &answered) && !errors.As(err, &unsent) {
		return ""
	}
	return service
}

// profileOption returns the AWS CLI's option that names the profile whose credentials are
// missing. For a role it is the profile that the role is assumed with.
func profileOption(cfg aws.Config, profile string) string {
	_, shared := sources(cfg)
	if shared.Source != nil {
		for shared.Source != nil {
			shared = *shared.Source
		}
		profile = shared.Profile
	}
	if profile == "" {
		return ""
	}
	return " --profile " + profile
}

// noSession says why there is no session of a user who signs in with a browser. The
// SDK reads it from a file that is made by signing in.
func noSession(err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return "nobody has signed in"
	}
	return reason(err)
}

// reason says why there are no credentials: AWS's own words, or else the innermost error.
func reason(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode() + ": " + strings.TrimSuffix(api.ErrorMessage(), ".")
	}
	return bottom(err).Error()
}
