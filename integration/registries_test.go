package integration

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// TestRedirects guards against a registry, or somebody between, that sends
// credentials on to another host.
func TestRedirects(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"Basic", "Bearer"} {
		for _, where := range []string{"/v2/", "/manifests/", "/blobs/"} {
			t.Run(scheme+" "+where, func(t *testing.T) {
				t.Parallel()
				inner := registryWith(t)
				var mu sync.Mutex
				var elsewhere []string
				other := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					mu.Lock()
					defer mu.Unlock()
					elsewhere = append(elsewhere, r.Header.Get("Authorization"))
					inner.ServeHTTP(w, r)
				}), false)
				to := strings.Replace(other.URL, "127.0.0.1", "localhost", 1)
				g := &guarded{registry: inner, scheme: scheme, misbehave: func(w http.ResponseWriter, r *http.Request) bool {
					if !strings.Contains(r.URL.Path, where) || r.URL.Path == "/token" || r.URL.Path == "/v2/" {
						return false
					}
					http.Redirect(w, r, to+r.URL.Path, http.StatusTemporaryRedirect)
					return true
				}}
				address, dir := startGuarded(t, g)
				run{dir: dir, args: []string{"-d", "-q", "--tls-verify=false", "-i", "docker://" + address + "/app"}}.exits(t, 0)
				if len(elsewhere) == 0 {
					t.Error("nobody followed the redirect")
				}
				for _, a := range elsewhere {
					if a != "" {
						t.Errorf("the other host got %q", a)
					}
				}
			})
		}
	}
}

// TestUnverifiedTLS guards against credentials for a registry that is not the
// one that it says it is: without --tls-verify=false it gets nothing at all.
func TestUnverifiedTLS(t *testing.T) {
	t.Parallel()
	var requests atomic.Int64
	g := &guarded{registry: registryWith(t), scheme: "Basic"}
	s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		g.ServeHTTP(w, r)
	}), true)
	address := s.Listener.Addr().String()
	dir := homeFor(t, address, "")
	for _, args := range [][]string{nil, {"--tls-verify"}, {"--tls-verify=true"}} {
		o := run{dir: dir, args: append([]string{"-d", "-q", "-i", "docker://" + address + "/app"}, args...)}.do(t)
		o.oneLine(t, "certificate")
		if requests.Load() > 0 {
			t.Errorf("%v: %d requests", args, requests.Load())
		}
	}
	o := run{dir: dir, args: []string{"-d", "-q", "-i", "docker://" + address + "/app", "--tls-verify=false"}}.do(t)
	if o.exit != 0 || requests.Load() == 0 {
		t.Errorf("with --tls-verify=false: %s", o.stderr)
	}
}

// TestQuietRegistry guards against what the library that reads registries logs
// by itself, in its own form and with -q too.
func TestQuietRegistry(t *testing.T) {
	t.Parallel()
	var broken atomic.Bool
	g := &guarded{registry: registryWith(t)}
	g.misbehave = func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Warning", `299 - "This registry closes soon"`)
		if strings.Contains(r.URL.Path, "/blobs/") && !broken.Swap(true) {
			w.Header().Set("Content-Length", "100000")
			_, _ = w.Write(make([]byte, 100))
			panic(http.ErrAbortHandler)
		}
		return false
	}
	address, dir := startGuarded(t, g)
	o := run{dir: dir, args: []string{"-d", "-q", "--tls-verify=false", "-i", "docker://" + address + "/app"}}.do(t)
	if o.exit == 0 && o.stderr != "" || o.exit != 0 && strings.Count(o.stderr, "\n") != 1 {
		t.Errorf("exit code %d, stderr %q", o.exit, o.stderr)
	}
}
