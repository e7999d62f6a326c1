package source

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

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
	defer src.Close()
	go cancel()
	if err := convertOnly(t, ctx, src); !errors.Is(err, context.Canceled) {
		t.Errorf("while it exports: got error %v, want %v", err, context.Canceled)
	}
}
