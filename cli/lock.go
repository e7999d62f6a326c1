package cli

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/pkg/errors"
)

var errLocked = errors.New("another process has locked it")

const (
	// lockInterval is the time between attempts to lock a file: it takes another
	// run no longer to move its results.
	lockInterval = 10 * time.Millisecond
	// lockNotice is after how long people are told what is waited for.
	lockNotice = time.Second
)

// lock waits until no other run has the lock file called name, and creates it.
// waiting is called if that takes a moment. Where the file system has no locks, it
// does without.
func lock(ctx context.Context, name string, waiting func()) (unlock func(), err error) {
	notice := time.AfterFunc(lockNotice, waiting)
	defer notice.Stop()
	for {
		if info, err := os.Lstat(name); err == nil && !info.Mode().IsRegular() {
			return nil, errors.Errorf("%s in it is no file: remove it", filepath.Base(name))
		}
		f, err := os.OpenFile(name, os.O_RDONLY|os.O_CREATE, 0o644)
		if err != nil {
			return nil, err
		}
		switch err := tryLock(f); {
		case errors.Is(err, errLocked):
		case err != nil: // there are no locks
			return func() { f.Close(); os.Remove(name) }, nil
		case isAt(f, name):
			// It is removed under the lock: who waits for it finds out by isAt.
			return func() { os.Remove(name); f.Close() }, nil
		}
		f.Close()
		select {
		case <-time.After(lockInterval):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// isAt tells whether an open file or directory still has that name.
func isAt(f *os.File, name string) bool {
	opened, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(name)
	return err == nil && os.SameFile(opened, there)
}

// isDir tells whether there is a directory, not a link to one, with that name.
func isDir(name string) bool {
	info, err := os.Lstat(name)
	return err == nil && info.IsDir()
}

// isThere tells whether there is anything with that name.
func isThere(name string) bool {
	_, err := os.Lstat(name)
	return !errors.Is(err, fs.ErrNotExist)
}
