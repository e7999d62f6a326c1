package integration

import (
	"flag"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docker/cli/cli/context/docker"
	"github.com/docker/cli/cli/context/store"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/fakeengine"
	"github.com/awslabs/aws-lambda-container-image-converter/internal/imagetest"
	"github.com/awslabs/aws-lambda-container-image-converter/internal/testrun"
)

func (r *rig) startEngine(ts *testscript.TestScript, args []string) {
	var f flag.FlagSet
	unix := f.Bool("unix", false, "")
	secure := f.Bool("tls", false, "")
	stall := f.Bool("stall", false, "")
	args = parse(ts, &f, args, 1, many)
	format, refs := format(ts, args[0]), r.refs(ts, args[1:])
	engine := fakeengine.New(fakeengine.Options{Format: format}, refs...)
	if *stall {
		size, err := exportSize(format, refs...)
		ts.Check(err)
		engine.Fail(fakeengine.Export, fakeengine.Fault{After: size * 3 / 4, Stall: true})
	}
	var host string
	switch {
	case *secure:
		var certificates string
		host, certificates = engine.StartTLS(r.t)
		ts.Setenv("DOCKER_CERT_PATH", certificates)
		ts.Setenv("DOCKER_TLS_VERIFY", "1")
	case *unix:
		host = engine.StartUnix(r.t)
	default:
		host = engine.Start(r.t)
	}
	ts.Setenv("DOCKER_HOST", host)
	_, address, _ := strings.Cut(host, "://")
	ts.Setenv("ENGINE_ADDRESS", address)
}

// makeContext is what `docker context create` does.
func (r *rig) makeContext(ts *testscript.TestScript, args []string) {
	args = parse(ts, new(flag.FlagSet), args, 2, 3)
	name, host := args[0], args[1]
	contexts := store.New(ts.MkAbs("home/.docker/contexts"), store.NewConfig(func() any { return new(map[string]any) }))
	ts.Check(contexts.CreateOrUpdate(store.Metadata{
		Name:      name,
		Metadata:  map[string]any{},
		Endpoints: map[string]any{docker.DockerEndpoint: docker.EndpointMeta{Host: host}},
	}))
	if len(args) < 3 {
		return
	}
	files := map[string][]byte{}
	for _, file := range []string{"ca.pem", "cert.pem", "key.pem"} {
		files[file] = []byte(ts.ReadFile(filepath.Join(args[2], file)))
	}
	ts.Check(contexts.ResetEndpointTLSMaterial(name, docker.DockerEndpoint, &store.EndpointTLSData{Files: files}))
}

// exportSize is how many bytes an engine sends of an image.
func exportSize(format imagetest.Format, refs ...imagetest.Ref) (int64, error) {
	var size countingWriter
	err := imagetest.Export(&size, format, refs...)
	return int64(size), err
}

type countingWriter int64

func (c *countingWriter) Write(p []byte) (int, error) {
	*c += countingWriter(len(p))
	return len(p), nil
}

// pausing is a Docker engine that stops in the middle of an export: it goes
// on once resume is closed.
type pausing struct {
	http.Handler
	after           int64
	reached, resume chan struct{}
}

// startPausing starts one that has the image app.
func startPausing(t *testing.T, layers ...string) (p *pausing, env []string) {
	t.Helper()
	ref := imagetest.Ref{Name: "app", Content: newImage(t, layers...)}
	size, err := exportSize(imagetest.DockerLegacy, ref)
	if err != nil {
		t.Fatal(err)
	}
	p = &pausing{fakeengine.New(fakeengine.Options{}, ref), size * 2 / 3, make(chan struct{}), make(chan struct{})}
	return p, []string{"DOCKER_HOST=tcp://" + serve(t, p, false).Listener.Addr().String()}
}

// pause waits until an export has stopped.
func (p *pausing) pause(t *testing.T) {
	t.Helper()
	select {
	case <-p.reached:
	case <-testrun.Deadline(t).Done():
		t.Fatal("no export came")
	}
}

func (p *pausing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, "/get") {
		w = &pausingWriter{ResponseWriter: w, pausing: p, left: p.after}
	}
	p.Handler.ServeHTTP(w, r)
}

type pausingWriter struct {
	http.ResponseWriter
	*pausing
	left int64 // before the pause; negative after it
}

func (w *pausingWriter) Write(b []byte) (int, error) {
	if w.left >= int64(len(b)) {
		w.left -= int64(len(b))
		return w.ResponseWriter.Write(b)
	}
	if w.left < 0 {
		return w.ResponseWriter.Write(b)
	}
	n, err := w.ResponseWriter.Write(b[:w.left])
	if err != nil {
		return n, err
	}
	_ = http.NewResponseController(w.ResponseWriter).Flush()
	close(w.reached)
	<-w.resume
	w.left = -1
	m, err := w.ResponseWriter.Write(b[n:])
	return n + m, err
}
