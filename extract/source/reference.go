// Package source finds container images and reads their layers: in a Docker
// engine, in archives and OCI image layouts, in registries.
package source

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/awslabs/aws-lambda-container-image-converter/extract"
	"github.com/pkg/errors"
	"go.podman.io/image/v5/docker/reference"
)

// Options are what Open needs to know besides the reference.
type Options struct {
	// Dir is where a compressed archive is unpacked, until the source is closed.
	Dir string
	// Platform is which image of a multi-platform one to take.
	Platform Platform
	// TLSVerify says whether a registry needs TLS, and a certificate that can be
	// verified. If it is nil, it does unless registries.conf has it as insecure.
	TLSVerify *bool
	// AuthFile has the credentials for registries. If it is empty, they are where
	// docker, podman and skopeo look for them.
	AuthFile string
	// Warn, unless nil, hears of what people may not expect.
	Warn func(message string)
}

// transport is a kind of place that images are in.
type transport struct {
	prefix string // of references to it, as in skopeo and podman (containers-transports(5))
	form   string // of what follows the prefix
	help   string
	parse  func(*Reference) error
	open   func(context.Context, Reference, Options) (extract.Source, error)
}

// transports returns all kinds of places, in the order in which help lists them.
func transports() []transport {
	return []transport{
		{"docker://", "HOST/NAME[:TAG]", "in a registry, no Docker needed", parseName, openRegistry},
		{"docker-archive:", "FILE[:NAME]", "what 'docker save' has written", parsePath, openDockerArchive},
		{"oci:", "DIRECTORY[:TAG]", "an OCI image layout", parsePath, openLayout},
		{"oci-archive:", "FILE[:TAG]", "the same as a tar", parsePath, openLayout},
		{engineTransport, "NAME[:TAG]", "the same as NAME[:TAG] alone", parseName, openEngine},
	}
}

// engineTransport is that of a reference without a prefix.
const engineTransport = "docker-daemon:"

// Help describes the forms of a reference, a line each.
func Help() string {
	var b strings.Builder
	for _, t := range transports() {
		fmt.Fprintf(&b, "  %-29s%s\n", t.prefix+t.form, t.help)
	}
	return b.String()
}

// Reference names an image: where it is, and which one there.
type Reference struct {
	transport transport
	rest      string // as given, after the transport's prefix
	path      string // of an archive or layout
	tag       string // in it; empty if not given
}

// HasTransport reports whether s begins with a transport.
func HasTransport(s string) bool {
	return slices.ContainsFunc(transports(), func(t transport) bool { return strings.HasPrefix(s, t.prefix) })
}

// ParseReference reads the name of an image: a transport's prefix and what
// follows, or the bare name of an image in the Docker engine. The error says what
// is wrong with it.
func ParseReference(s string) (Reference, error) {
	if s == "" {
		return Reference{}, errors.New("the image's name is empty")
	}
	if err := checkForm(s); err != nil {
		return Reference{}, err
	}
	if !HasTransport(s) {
		s = engineTransport + s
	}
	all := transports()
	t := all[slices.IndexFunc(all, func(t transport) bool { return strings.HasPrefix(s, t.prefix) })]
	r := Reference{transport: t, rest: s[len(t.prefix):]}
	return r, t.parse(&r)
}

// paths are what names of images do not look like: ./image.tar, C:\image.tar.
var paths = regexp.MustCompile(`^(\.{0,2}/|~|\.{1,2}$|[A-Za-z]:[\\/])|\\`)

// foreign are transports of other programs (containers-transports(5)), where they
// do not look like a name with its tag: docker:27 and registry:2 are images.
var foreign = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]*)://|^(containers-storage|dir|docker|docker-daemon|ostree|sif|tarball):[/@\[.]|^(containers-storage):`)

func isFile(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode().IsRegular()
}

// isPath says what to do about a path in the place of an image's name.
func isPath(name string) error {
	return errors.Errorf("%s is a path; say what is there: docker-archive:%[1]s, oci-archive:%[1]s, or oci:%[1]s for a directory", name)
}

// checkForm finds references that mean something else to other programs.
func checkForm(s string) error {
	var prefixes []string
	for _, t := range transports() {
		prefixes = append(prefixes, t.prefix)
	}
	name, isEngine := strings.CutPrefix(s, engineTransport)
	switch {
	case isEngine && strings.HasPrefix(name, "//"):
		return errors.Errorf("%[1]s goes without slashes: %[1]s%[2]s", engineTransport, strings.TrimLeft(name, "/"))
	case HasTransport(s):
		return nil
	case paths.MatchString(s):
		return isPath(s)
	case foreign.MatchString(s):
		other, _, _ := strings.Cut(s, ":")
		return errors.Errorf("%q: there is no transport %s, but %s", s, other, strings.Join(prefixes, ", "))
	}
	return nil
}

// imageID is a full image ID, with or without its algorithm.
var imageID = regexp.MustCompile(`^(sha256:)?[0-9a-f]{64}$`)

// parseName checks the name of an image, or its ID in the engine.
func parseName(r *Reference) error {
	if r.transport.prefix == engineTransport && imageID.MatchString(r.rest) {
		return nil
	}
	if r.rest == "" {
		return errors.Errorf("%[1]s needs a name: %[1]s%[2]s", r.transport.prefix, r.transport.form)
	}
	_, err := reference.ParseNormalizedNamed(r.rest)
	if err != nil && r.transport.prefix == engineTransport && isFile(r.rest) {
		return isPath(r.rest)
	}
	return errors.Wrapf(err, "%q", r.rest)
}

// parsePath parts PATH:TAG at the first colon, that of a drive aside.
func parsePath(r *Reference) error {
	drive := ""
	if runtime.GOOS == "windows" {
		drive = filepath.VolumeName(r.rest)
	}
	path, tag, _ := strings.Cut(r.rest[len(drive):], ":")
	r.path, r.tag = drive+path, tag
	if r.path == "" {
		return errors.Errorf("%[1]s needs a path: %[1]sPATH or %[1]sPATH:TAG", r.transport.prefix)
	}
	if r.path == "-" && r.transport.prefix == "oci:" {
		return errors.New("oci: is a directory; from standard input, use docker-archive:- or oci-archive:-")
	}
	return nil
}

// String returns the reference in full, with its transport unless that is the
// Docker engine.
func (r Reference) String() string {
	if r.transport.prefix == engineTransport {
		return r.rest
	}
	return r.transport.prefix + r.rest
}

// Open finds the image. The error says where it was looked for, and what to do.
func Open(ctx context.Context, r Reference, o Options) (extract.Source, error) {
	warn, mu := o.Warn, sync.Mutex{}
	o.Warn = func(message string) { // layers are read in parallel
		mu.Lock()
		defer mu.Unlock()
		if warn != nil {
			warn(message)
		}
	}
	return r.transport.open(ctx, r, o)
}
