package source

import (
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/pkg/errors"
	"go.podman.io/image/v5/manifest"
	podman "go.podman.io/image/v5/types"
)

// Platform says what machine an image is for, in the terms of the OCI image
// spec: linux, amd64 or arm64 …, v7 or v8 …. The zero value stands for no choice.
//
// All sources follow one rule. With a choice, an image is for that platform, or
// does not say what it is for. Without one, an image that is alone is taken as it
// is, and of several the one for the machine on which the program runs.
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

// isZero reports that nobody has chosen, or that an image does not say.
func (p Platform) isZero() bool { return p == Platform{} }

// orDefault is the platform to choose by: containers are for Linux, whatever
// runs the program.
func (p Platform) orDefault() Platform {
	if p.isZero() {
		return Platform{OS: "linux", Architecture: runtime.GOARCH}
	}
	return p
}

// check refuses an image that is not for the platform that the user chose.
func (p Platform) check(image Platform) error {
	if p.isZero() || image.isZero() || p.matches(image) {
		return nil
	}
	return noPlatform(p, []Platform{image})
}

// matches reports whether an image is for platform p, or for an older variant
// that it can run.
func (p Platform) matches(image Platform) bool {
	if p.OS != image.OS || p.Architecture != image.Architecture {
		return false
	}
	if p.Variant == image.Variant || p.Variant == "" || image.Variant == "" {
		return true
	}
	_, err := p.instance([]ispec.Descriptor{{Platform: &ispec.Platform{OS: image.OS, Architecture: image.Architecture, Variant: image.Variant}}})
	return err == nil
}

// choose returns the one of several images to take.
func (p Platform) choose(images []ispec.Descriptor) (ispec.Descriptor, error) {
	if len(images) == 1 && (p.isZero() || platformIn(images[0]).isZero()) {
		return images[0], nil
	}
	d, err := p.instance(images)
	if err != nil {
		var there []Platform
		for _, i := range images {
			there = append(there, platformIn(i))
		}
		return ispec.Descriptor{}, noPlatform(p, there)
	}
	return images[slices.IndexFunc(images, func(i ispec.Descriptor) bool { return i.Digest == d })], nil
}

// instance lets containers/image choose, which knows what variants a machine can
// run.
func (p Platform) instance(images []ispec.Descriptor) (digest.Digest, error) {
	var sys podman.SystemContext
	p.set(&sys)
	return manifest.OCI1IndexFromComponents(images, nil).ChooseInstance(&sys)
}

// platformIn is the platform that an index gives for an image.
func platformIn(d ispec.Descriptor) Platform {
	if d.Platform == nil {
		return Platform{}
	}
	return platformOf(*d.Platform)
}

// noPlatform says which images there are, where the wanted one is not.
func noPlatform(p Platform, there []Platform) error {
	var names []string
	for _, t := range there {
		if name := t.String(); !t.isZero() && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return errors.Errorf("the image has no %s variant", p.orDefault())
	}
	return errors.Errorf("the image has no %s variant, only %s: choose with --platform", p.orDefault(), strings.Join(names, ", "))
}

// notice warns of an image that there was no choice about, and that is for another
// machine.
func (p Platform) notice(image Platform, warn func(string)) {
	if mine := p.orDefault(); p.isZero() && !image.isZero() && !mine.matches(image) {
		warn(fmt.Sprintf("the image is for %s, and this machine is %s", image, mine))
	}
}

// set makes containers/image choose the platform.
func (p Platform) set(sys *podman.SystemContext) {
	p = p.orDefault()
	sys.OSChoice, sys.ArchitectureChoice, sys.VariantChoice = p.OS, p.Architecture, p.Variant
}
