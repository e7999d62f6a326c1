package fakeengine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/moby/moby/api/types/image"
	"github.com/moby/moby/client"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/fakeengine"
	"github.com/awslabs/aws-lambda-container-image-converter/internal/imagetest"
)

func testImage(architecture string) v1.Image {
	return imagetest.Image(imagetest.Options{OCI: true, Architecture: architecture, Compression: imagetest.Gzip},
		imagetest.Tar(imagetest.Dir("opt/"), imagetest.File("opt/"+architecture, architecture)))
}

// TestNames inspects and saves an image with Docker's client by all the names
// that it has.
func TestNames(t *testing.T) {
	t.Parallel()
	for _, format := range imagetest.Formats {
		t.Run(format.String(), func(t *testing.T) {
			t.Parallel()
			img := testImage("amd64")
			manifest, id := must(img.Digest()), must(img.ConfigName())
			if format == imagetest.DockerContainerd {
				id = manifest
			}
			cli := newClient(t, fakeengine.New(fakeengine.Options{Format: format},
				imagetest.Ref{Name: "other:v1", Content: testImage("arm64")},
				imagetest.Ref{Name: "localhost:5000/team/app", Content: img},
				imagetest.Ref{Name: "localhost:5000/team/app:v2", Content: img},
			))
			both := []string{"localhost:5000/team/app:latest", "localhost:5000/team/app:v2"}
			for _, test := range []struct {
				name  string
				saved []string // the names in the archive
			}{
				{"localhost:5000/team/app:v2", both[1:]},
				{"localhost:5000/team/app:latest", both[:1]},
				{"localhost:5000/team/app", both},
				{"localhost:5000/team/app@" + manifest.String(), nil},
				{id.String(), nil},
				{id.Hex, nil},
				{id.Hex[:12], nil},
				{"sha256:" + id.Hex[:12], nil},
			} {
				info, err := cli.ImageInspect(t.Context(), test.name)
				if err != nil {
					t.Errorf("inspect %s: %v", test.name, err)
					continue
				}
				if info.ID != id.String() || info.Os != "linux" || info.Architecture != "amd64" {
					t.Errorf("inspect %s: got %+v", test.name, info)
				}
				if want := diffID(img); len(info.RootFS.Layers) != 1 || info.RootFS.Layers[0] != want.String() {
					t.Errorf("inspect %s: layers %v, want %v", test.name, info.RootFS.Layers, want)
				}

				m, saved, err := save(t, cli, test.name)
				if err != nil {
					t.Errorf("save %s: %v", test.name, err)
					continue
				}
				if !slices.Equal(test.saved, m.RepoTags) {
					t.Errorf("save %s: names %q, want %q", test.name, m.RepoTags, test.saved)
				}
				if diffID(saved) != diffID(img) {
					t.Errorf("save %s: another image", test.name)
				}
			}
		})
	}
}

func TestNoSuchImage(t *testing.T) {
	t.Parallel()
	host := httpHost(t, fakeengine.New(fakeengine.Options{}, imagetest.Ref{Name: "app:v1", Content: testImage("amd64")}))
	digest := "sha256:" + strings.Repeat("0", 64)
	for _, test := range []struct {
		path    string
		status  int
		message string
	}{
		{"/images/app/json", 404, "No such image: app:latest"},
		{"/images/app:v2/json", 404, "No such image: app:v2"},
		{"/images/docker.io/library/app:v2/json", 404, "No such image: app:v2"},
		{"/images/app@" + digest + "/json", 404, "No such image: app@" + digest},
		{"/images/" + digest + "/json", 404, "No such image: " + digest},
		{"/images/sha256:0000/json", 404, "No such image: sha256:0000"},
		{"/images/App/json", 400, "invalid reference format: repository name (library/App) must be lowercase"},
		{"/images/nope/get", 404, "No such image: nope"},
		{"/images/get?names=app:v1&names=app:v2", 404, "reference does not exist"},
		{"/containers/json", 404, "page not found"},
	} {
		status, body := get(t, host+test.path)
		if want := `{"message":"` + test.message + "\"}\n"; status != test.status || body != want {
			t.Errorf("%s: got %d %swant %d %s", test.path, status, body, test.status, want)
		}
	}
}

