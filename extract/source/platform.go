package source

import (
	"runtime"
	"strings"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/pkg/errors"
	podman "go.podman.io/image/v5/types"
)

// Platform says what machine an image is for, in the terms of the OCI image
// spec: linux, amd64 or arm64 …, v7 or v8 …. The zero value means the one that
// this machine runs containers for, if there is a choice.
type Platform struct {
	OS, Architecture, Variant string
}

// ParsePlatform reads OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT.
func ParsePlatform(s string) (Platform, error) {
	parts := strings.Split(s, "/")
	if len(parts) < 2 || len(parts) > 3 || parts[0] == "" || parts[1] == "" {
		return Platform{}, errors.Errorf("%q is not of the form OS/ARCHITECTURE, such as linux/arm64", s)
	}
	p := Platform{OS: parts[0], Architecture: parts[1]}
	switch p.Architecture { // names that the docker CLI takes as well
	case "x86_64":
		p.Architecture = "amd64"
	case "aarch64":
		p.Architecture = "arm64"
	}
	if len(parts) == 3 {
		p.Variant = parts[2]
	}
	return p, nil
}

func platformOf(p ispec.Platform) Platform {
	return Platform{p.OS, p.Architecture, p.Variant}
}

func (p Platform) String() string {
	s := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	return s
}

// isZero reports that the user has not chosen.
func (p Platform) isZero() bool { return p == Platform{} }

// orDefault is the platform to choose by: containers are for Linux, whatever
// runs the program.
func (p Platform) orDefault() Platform {
	if p.isZero() {
		return Platform{OS: "linux", Architecture: runtime.GOARCH}
	}
	return p
}

// check refuses an image that is not of the platform that the user chose.
func (p Platform) check(image Platform) error {
	if p.isZero() || p.OS == image.OS && p.Architecture == image.Architecture && (p.Variant == "" || p.Variant == image.Variant || image.Variant == "") {
		return nil
	}
	return noPlatform(p, []Platform{image})
}

func noPlatform(p Platform, there []Platform) error {
	names := make([]string, 0, len(there))
	for _, t := range there {
		if t.OS != "unknown" { // attestations
			names = append(names, t.String())
		}
	}
	return errors.Errorf("the image is not there for platform %s, but for %s: choose with --platform", p.orDefault(), strings.Join(names, ", "))
}

// set makes containers/image choose the platform.
func (p Platform) set(sys *podman.SystemContext) {
	p = p.orDefault()
	sys.OSChoice, sys.ArchitectureChoice, sys.VariantChoice = p.OS, p.Architecture, p.Variant
}
