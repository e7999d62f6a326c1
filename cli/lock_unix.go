//go:build unix

package cli

import (
	"os"
	"syscall"

	"github.com/pkg/errors"
)

// tryLock locks an open file or directory for this process, until it is closed.
// The error is errLocked if another process has locked it. There are file systems
// without locks.
func tryLock(f *os.File) error {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return errLocked
		}
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