// TestVersions asks a Docker 29 in the words of older and newer clients.
func TestVersions(t *testing.T) {
	t.Parallel()
	host := httpHost(t, fakeengine.New(fakeengine.Options{Format: imagetest.DockerContainerd}))
	for path, message := range map[string]string{
		"/_ping":              "",
		"/v1.44/_ping":        "",
		"/v1.52/_ping":        "",
		"/v1.53/_ping":        "client version 1.53 is too new. Maximum supported API version is 1.52",
		"/v2.0/_ping":         "client version 2.0 is too new. Maximum supported API version is 1.52",
		"/v1.5/_ping":         "client version 1.5 is too old. Minimum supported API version is 1.44, please upgrade your client to a newer version",
		"/v1.43/images/x/get": "client version 1.43 is too old. Minimum supported API version is 1.44, please upgrade your client to a newer version",
	} {
		status, body := get(t, host+path)
		if message == "" && status == http.StatusOK {
			continue
		}
		if want := `{"message":"` + message + "\"}\n"; status != http.StatusBadRequest || body != want {
			t.Errorf("%s: got %d %s", path, status, body)
		}
	}
}

// TestPlatforms asks for images of an index.
func TestPlatforms(t *testing.T) {
	t.Parallel()
	amd64, arm64 := testImage("amd64"), testImage("arm64")
	idx := imagetest.IndexWithAttestations(amd64, arm64)
	for _, format := range []imagetest.Format{imagetest.DockerOCI, imagetest.DockerContainerd} {
		t.Run(format.String(), func(t *testing.T) {
			t.Parallel()
			cli := newClient(t, fakeengine.New(fakeengine.Options{Format: format}, imagetest.Ref{Name: "app", Content: idx}))
			if _, img, err := save(t, cli, "app"); err != nil || diffID(img) != diffID(amd64) {
				t.Errorf("without a platform: %v", err)
			}
			arm := ocispec.Platform{OS: "linux", Architecture: "arm64"}
			if _, img, err := save(t, cli, "app", client.ImageSaveWithPlatforms(arm)); err != nil || diffID(img) != diffID(arm64) {
				t.Errorf("for arm64: %v", err)
			}
			if format == imagetest.DockerContainerd {
				info, err := cli.ImageInspect(t.Context(), "app", client.ImageInspectWithManifests(true))
				if err != nil || len(info.Manifests) != 4 || info.Manifests[1].ImageData.Platform.Architecture != "arm64" || info.Manifests[3].Kind != image.ManifestKindAttestation {
					t.Errorf("inspect: %+v, %v", info, err)
				}
			}
			_, _, err := save(t, cli, "app", client.ImageSaveWithPlatforms(ocispec.Platform{OS: "linux", Architecture: "s390x"}))
			if err == nil || !strings.Contains(err.Error(), "no suitable export target found for platform linux/s390x") {
				t.Errorf("for s390x: %v", err)
			}
		})
	}
}

// TestForeignImage has an engine with an image for another platform only.
func TestForeignImage(t *testing.T) {
	t.Parallel()
	cli := newClient(t, fakeengine.New(fakeengine.Options{}, imagetest.Ref{Name: "app", Content: testImage("arm64")}))
	if _, img, err := save(t, cli, "app"); err != nil || diffID(img) != diffID(testImage("arm64")) {
		t.Errorf("save: %v", err)
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	e := fakeengine.New(fakeengine.Options{}, imagetest.Ref{Name: "app", Content: testImage("amd64")})
	host := httpHost(t, e)

	e.Fail(fakeengine.Export, fakeengine.Fault{Status: http.StatusInternalServerError, Message: "disk on fire"})
	if status, body := get(t, host+"/images/app/get"); status != 500 || body != "{\"message\":\"disk on fire\"}\n" {
		t.Errorf("status: got %d %s", status, body)
	}
	if status, _ := get(t, host+"/images/app/json"); status != http.StatusOK {
		t.Errorf("the other endpoint: got %d", status)
	}

	e.Fail(fakeengine.Export, fakeengine.Fault{After: 1000})
	if n, err := read(t, t.Context(), host, 5000); n != 1000 || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut: got %d bytes, %v", n, err)
	}

	// The client reads all that there is and gives up; the engine's end of the
	// request then ends too, or the test would not.
	e.Fail(fakeengine.Export, fakeengine.Fault{After: 1000, Stall: true})
	ctx, cancel := context.WithCancel(t.Context())
	if n, err := read(t, ctx, host, 1000); n != 1000 || err != nil {
		t.Errorf("stalled: got %d bytes, %v", n, err)
	}
	cancel()

	e.Heal(fakeengine.Export)
	if status, body := get(t, host+"/images/app/get"); status != http.StatusOK || len(body)%512 != 0 {
		t.Errorf("healed: got %d and %d bytes", status, len(body))
	}
}

