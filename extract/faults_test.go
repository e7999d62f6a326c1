package extract

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/moby/client"
	"golang.org/x/sync/errgroup"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/fakeengine"
	"github.com/awslabs/aws-lambda-container-image-converter/internal/imagetest"
)

// points is how many random places a fault is put to, for each kind of fault.
func points() int {
	if thorough {
		return 5000
	}
	return 60
}

// flaw is what becomes of a server's connections after some bytes that it has
// sent, counted over all of them.
type flaw struct {
	kind  flawKind
	after int64
}

type flawKind string

const (
	sound      flawKind = "sound"
	breaksOnce flawKind = "breaks once" // and the next connection is a good one
	breaks     flawKind = "breaks"      // as do all further ones
	garbles    flawKind = "garbles"     // one byte
	stalls     flawKind = "stalls"
)

// flawed are the connections of a server with a flaw.
type flawed struct {
	net.Listener
	flaw

	mu   sync.Mutex
	sent int64
	done bool
}

func (l *flawed) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &flawedConn{Conn: c, of: l, closed: make(chan struct{})}, nil
}

type flawedConn struct {
	net.Conn
	of     *flawed
	once   sync.Once
	closed chan struct{}
}

func (c *flawedConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

func (c *flawedConn) Write(p []byte) (int, error) {
	l := c.of
	l.mu.Lock()
	start := l.sent
	l.sent += int64(len(p))
	strikes := l.kind != sound && l.sent > l.after && !(l.done && (l.kind == breaksOnce || l.kind == garbles))
	l.done = l.done || strikes
	l.mu.Unlock()
	if !strikes {
		return c.Conn.Write(p)
	}
	left := int(max(0, l.after-start))
	if l.kind == garbles {
		p = slices.Clone(p)
		p[left] ^= 0x55
		return c.Conn.Write(p)
	}
	n, err := c.Conn.Write(p[:left])
	if err == nil && l.kind == stalls {
		<-c.closed
	}
	c.Close()
	return n, net.ErrClosed
}

// serve serves h with a flaw until stop is called.
func serve(h http.Handler, f flaw) (address string, sent func() int64, stop func()) {
	s := httptest.NewUnstartedServer(h)
	l := &flawed{Listener: s.Listener, flaw: f}
	s.Listener = l
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	if f.kind == garbles { // of an answer that seems longer than it is, nobody need wait for the rest
		s.Config.SetKeepAlivesEnabled(false)
	}
	s.Start()
	return l.Addr().String(), func() int64 {
			l.mu.Lock()
			defer l.mu.Unlock()
			return l.sent
		}, func() {
			s.CloseClientConnections()
			s.Close()
		}
}

// remote is an image that a server has.
type remote struct {
	name    string
	handler http.Handler
	open    func(ctx context.Context, address string) (source, error)
}

// zips converts the image, with a flaw in the connections.
func (r remote) zips(ctx context.Context, dir string, f flaw) (zips map[string]string, sent int64, err error) {
	address, count, stop := serve(r.handler, f)
	defer stop()
	zips, err = zipsOf(ctx, dir, func(string) (source, error) { return r.open(ctx, address) })
	return zips, count(), err
}

// served are two layers, of a few packets each.
func served(c imagetest.Compression) v1.Image {
	rng := rand.New(rand.NewPCG(1, 2))
	return imagetest.Image(imagetest.Options{OCI: true, Compression: c},
		imagetest.Tar(imagetest.Dir("opt/"), imagetest.File("opt/a", content(rng, "random", 20_000)), imagetest.File("opt/b", "1")),
		imagetest.Tar(imagetest.Whiteout("opt/b"), imagetest.File("opt/c", content(rng, "text", 20_000)), imagetest.File("var/task/f", "a function")))
}

// remotes are the same image from all kinds of servers.
func remotes(t testing.TB) (all []remote) {
	t.Helper()
	for _, format := range imagetest.Formats {
		img := served(imagetest.None)
		if format == imagetest.DockerContainerd {
			img = served(imagetest.Gzip)
		}
		all = append(all, remote{
			"engine " + format.String(),
			fakeengine.New(fakeengine.Options{Format: format}, imagetest.Ref{Name: "app", Content: img}),
			func(_ context.Context, address string) (source, error) {
				api, err := client.New(client.WithHost("tcp://" + address))
				return &engine{api: api, name: "app:latest"}, err
			},
		})
	}
	return append(all, remote{"registry", newRegistry(t, served(imagetest.Gzip)), openApp})
}

// openApp opens what newRegistry has.
func openApp(ctx context.Context, address string) (source, error) {
	return openRegistry(ctx, "//"+address+"/app", Options{InsecureRegistry: true})
}

// registry is one with the image app:latest (OCI distribution spec).
type registry struct {
	files map[string][]byte // by path
	types map[string]string
	// before may answer in its place, for a file of a kind: ping, manifest,
	// config, or layer.
	before func(w http.ResponseWriter, r *http.Request, kind string) (done bool)
	kinds  map[string]string
}

func newRegistry(t testing.TB, img v1.Image) *registry {
	t.Helper()
	s := &registry{
		files: map[string][]byte{"/v2/": []byte("{}")},
		types: map[string]string{},
		kinds: map[string]string{"/v2/": "ping"},
	}
	put := func(kind, path, mediaType string, b []byte, err error) {
		if err != nil {
			t.Fatal(err)
		}
		s.files[path], s.types[path], s.kinds[path] = b, mediaType, kind
	}
	manifest, config, _, _ := digests(t, img)
	mediaType, err := img.MediaType()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := img.RawManifest()
	put("manifest", "/v2/app/manifests/latest", string(mediaType), raw, err)
	put("manifest", "/v2/app/manifests/"+manifest.String(), string(mediaType), raw, err)
	raw, err = img.RawConfigFile()
	put("config", "/v2/app/blobs/"+config.String(), "application/octet-stream", raw, err)
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range layers {
		d, err := l.Digest()
		if err != nil {
			t.Fatal(err)
		}
		r, err := l.Compressed()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		put("layer", "/v2/app/blobs/"+d.String(), "application/octet-stream", b, err)
	}
	return s
}

func (s *registry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, ok := s.files[r.URL.Path]
	if s.before != nil && s.before(w, r, s.kinds[r.URL.Path]) {
		return
	}
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", s.types[r.URL.Path])
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b)) // ranges too
}

