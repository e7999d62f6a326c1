// Package fakeengine is the part of the Docker Engine API that reads images,
// served on loopback for tests: ping, image inspection and image
// export, as several generations of engines do them, and faults on demand.
package fakeengine

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/moby/client/pkg/versions"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/imagetest"
)

// Options say which engine it is. The zero value is a Docker 24.
type Options struct {
	// Format is how images are exported, and with that how they are stored:
	// in imagetest.DockerContainerd an image's ID is its manifest's digest, in
	// the others its config's.
	Format imagetest.Format
}

// generation is an engine that stands for a format: what it calls itself, and the
// versions of the API between which a client's must be.
type generation struct{ server, api, minAPI string }

var generations = map[imagetest.Format]generation{
	imagetest.DockerLegacy:     {"Docker/24.0.9", "1.43", "1.12"},
	imagetest.DockerOCI:        {"Docker/28.5.2", "1.51", "1.24"},
	imagetest.DockerContainerd: {"Docker/29.1.0", "1.52", "1.44"},
	imagetest.Podman:           {"Libpod/5.4.2", "1.41", "1.24"},
}

// Endpoint is what a request is for.
type Endpoint string

const (
	Inspect Endpoint = "inspect" // /images/NAME/json
	Export  Endpoint = "export"  // /images/NAME/get and /images/get

	pingEndpoint  Endpoint = "ping"  // /_ping
	otherEndpoint Endpoint = "other" // anything else, which is not found
)

// Fault is what goes wrong with a request. With Status, the engine answers with
// that status and Message. Otherwise it answers as it should up to After bytes
// of the body, and then hangs until the client goes away, if Stall is set, or
// closes the connection.
type Fault struct {
	Status  int
	Message string
	After   int64
	Stall   bool
}

// Engine is a fake engine. Its methods may be called at any time from any
// goroutine.
type Engine struct {
	generation
	format imagetest.Format
	images []imagetest.Ref

	mu     sync.Mutex
	faults map[Endpoint]Fault
}

// New returns an engine that has the images. One without a name can be had by
// its ID only.
func New(o Options, images ...imagetest.Ref) *Engine {
	return &Engine{generation: generations[o.Format], format: o.Format, images: images, faults: map[Endpoint]Fault{}}
}

// Fail makes all further requests for the endpoint fail.
func (e *Engine) Fail(endpoint Endpoint, f Fault) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.faults[endpoint] = f
}

// Heal takes back what Fail said about the endpoint.
func (e *Engine) Heal(endpoint Endpoint) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.faults, endpoint)
}

var versionPrefix = regexp.MustCompile(`^/v([0-9]+\.[0-9]+)(/.*)$`)

// ServeHTTP implements http.Handler.
func (e *Engine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	version, path := e.api, r.URL.Path
	if m := versionPrefix.FindStringSubmatch(path); m != nil {
		version, path = m[1], m[2]
	}
	endpoint, names := route(r, path)

	e.mu.Lock()
	fault, faulty := e.faults[endpoint]
	e.mu.Unlock()

	if endpoint == otherEndpoint {
		fail(w, httpError{http.StatusNotFound, "page not found"})
		return
	}
	w.Header().Set("Api-Version", e.api)
	w.Header().Set("Ostype", "linux")
	w.Header().Set("Server", e.server+" (linux)")
	if faulty {
		if fault.Status != 0 {
			fail(w, httpError{fault.Status, fault.Message})
			return
		}
		w = &faultyWriter{ResponseWriter: w, request: r, fault: fault}
	}
	if err := e.checkVersion(version); err != nil {
		fail(w, err)
		return
	}

	var err error
	switch endpoint {
	case pingEndpoint:
		err = ping(w, r)
	case Inspect:
		err = e.inspect(w, r, version, names[0])
	case Export:
		err = e.export(w, r, version, names)
	}
	if err != nil {
		fail(w, err)
	}
}

// route returns what the request is for, and for which images.
func route(r *http.Request, path string) (Endpoint, []string) {
	if r.Method != http.MethodGet && (r.Method != http.MethodHead || path != "/_ping") {
		return otherEndpoint, nil
	}
	switch path {
	case "/_ping":
		return pingEndpoint, nil
	case "/images/get":
		return Export, r.URL.Query()["names"]
	}
	if name, ok := strings.CutPrefix(path, "/images/"); ok {
		if name, ok := strings.CutSuffix(name, "/json"); ok {
			return Inspect, []string{name}
		}
		if name, ok := strings.CutSuffix(name, "/get"); ok {
			return Export, []string{name}
		}
	}
	return otherEndpoint, nil
}

// checkVersion refuses a client's API version in Docker's words.
func (e *Engine) checkVersion(version string) error {
	if versions.LessThan(version, e.minAPI) {
		return httpError{http.StatusBadRequest, fmt.Sprintf(
			"client version %s is too old. Minimum supported API version is %s, please upgrade your client to a newer version",
			version, e.minAPI)}
	}
	if versions.LessThan(e.api, version) {
		return httpError{http.StatusBadRequest, fmt.Sprintf(
			"client version %s is too new. Maximum supported API version is %s", version, e.api)}
	}
	return nil
}

