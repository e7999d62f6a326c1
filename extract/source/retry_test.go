package source

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/awslabs/aws-lambda-container-image-converter/extract"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/testrun"

	"github.com/google/go-cmp/cmp"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/imagetest"
)

// drop breaks a connection.
func drop(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// half breaks a connection in the middle of an answer, which cannot be taken up
// there.
func half(s *registry) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		b := s.files[r.URL.Path]
		w.Header().Set("Content-Type", s.types[r.URL.Path])
		w.Header().Set("Content-Length", "1000000")
		_, _ = w.Write(b[:len(b)/2])
		panic(http.ErrAbortHandler)
	}
}

// TestAskedAgain guards against giving up on a registry that fails twice, without
// a word or with one that is not heard, and against asking again where that is of
// no use.
func TestAskedAgain(t *testing.T) {
	t.Parallel()
	img := served(imagetest.Gzip)
	want, _, err := remote{"", newRegistry(t, img), openApp}.zips(t.Context(), testrun.MemoryDir(t), flaw{kind: sound})
	if err != nil {
		t.Fatal(err)
	}
	status := func(code int) func(*registry) http.HandlerFunc {
		return func(*registry) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(code) }
		}
	}
	for _, tt := range []struct {
		name  string
		fails func(*registry) http.HandlerFunc
		again bool
		not   string // a kind that it is not about
	}{
		{"500", status(500), true, ""},
		{"503", status(503), true, ""},
		{"408", status(408), true, ""},
		{"no answer", func(*registry) http.HandlerFunc { return drop }, true, ""},
		{"half an answer", half, true, "ping"},
		{"400", status(400), false, ""},
		{"404", status(404), false, "ping"},
		{"403", status(403), false, ""},
	} {
		for _, kind := range []string{"ping", "manifest", "config", "layer"} {
			if tt.not == kind {
				continue
			}
			t.Run(tt.name+" for "+kind, func(t *testing.T) {
				t.Parallel()
				s := newRegistry(t, img)
				var mu sync.Mutex
				asked := map[string]int{}
				fails := tt.fails(s)
				s.before = func(w http.ResponseWriter, r *http.Request, k string) bool {
					r.Header.Del("Range") // of those that cannot
					mu.Lock()
					asked[r.URL.Path]++
					n := asked[r.URL.Path]
					mu.Unlock()
					if k != kind || n > 2 {
						return false
					}
					fails(w, r)
					return true
				}
				server := httptest.NewServer(s)
				ref := parsed(t, "docker://"+strings.TrimPrefix(server.URL, "http://")+"/app")
				var said []string
				got, err := zipsOf(t.Context(), testrun.MemoryDir(t), func(dir string) (extract.Source, error) {
					return Open(t.Context(), ref, Options{Dir: dir, TLSVerify: new(bool), Warn: func(s string) { said = append(said, s) }})
				})
				server.Close()
				switch {
				case tt.again && (err != nil || !cmp.Equal(got, want)):
					t.Errorf("got error %v, or other zips", err)
				case tt.again && !slices.ContainsFunc(said, func(s string) bool { return strings.Contains(s, "; trying again in ") }):
					t.Errorf("nothing was said of it, but %q", said)
				case !tt.again && err == nil:
					t.Error("no error")
				}
				for path, n := range asked {
					if !tt.again && n > 1 {
						t.Errorf("%s was asked for %d times", path, n)
					}
				}
			})
		}
	}
}

// TestEndlessTags guards against reading all tags of a repository to name a few:
// there may be millions, on as many pages, or a page without an end.
func TestEndlessTags(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, page, want string
	}{
		{"pages", `{"tags":["1","2"]}`, "has no tag latest; there is 1, 2"},
		{"a page", `{"tags":["1"` + strings.Repeat(`,"1"`, 1<<20) + "]}", "/app:latest: is its name right?"},
		{"many", `{"tags":["1"` + strings.Repeat(`,"1"`, 50) + "]}", "1, 1, …"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			pages := 0
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.URL.Path == "/v2/":
				case strings.HasSuffix(r.URL.Path, "/tags/list"):
					pages++
					w.Header().Set("Link", `<`+r.URL.Path+`?last=2>; rel="next"`)
					_, _ = w.Write([]byte(tt.page))
				default:
					w.WriteHeader(404)
					_, _ = w.Write([]byte(`{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}`))
				}
			}))
			defer server.Close()
			_, err := openApp(t.Context(), strings.TrimPrefix(server.URL, "http://"))
			if err == nil || !strings.HasSuffix(err.Error(), tt.want) {
				t.Errorf("got error %v, want %q", err, tt.want)
			}
			if pages != 1 {
				t.Errorf("%d pages were asked for", pages)
			}
		})
	}
}
