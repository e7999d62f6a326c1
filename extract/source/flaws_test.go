package source

import (
	"context"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	"github.com/awslabs/aws-lambda-container-image-converter/extract"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/tartest"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/moby/client"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/fakeengine"
	"github.com/awslabs/aws-lambda-container-image-converter/internal/imagetest"
)

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
	open    func(ctx context.Context, address string) (extract.Source, error)
}

// zips converts the image, with a flaw in the connections.
func (r remote) zips(ctx context.Context, dir string, f flaw) (zips map[string]string, sent int64, err error) {
	address, count, stop := serve(r.handler, f)
	defer stop()
	zips, err = zipsOf(ctx, dir, func(string) (extract.Source, error) { return r.open(ctx, address) })
	return zips, count(), err
}

// served are two layers, of a few packets each.
func served(c imagetest.Compression) v1.Image {
	rng := rand.New(rand.NewPCG(1, 2))
	return imagetest.Image(imagetest.Options{OCI: true, Compression: c},
		imagetest.Tar(imagetest.Dir("opt/"), imagetest.File("opt/a", tartest.Content(rng, "random", 20_000)), imagetest.File("opt/b", "1")),
		imagetest.Tar(imagetest.Whiteout("opt/b"), imagetest.File("opt/c", tartest.Content(rng, "text", 20_000)), imagetest.File("var/task/f", "a function")))
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
			func(_ context.Context, address string) (extract.Source, error) {
				api, err := client.New(client.WithHost("tcp://" + address))
				return &engine{api: api, endpoint: new(endpoint), id: "app:latest"}, err
			},
		})
	}
	return append(all, remote{"registry", newRegistry(t, served(imagetest.Gzip)), openApp})
}

// openApp opens what newRegistry has.
func openApp(ctx context.Context, address string) (extract.Source, error) {
	r, err := ParseReference("docker://" + address + "/app")
	if err != nil {
		return nil, err
	}
	return Open(ctx, r, Options{TLSVerify: new(bool)})
}
