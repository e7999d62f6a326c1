package source

import (
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"

	"github.com/pkg/errors"
	"go.podman.io/image/v5/docker/reference"
	"go.podman.io/image/v5/pkg/sysregistriesv2"
	podman "go.podman.io/image/v5/types"
)

// systemContext is the configuration for containers/image. Files that are
// optional, and that the user may not read, are passed over.
func systemContext(o Options) *podman.SystemContext {
	sys := &podman.SystemContext{
		AuthFilePath: o.AuthFile,
		// registries.d says where signatures are; nobody looks at them.
		RegistriesDirPath: filepath.Join(o.Dir, "none"),
	}
	if o.TLSVerify != nil {
		sys.DockerInsecureSkipTLSVerify = podman.NewOptionalBool(!*o.TLSVerify)
	}
	haveHome()
	_, err := sysregistriesv2.GetRegistries(sys)
	if !errors.Is(err, fs.ErrPermission) {
		return sys // another error comes up again
	}
	o.Warn(fmt.Sprintf("registries.conf is passed over: %s", err))
	for _, dir := range []string{"/etc/containers", os.DevNull} {
		sys.SystemRegistriesConfPath = filepath.Join(dir, "registries.conf")
		sys.SystemRegistriesConfDirPath = filepath.Join(dir, "registries.conf.d")
		if dir == os.DevNull {
			sys.SystemRegistriesConfPath = os.DevNull
			sys.SystemRegistriesConfDirPath = filepath.Join(o.Dir, "none")
		}
		if _, err := sysregistriesv2.GetRegistries(sys); err == nil {
			break
		}
	}
	return sys
}

// insecure reports whether a registry need not prove who it is.
func insecure(sys *podman.SystemContext, named reference.Named) bool {
	if skip := sys.DockerInsecureSkipTLSVerify; skip != podman.OptionalBoolUndefined {
		return skip == podman.OptionalBoolTrue
	}
	r, err := sysregistriesv2.FindRegistry(sys, named.Name())
	return err == nil && r != nil && r.Insecure
}

// haveHome gives a user who has no home directory the one that Docker gives to
// such users in containers: containers/image does not go on without.
func haveHome() {
	if runtime.GOOS == "windows" || os.Getenv("HOME") != "" {
		return
	}
	if _, err := user.LookupId(strconv.Itoa(os.Getuid())); err != nil {
		os.Setenv("HOME", "/")
	}
}
