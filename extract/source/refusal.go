package source

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"regexp"
	"strings"

	"github.com/docker/distribution/registry/api/errcode"
	"github.com/pkg/errors"
	"go.podman.io/image/v5/docker"
	"go.podman.io/image/v5/docker/reference"
)

// explain says of a registry's refusal what to do about it.
func explain(err error, named reference.Named, l login) error {
	host := reference.Domain(named)
	var certificate *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var connection *net.OpError
	switch {
	case err == nil:
		return nil
	case strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return errors.Errorf("registry %s speaks plain HTTP, not HTTPS: --tls-verify=false allows that", host)
	case errors.As(err, &authority):
		return errors.Errorf("the certificate of registry %s is not from an authority that this machine knows: put that authority's certificate into /etc/containers/certs.d/%[1]s/ca.crt, or use --tls-verify=false", host)
	case errors.As(err, &certificate):
		return errors.Errorf("the certificate of registry %s cannot be verified: %s; --tls-verify=false does without", host, certificate.Err)
	}
	if errors.As(err, &connection) && (connection.Op == "dial" || connection.Op == "proxyconnect") {
		return errors.Errorf("registry %s cannot be reached: %s; is its name right, and does it need a proxy (HTTPS_PROXY)?", host, connection)
	}
	refused, denied := refusal(err)
	switch {
	case !refused && !denied:
		return err
	case l.from == "" && denied:
		return errors.Errorf("registry %s does not let everybody read %s, or has none: %s", host, named.Name(), logIn(host))
	case l.from == "":
		return errors.Errorf("registry %s asks for a login to read %s: %s", host, named.Name(), logIn(host))
	case denied:
		return errors.WithMessagef(err, "registry %s does not let %s (from %s) read %s", host, l.who(), l.from, named.Name())
	default:
		return errors.Errorf("registry %s does not accept the login of %s from %s: is the password wrong, or too old? %s", host, l.who(), l.from, logIn(host))
	}
}

// who names the user of a login.
func (l login) who() string {
	if l.Username == "" {
		return "its user"
	}
	return fmt.Sprintf("user %q", l.Username)
}

// refusal reports whether an error is about who asks (401), or about what they
// may do (403).
func refusal(err error) (refused, denied bool) {
	var credentials docker.ErrUnauthorizedForCredentials
	var code errcode.ErrorCoder
	if errors.As(err, &credentials) {
		return true, false
	}
	if errors.As(err, &code) {
		return code.ErrorCode() == errcode.ErrorCodeUnauthorized, code.ErrorCode() == errcode.ErrorCodeDenied
	}
	return false, strings.Contains(err.Error(), "StatusCode: 403")
}

// ecr is the host of a private registry of Amazon ECR; the region is in it.
var ecr = regexp.MustCompile(`^\d{12}\.dkr[.-]ecr(?:-fips)?\.([a-z0-9-]+)\.(?:amazonaws\.com|on\.aws|amazonaws\.com\.cn)`)

// logIn is how to log in to a registry.
func logIn(host string) string {
	command, region := "ecr", ""
	switch found := ecr.FindStringSubmatch(host); {
	case found != nil:
		region = found[1]
	case host == "public.ecr.aws":
		command, region = "ecr-public", "us-east-1"
	case host == "docker.io":
		return "`docker login`"
	default:
		return "`docker login " + host + "`"
	}
	return fmt.Sprintf("`aws %s get-login-password --region %s | docker login --username AWS --password-stdin %s`, or docker-credential-ecr-login, the ECR helper for docker",
		command, region, host)
}
