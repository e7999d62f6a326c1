package publish

import (
	"context"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/pkg/errors"
	"golang.org/x/sync/semaphore"

	"github.com/awslabs/aws-lambda-container-image-converter/types"
)

const (
	// maxCalls is how many calls are under way at a time, in all regions; uploads
	// and others are counted apart.
	maxCalls = 64
	// maxUploads is how many of the largest zips are on their way at a time, in all
	// regions. Of small ones, which take no longer than other calls, there may be
	// as many as of those.
	maxUploads = 8
)

const (
	// patience is how long AWS may take for an answer, the time for what is
	// uploaded not included, and for taking the next bytes of that.
	patience = 2 * time.Minute
	// slowest is the least number of bytes a second at which an upload goes on.
	slowest = 32 << 10
)

// finalize makes a middleware of a stack's finalize step, which is done for each
// attempt if it comes after "Retry".
func finalize(id, after string, f func(context.Context, middleware.FinalizeInput, middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error)) func(*middleware.Stack) error {
	return func(stack *middleware.Stack) error {
		return stack.Finalize.Insert(middleware.FinalizeMiddlewareFunc(id, f), after, middleware.After)
	}
}

// limitAttempts bounds the time of each attempt of a call.
var limitAttempts = finalize("AttemptLimit", "Retry",
	func(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
		limit := patience
		if r, ok := in.Request.(*smithyhttp.Request); ok {
			if n, known, err := r.StreamLength(); known && err == nil {
				limit += time.Duration(n/slowest) * time.Second
			}
		}
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		return next.HandleFinalize(ctx, in)
	})

