package publish

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/aws/smithy-go"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/fakelambda"
)

// withConfig sets the environment as newPublisher does, with STS at the same URL,
// and makes text the shared config file.
func withConfig(t *testing.T, sts http.HandlerFunc, text string) {
	t.Helper()
	newPublisher(t, fakelambda.New(fakelambda.WithS3(sts)), Options{Namespace: "test"})
	home := t.TempDir()
	config := filepath.Join(home, "config")
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOME", home)
	t.Setenv("AWS_CONFIG_FILE", config)
}

// roles is an STS that gives credentials for any role, and notes the requests.
type roles struct {
	mu       sync.Mutex
	requests []string
}

func (s *roles) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	action := r.Form.Get("Action")
	s.mu.Lock()
	s.requests = append(s.requests, action+" "+r.Form.Get("SerialNumber")+" "+r.Form.Get("TokenCode")+r.Form.Get("WebIdentityToken"))
	s.mu.Unlock()
	fmt.Fprintf(w, "<%sResponse><%[1]sResult><Credentials><AccessKeyId>AKIDROLE</AccessKeyId><SecretAccessKey>role-secret</SecretAccessKey>"+
		"<SessionToken>role-token</SessionToken><Expiration>2999-01-01T00:00:00Z</Expiration></Credentials></%[1]sResult></%[1]sResponse>", action)
}

const deploy = "[profile deploy]\nrole_arn = arn:aws:iam::123456789012:role/deploy\n"

