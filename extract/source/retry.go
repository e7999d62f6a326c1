package source

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/docker/distribution/registry/api/errcode"
	"github.com/pkg/errors"
	"go.podman.io/image/v5/docker"
)

// retries is how often a request to a registry is made again, with pauses that
// double: AWS's own clients make three attempts in all.
const retries = 4

// firstPause comes before the first of them.
var firstPause = time.Second

// slow is how long a registry may take before people hear of it.
const slow = 5 * time.Second

// attempts counts those at one thing, such as a layer.
type attempts struct {
	host   string
	warn   func(string)
	failed int
}

// again waits, if it makes sense to ask once more after err; else it returns it.
func (a *attempts) again(ctx context.Context, err error) error {
	if ctx.Err() != nil || !transient(err) || a.failed == retries {
		return err
	}
	pause := firstPause << a.failed
	a.failed++
	a.warn(fmt.Sprintf("registry %s: %s; trying again in %s", a.host, err, pause))
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(pause):
		return nil
	}
}

// do makes a request until it succeeds, or there is no sense in going on.
func (a *attempts) do(ctx context.Context, request func() error) error {
	for {
		// containers/image waits by itself if the registry says that there are
		// too many requests.
		waiting := time.AfterFunc(slow, func() {
			a.warn(fmt.Sprintf("registry %s is slow, or limits requests; waiting", a.host))
		})
		err := request()
		waiting.Stop()
		if err == nil {
			return nil
		}
		if err := a.again(ctx, err); err != nil {
			return err
		}
	}
}

// transient reports whether an error may pass by itself: the registry had a
// problem of its own, or the connection broke.
func transient(err error) bool {
	var status docker.UnexpectedHTTPStatusError
	var code errcode.ErrorCoder
	var network net.Error
	var dns *net.DNSError
	switch {
	case errors.Is(err, errStalled), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return false
	case errors.As(err, &status):
		return status.StatusCode >= http.StatusInternalServerError
	case errors.As(err, &code):
		return code.ErrorCode() == errcode.ErrorCodeUnavailable
	case errors.As(err, &dns):
		return dns.IsTemporary
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNABORTED),
		errors.As(err, &network) && network.Timeout():
		return true
	}
	// containers/image has no type for a 4xx without JSON, nor net/http for HTTP/2.
	return slices.ContainsFunc([]string{"StatusCode: 408", "stream error: ", "GOAWAY"}, func(s string) bool {
		return strings.Contains(err.Error(), s)
	})
}

// resumed is a blob that is asked for again if the connection breaks.
// containers/image goes on in the middle where that may help; here what came
// already is skipped.
type resumed struct {
	ctx   context.Context
	open  func() (io.ReadCloser, error)
	tries *attempts

	r io.ReadCloser
	n int64 // bytes read
}

func (b *resumed) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	b.n += int64(n)
	for err != nil && err != io.EOF {
		if err := b.tries.again(b.ctx, err); err != nil {
			return n, err
		}
		b.r.Close()
		b.r = http.NoBody
		r, openErr := b.open()
		if err = openErr; err != nil {
			continue
		}
		b.r = r
		if _, err = io.CopyN(io.Discard, r, b.n); err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
	}
	return n, err
}

func (b *resumed) Close() error { return b.r.Close() }
