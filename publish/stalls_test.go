package publish

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/fakelambda"
	"github.com/awslabs/aws-lambda-container-image-converter/types"
)

// TestRefusedConnection guards against more than a minute of attempts where nobody
// listens, on any operating system.
func TestRefusedConnection(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	_, refused := net.Dial("tcp", address) // nil if somebody else has the port now
	onWindows := &net.OpError{Op: "dial", Err: os.NewSyscallError("connectex", syscall.Errno(10061))}
	for _, err := range []error{refused, onWindows} {
		if err != nil && worthwhile(err) != aws.FalseTernary {
			t.Errorf("%v: would be tried again", err)
		}
	}
}

// TestStalls guards against waiting for ever for AWS, whatever it has said or
// read before. Its clock runs as fast as it can.
func TestStalls(t *testing.T) {
	api := fakelambda.New()
	newPublisher(t, api, Options{})
	stall := func(c net.Conn) { _, _ = io.Copy(io.Discard, c) } // until the client leaves
	for name, server := range map[string]func(c net.Conn){
		"reads nothing":     func(net.Conn) {},
		"answers nothing":   stall,
		"says half a line":  func(c net.Conn) { readRequest(c); _, _ = io.WriteString(c, "HTTP/1.1 20"); stall(c) },
		"says only headers": func(c net.Conn) { readRequest(c); _, _ = io.WriteString(c, header); stall(c) },
		"says half of all":  func(c net.Conn) { readRequest(c); _, _ = io.WriteString(c, header+`{"LayerVersions":[`); stall(c) },
	} {
		t.Run(name, func(t *testing.T) {
			dir, layers := newLayers(t, 1)
			synctest.Test(t, func(t *testing.T) {
				p := newPublisherTo(t, server)
				ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
				defer cancel()
				if _, err := publishAll(ctx, p, dir, layers); err == nil || errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil {
					t.Errorf("got error %v", err)
				}
			})
		})
	}
}

// newPublisherTo returns a publisher each of whose connections goes to a server.
func newPublisherTo(t *testing.T, server func(net.Conn)) *Publisher {
	t.Helper()
	p, err := New(t.Context(), Options{Namespace: "test"})
	if err != nil {
		t.Fatal(err)
	}
	dial := func(context.Context, string, string) (net.Conn, error) {
		client, conn := net.Pipe()
		go server(conn)
		return client, nil
	}
	r := &p.regions[0]
	client := *r.lambda.Options().HTTPClient.(*http.Client)
	transport := client.Transport.(*http.Transport).Clone()
	transport.DialContext, transport.DisableKeepAlives = dial, true
	client.Transport = transport
	r.lambda = lambda.New(r.lambda.Options(), func(o *lambda.Options) { o.HTTPClient = &client })
	r.s3 = s3.New(r.s3.Options(), func(o *s3.Options) { o.HTTPClient = &client })
	return p
}

// TestStalledUpload guards against waiting for ever for a server that takes no more
// of an upload, and against giving up after once: what has come of it is looked up
// before each further attempt.
func TestStalledUpload(t *testing.T) {
	newPublisher(t, fakelambda.New(), Options{})
	dir := t.TempDir()
	zip := make([]byte, 4<<20)
	layers := []types.Layer{{Name: "layer-1", Zip: types.Zip{File: "layer-1.zip", CodeSize: int64(len(zip)), CodeSha256: sum(zip)}}}
	if err := os.WriteFile(filepath.Join(dir, layers[0].File), zip, 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		var lists, uploads, bytes atomic.Int64
		over := make(chan struct{})
		defer close(over)
		p := newPublisherTo(t, func(c net.Conn) {
			defer c.Close()
			r, err := http.ReadRequest(bufio.NewReader(c))
			if err != nil {
				return
			}
			if r.Method == http.MethodGet {
				lists.Add(1)
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 20\r\nConnection: close\r\n\r\n{\"LayerVersions\":[]}")
				return
			}
			uploads.Add(1)
			n, _ := io.CopyN(io.Discard, r.Body, 1<<20)
			bytes.Add(n)
			<-over
		})
		start := time.Now()
		r := &recorder{}
		err := p.Publish(t.Context(), Content{Dir: dir, Layers: layers}, r)[0].Err
		for _, line := range r.with("retry") {
			if !strings.Contains(line, ": no answer in time, in ") {
				t.Errorf("a retry says %q", line)
			}
		}
		const want = "layer layer-1 (layer-1.zip): Lambda PublishLayerVersion failed: no answer in time"
		if err == nil || err.Error() != want {
			t.Errorf("got error %v, want %s", err, want)
		}
		if u, l := uploads.Load(), lists.Load(); u != maxAttempts || l != maxAttempts || bytes.Load() != u<<20 {
			t.Errorf("there were %d lookups and %d uploads", l, u)
		}
		// Backoff is 20 s at most.
		if took, most := time.Since(start), maxAttempts*(patience+20*time.Second); took > most {
			t.Errorf("it took %v, want at most %v", took, most)
		}
	})
}

// TestStalledS3Upload is likewise for S3, where a second upload replaces the first.
func TestStalledS3Upload(t *testing.T) {
	newPublisher(t, fakelambda.New(), Options{})
	dir, layers := newLayers(t, 1)
	synctest.Test(t, func(t *testing.T) {
		var uploads atomic.Int64
		over := make(chan struct{})
		defer close(over)
		p := newPublisherTo(t, func(c net.Conn) {
			defer c.Close()
			r, err := http.ReadRequest(bufio.NewReader(c))
			if err != nil {
				return
			}
			if r.Method == http.MethodHead {
				_, _ = io.WriteString(c, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
				return
			}
			uploads.Add(1)
			<-over
		})
		p.regions[0].bucket = "zips"
		const want = "S3 PutObject failed: no answer in time"
		if _, err := storeLayer(t, p, dir, &layers[0]); err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("got error %v, want %s", err, want)
		}
		if n := uploads.Load(); n != maxAttempts {
			t.Errorf("there were %d uploads, want %d", n, maxAttempts)
		}
	})
}

const header = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"

func readRequest(c net.Conn) {
	if r, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
		_, _ = io.Copy(io.Discard, r.Body)
	}
}
