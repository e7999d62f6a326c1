//go:build !unix

package cli

import (
	"errors"
	"os"
)

// tryLock does not lock where directories cannot be locked: two runs that end at
// the same moment in one output directory may mix there, and what a killed run
// leaves stays.
func tryLock(*os.File) error { return errors.ErrUnsupported }
