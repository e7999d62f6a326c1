package source

import (
	"cmp"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/config/configfile"
	dockercontext "github.com/docker/cli/cli/context"
	"github.com/docker/cli/cli/context/docker"
	contextstore "github.com/docker/cli/cli/context/store"
	"github.com/docker/cli/opts"
	"github.com/moby/moby/client"
	"github.com/pkg/errors"
)

// endpoint is where a Docker engine answers.
type endpoint struct {
	docker.Endpoint
	context string // that names it; empty for the default one
}

// findEndpoint returns the engine that the docker CLI would talk to: that of
// DOCKER_HOST, DOCKER_CONTEXT or the current context of its configuration, or else
// the default one. A context that does not exist is an error: the default engine
// may have another image of the same name.
func findEndpoint(c *configfile.ConfigFile) (*endpoint, error) {
	name := cmp.Or(os.Getenv("DOCKER_CONTEXT"), c.CurrentContext, "default")
	if os.Getenv("DOCKER_HOST") != "" || name == "default" {
		e, err := defaultEndpoint()
		return &endpoint{Endpoint: e}, err
	}
	contexts := contextstore.New(config.ContextStoreDir(), contextstore.NewConfig(
		func() any { return new(map[string]any) },
		contextstore.EndpointTypeGetter(docker.DockerEndpoint, func() any { return new(docker.EndpointMeta) }),
	))
	const way = "`docker context ls` lists those there are, `docker context use` chooses one"
	metadata, err := contexts.GetMetadata(name)
	if cerrdefs.IsNotFound(err) {
		return nil, errors.Errorf("there is no docker context %q: %s", name, way)
	} else if err != nil {
		return nil, errors.Wrapf(err, "docker context %q", name)
	}
	meta, err := docker.EndpointFromContext(metadata)
	if err != nil {
		return nil, errors.Errorf("docker context %q has no Docker engine: %s", name, way)
	}
	e, err := docker.WithTLSData(contexts, name, meta)
	return &endpoint{e, name}, errors.Wrapf(err, "docker context %q", name)
}

// defaultEndpoint is the engine that the environment describes, as it does for
// the docker CLI (cli/flags of github.com/docker/cli).
func defaultEndpoint() (docker.Endpoint, error) {
	verify := os.Getenv("DOCKER_TLS_VERIFY") != ""
	secure := verify || os.Getenv("DOCKER_TLS") != ""
	host, err := opts.ParseHost(secure, os.Getenv("DOCKER_HOST"))
	if err != nil {
		return docker.Endpoint{}, badAddress("DOCKER_HOST", host)
	}
	e := docker.Endpoint{EndpointMeta: docker.EndpointMeta{Host: host}}
	if secure {
		e.SkipTLSVerify = !verify
		e.TLSData, err = dockercontext.TLSDataFromFiles(certificates())
	}
	return e, errors.Wrap(err, "DOCKER_CERT_PATH")
}

// certificates returns where the docker CLI looks for them: in DOCKER_CERT_PATH
// or beside its configuration. Only ca.pem has to exist.
func certificates() (ca, cert, key string) {
	dir := cmp.Or(os.Getenv("DOCKER_CERT_PATH"), config.Dir())
	optional := func(name string) string {
		name = filepath.Join(dir, name)
		if _, err := os.Stat(name); errors.Is(err, os.ErrNotExist) {
			return ""
		}
		return name
	}
	return filepath.Join(dir, "ca.pem"), optional("cert.pem"), optional("key.pem")
}

var apiVersion = regexp.MustCompile(`^v?[0-9]+\.[0-9]+$`)

