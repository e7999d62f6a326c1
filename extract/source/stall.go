package source

import (
	"context"
	"io"
	"net/http/httptrace"
	"time"

	"github.com/pkg/errors"
)

// patience is how long a server may take for a short answer, or send nothing in
// the middle of a long one.
var patience = 2 * time.Minute

var errStalled = errors.New("the server has sent nothing for two minutes")

// shortly makes a request whose answer is short.
func shortly(ctx context.Context, do func(context.Context) error) error {
	request := newRequest(ctx)
	defer request.end()
	return request.because(do(request.ctx))
}

// request is one whose answer may be long: it ends if the server stalls.
type request struct {
	ctx      context.Context
	cancel   context.CancelCauseFunc
	patience time.Duration
	timer    *time.Timer // runs while the server has to do something
}

func newRequest(ctx context.Context) *request {
	r := &request{patience: patience}
	r.ctx, r.cancel = context.WithCancelCause(ctx)
	r.timer = time.AfterFunc(r.patience, func() { r.cancel(errStalled) })
	// A request may be several, with pauses that the server has asked for.
	r.ctx = httptrace.WithClientTrace(r.ctx, &httptrace.ClientTrace{
		GotFirstResponseByte: func() { r.timer.Reset(r.patience) },
	})
	return r
}

// because returns the cause of an error if that is a stall.
func (r *request) because(err error) error {
	if err != nil && context.Cause(r.ctx) == errStalled {
		return errStalled
	}
	return err
}

// end lets go of the request.
func (r *request) end() {
	r.timer.Stop()
	r.cancel(nil)
}

// answer is the body of a request's answer. Closing it ends the request.
type answer struct {
	io.ReadCloser
	*request
}

func (a *answer) Read(b []byte) (int, error) {
	a.timer.Reset(a.patience)
	n, err := a.ReadCloser.Read(b)
	a.timer.Stop()
	return n, a.because(err)
}

func (a *answer) Close() error {
	defer a.end()
	return a.ReadCloser.Close()
}
