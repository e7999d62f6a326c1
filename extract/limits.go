package extract

import (
	"strings"

	"github.com/pkg/errors"

	"github.com/awslabs/aws-lambda-container-image-converter/types"
)

// Bounds on what an image can make the program do. No image that a container
// runs, or that Lambda takes, comes near them.
const (
	// maxPath is the longest path in bytes that Linux opens (PATH_MAX, less
	// its closing NUL).
	maxPath = 4095
	// maxDepth is the number of components of a path.
	maxDepth = 256
	// maxMemory is how much memory in bytes paths and all that is known of them
	// may take (see budget): enough for 300,000 files with paths of 100 bytes,
	// more than anybody gets into what Lambda takes. The Go runtime may take as
	// much again until it collects what is no longer used.
	maxMemory = 128 << 20
	// entrySize is what an entry of a layer takes besides its path, with its
	// places in lists; pathNodeSize what a component of a path takes, and
	// overlayNodeSize what an overlay takes for it, in bytes.
	entrySize       = 160
	pathNodeSize    = 100
	overlayNodeSize = 16
	// maxContent is how much a layer may have below the roots, and how much may
	// remain of all layers, in bytes. It is more than Lambda takes: layers above
	// may delete some of it, and a dry run should show what is too large.
	maxContent = 4 * types.MaxUnzippedSize
	// maxAllContent is how much all layers together may have below the roots, in
	// bytes, of which other layers delete or replace what is over maxContent. It
	// bounds the time for compressing.
	maxAllContent = 4 * maxContent
	// wantedSize is what a path outside the roots takes that hard links lead to or
	// that is one, and placeSize where a target is, in bytes.
	wantedSize = 48
	placeSize  = 16
	// maxWindow bounds the memory that a zstd stream may ask for, in bytes. It
	// is what `zstd --long` uses by default.
	maxWindow = 128 << 20
	// usualWindow is the largest of zstd's without --long or --ultra, in bytes.
	usualWindow = 8 << 20
	// maxDictionary is likewise for xz: what `xz -9` uses.
	maxDictionary = 64 << 20
	// maxWarnings is how many things that are left out are named.
	maxWarnings = 10
	// maxHops is how many links may lead from one to the next. It is containerd's
	// bound for symbolic links; Linux's own is 40.
	maxHops = 255
	// linkNodeSize is what a symbolic link and each directory above one take
	// besides name and text while their layer is read, and one at a root for good, in
	// bytes.
	linkNodeSize = 96
	// maxLinkSteps bounds the time for following a layer's symbolic links, in
	// path components.
	maxLinkSteps = 10_000_000
	// maxTargetSteps bounds the time for finding the targets of hard links, in
	// layers that are looked at for all links together.
	maxTargetSteps = 30_000_000
	// maxRootLinks is how many symbolic links may lead from /opt to the directory
	// that it stands for. The image is read once more for each.
	maxRootLinks = 8
)

var errTooMuch = errors.Errorf("more than %d MB below /opt and /var/task; Lambda takes %d MB in all", maxContent>>20, types.MaxUnzippedSize>>20)

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

func errTooLongLink(text string) error {
	return errors.Errorf("it is a link to a path of %d bytes; Linux allows %d", len(text), maxPath)
}
