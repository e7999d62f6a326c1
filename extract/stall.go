package extract

import (
	"context"
	"io"
	"time"

	"github.com/pkg/errors"
)

// patience is how long a server may take for a short answer, or send nothing in
// the middle of a long one.
var patience = 2 * time.Minute

var errStalled = errors.New("the server has sent nothing for two minutes")

// shortly makes a request whose answer is short.
func shortly(ctx context.Context, request func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errStalled)
	defer cancel()
	err := request(ctx)
	if err != nil && context.Cause(ctx) == errStalled {
		return errStalled
	}
	return err
}

// patient reads from a server, and gives up on one that stalls.
type patient struct {
	io.ReadCloser
	timer *time.Timer
	ctx   context.Context
}

// waitFor returns a context for a request, and what makes of its answer one
// that ends the context if it stalls. done has to be called in the end.
func waitFor(ctx context.Context) (_ context.Context, answer func(io.ReadCloser) io.ReadCloser, done func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	return ctx, func(r io.ReadCloser) io.ReadCloser {
		timer := time.AfterFunc(patience, func() { cancel(errStalled) })
		timer.Stop()
		return &patient{r, timer, ctx}
	}, func() { cancel(nil) }
}

func (p *patient) Read(b []byte) (int, error) {
	p.timer.Reset(patience)
	n, err := p.ReadCloser.Read(b)
	p.timer.Stop()
	if err != nil && context.Cause(p.ctx) == errStalled {
		err = errStalled
	}
	return n, err
}