// outcomes counts what faults came to.
type outcomes struct{ survived, refused atomic.Int64 }

// judge fails unless there is an error and nothing else, or the image is as it
// is without the fault.
func (o *outcomes) judge(t *testing.T, what any, want, got map[string]string, err error) {
	t.Helper()
	switch {
	case err != nil && strings.Contains(err.Error(), "left behind"):
		t.Errorf("%v: %v", what, err)
	case err != nil:
		o.refused.Add(1)
	case !cmp.Equal(got, want):
		t.Errorf("%v: no error, and the zips are others", what)
	default:
		o.survived.Add(1)
	}
}

// TestConnections guards against half a result, or a wrong one, where a
// connection breaks at any byte, or a byte arrives as another.
func TestConnections(t *testing.T) {
	t.Parallel()
	for i, r := range remotes(t) {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			dir, rng := memoryDir(t), random(t, uint64(i))
			want, sent, err := r.zips(t.Context(), dir, flaw{kind: sound})
			if err != nil || len(want) != 3 {
				t.Fatalf("%d zips, error %v", len(want), err)
			}
			for _, kind := range []flawKind{breaks, breaksOnce, garbles} {
				var o outcomes
				var g errgroup.Group
				g.SetLimit(50) // some wait a second to try again
				for range points() {
					f := flaw{kind, rng.Int64N(sent)}
					g.Go(func() error {
						got, _, err := r.zips(t.Context(), dir, f)
						o.judge(t, f, want, got, err)
						return nil
					})
				}
				_ = g.Wait()
				t.Logf("%s: %d refused, %d survived", kind, o.refused.Load(), o.survived.Load())
			}
		})
	}
}

