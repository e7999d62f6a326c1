//go:build unix

package cli

import (
	"context"
	"os"
	"syscall"
	"time"

	"github.com/pkg/errors"
)

// lock waits until no other run moves its results to dir. Where the file system
// has no locks, it does without.
func lock(ctx context.Context, dir string) (unlock func(), err error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(d.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return func() { d.Close() }, nil
		}
		select {
		case <-time.After(10 * time.Millisecond): // it takes another run no longer to move its files
		case <-ctx.Done():
			d.Close()
			return nil, ctx.Err()
		}
	}
}
