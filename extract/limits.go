package extract

import (
	"strings"

	"github.com/awslabs/aws-lambda-container-image-converter/types"
	"github.com/pkg/errors"
)

// Bounds on what an image can make the program do. No image that a container
// runs, or that Lambda takes, comes near them.
const (
	// maxPath is the longest path in bytes that Linux opens (PATH_MAX, less
	// its closing NUL).
	maxPath = 4095
	// maxDepth is the number of components of a path.
	maxDepth = 256
	// maxPaths is the number of entries below the roots in all layers together,
	// and of paths with their directories. Each takes some 500 bytes of memory.
	maxPaths = 3_000_000
	// maxContent is how much a layer may have below the roots, and how much may
	// remain of all layers, in bytes. It is more than Lambda takes: layers above
	// may delete some of it, and a dry run should show what is too large.
	maxContent = 4 * types.MaxUnzippedSize
	// maxWindow bounds the memory that a zstd stream may ask for, in bytes. It
	// is what `zstd --long` uses by default.
	maxWindow = 128 << 20
	// maxDictionary is likewise for xz: what `xz -9` uses.
	maxDictionary = 64 << 20
	// maxWarnings is how many things that are left out are named.
	maxWarnings = 10
	// maxHops is how many hard links may lead from one to the next.
	maxHops = 255
)

var errTooMuch = errors.Errorf("more than %d MB below /opt and /var/task; Lambda takes %d MB in all", maxContent>>20, types.MaxUnzippedSize>>20)

var errTooManyPaths = errors.Errorf("the image has more than %d paths below /opt and /var/task", maxPaths)

// checkPath refuses a path that no container has.
func checkPath(p string) error {
	if len(p) > maxPath {
		return errors.Errorf("the path has %d bytes; Linux allows %d", len(p), maxPath)
	}
	if n := strings.Count(p, "/"); n >= maxDepth {
		return errors.Errorf("the path is %d directories deep; %d are supported", n, maxDepth)
	}
	return nil
}