// connect returns a client for the engine that the docker CLI would talk to. It
// does not wait for the engine to answer.
func connect(warn func(string)) (*client.Client, *endpoint, error) {
	c, err := config.Load(config.Dir())
	if err != nil { // the docker CLI goes on as well
		warn("docker's configuration: " + err.Error())
	}
	e, err := findEndpoint(c)
	if err != nil {
		return nil, nil, err
	}
	where := "DOCKER_HOST"
	if e.context != "" {
		where = "docker context " + e.context
	}
	u, err := url.Parse(e.Host)
	if err != nil {
		return nil, nil, badAddress(where, e.Host)
	}
	if _, has := u.User.Password(); has && u.Scheme == "ssh" {
		return nil, nil, errors.Errorf("%s: ssh takes no password from the address %s: use a key or ssh-agent", where, withoutPassword(e.Host))
	}
	if v := os.Getenv(client.EnvOverrideAPIVersion); v != "" && !apiVersion.MatchString(v) {
		return nil, nil, errors.Errorf("%s: %q is not an API version, such as 1.44", client.EnvOverrideAPIVersion, v)
	}
	options, err := e.ClientOpts()
	if err != nil {
		return nil, nil, errors.Wrap(err, where)
	}
	api, err := client.New(append(options, client.WithHTTPHeaders(c.HTTPHeaders))...)
	if err != nil {
		return nil, nil, badAddress(where, e.Host)
	}
	return api, e, nil
}

// badAddress does not pass on what a parser says, as it may quote a password.
func badAddress(where, host string) error {
	return errors.Errorf("%s: %q is not the address of a Docker engine: unix://PATH, tcp://HOST:PORT or ssh://USER@HOST", where, withoutPassword(host))
}

// withoutPassword is an address for people to see.
func withoutPassword(host string) string {
	start := 0
	if i := strings.Index(host, "://"); i >= 0 {
		start = i + len("://")
	}
	end := strings.LastIndex(host, "@")
	if end < start {
		return host
	}
	user, _, has := strings.Cut(host[start:end], ":")
	if !has {
		return host
	}
	return host[:start] + user + ":xxxxx" + host[end:]
}

// address is where the engine is, for people to see.
func (e *endpoint) address() string { return withoutPassword(e.Host) }

// place is the address, and the context that it is from.
func (e *endpoint) place() string {
	if e.context == "" {
		return e.address()
	}
	return fmt.Sprintf("%s (docker context %q)", e.address(), e.context)
}

// String names the engine in a sentence.
func (e *endpoint) String() string {
	if e.context == "" {
		return "the Docker engine"
	}
	return "the Docker engine of context " + e.context
}

// otherSources is what to do without an engine.
const otherSources = "an archive (docker-archive:, oci-archive:) or a registry (docker://) needs none"

// explain says what a request that failed means, and what to do.
func (e *endpoint) explain(err error) error {
	if _, said, ok := strings.Cut(err.Error(), "stderr="); ok && strings.HasPrefix(e.Host, "ssh://") {
		said = strings.Join(strings.Fields(said), " ")
		return errors.Errorf("no Docker engine answers at %s: ssh says %q; ssh must be able to run docker there without asking anything", e.place(), said)
	}
	if strings.Contains(err.Error(), "empty export") { // Docker has no archive of such an image
		return errors.New("the image has no layers: nothing to make a Lambda layer or function of")
	}
	if strings.Contains(err.Error(), "permission denied while trying to connect") {
		return errors.Errorf("no permission to use the Docker engine at %s: join its socket's group, usually docker, or run as root; %s", e.place(), otherSources)
	}
	var unknownHost *net.DNSError
	if !errors.Is(err, os.ErrNotExist) && !strings.HasPrefix(err.Error(), "Cannot connect to the Docker daemon") && !errors.As(err, &unknownHost) {
		return errors.Wrapf(err, "Docker engine at %s", e.place())
	}
	way := "set DOCKER_HOST"
	if os.Getenv("DOCKER_HOST") != "" {
		way = "change DOCKER_HOST"
	} else if e.context != "" {
		way = "choose another with `docker context use`"
	}
	if socket := podmanSocket(); socket != "" && "unix://"+socket != e.Host {
		way += "; for Podman, export DOCKER_HOST=unix://" + socket
	}
	return errors.Errorf("no Docker engine answers at %s: start it, or %s; %s", e.place(), way, otherSources)
}

// podmanSocket is the socket of podman.socket, the user's own or the system's
// (podman-system-service(1)), if there is one.
func podmanSocket() string {
	for _, dir := range []string{os.Getenv("XDG_RUNTIME_DIR"), "/run"} {
		socket := filepath.Join(dir, "podman", "podman.sock")
		if info, err := os.Stat(socket); err == nil && dir != "" && info.Mode()&os.ModeSocket != 0 {
			return socket
		}
	}
	return ""
}
