package integration

import (
	"bytes"
	"context"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	registryserver "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/imagetest"
)

// registry is a registry in memory.
type registry struct {
	http.Handler
	blobs registryserver.BlobPutHandler
}

func newRegistry() *registry {
	blobs := registryserver.NewInMemoryBlobHandler()
	return &registry{
		Handler: registryserver.New(registryserver.WithBlobHandler(blobs), registryserver.Logger(silent)),
		blobs:   blobs.(registryserver.BlobPutHandler),
	}
}

// silent is for servers that would tell of clients that leave.
var silent = log.New(io.Discard, "", 0)

// serve starts a server for the length of a test.
func serve(t testing.TB, h http.Handler, secure bool) *httptest.Server {
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = silent
	if secure {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s
}

func (r *rig) startRegistry(ts *testscript.TestScript, args []string) {
	var f flag.FlagSet
	secure := f.Bool("tls", false, "")
	parse(ts, &f, args, 0, 0)
	r.registry = newRegistry()
	s := serve(r.t, r.registry, *secure)
	if *secure {
		cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
		ts.Check(os.WriteFile(ts.MkAbs("registry.pem"), cert, 0o644))
	}
	ts.Setenv("REGISTRY", s.Listener.Addr().String())
}

func (r *rig) push(ts *testscript.TestScript, args []string) {
	args = parse(ts, new(flag.FlagSet), args, 2, 2)
	if r.registry == nil {
		ts.Fatalf("there is no registry: start it with registry")
	}
	repository, tag, found := strings.Cut(args[0], ":")
	if !found {
		tag = "latest"
	}
	ts.Check(r.registry.push(repository, tag, r.image(ts, args[1])))
}

// push goes past the registry's checks of blobs: a damaged image is to get in.
func (r *registry) push(repository, reference string, content imagetest.Content) error {
	switch c := content.(type) {
	case v1.ImageIndex:
		index, err := c.IndexManifest()
		if err != nil {
			return err
		}
		for _, d := range index.Manifests {
			img, err := c.Image(d.Digest)
			if err != nil {
				return err
			}
			if err := r.push(repository, d.Digest.String(), img); err != nil {
				return err
			}
		}
	case v1.Image:
		if err := r.pushBlobs(repository, c); err != nil {
			return err
		}
	}
	manifest, err := content.(interface{ RawManifest() ([]byte, error) }).RawManifest()
	if err != nil {
		return err
	}
	mediaType, err := content.MediaType()
	if err != nil {
		return err
	}
	request := httptest.NewRequest(http.MethodPut, "/v2/"+repository+"/manifests/"+reference, bytes.NewReader(manifest))
	request.Header.Set("Content-Type", string(mediaType))
	answer := httptest.NewRecorder()
	r.ServeHTTP(answer, request)
	if answer.Code != http.StatusCreated {
		return fmt.Errorf("%s: %d %s", request.URL, answer.Code, answer.Body)
	}
	return nil
}

// pushBlobs puts the config and the layers of an image into the registry.
func (r *registry) pushBlobs(repository string, img v1.Image) error {
	put := func(digest v1.Hash, blob io.ReadCloser) error {
		return r.blobs.Put(context.Background(), repository, digest, blob)
	}
	config, err := img.RawConfigFile()
	if err != nil {
		return err
	}
	name, err := img.ConfigName()
	if err != nil {
		return err
	}
	if err := put(name, io.NopCloser(bytes.NewReader(config))); err != nil {
		return err
	}
	layers, err := img.Layers()
	if err != nil {
		return err
	}
	for _, l := range layers {
		digest, err := l.Digest()
		if err != nil {
			return err
		}
		blob, err := l.Compressed()
		if err != nil {
			return err
		}
		if err := put(digest, blob); err != nil {
			return err
		}
	}
	return nil
}