// TestStalls guards against waiting for ever. It is not parallel, as it changes
// how long others wait.
func TestStalls(t *testing.T) {
	before := patience
	t.Cleanup(func() { patience = before })
	for i, r := range remotes(t) {
		t.Run(r.name, func(t *testing.T) {
			dir, rng := memoryDir(t), random(t, uint64(i))
			patience = before
			want, sent, err := r.zips(t.Context(), dir, flaw{kind: sound})
			if err != nil {
				t.Fatal(err)
			}
			patience = 50 * time.Millisecond
			var o outcomes
			var g errgroup.Group
			g.SetLimit(20)
			for range points() {
				// An engine may take its time before it sends anything.
				f := flaw{stalls, 500 + rng.Int64N(sent-500)}
				if r.name == "registry" {
					f.after = rng.Int64N(sent)
				}
				g.Go(func() error {
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					defer cancel()
					got, _, err := r.zips(ctx, dir, f)
					if ctx.Err() != nil || err != nil && !errors.Is(err, errStalled) {
						t.Errorf("%v: got error %v, want %v", f, err, errStalled)
					}
					o.judge(t, f, want, got, err)
					return nil
				})
			}
			_ = g.Wait()
			t.Logf("%s: %d refused, %d survived", stalls, o.refused.Load(), o.survived.Load())
		})
	}
}

// TestStalledEngine is openEngine's and ImageSave's part of that.
func TestStalledEngine(t *testing.T) {
	before := patience
	t.Cleanup(func() { patience = before })
	patience = 50 * time.Millisecond
	e := fakeengine.New(fakeengine.Options{}, imagetest.Ref{Name: "app", Content: served(imagetest.None)})
	address := e.Start(t)
	t.Setenv("DOCKER_HOST", address)
	e.Fail(fakeengine.Inspect, fakeengine.Fault{Stall: true})
	if _, err := openEngine(t.Context(), "app", Platform{}); !errors.Is(err, errStalled) {
		t.Errorf("while it looks the image up: got error %v, want %v", err, errStalled)
	}
	e.Heal(fakeengine.Inspect)
	// Before it sends the first byte of an export an engine may need minutes, but
	// nobody else has to.
	e.Fail(fakeengine.Export, fakeengine.Fault{Stall: true})
	ctx, cancel := context.WithCancel(t.Context())
	src, err := openEngine(ctx, "app", Platform{})
	if err != nil {
		t.Fatal(err)
	}
	defer src.close()
	go cancel()
	if err := convertOnly(t, ctx, src); !errors.Is(err, context.Canceled) {
		t.Errorf("while it exports: got error %v, want %v", err, context.Canceled)
	}
}

// TestAnswers guards against taking an answer for what it is not.
func TestAnswers(t *testing.T) {
	t.Parallel()
	img := served(imagetest.Gzip)
	want, _, err := remote{"", newRegistry(t, img), openApp}.zips(t.Context(), memoryDir(t), flaw{kind: sound})
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
		{"500", status(500, "{}"), false, true},
		{"503", status(503, "<html>"), false, true},
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
					got, _, err := remote{"", s, openApp}.zips(t.Context(), memoryDir(t), flaw{kind: sound})
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
	var before func(w http.ResponseWriter, r *http.Request) (done bool)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if before == nil || !before(w, r) {
			e.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(s.Close)
	t.Setenv("DOCKER_HOST", "tcp://"+s.Listener.Addr().String())
	t.Setenv("DOCKER_TLS_VERIFY", "")
	zips := func(t *testing.T) (map[string]string, error) {
		return zipsOf(t.Context(), memoryDir(t), func(string) (source, error) { return openEngine(t.Context(), "app", Platform{}) })
	}
	want, err := zips(t)
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
				asked := false
				before = func(w http.ResponseWriter, r *http.Request) bool {
					if !strings.HasSuffix(r.URL.Path, path) {
						return false
					}
					asked = true
					answer(w, r)
					return true
				}
				got, err := zips(t)
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

// TestURLs guards against images that make the program fetch things from where
// they like: foreign layers name URLs.
func TestURLs(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { asked.Add(1) }))
	t.Cleanup(elsewhere.Close)
	s := newRegistry(t, served(imagetest.Gzip))
	var manifest map[string]any
	if err := json.Unmarshal(s.files["/v2/app/manifests/latest"], &manifest); err != nil {
		t.Fatal(err)
	}
	layer := manifest["layers"].([]any)[1].(map[string]any)
	layer["mediaType"] = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
	layer["urls"] = []string{elsewhere.URL + "/layer"}
	b, err := json.Marshal(manifest)
	if err != nil {
		t.Fatal(err)
	}
	s.files["/v2/app/manifests/latest"] = b
	for _, missing := range []bool{false, true} {
		if missing {
			delete(s.files, "/v2/app/blobs/"+layer["digest"].(string))
		}
		_, _, err := remote{"", s, openApp}.zips(t.Context(), memoryDir(t), flaw{kind: sound})
		if (err != nil) != missing || missing && !strings.Contains(err.Error(), "layer "+layer["digest"].(string)) {
			t.Errorf("missing %t: got error %v", missing, err)
		}
	}
	if asked.Load() > 0 {
		t.Error("the layer's URL was asked")
	}
}