// TestDockerCommand uses the docker command over each transport and format.
func TestDockerCommand(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("docker"); err != nil && os.Getenv("IMG2LAMBDA_TEST_DOCKER") == "required" {
		t.Fatal(err)
	} else if err != nil {
		t.Skip(err)
	}
	starts := []func(*fakeengine.Engine, *testing.T) []string{
		func(e *fakeengine.Engine, t *testing.T) []string { return []string{"DOCKER_HOST=" + e.Start(t)} },
		func(e *fakeengine.Engine, t *testing.T) []string { return []string{"DOCKER_HOST=" + e.StartUnix(t)} },
		func(e *fakeengine.Engine, t *testing.T) []string {
			host, certPath := e.StartTLS(t)
			return []string{"DOCKER_HOST=" + host, "DOCKER_CERT_PATH=" + certPath, "DOCKER_TLS_VERIFY=1"}
		},
	}
	for i, format := range imagetest.Formats {
		t.Run(format.String(), func(t *testing.T) {
			t.Parallel()
			ref := imagetest.Ref{Name: "app:v1", Content: testImage("amd64")}
			e := fakeengine.New(fakeengine.Options{Format: format}, ref)
			env := append(os.Environ(), "DOCKER_CONFIG="+t.TempDir(), "DOCKER_CONTEXT=", "DOCKER_TLS_VERIFY=", "DOCKER_API_VERSION=")
			save := exec.CommandContext(t.Context(), "docker", "save", "app:v1")
			save.Env = append(env, starts[i%len(starts)](e, t)...)
			var stderr bytes.Buffer
			save.Stderr = &stderr
			got, err := save.Output()
			if err != nil {
				t.Fatalf("%v: %s", err, &stderr)
			}
			var want bytes.Buffer
			if err := imagetest.Export(&want, format, ref); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want.Bytes()) {
				t.Errorf("got %d bytes, want %d", len(got), want.Len())
			}
		})
	}
}

func newClient(t *testing.T, e *fakeengine.Engine) *client.Client {
	t.Helper()
	cli := must(client.New(client.WithHost(e.Start(t))))
	t.Cleanup(func() { cli.Close() })
	return cli
}

// save returns the entry of manifest.json of the archive and its image.
func save(t *testing.T, cli *client.Client, name string, opts ...client.ImageSaveOption) (tarball.Descriptor, v1.Image, error) {
	t.Helper()
	r, err := cli.ImageSave(t.Context(), []string{name}, opts...)
	if err != nil {
		return tarball.Descriptor{}, nil, err
	}
	defer r.Close()
	archive := must(io.ReadAll(r))
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive)), nil }
	m := must(tarball.LoadManifest(open))
	if len(m) != 1 {
		return tarball.Descriptor{}, nil, fmt.Errorf("%d images in the archive", len(m))
	}
	img, err := tarball.Image(open, nil)
	return m[0], img, err
}

func httpHost(t *testing.T, e *fakeengine.Engine) string {
	t.Helper()
	return "http" + strings.TrimPrefix(e.Start(t), "tcp")
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	req := must(http.NewRequestWithContext(t.Context(), http.MethodGet, strings.ReplaceAll(url, `"`, "%22"), nil))
	resp := must(http.DefaultClient.Do(req))
	defer resp.Body.Close()
	return resp.StatusCode, string(must(io.ReadAll(resp.Body)))
}

// read reads n bytes of the export of app.
func read(t *testing.T, ctx context.Context, host string, n int) (int, error) {
	t.Helper()
	req := must(http.NewRequestWithContext(ctx, http.MethodGet, host+"/images/app/get", nil))
	resp := must(http.DefaultClient.Do(req))
	t.Cleanup(func() { resp.Body.Close() })
	return io.ReadFull(resp.Body, make([]byte, n))
}

// diffID returns the DiffID of the image's one layer.
func diffID(img v1.Image) v1.Hash { return must(must(img.Layers())[0].DiffID()) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
