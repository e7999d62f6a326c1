package cli

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/pkg/errors"
)

// output is the output directory. Results are made in a directory within it, the
// staging directory, and moved out when all is there.
type output struct {
	name    string   // as the user has it
	dir     string   // the same without links, which may be changed meanwhile
	created []string // directories that were not there before, deepest first
	staging string
	locked  *os.File // the staging directory, which is in use
	waiting func()   // called when other runs are waited for
}

// stagingPrefix is what the names of staging directories begin with.
const stagingPrefix = ".img2lambda-"

// results is where results are made.
func (o *output) results() string { return filepath.Join(o.staging, "new") }

// openOutput makes the output directory, and a staging directory in it. What runs
// that were killed have left there is removed. waiting is called if another run has
// to be waited for.
func openOutput(ctx context.Context, name string, waiting func()) (*output, error) {
	o := &output{name: name, waiting: waiting}
	for d := filepath.Clean(name); d != filepath.Dir(d); d = filepath.Dir(d) {
		info, err := os.Stat(d)
		if _, dangling := os.Readlink(d); err != nil && dangling == nil {
			return nil, errors.Errorf("output directory %s: %s is a link to nothing", name, d)
		}
		if err == nil && !info.IsDir() {
			return nil, errors.Errorf("output directory %s: %s is a file", name, d)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
		o.created = append(o.created, d)
	}
	err := os.MkdirAll(name, 0o755)
	if err == nil {
		o.dir, err = filepath.EvalSymlinks(name)
	}
	if err != nil {
		o.removeCreated()
		return nil, errors.Wrapf(plain(err), "output directory %s cannot be made", name)
	}
	if err = o.removeLeftovers(ctx); err == nil {
		err = o.stage()
	}
	if err != nil {
		o.discard()
		return nil, errors.Wrapf(plain(err), "output directory %s cannot be written", name)
	}
	return o, nil
}

// plain takes the paths out of a file system's error: the message has it.
func plain(err error) error {
	var p *fs.PathError
	var l *os.LinkError
	switch {
	case errors.As(err, &p):
		return p.Err
	case errors.As(err, &l):
		return l.Err
	}
	return err
}

// stage makes the staging directory. Its lock tells other runs that it is in use.
func (o *output) stage() error {
	for {
		dir, err := os.MkdirTemp(o.dir, stagingPrefix)
		if err != nil {
			return err
		}
		o.staging = dir
		if o.locked, err = os.Open(dir); err == nil {
			err = tryLock(o.locked)
		}
		if errors.Is(err, errLocked) || !isDir(dir) { // another run has taken it for a leftover
			o.locked.Close()
			continue
		}
		return os.Mkdir(o.results(), 0o755)
	}
}

// removeLeftovers removes staging directories that no run uses any more. If one
// was killed while it moved its results, what was there before comes back.
func (o *output) removeLeftovers(ctx context.Context) error {
	there, err := os.ReadDir(o.dir)
	if err != nil {
		return err
	}
	for _, f := range there {
		if f.IsDir() && strings.HasPrefix(f.Name(), stagingPrefix) {
			if err := o.removeLeftover(ctx, filepath.Join(o.dir, f.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

func (o *output) removeLeftover(ctx context.Context, name string) error {
	d, err := os.Open(name)
	if err != nil {
		return nil // it has gone, or is another user's
	}
	defer d.Close()
	if tryLock(d) != nil {
		return nil
	}
	unlock, err := o.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if err := rollBack(o.dir, name); err != nil {
		return err
	}
	os.RemoveAll(name)
	return nil
}

// lock waits until no other run moves its results to the output directory.
func (o *output) lock(ctx context.Context) (unlock func(), err error) {
	return lock(ctx, filepath.Join(o.dir, ".img2lambda.lock"), o.waiting)
}

// discard removes what commit has not moved, and the directories if they would
// be left empty.
func (o *output) discard() {
	if o.staging != "" {
		os.RemoveAll(o.staging)
	}
	if o.locked != nil {
		o.locked.Close()
	}
	o.removeCreated()
}

func (o *output) removeCreated() {
	for _, d := range o.created {
		if isDir(d) { // still ours
			os.Remove(d) // only if it is empty
		}
	}
}