// TestRoles: roles are assumed at AWS_ENDPOINT_URL, as by the AWS CLI, and an MFA
// code is asked for once, however many regions there are.
func TestRoles(t *testing.T) {
	const serial = "arn:aws:iam::123456789012:mfa/me"
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("web-token"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ config, want string }{
		"role":         {deploy + "credential_source = Environment\n", "AssumeRole  "},
		"MFA":          {deploy + "credential_source = Environment\nmfa_serial = " + serial + "\n", "AssumeRole " + serial + " 123456"},
		"web identity": {deploy + "web_identity_token_file = " + token + "\n", "AssumeRoleWithWebIdentity  web-token"},
	} {
		t.Run(name, func(t *testing.T) {
			s := new(roles)
			withConfig(t, s.ServeHTTP, tt.config)
			p, err := New(t.Context(), Options{
				Namespace: "test", Profile: "deploy", Regions: []string{"eu-west-1", "us-east-1"},
				MFACode: func(_ context.Context, got string) (string, error) {
					if got != serial {
						t.Errorf("asked for the code of %s", got)
					}
					return "123456", nil
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			dir, layers := newLayers(t, 2)
			for _, r := range p.Publish(t.Context(), Content{Dir: dir, Layers: layers}, quiet{}) {
				if r.Err != nil {
					t.Error(r.Err)
				}
			}
			if len(s.requests) != 1 || s.requests[0] != tt.want {
				t.Errorf("STS got %q, want %q", s.requests, tt.want)
			}
			if got := strings.Join(p.Secrets(), " "); got != "role-secret role-token" {
				t.Errorf("secrets: %s", got)
			}
		})
	}
}

// TestRegionOfRoles guards against a role that is looked for in another partition:
// as with the AWS CLI, it is assumed in the region that was asked for.
func TestRegionOfRoles(t *testing.T) {
	for _, tt := range []struct {
		regions        []string
		variable, want string
	}{
		{nil, "", "us-east-1"},
		{nil, "eu-west-1", "eu-west-1"},
		{[]string{"cn-north-1"}, "", "cn-north-1"},
		{[]string{"cn-north-1"}, "us-east-1", "cn-north-1"},
		{[]string{"us-gov-west-1", "us-gov-east-1"}, "", "us-gov-west-1"},
		// One of several may not be enabled, which should not stop the others.
		{[]string{"af-south-1", "eu-west-1"}, "us-east-2", "us-east-2"},
	} {
		var signed string
		withConfig(t, func(w http.ResponseWriter, r *http.Request) {
			signed = r.Header.Get("Authorization")
			new(roles).ServeHTTP(w, r)
		}, deploy+"credential_source = Environment\n")
		t.Setenv("AWS_REGION", tt.variable)
		if _, err := New(t.Context(), Options{Namespace: "test", Profile: "deploy", Regions: tt.regions}); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(signed, "/"+tt.want+"/sts/") {
			t.Errorf("%q, AWS_REGION %q: want %s, STS got %s", tt.regions, tt.variable, tt.want, signed)
		}
	}
}

// TestEndpointOfTheProfile guards against a role that is looked for at AWS, where
// the profile says that services are elsewhere.
func TestEndpointOfTheProfile(t *testing.T) {
	s := new(roles)
	withConfig(t, s.ServeHTTP, "")
	url := os.Getenv("AWS_ENDPOINT_URL")
	os.Unsetenv("AWS_ENDPOINT_URL")
	config := deploy + "credential_source = Environment\nendpoint_url = " + url + "\n"
	if err := os.WriteFile(os.Getenv("AWS_CONFIG_FILE"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_MAX_ATTEMPTS", "1")
	if _, err := New(t.Context(), Options{Namespace: "test", Profile: "deploy"}); err != nil || len(s.requests) != 1 {
		t.Errorf("STS got %q; error %v", s.requests, err)
	}
}

// TestProfileOfTheEnvironment guards against advice about another profile than the
// one in use.
func TestProfileOfTheEnvironment(t *testing.T) {
	for _, variable := range []string{"AWS_PROFILE", "AWS_DEFAULT_PROFILE"} {
		t.Run(variable, func(t *testing.T) {
			withConfig(t, new(roles).ServeHTTP, deploy+"credential_source = Ec2InstanceMetadata\nmfa_serial = arn:aws:iam::123456789012:mfa/me\n")
			t.Setenv("AWS_ACCESS_KEY_ID", "")
			t.Setenv("AWS_SECRET_ACCESS_KEY", "")
			os.Unsetenv("AWS_PROFILE")
			t.Setenv(variable, "deploy")
			const want = `AWS profile "deploy" needs`
			if _, err := New(t.Context(), Options{Namespace: "test"}); err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("got error %v, want %s", err, want)
			}
		})
	}
}

// TestNoCredentials guards against errors that do not say which profile it is, and
// what to run for it.
func TestNoCredentials(t *testing.T) {
	const sso = "sso_account_id = 123456789012\nsso_role_name = deploy\nsso_start_url = https://corp.invalid/start\nsso_region = us-east-1\n"
	for name, tt := range map[string]struct {
		config string
		mfa    func(context.Context, string) (string, error)
		want   []string
	}{
		"MFA without a terminal": {
			config: deploy + "credential_source = Environment\nmfa_serial = arn:aws:iam::123456789012:mfa/me\n",
			want:   []string{`AWS profile "deploy" needs the code of an MFA device`, "`eval \"$(aws configure export-credentials --profile deploy "},
		},
		"MFA that is not given": {
			config: deploy + "credential_source = Environment\nmfa_serial = arn:aws:iam::123456789012:mfa/me\n",
			mfa:    func(context.Context, string) (string, error) { return "", errors.New("nobody is there") },
			want:   []string{`AWS credentials of profile "deploy"`, "nobody is there"},
		},
		"SSO":        {config: "[profile deploy]\nsso_session = corp\n" + sso + "[sso-session corp]\nsso_start_url = https://corp.invalid/start\nsso_region = us-east-1\n", want: []string{`profile "deploy": nobody has signed in: `, "`aws sso login --profile deploy`"}},
		"legacy SSO": {config: "[profile deploy]\n" + sso, want: []string{`profile "deploy": nobody has signed in: `, "`aws sso login --profile deploy`"}},
		"aws login":  {config: "[profile deploy]\nlogin_session = arn:aws:iam::123456789012:user/me\n", want: []string{`profile "deploy"`, "`aws login --profile deploy`"}},
		"process":    {config: "[profile deploy]\ncredential_process = false\n", want: []string{`profile "deploy": its credential_process failed: exit status 1`, "`aws configure export-credentials --profile deploy`"}},
		"half a key": {
			config: "[profile deploy]\naws_access_key_id = AKID\n",
			want:   []string{"AWS configuration: error fetching config from profile, deploy, Error using profile: 1, partial credentials found"},
		},
		"role by way of SSO": {
			config: "[profile deploy]\nrole_arn = arn:aws:iam::123456789012:role/deploy\nsource_profile = corp\n[profile corp]\n" + sso,
			want:   []string{`profile "deploy"`, "`aws sso login --profile corp`"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			withConfig(t, new(roles).ServeHTTP, tt.config)
			_, err := New(t.Context(), Options{Namespace: "test", Profile: "deploy", MFACode: tt.mfa})
			for _, want := range tt.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("got error %v, want one with %s", err, want)
				}
			}
		})
	}
}

// TestRegionOfNobodysChoice: people hear of a region that nobody has named, and one
// that is none is refused wherever it comes from.
func TestRegionOfNobodysChoice(t *testing.T) {
	for _, tt := range []struct {
		name, variable, profile string
		regions                 []string
		want                    string
		byDefault               bool
		err                     string
	}{
		{name: "nobody", want: "us-east-1", byDefault: true},
		{name: "option", regions: []string{"us-east-1"}, want: "us-east-1"},
		{name: "environment", variable: "us-east-1", want: "us-east-1"},
		{name: "profile", profile: "eu-west-3", want: "eu-west-3"},
		{name: "bad environment", variable: "EU-WEST-1", err: `AWS_REGION (or AWS_DEFAULT_REGION) has "EU-WEST-1"`},
		{name: "bad environment that does not count", variable: "EU-WEST-1", regions: []string{"eu-west-1"}, want: "eu-west-1"},
		{name: "bad profile", profile: "eu west", err: `the profile has "eu west"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withConfig(t, new(roles).ServeHTTP, "[default]\nregion = "+tt.profile+"\n")
			t.Setenv("AWS_REGION", tt.variable)
			p, err := New(t.Context(), Options{Namespace: "test", Regions: tt.regions})
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("got error %v, want %s", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := p.Regions(); len(got) != 1 || got[0] != tt.want || p.ByDefault() != tt.byDefault {
				t.Errorf("got %q, by default: %t", got, p.ByDefault())
			}
		})
	}
}

// TestProxy guards against a parser's complaint about what a proxy says.
func TestProxy(t *testing.T) {
	for _, status := range []int{http.StatusOK, http.StatusForbidden, http.StatusProxyAuthRequired} {
		api := fakelambda.New()
		p := newPublisher(t, api, Options{Namespace: "test"})
		dir, layers := newLayers(t, 1)
		api.On(fakelambda.Rule{Do: fakelambda.Answer(status, "<html>Sign in</html>")})
		_, err := publishAll(t.Context(), p, dir, layers)
		want := fmt.Sprintf("layer layer-1 (layer-1.zip): %s answered with status %d (%s), and not as AWS does: ", strings.TrimPrefix(os.Getenv("AWS_ENDPOINT_URL"), "http://"), status, http.StatusText(status))
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got error %v, want %s", err, want)
		}
	}
}

// TestUnknownHost guards against leaving a region that does not exist for people to
// find in the name of a host.
func TestUnknownHost(t *testing.T) {
	dns := &net.DNSError{Err: "no such host", Name: "lambda.nowhere.amazonaws.com", IsNotFound: true}
	err := explain(&smithy.OperationError{ServiceID: "Lambda", OperationName: "ListLayerVersions", Err: &net.OpError{Op: "dial", Net: "tcp", Err: dns}})
	const want = "Lambda ListLayerVersions failed: dial tcp: lookup lambda.nowhere.amazonaws.com: no such host; is the region's name right, and the network there?"
	if err.Error() != want {
		t.Errorf("got error %v, want %s", err, want)
	}
}
