package extract

import (
	"context"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"

	"github.com/pkg/errors"
	"go.podman.io/image/v5/docker/reference"
)

// Reference names an image: where it is, and which one there.
type Reference struct {
	transport string
	rest      string // as given, after the transport
	path      string // of an archive or layout
	tag       string // in it; empty if not given
}

// Transports, named as in skopeo and podman (containers-transports(5)).
const (
	fromDaemon        = "docker-daemon"
	fromDockerArchive = "docker-archive"
	fromLayout        = "oci"
	fromOCIArchive    = "oci-archive"
	fromRegistry      = "docker"
)

// imageID is a full image ID, with or without its algorithm.
var imageID = regexp.MustCompile(`^(sha256:)?[0-9a-f]{64}$`)

// ParseReference reads the name of an image: TRANSPORT:NAME, or the bare name
// of one in the Docker engine.
func ParseReference(s string) (Reference, error) {
	if s == "" {
		return Reference{}, errors.New("the image's name is empty")
	}
	transport, rest, found := strings.Cut(s, ":")
	r := Reference{transport: transport, rest: rest}
	switch {
	case found && transport == fromRegistry && strings.HasPrefix(rest, "//"):
		_, err := reference.ParseNormalizedNamed(rest[len("//"):])
		return r, errors.Wrapf(err, "%q", rest)
	case found && (transport == fromLayout || transport == fromOCIArchive || transport == fromDockerArchive):
		r.path, r.tag = splitPath(rest)
		if r.path == "" {
			return r, errors.Errorf("%s: needs a path: %s:PATH or %s:PATH:TAG", transport, transport, transport)
		}
		return r, nil
	case found && transport == fromDaemon:
	default:
		r = Reference{transport: fromDaemon, rest: s}
	}
	if imageID.MatchString(r.rest) {
		return r, nil
	}
	_, err := reference.ParseNormalizedNamed(r.rest)
	return r, errors.Wrapf(err, "%q", r.rest)
}

// splitPath parts PATH:TAG at the first colon, that of a drive aside.
func splitPath(s string) (path, tag string) {
	drive := ""
	if runtime.GOOS == "windows" {
		drive = filepath.VolumeName(s)
	}
	path, tag, _ = strings.Cut(s[len(drive):], ":")
	return drive + path, tag
}

// String returns the reference in full, with its transport unless that is the
// Docker engine.
func (r Reference) String() string {
	if r.transport == fromDaemon {
		return r.rest
	}
	return r.transport + ":" + r.rest
}

// open finds the image. Temporary files go to work.
func (r Reference) open(ctx context.Context, work string, o Options) (source, error) {
	switch r.transport {
	case fromDaemon:
		return openEngine(ctx, r.rest, o.Platform)
	case fromDockerArchive:
		return openDockerArchive(ctx, r, work, o.Platform)
	case fromRegistry:
		return openRegistry(ctx, r.rest, o)
	default:
		return openLayout(ctx, r, work, o.Platform)
	}
}
