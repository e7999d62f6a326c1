package source

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/awslabs/aws-lambda-container-image-converter/extract"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/testrun"

	"github.com/google/go-cmp/cmp"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/fakeengine"
	"github.com/awslabs/aws-lambda-container-image-converter/internal/imagetest"
)

// TestAnswers guards against taking an answer for what it is not.
func TestAnswers(t *testing.T) {
	t.Parallel()
	img := served(imagetest.Gzip)
	want, _, err := remote{"", newRegistry(t, img), openApp}.zips(t.Context(), testrun.MemoryDir(t), flaw{kind: sound})
	if err != nil {
		t.Fatal(err)
	}
	status := func(code int, body string, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(code)
			_, _ = io.WriteString(w, body)
		}
	}
	loop := func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, r.URL.Path, http.StatusTemporaryRedirect)
	}
	longer := func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, r.URL.Path+"?"+r.URL.RawQuery+"x", http.StatusFound)
	}
	unauthorized := func(challenge string) http.HandlerFunc {
		return status(http.StatusUnauthorized, "{}", "WWW-Authenticate", challenge)
	}
	for _, answer := range []struct {
		name string
		do   http.HandlerFunc
		// once: after one such answer all is well
		once, ping bool
	}{
		{"429", status(429, "{}", "Retry-After", "0"), true, true},
		{"500", status(500, "{}"), true, true},
		{"408", status(408, ""), true, true},
		{"503", status(503, "<html>"), true, true},
		{"403", status(403, `{"errors":[{"code":"DENIED","message":"no\n\u001b[2J"}]}`), false, true},
		{"404", status(404, ""), false, false},
		{"204", status(204, ""), false, false},
		{"304", status(304, ""), false, false},
		{"nothing", status(200, ""), false, false},
		{"a page", status(200, "<html><body>Sign in to the network</body></html>", "Content-Type", "text/html"), false, false},
		{"null", status(200, "null"), false, false},
		{"an object", status(200, "{}"), false, false},
		{"much JSON", status(200, strings.Repeat("[", 1<<20)), false, false},
		{"much of nothing", status(200, strings.Repeat(" ", 9<<20)), false, false},
		{"a redirect to itself", loop, false, true},
		{"redirects without end", longer, false, true},
		{"a redirect to nothing", status(302, "", "Location", "http://127.0.0.1:1/"), false, true},
		{"a redirect to a file", status(302, "", "Location", "file:///etc/passwd"), false, true},
		{"a challenge that is none", unauthorized(`Unknown x="y`), false, false},
		{"a challenge for a token from nowhere", unauthorized(`Bearer realm="http://127.0.0.1:1/token",service="x"`), false, false},
		{"a challenge for a token from a file", unauthorized(`Bearer realm="file:///etc/passwd",service="x"`), false, false},
	} {
		for _, kind := range []string{"ping", "manifest", "config", "layer"} {
			if kind == "ping" && !answer.ping {
				continue // there it does not matter, or says who may come in
			}
			t.Run(answer.name+" for "+kind, func(t *testing.T) {
				t.Parallel()
				for _, times := range []int64{1, 1 << 40} {
					var count atomic.Int64
					s := newRegistry(t, img)
					s.before = func(w http.ResponseWriter, r *http.Request, k string) bool {
						if k != kind || count.Add(1) > times {
							return false
						}
						answer.do(w, r)
						return true
					}
					got, _, err := remote{"", s, openApp}.zips(t.Context(), testrun.MemoryDir(t), flaw{kind: sound})
					if count.Load() == 0 {
						t.Error("nobody came for it")
					}
					if count.Load() > 100 {
						t.Errorf("it was tried %d times", count.Load())
					}
					switch well := times == 1 && (answer.once || strings.HasPrefix(answer.name, "redirect") || answer.name == "a redirect to itself"); {
					case well && (err != nil || !cmp.Equal(got, want)):
						t.Errorf("once: got error %v, or other zips", err)
					case !well && times > 1 && err == nil:
						t.Error("no error")
					case err == nil && !cmp.Equal(got, want):
						t.Error("other zips")
					}
				}
			})
		}
	}
}

// TestAnswersOfEngine is likewise for an engine. It is not parallel, as it sets
// DOCKER_HOST.
func TestAnswersOfEngine(t *testing.T) {
	e := fakeengine.New(fakeengine.Options{}, imagetest.Ref{Name: "app", Content: served(imagetest.None)})
	// zips asks e, or answer where a request's path ends as path does.
	zips := func(t *testing.T, path string, answer http.HandlerFunc) (zips map[string]string, asked bool, err error) {
		var count atomic.Int64
		address, _, stop := serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if answer == nil || !strings.HasSuffix(r.URL.Path, path) {
				e.ServeHTTP(w, r)
				return
			}
			count.Add(1)
			answer(w, r)
		}), flaw{kind: sound})
		defer stop()
		useEngine(t, "tcp://"+address)
		zips, err = zipsOf(t.Context(), testrun.MemoryDir(t), func(string) (extract.Source, error) { return openEngine(t.Context(), parsed(t, "app"), Options{}) })
		return zips, count.Load() > 0, err
	}
	want, _, err := zips(t, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, answer := range map[string]http.HandlerFunc{
		"429": func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, `{"message":"too many"}`, http.StatusTooManyRequests)
		},
		"500":       func(w http.ResponseWriter, _ *http.Request) { http.Error(w, `{"message":"no\u001b[2J"}`, 500) },
		"404":       func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "page not found", 404) },
		"a page":    func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") },
		"nothing":   func(http.ResponseWriter, *http.Request) {},
		"zeros":     func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1<<20)) },
		"much JSON": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, strings.Repeat("[", 1<<20)) },
		"a loop": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.String(), http.StatusTemporaryRedirect)
		},
		"another tar": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(imagetest.Tar(imagetest.File("manifest.json", "[]")))
		},
	} {
		for _, path := range []string{"/_ping", "/images/app:latest/json", "/images/get"} {
			t.Run(name+" for "+path, func(t *testing.T) {
				got, asked, err := zips(t, path, answer)
				switch {
				case !asked:
					t.Error("nobody came for it")
				case err != nil && strings.Contains(err.Error(), "left behind"),
					err == nil && (path == "/images/get" || !cmp.Equal(got, want)):
					t.Errorf("got error %v, or other zips", err)
				}
			})
		}
	}
}
