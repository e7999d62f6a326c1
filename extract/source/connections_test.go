package source

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/awslabs/aws-lambda-container-image-converter/extract"
	"github.com/awslabs/aws-lambda-container-image-converter/internal/testrun"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/fakeengine"
	"github.com/awslabs/aws-lambda-container-image-converter/internal/imagetest"
)

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
	for _, r := range remotes(t) {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			dir, rng := testrun.MemoryDir(t), testrun.Random(t)
			want, sent, err := r.zips(t.Context(), dir, flaw{kind: sound})
			if err != nil || len(want) != 3 {
				t.Fatalf("%d zips, error %v", len(want), err)
			}
			for _, kind := range []flawKind{breaks, breaksOnce, garbles} {
				var o outcomes
				var g errgroup.Group
				g.SetLimit(50) // some wait a second to try again
				for range testrun.Points() {
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
	usual := patience
	for _, r := range remotes(t) {
		ok := t.Run(r.name, func(t *testing.T) {
			dir, rng := testrun.MemoryDir(t), testrun.Random(t)
			setPatience(t, usual)
			want, sent, err := r.zips(t.Context(), dir, flaw{kind: sound})
			if err != nil {
				t.Fatal(err)
			}
			setPatience(t, 50*time.Millisecond)
			var o outcomes
			var g errgroup.Group
			g.SetLimit(20)
			for range testrun.Points() {
				// An engine may take its time before it sends anything.
				f := flaw{stalls, 500 + rng.Int64N(sent-500)}
				if r.name == "registry" {
					f.after = rng.Int64N(sent)
				}
				g.Go(func() error {
					ctx, cancel := context.WithTimeout(t.Context(), testrun.Patience)
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
		if !ok {
			return // each that does not end takes minutes
		}
	}
}

// TestStalledEngine guards against waiting for ever for an engine's first byte,
// and against giving up on one that puts an export together, which may take it
// minutes.
func TestStalledEngine(t *testing.T) {
	const short = 50 * time.Millisecond
	e := fakeengine.New(fakeengine.Options{}, imagetest.Ref{Name: "app", Content: served(imagetest.None)})
	useEngine(t, e.Start(t))
	t.Run("while it looks the image up", func(t *testing.T) {
		setPatience(t, short)
		e.Fail(fakeengine.Inspect, fakeengine.Fault{Stall: true})
		defer e.Heal(fakeengine.Inspect)
		if _, err := openEngine(t.Context(), parsed(t, "app"), Options{}); !errors.Is(err, errStalled) {
			t.Errorf("got error %v, want %v", err, errStalled)
		}
	})
	t.Run("before it exports", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		address, _, stop := serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.HasSuffix(r.URL.Path, "/images/get") {
				e.ServeHTTP(w, r)
				return
			}
			time.AfterFunc(4*short, cancel)
			<-r.Context().Done()
		}), flaw{kind: sound})
		defer stop()
		useEngine(t, "tcp://"+address)
		src, err := openEngine(ctx, parsed(t, "app"), Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer src.Close()
		setPatience(t, short)
		if _, err := extract.Convert(ctx, src, "app", extract.Options{Dir: t.TempDir(), Progress: silent{}}); !errors.Is(err, context.Canceled) {
			t.Errorf("got error %v, want %v", err, context.Canceled)
		}
	})
}

// TestNoLayers guards against passing on Docker's own words about an image
// without layers, of which it makes no archive.
func TestNoLayers(t *testing.T) {
	e := fakeengine.New(fakeengine.Options{}, imagetest.Ref{Name: "app", Content: served(imagetest.None)})
	useEngine(t, e.Start(t))
	e.Fail(fakeengine.Export, fakeengine.Fault{Status: http.StatusInternalServerError, Message: "empty export - not implemented"})
	_, _, err := convert(t.Context(), parsed(t, "app"), t.TempDir())
	if err == nil || !strings.HasPrefix(err.Error(), "the image has no layers: ") {
		t.Errorf("got error %v", err)
	}
}
