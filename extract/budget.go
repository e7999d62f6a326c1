package extract

import (
	"sync/atomic"

	"github.com/pkg/errors"
)

// budget bounds the memory that is taken for paths: names, entries, links and all
// that is looked up by path. It counts what these are known to take, somewhat
// more than less. The layers of an image share one.
type budget struct{ taken atomic.Int64 }

// take takes n bytes, or says that there are no more.
func (b *budget) take(n int) error {
	if b.taken.Add(int64(n)) > maxMemory {
		return errTooManyPaths
	}
	return nil
}

// give gives n bytes back.
func (b *budget) give(n int) { b.taken.Add(-int64(n)) }

var errTooManyPaths = errors.Errorf("the image has too many or too long paths below /opt and /var/task, or links anywhere: they take more than %d MB of memory", maxMemory>>20)