func ping(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if r.Method == http.MethodHead {
		w.Header().Set("Content-Length", "0")
		return nil
	}
	_, err := w.Write([]byte("OK"))
	return err
}

func (e *Engine) inspect(w http.ResponseWriter, r *http.Request, version, name string) error {
	ref, err := e.find(name)
	if err != nil {
		return err
	}
	img, err := e.pick(ref, imagetest.HostPlatform)
	if err != nil {
		return err
	}
	config := must(img.ConfigFile())
	answer := map[string]any{
		"Id":           e.id(ref.Content).String(),
		"Os":           config.OS,
		"Architecture": config.Architecture,
		"Variant":      config.Variant,
		"RootFS":       map[string]any{"Type": "layers", "Layers": config.RootFS.DiffIDs},
	}
	if e.format == imagetest.DockerContainerd {
		answer["Descriptor"] = map[string]any{"digest": must(ref.Content.Digest())}
		if !versions.LessThan(version, "1.48") && r.URL.Query().Get("manifests") == "1" {
			answer["Manifests"] = manifests(ref.Content)
		}
	} else {
		answer["GraphDriver"] = map[string]any{"Name": "overlay2", "Data": map[string]string{"UpperDir": "/diff"}}
	}
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(answer)
}

// manifests lists the images of content, all of which the engine has.
func manifests(content imagetest.Content) []map[string]any {
	if img, ok := content.(v1.Image); ok {
		content = imagetest.Index(img)
	}
	var all []map[string]any
	for _, m := range must(content.(v1.ImageIndex).IndexManifest()).Manifests {
		kind := "image"
		if m.Platform.OS == "unknown" {
			kind = "attestation"
		}
		all = append(all, map[string]any{"ID": m.Digest, "Available": true, "Kind": kind, "ImageData": map[string]any{"Platform": m.Platform}})
	}
	return all
}

func (e *Engine) export(w http.ResponseWriter, r *http.Request, version string, names []string) error {
	platform, err := platformQuery(r, version)
	if err != nil {
		return err
	}
	var refs []imagetest.Ref
	for _, name := range names {
		found, err := e.findAll(name)
		if err != nil {
			return err
		}
		refs = append(refs, found...)
	}
	for i, ref := range refs {
		if platform == nil {
			break
		}
		img, err := e.pick(ref, *platform)
		if err != nil {
			return httpError{http.StatusNotFound, "no suitable export target found for platform " + platform.String()}
		}
		refs[i] = imagetest.Ref{Name: ref.Name, Content: img}
	}
	// An error in the middle of the export is one that the client sees as an
	// archive cut short, as with the real engine.
	w.Header().Set("Content-Type", "application/x-tar")
	return imagetest.Export(w, e.format, refs...)
}

// pick returns the image of ref for the platform p. For the host's it takes,
// where there is none for it, the only one that there is.
func (e *Engine) pick(ref imagetest.Ref, p v1.Platform) (v1.Image, error) {
	img, err := imagetest.Select(ref.Content, p)
	if only, ok := ref.Content.(v1.Image); ok && err != nil && p.Equals(imagetest.HostPlatform) {
		return only, nil
	}
	if errors.Is(err, imagetest.ErrNoPlatform) {
		return nil, httpError{http.StatusNotFound, fmt.Sprintf("image with reference %s was found but does not provide the specified platform (%s)", ref.Name, p)}
	}
	return img, err
}

// platformQuery returns the platform of the query, nil for none, or if the
// client's version of the API is too old for it.
func platformQuery(r *http.Request, version string) (*v1.Platform, error) {
	values := r.URL.Query()["platform"]
	if versions.LessThan(version, "1.48") || len(values) == 0 || values[0] == "" {
		return nil, nil
	}
	var p v1.Platform
	if err := json.Unmarshal([]byte(values[0]), &p); err != nil {
		return nil, httpError{http.StatusBadRequest, "failed to parse platform: " + err.Error()}
	}
	return &p, nil
}

// httpError is an error with the status to answer.
type httpError struct {
	status  int
	message string
}

func (e httpError) Error() string { return e.message }

func fail(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	var h httpError
	if errors.As(err, &h) {
		status = h.status
	}
	body, _ := json.Marshal(map[string]string{"message": err.Error()})
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}

// faultyWriter writes the body until the fault strikes.
type faultyWriter struct {
	http.ResponseWriter
	request *http.Request
	fault   Fault
	written int64
}

func (w *faultyWriter) Write(p []byte) (int, error) {
	left := w.fault.After - w.written
	if int64(len(p)) <= left {
		w.written += int64(len(p))
		return w.ResponseWriter.Write(p)
	}
	_, _ = w.ResponseWriter.Write(p[:left])
	_ = http.NewResponseController(w.ResponseWriter).Flush()
	if w.fault.Stall {
		<-w.request.Context().Done()
	}
	panic(http.ErrAbortHandler)
}
