package integration

import (
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/fakelambda"
)

// indiscreet is what registries do that repeat, or send on, what they have got.
func indiscreet() map[string]http.HandlerFunc {
	headers := func(r *http.Request) string {
		var b strings.Builder
		_ = r.Header.Write(&b)
		return fmt.Sprintf("%q", b.String()+r.Header.Get("Authorization"))
	}
	refuse := func(status int) func(w http.ResponseWriter, r *http.Request) {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			fmt.Fprintf(w, `{"errors":[{"code":"DENIED","message":%s,"detail":%s}]}`, headers(r), headers(r))
		}
	}
	return map[string]http.HandlerFunc{
		"401": refuse(401), "403": refuse(403), "404": refuse(404), "500": refuse(500),
		"text that repeats headers": func(w http.ResponseWriter, r *http.Request) {
			http.Error(w, headers(r), 500)
		},
		"a warning": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Warning", fmt.Sprintf(`299 - "You sent %s"`, strings.ReplaceAll(r.Header.Get("Authorization"), `"`, "")))
			w.WriteHeader(500)
		},
		"a redirect to a signed URL that does not work": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/blob?X-Amz-Signature="+signedURL, http.StatusTemporaryRedirect)
		},
		"a redirect to a URL that is signed as Azure does": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/blob?sp=r&sig="+signedURL+"&sv=2026-01-01", http.StatusTemporaryRedirect)
		},
		"a redirect with a password": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://user:"+password+"@127.0.0.1:1/blob", http.StatusTemporaryRedirect)
		},
		"a redirect to what is no URL": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "http://127.0.0.1:x/?X-Amz-Signature="+signedURL)
			w.WriteHeader(307)
		},
		"a connection that breaks": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"half a token": func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, `{"token":"%s`, bearerToken)
		},
	}
}

// TestRegistrySecrets guards against credentials in messages, whatever the
// registry does, says and repeats.
func TestRegistrySecrets(t *testing.T) {
	t.Parallel()
	// All at once: of a registry that may recover, each asks again for 15 s.
	var runs []indiscretion
	for name, do := range indiscreet() {
		for _, where := range []string{"/token", "/manifests/", "/blobs/"} {
			for _, scheme := range []string{"Basic", "Bearer"} {
				if where == "/token" && scheme == "Basic" || where != "/token" && name == "half a token" {
					continue
				}
				r := startIndiscretion(t, do, where, scheme)
				r.name = name + "/" + r.name
				runs = append(runs, r)
			}
		}
	}
	for _, r := range runs {
		t.Run(r.name, r.check)
	}
}

// indiscretion is a run with an indiscreet registry, which has begun.
type indiscretion struct {
	name string
	dir  string
	came *atomic.Bool
	*process
}

// startIndiscretion starts a run with a registry that is indiscreet about requests
// whose path has where in it.
func startIndiscretion(t *testing.T, do http.HandlerFunc, where, scheme string) indiscretion {
	t.Helper()
	came := new(atomic.Bool)
	g := &guarded{scheme: scheme, misbehave: func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, where) {
			return false
		}
		came.Store(true)
		do(w, r)
		return true
	}}
	address, dir := startGuarded(t, g)
	args := []string{"-d", "-q", "--debug", "--tls-verify=false", "-i", "docker://" + address + "/app"}
	return indiscretion{where + " with " + scheme, dir, came, run{dir: dir, args: args}.start(t)}
}

// check fails if the run says or leaves a secret, or ends as it should not.
func (i indiscretion) check(t *testing.T) {
	o := i.wait(t)
	out := filepath.Join(i.dir, "output")
	o.keepsSecrets(t, out)
	if !i.came.Load() {
		t.Error("nobody came")
	}
	if o.exit != 1 {
		t.Errorf("exit code %d: %s", o.exit, o.stderr)
	}
	if left := files(t, out); len(left) > 0 {
		t.Errorf("%v is left", slices.Sorted(maps.Keys(left)))
	}
	line := o.stderr[strings.LastIndex(strings.TrimSuffix(o.stderr, "\n"), "\n")+1:]
	if !strings.HasPrefix(line, "img2lambda: ") {
		t.Errorf("the last line is %q", line)
	}
}

// TestSecretsStay is runs that go well: nothing that they say or leave has a
// secret in it.
func TestSecretsStay(t *testing.T) {
	t.Parallel()
	c := startCloud(t)
	env := append(c.env(), "AWS_SECRET_ACCESS_KEY="+secretKey, "AWS_SESSION_TOKEN="+sessionToken)
	for _, scheme := range []string{"Basic", "Bearer", "identity token"} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			g := &guarded{scheme: strings.Replace(scheme, "identity token", "Bearer", 1)}
			address, dir := startGuarded(t, g)
			if scheme == "identity token" {
				dir = homeFor(t, address, identityToken)
			}
			o := run{dir: dir, env: env, args: []string{"--debug", "--tls-verify=false", "-i", "docker://" + address + "/app"}}.exits(t, 0)
			o.keepsSecrets(t, filepath.Join(dir, "output"))
			if len(g.requests) == 0 {
				t.Error("the registry let nobody in")
			}
		})
	}
}

// TestAWSSecrets guards against messages that say what nobody should read in a
// log: AWS repeats headers in some, and whoever stands in for it may in any.
func TestAWSSecrets(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeLayout(t, filepath.Join(dir, "app"), layersOf("app", 1)...)
	for _, code := range []string{
		"SignatureDoesNotMatch", "InvalidSignatureException", "ExpiredTokenException", "UnrecognizedClientException",
		"AccessDeniedException", "InvalidParameterValueException", "SomethingNew", "",
	} {
		for _, op := range []fakelambda.Operation{fakelambda.ListLayerVersions, fakelambda.PublishLayerVersion} {
			t.Run(fmt.Sprintf("%s for %s", code, op), func(t *testing.T) {
				t.Parallel()
				c := startCloud(t)
				c.On(fakelambda.Rule{Operation: op, Do: func(http.Handler) http.Handler {
					return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						var headers strings.Builder
						_ = r.Header.Write(&headers)
						fakelambda.Fail(403, code, "The request had: "+headers.String()+"; "+sessionToken)(nil).ServeHTTP(w, r)
					})
				}})
				out := t.TempDir()
				o := run{
					dir: dir, args: []string{"-q", "--debug", "-i", "oci:app", "-o", out},
					env: append(c.env(), "AWS_SECRET_ACCESS_KEY="+secretKey, "AWS_SESSION_TOKEN="+sessionToken),
				}.exits(t, 1)
				o.keepsSecrets(t, out)
			})
		}
	}
}