// TestFaultyReaders is a layer whose bytes come in pieces of any size, and then
// an error instead of the rest, at any place.
func TestFaultyReaders(t *testing.T) {
	t.Parallel()
	rng := random(t, 0)
	gone := errors.New("gone")
	for _, c := range []imagetest.Compression{imagetest.None, imagetest.Gzip, imagetest.Zstd} {
		t.Run(c.String(), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(rng.Uint64(), uint64(c)))
			tar := imagetest.Tar(
				imagetest.File("opt/a", content(rng, "text", 30_000)), imagetest.Hardlink("opt/b", "opt/a"),
				imagetest.File("opt/c", content(rng, "random", blockSize+1000)), imagetest.File("usr/d", content(rng, "text", 5000)))
			layer := imagetest.Layer(tar, c, true)
			r, err := layer.Compressed()
			if err != nil {
				t.Fatal(err)
			}
			blob, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			convert := func(r func() io.Reader) (map[string]string, error) {
				return zipsOf(t.Context(), memoryDir(t), func(string) (source, error) { return generatedLayers{r}, nil })
			}
			want, err := convert(func() io.Reader { return bytes.NewReader(blob) })
			if err != nil {
				t.Fatal(err)
			}
			for name, change := range map[string]func(io.Reader) io.Reader{
				"half of what is asked for":   iotest.HalfReader,
				"the end with the last bytes": iotest.DataErrReader,
				"as much as it likes":         func(r io.Reader) io.Reader { return &moody{r, rand.New(rand.NewPCG(rng.Uint64(), 0))} },
				"the end with the last, moody": func(r io.Reader) io.Reader {
					return iotest.DataErrReader(&moody{r, rand.New(rand.NewPCG(rng.Uint64(), 0))})
				},
			} {
				got, err := convert(func() io.Reader { return change(bytes.NewReader(blob)) })
				if err != nil || !cmp.Equal(got, want) {
					t.Errorf("%s: got error %v, or other zips", name, err)
				}
			}
			for range points() / 2 {
				n := rng.IntN(len(blob))
				_, err := convert(func() io.Reader {
					return &moody{io.MultiReader(bytes.NewReader(blob[:n]), iotest.ErrReader(gone)), rand.New(rand.NewPCG(rng.Uint64(), 0))}
				})
				if !errors.Is(err, gone) {
					t.Errorf("gone after byte %d: got error %v", n, err)
				}
			}
		})
	}
}

// moody reads some of what is asked for.
type moody struct {
	r   io.Reader
	rng *rand.Rand
}

func (m *moody) Read(p []byte) (int, error) {
	if len(p) > 0 {
		p = p[:1+m.rng.IntN(min(len(p), 1<<m.rng.IntN(16)))]
	}
	return m.r.Read(p)
}
