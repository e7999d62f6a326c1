package integration

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// What nobody should read in a log, and what it looks like on its way.
const (
	password      = "THE-PASSWORD"
	identityToken = "THE-IDENTITY-TOKEN"
	bearerToken   = "THE-BEARER-TOKEN"
	signedURL     = "THE-SIGNATURE"
	secretKey     = "THE-SECRET-KEY/+="
	sessionToken  = "THE-SESSION-TOKEN/+=="
)

var secrets = regexp.MustCompile(strings.Join([]string{
	password, identityToken, bearerToken, signedURL,
	regexp.QuoteMeta(secretKey), regexp.QuoteMeta(sessionToken), "Signature=[0-9a-f]+",
	regexp.QuoteMeta(base64.StdEncoding.EncodeToString([]byte("user:" + password))),
}, "|"))

// keepsSecrets fails if there is a secret in what a run says, or leaves in out.
func (o outcome) keepsSecrets(t *testing.T, out string) {
	t.Helper()
	for what, text := range map[string]string{"stdout": o.stdout, "stderr": o.stderr} {
		if found := secrets.FindString(text); found != "" {
			t.Errorf("%s says %s: %.600q", what, found, text)
		}
	}
	for name, content := range files(t, out) {
		if found := secrets.FindString(content); found != "" {
			t.Errorf("%s has %s", name, found)
		}
	}
}

// guarded is a registry that wants to know who comes. Its image is app.
type guarded struct {
	registry  http.Handler
	scheme    string                                                   // Basic or Bearer
	realm     string                                                   // of tokens
	misbehave func(w http.ResponseWriter, r *http.Request) (done bool) // with who is let in

	mu       sync.Mutex
	requests []string // METHOD PATH of those let in
}

func (g *guarded) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	authorization := r.Header.Get("Authorization")
	if r.URL.Path == "/token" {
		if g.misbehave != nil && g.misbehave(w, r) {
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"token":%q}`, bearerToken)
		return
	}
	user, pass, _ := r.BasicAuth()
	if authorization != "Bearer "+bearerToken && (user != "user" || pass != password) {
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`%s realm="%s",service="registry"`, g.scheme, g.realm))
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	g.mu.Lock()
	g.requests = append(g.requests, r.Method+" "+r.URL.Path)
	g.mu.Unlock()
	if g.misbehave != nil && g.misbehave(w, r) {
		return
	}
	g.registry.ServeHTTP(w, r)
}

// startGuarded starts a registry with the image app, and returns its address and
// a directory to run in, with the HOME of a user whom it knows.
func startGuarded(t *testing.T, g *guarded) (address, dir string) {
	t.Helper()
	if g.registry == nil {
		g.registry = registryWith(t)
	}
	s := serve(t, g, false)
	if g.scheme == "" {
		g.scheme = "Basic"
	}
	if g.realm == "" {
		g.realm = s.URL + "/token"
	}
	address = s.Listener.Addr().String()
	return address, homeFor(t, address, "")
}

// homeFor makes a directory to run in for somebody who has logged in to a registry.
func homeFor(t *testing.T, address, identityToken string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "home", ".docker"), 0o700); err != nil {
		t.Fatal(err)
	}
	auth := base64.StdEncoding.EncodeToString([]byte("user:" + password))
	config := fmt.Sprintf(`{"auths":{%q:{"auth":%q,"identitytoken":%q}}}`, address, auth, identityToken)
	if err := os.WriteFile(filepath.Join(dir, "home", ".docker", "config.json"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// registryWith is a registry that has the image app.
func registryWith(t *testing.T) http.Handler {
	t.Helper()
	r := newRegistry()
	if err := r.push("app", "latest", newImage(t, layersOf("app", 2)...)); err != nil {
		t.Fatal(err)
	}
	return r
}
