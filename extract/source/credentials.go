package source

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/docker/cli/cli/config/configfile"
	"github.com/docker/cli/cli/config/credentials"
	"github.com/docker/cli/cli/config/types"
	"github.com/pkg/errors"
	"go.podman.io/image/v5/docker/reference"
	"go.podman.io/image/v5/pkg/docker/config"
	podman "go.podman.io/image/v5/types"
)

// login is what is stored for a registry, and where; the zero value is for
// nothing.
type login struct {
	podman.DockerAuthConfig
	from string
}

// findLogin looks for credentials where docker, podman and skopeo leave them. A
// file that nobody asked for is passed over if it cannot be read: what is public
// needs no login.
func findLogin(ctx context.Context, named reference.Named, sys *podman.SystemContext, o Options) (login, error) {
	if env := os.Getenv(configfile.DockerEnvConfigKey); env != "" && o.AuthFile == "" {
		l, err := loginIn(ctx, configfile.DockerEnvConfigKey, strings.NewReader(env), named, o.Warn)
		if l.from != "" || err != nil {
			return l, err
		}
	}
	for _, file := range authFiles(o.AuthFile) {
		f, err := os.Open(file)
		if err != nil && o.AuthFile != "" {
			return login{}, errors.Wrap(err, "--authfile")
		} else if err != nil {
			continue
		}
		l, err := loginIn(ctx, file, f, named, o.Warn)
		f.Close()
		if l.from != "" || err != nil {
			return l, err
		}
	}
	// What else containers/image looks at: ~/.dockercfg, and the helpers that
	// registries.conf names.
	a, err := ask(ctx, "the credential helpers of registries.conf", o.Warn, func() (podman.DockerAuthConfig, error) {
		return config.GetCredentialsForRef(sys, named)
	})
	if err != nil || a == (podman.DockerAuthConfig{}) {
		return login{}, ctx.Err()
	}
	return login{a, "the configuration of containers"}, nil
}

// authFiles are the files that may have credentials, in the order of
// containers-auth.json(5). One that is named is the only one.
func authFiles(named string) (files []string) {
	for _, name := range []string{named, os.Getenv("REGISTRY_AUTH_FILE")} {
		if name != "" {
			return []string{name}
		}
	}
	home, _ := os.UserHomeDir()
	in := func(dir string, name ...string) {
		if dir != "" { // no such directory, rather than the working one
			files = append(files, filepath.Join(append([]string{dir}, name...)...))
		}
	}
	in(os.Getenv("DOCKER_CONFIG"), "config.json")
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		in(dir, "containers", "auth.json")
	} else if runtime.GOOS == "linux" {
		in("/run/containers", strconv.Itoa(os.Getuid()), "auth.json")
	}
	in(os.Getenv("XDG_CONFIG_HOME"), "containers", "auth.json")
	in(home, ".config", "containers", "auth.json")
	in(home, ".docker", "config.json")
	return files
}

// loginIn looks for a registry's credentials in a file of the form that docker
// and podman share, and with the helpers that it names.
func loginIn(ctx context.Context, name string, content io.Reader, named reference.Named, warn func(string)) (login, error) {
	file := configfile.New(name)
	if err := file.LoadFromReader(io.LimitReader(content, maxDocument)); err != nil {
		var syntax *json.SyntaxError // its text may be part of a password
		if errors.As(err, &syntax) {
			err = errors.Errorf("it is no JSON from byte %d on", syntax.Offset)
		}
		warn(fmt.Sprintf("the credentials in %s cannot be read: %s", name, err))
		return login{}, nil
	}
	host := reference.Domain(named)
	key := host
	if host == "docker.io" {
		key = "https://index.docker.io/v1/" // as docker login writes it
	}
	for _, helper := range helpersFor(file, key, host) {
		a, err := ask(ctx, "docker-credential-"+helper, warn, func() (types.AuthConfig, error) {
			return credentials.NewNativeStore(file, helper).Get(key)
		})
		switch {
		case ctx.Err() != nil:
			return login{}, ctx.Err()
		case err != nil: // gone, or locked
			warn(fmt.Sprintf("docker-credential-%s, which %s names, gives no credentials for %s: %s", helper, name, host, err))
		case !empty(a):
			return newLogin(a, "docker-credential-"+helper), nil
		}
	}
	if a := entry(file, named, key); !empty(a) {
		return newLogin(a, name), nil
	}
	return login{}, nil
}

// ask waits for what a helper says, which may have to ask somebody itself.
func ask[T any](ctx context.Context, helper string, warn func(string), get func() (T, error)) (T, error) {
	waiting := time.AfterFunc(slow, func() { warn("waiting for credentials from " + helper) })
	defer waiting.Stop()
	return abandon(ctx, get)
}

// entry is what a file itself says: for a repository, or for what several begin
// with, as podman has it; for a registry; or for its URL, as docker once wrote it.
func entry(file *configfile.ConfigFile, named reference.Named, key string) types.AuthConfig {
	for part := named.Name(); part != ""; {
		if a := file.AuthConfigs[part]; !empty(a) {
			return a
		}
		part = part[:max(0, strings.LastIndexByte(part, '/'))]
	}
	if a := file.AuthConfigs[key]; !empty(a) {
		return a
	}
	for _, scheme := range []string{"https://", "http://"} {
		for _, path := range []string{"", "/", "/v1/", "/v2/"} {
			if a := file.AuthConfigs[scheme+reference.Domain(named)+path]; !empty(a) {
				return a
			}
		}
	}
	return types.AuthConfig{}
}

// helpersFor returns the helper for a registry, or the one for all.
func helpersFor(file *configfile.ConfigFile, keys ...string) []string {
	for _, key := range keys {
		if helper := file.CredentialHelpers[key]; helper != "" {
			return []string{helper}
		}
	}
	if file.CredentialsStore != "" {
		return []string{file.CredentialsStore}
	}
	return nil
}

// empty reports whether a says nothing: docker writes such entries for registries
// whose credentials a helper has.
func empty(a types.AuthConfig) bool {
	return a.Username == "" && a.Password == "" && a.IdentityToken == ""
}

func newLogin(a types.AuthConfig, from string) login {
	return login{podman.DockerAuthConfig{Username: a.Username, Password: a.Password, IdentityToken: a.IdentityToken}, from}
}
