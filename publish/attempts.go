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
	// maxCalls is how many calls run at once, over all regions. Uploads have as many
	// slots again, of their own.
	maxCalls = 64
	// maxUploads is how many of the largest zips are uploaded at once, over all
	// regions. A small zip takes no longer than any other call, so up to maxCalls of
	// those may run.
	maxUploads = 8
)

const (
	// patience is how long AWS may take to answer once it has the whole request, and
	// how long an upload may stand still.
	patience = 2 * time.Minute
	// slowest is the lowest speed, in bytes a second, at which an upload goes on.
	slowest = 32 << 10
)

// finalize adds f to a call's middleware, in the step "finalize" and behind the
// middleware named after. Whatever is behind "Retry" runs once for each attempt.
func finalize(id, after string, f func(context.Context, middleware.FinalizeInput, middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error)) func(*middleware.Stack) error {
	return func(stack *middleware.Stack) error {
		return stack.Finalize.Insert(middleware.FinalizeMiddlewareFunc(id, f), after, middleware.After)
	}
}

// limitAttempts bounds the time that each attempt may take.
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

// queue holds an attempt back until it has as many slots as its weight, and then
// calls begin. A call that waits for its next attempt holds none, so that a region
// that throttles does not hold up the others.
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

// call sets the options of a call that only reads.
func (w *work) call(o *lambda.Options) {
	o.Retryer = w.retryer(o.Retryer, nil)
	o.APIOptions = append(o.APIOptions, queue(w.calls, 1, func() {}))
}

// s3Call is the same for S3.
func (w *work) s3Call(o *s3.Options) {
	o.Retryer = w.retryer(o.Retryer, nil)
	o.APIOptions = append(o.APIOptions, queue(w.calls, 1, func() {}))
}

// shareCall sets the options of AddLayerVersionPermission.
func (w *work) shareCall(o *lambda.Options) {
	o.Retryer = w.retryer(o.Retryer, atTheSameTime)
	o.APIOptions = append(o.APIOptions, queue(w.calls, 1, func() {}))
}

// publishCall sets the options of PublishLayerVersion for a zip that is in S3. It is
// made again if no answer came, since lookFirst finds out what became of it.
func (w *work) publishCall(o *lambda.Options) {
	o.Retryer = w.retryer(o.Retryer, timedOut)
	o.APIOptions = append(o.APIOptions, queue(w.calls, 1, func() {}), w.lookFirst)
}

// uploadCall is the same for a request that holds the zip.
func (w *work) uploadCall(o *lambda.Options) {
	o.Retryer = w.retryer(o.Retryer, timedOut)
	o.APIOptions = append(o.APIOptions, queue(w.uploads, w.uploadWeight(), w.beginUpload), w.countSent, w.lookFirst)
}

// s3UploadCall sets the options of PutObject. Uploading to the same key twice does
// no harm, so it too is made again if no answer came.
func (w *work) s3UploadCall(o *s3.Options) {
	o.Retryer = w.retryer(o.Retryer, timedOut)
	o.APIOptions = append(o.APIOptions, queue(w.uploads, w.uploadWeight(), w.beginUpload), w.countSent)
}

// uploadWeight returns how many of the upload slots the zip takes.
func (w *work) uploadWeight() int64 {
	const most = maxCalls / maxUploads
	return 1 + (most-1)*min(w.layer.CodeSize, types.MaxDirectUpload)/types.MaxDirectUpload
}

// beginUpload reports the upload, once for all its attempts.
func (w *work) beginUpload() {
	if w.upload == nil {
		w.upload = w.progress.Upload(w.target, w.layer.CodeSize)
	}
}

// retryer is the SDK's retryer, and reports each retry.
type retryer struct {
	aws.RetryerV2
	tell func(err error, wait time.Duration)
	also func(error) bool // further errors that are worth a retry; may be nil
}

func (w *work) retryer(r aws.Retryer, also func(error) bool) *retryer {
	tell := func(err error, wait time.Duration) { w.progress.Retry(w.target, explain(err).Error(), wait) }
	return &retryer{r.(aws.RetryerV2), tell, also}
}

func (r *retryer) IsErrorRetryable(err error) bool {
	var look *lookError
	if errors.As(err, &look) { // the lookup has had its own retries
		return false
	}
	return r.RetryerV2.IsErrorRetryable(err) || r.also != nil && r.also(err)
}

// RetryDelay is what the SDK calls just before it waits.
func (r *retryer) RetryDelay(attempt int, err error) (time.Duration, error) {
	wait, failure := r.RetryerV2.RetryDelay(attempt, err)
	if failure == nil {
		r.tell(err, wait)
	}
	return wait, failure
}

// lookFirst keeps a retry from publishing a second version. If the answer to an
// earlier attempt was lost, it first looks whether that attempt made a version.
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

// lookError is the error of a lookup that lookFirst made.
type lookError struct{ error }

func (e *lookError) Unwrap() error { return e.error }

// timedOut reports whether a request was sent and not answered in time.
func timedOut(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) && !neverSent(err)
}

// refused reports whether a failed call certainly had no effect.
func refused(err error) bool {
	var answer interface{ HTTPStatusCode() int }
	client := errors.As(err, &answer) && answer.HTTPStatusCode() >= http.StatusBadRequest && answer.HTTPStatusCode() < http.StatusInternalServerError
	return client || neverSent(err) || retry.IsErrorThrottles(retry.DefaultThrottles).IsErrorThrottle(err) == aws.TrueTernary
}

// neverSent reports whether a request failed for want of a connection.
func neverSent(err error) bool {
	var network *net.OpError
	return errors.As(err, &network) && network.Op == "dial"
}

// countSent reports how much of the zip has been sent, and ends an attempt that
// stands still. It is behind "Signing", which reads the request as well.
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

// sentReader reports how many bytes have been read.
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