// queue holds attempts back until there are slots for them. Between attempts a
// call has none, so that a region that throttles does not hold up the others.
func queue(slots *semaphore.Weighted, weight int64, begin func()) func(*middleware.Stack) error {
	return finalize("Queue", "Retry",
		func(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (out middleware.FinalizeOutput, metadata middleware.Metadata, err error) {
			if err := slots.Acquire(ctx, weight); err != nil {
				return out, metadata, err
			}
			defer slots.Release(weight)
			begin()
			return next.HandleFinalize(ctx, in)
		})
}

// call is what all calls for the layer have in common.
func (w *work) call(o *lambda.Options) {
	o.Retryer = w.retryer(o.Retryer)
	o.APIOptions = append(o.APIOptions, queue(w.calls, 1, func() {}))
}

// s3Call is likewise for S3.
func (w *work) s3Call(o *s3.Options) {
	o.Retryer = w.retryer(o.Retryer)
	o.APIOptions = append(o.APIOptions, queue(w.calls, 1, func() {}))
}

// shareCall is for AddLayerVersionPermission.
func (w *work) shareCall(o *lambda.Options) {
	r := w.retryer(o.Retryer)
	r.also = atTheSameTime
	o.Retryer = r
	o.APIOptions = append(o.APIOptions, queue(w.calls, 1, func() {}))
}

// uploadCall is for the one that has the zip with it.
func (w *work) uploadCall(o *lambda.Options) {
	r := w.retryer(o.Retryer)
	r.also = timedOut // since lookFirst tells what has come of it
	o.Retryer = r
	o.APIOptions = append(o.APIOptions, queue(w.uploads, w.uploadWeight(), w.beginUpload), w.countSent)
}

// s3UploadCall is likewise for S3.
func (w *work) s3UploadCall(o *s3.Options) {
	o.Retryer = w.retryer(o.Retryer)
	o.APIOptions = append(o.APIOptions, queue(w.uploads, w.uploadWeight(), w.beginUpload), w.countSent)
}

// uploadWeight is how many of the slots for uploads the zip takes.
func (w *work) uploadWeight() int64 {
	const most = maxCalls / maxUploads
	return 1 + (most-1)*min(w.layer.CodeSize, types.MaxDirectUpload)/types.MaxDirectUpload
}

func (w *work) beginUpload() {
	if w.upload == nil {
		w.upload = w.progress.Upload(w.target, w.layer.CodeSize)
	}
}

// retryer tells of attempts that are made again.
type retryer struct {
	aws.RetryerV2
	tell func(err error, wait time.Duration)
	also func(error) bool // what else is worth another attempt; nil: nothing
}

func (w *work) retryer(r aws.Retryer) *retryer {
	return &retryer{RetryerV2: r.(aws.RetryerV2), tell: func(err error, wait time.Duration) {
		w.progress.Retry(w.target, explain(err).Error(), wait)
	}}
}

func (r *retryer) IsErrorRetryable(err error) bool {
	var look *lookError
	if errors.As(err, &look) { // it has had attempts of its own
		return false
	}
	return r.RetryerV2.IsErrorRetryable(err) || r.also != nil && r.also(err)
}

// RetryDelay is asked by the SDK just before it waits.
func (r *retryer) RetryDelay(attempt int, err error) (time.Duration, error) {
	wait, failure := r.RetryerV2.RetryDelay(attempt, err)
	if failure == nil {
		r.tell(err, wait)
	}
	return wait, failure
}

// lookFirst looks whether an attempt to publish whose answer was lost has made a
// version, before the next one would make another.
func (w *work) lookFirst(stack *middleware.Stack) error {
	lost := false
	return finalize("LookFirst", "Retry",
		func(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (out middleware.FinalizeOutput, metadata middleware.Metadata, err error) {
			if lost {
				found, _, err := w.find(ctx, w.newest)
				if err != nil {
					return out, metadata, &lookError{err}
				}
				if found != nil {
					out.Result = &lambda.PublishLayerVersionOutput{LayerVersionArn: found.LayerVersionArn, Content: found.Content}
					return out, metadata, nil
				}
			}
			out, metadata, err = next.HandleFinalize(ctx, in)
			lost = lost || err != nil && !refused(err)
			return out, metadata, err
		})(stack)
}

// lookError is an error of a lookup between attempts to publish.
type lookError struct{ error }

func (e *lookError) Unwrap() error { return e.error }

// timedOut tells whether a request was sent and not answered in time.
func timedOut(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) && !neverSent(err)
}

// refused tells whether it is certain that a call has had no effect.
func refused(err error) bool {
	var answer interface{ HTTPStatusCode() int }
	client := errors.As(err, &answer) && answer.HTTPStatusCode() >= http.StatusBadRequest && answer.HTTPStatusCode() < http.StatusInternalServerError
	return client || neverSent(err) || retry.IsErrorThrottles(retry.DefaultThrottles).IsErrorThrottle(err) == aws.TrueTernary
}

// neverSent tells whether there was no connection for a request.
func neverSent(err error) bool {
	var network *net.OpError
	return errors.As(err, &network) && network.Op == "dial"
}

// countSent tells how much of the zip has been sent, and ends an attempt of which
// nothing is taken any more. It comes after what reads a request to sign it.
func (w *work) countSent(stack *middleware.Stack) error {
	return finalize("CountSent", "Signing",
		func(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (out middleware.FinalizeOutput, metadata middleware.Metadata, err error) {
			request, ok := in.Request.(*smithyhttp.Request)
			if !ok {
				return out, metadata, errors.Errorf("unexpected request %T", in.Request)
			}
			stalled := &smithy.CanceledError{Err: context.DeadlineExceeded}
			ctx, cancel := context.WithCancelCause(ctx)
			defer cancel(nil)
			timer := time.AfterFunc(patience, func() { cancel(stalled) })
			defer timer.Stop()
			counted := &sentReader{Reader: request.GetStream(), sent: func(n int64) {
				timer.Reset(patience)
				w.upload.Sent(n * w.layer.CodeSize / request.ContentLength)
			}}
			w.upload.Sent(0)
			if in.Request, err = request.SetStream(counted); err != nil {
				return out, metadata, err
			}
			out, metadata, err = next.HandleFinalize(ctx, in)
			if err != nil && context.Cause(ctx) == error(stalled) {
				err = stalled
			}
			return out, metadata, err
		})(stack)
}

// sentReader tells how many bytes have been read.
type sentReader struct {
	io.Reader
	total int64
	sent  func(total int64)
}

func (r *sentReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.total += int64(n)
	r.sent(r.total)
	return n, err
}
