package fakeengine_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
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
			manifest, config := digests(t, img)
			id := config
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
				if info.ID != id.String() || info.Os != "linux" || info.Architecture != "amd64" || info.Size == 0 {
					t.Errorf("inspect %s: got %+v", test.name, info)
				}
				if diff := cmp.Diff(both, info.RepoTags); diff != "" {
					t.Errorf("inspect %s: tags (-want +got):\n%s", test.name, diff)
				}
				if diff := cmp.Diff([]string{"localhost:5000/team/app@" + manifest.String()}, info.RepoDigests); diff != "" {
					t.Errorf("inspect %s: digests (-want +got):\n%s", test.name, diff)
				}
				if want := diffID(t, img); len(info.RootFS.Layers) != 1 || info.RootFS.Layers[0] != want.String() {
					t.Errorf("inspect %s: layers %v, want %v", test.name, info.RootFS.Layers, want)
				}

				m, saved, err := save(t, cli, test.name)
				if err != nil {
					t.Errorf("save %s: %v", test.name, err)
					continue
				}
				if diff := cmp.Diff(test.saved, m.RepoTags, cmp.Transformer("none", func(s []string) []string { return append([]string{}, s...) })); diff != "" {
					t.Errorf("save %s: names (-want +got):\n%s", test.name, diff)
				}
				if diffID(t, saved) != diffID(t, img) {
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

func TestVersions(t *testing.T) {
	t.Parallel()
	e := fakeengine.New(fakeengine.Options{APIVersion: "1.48", MinAPIVersion: "1.9"})
	host := httpHost(t, e)
	for _, test := range []struct {
		path, message string
	}{
		{"/_ping", ""},
		{"/version", ""},
		{"/v1.48/version", ""},
		{"/v1.9/version", ""},
		{"/v1.10/_ping", ""},
		{"/v1.49/_ping", "client version 1.49 is too new. Maximum supported API version is 1.48"},
		{"/v2.0/version", "client version 2.0 is too new. Maximum supported API version is 1.48"},
		{"/v1.8/images/x/get", "client version 1.8 is too old. Minimum supported API version is 1.9, please upgrade your client to a newer version"},
	} {
		status, body := get(t, host+test.path)
		if test.message == "" && status == http.StatusOK {
			continue
		}
		if want := `{"message":"` + test.message + "\"}\n"; status != http.StatusBadRequest || body != want {
			t.Errorf("%s: got %d %s", test.path, status, body)
		}
	}

	for _, method := range []string{http.MethodGet, http.MethodHead} {
		req, err := http.NewRequestWithContext(t.Context(), method, host+"/_ping", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.Header.Get("Api-Version") != "1.48" || resp.Header.Get("Ostype") != "linux" {
			t.Errorf("%s /_ping: headers %v", method, resp.Header)
		}
	}
	if n := e.Requests(fakeengine.Ping); n != 5 {
		t.Errorf("%d pings counted, want 5", n)
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
			if _, img, err := save(t, cli, "app"); err != nil || diffID(t, img) != diffID(t, amd64) {
				t.Errorf("without a platform: %v", err)
			}
			arm := ocispec.Platform{OS: "linux", Architecture: "arm64"}
			if _, img, err := save(t, cli, "app", client.ImageSaveWithPlatforms(arm)); err != nil || diffID(t, img) != diffID(t, arm64) {
				t.Errorf("for arm64: %v", err)
			}
			info, err := cli.ImageInspect(t.Context(), "app", client.ImageInspectWithPlatform(&arm))
			if err != nil || info.Architecture != "arm64" {
				t.Errorf("inspect for arm64: %+v, %v", info, err)
			}
			_, _, err = save(t, cli, "app", client.ImageSaveWithPlatforms(ocispec.Platform{OS: "linux", Architecture: "s390x"}))
			if err == nil || !strings.Contains(err.Error(), "no suitable export target found for platform linux/s390x") {
				t.Errorf("for s390x: %v", err)
			}
		})
	}

	old := httpHost(t, fakeengine.New(fakeengine.Options{APIVersion: "1.47"}, imagetest.Ref{Name: "app", Content: idx}))
	status, body := get(t, old+`/images/app/json?platform={"os":"linux","architecture":"arm64"}`)
	if status != http.StatusOK || !strings.Contains(body, `"Architecture":"amd64"`) {
		t.Errorf("an engine that does not know platforms: %d %s", status, body)
	}
}

// TestForeignImage has an engine with an image for another platform only.
func TestForeignImage(t *testing.T) {
	t.Parallel()
	cli := newClient(t, fakeengine.New(fakeengine.Options{}, imagetest.Ref{Name: "app", Content: testImage("arm64")}))
	info, err := cli.ImageInspect(t.Context(), "app")
	if err != nil || info.Architecture != "arm64" {
		t.Errorf("inspect: %+v, %v", info, err)
	}
	if _, img, err := save(t, cli, "app"); err != nil || diffID(t, img) != diffID(t, testImage("arm64")) {
		t.Errorf("save: %v", err)
	}
}

func TestAdd(t *testing.T) {
	t.Parallel()
	e := fakeengine.New(fakeengine.Options{})
	cli := newClient(t, e)
	for _, architecture := range []string{"amd64", "arm64"} {
		img := testImage(architecture)
		e.Add(imagetest.Ref{Name: "app", Content: img})
		if m, got, err := save(t, cli, "app"); err != nil || diffID(t, got) != diffID(t, img) || len(m.RepoTags) != 1 {
			t.Errorf("%s: %v", architecture, err)
		}
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
	if n := e.Requests(fakeengine.Export); n != 4 {
		t.Errorf("%d exports counted, want 4", n)
	}
}

// TestTLS checks that the engine wants the client's certificate.
func TestTLS(t *testing.T) {
	t.Parallel()
	host, certPath := fakeengine.New(fakeengine.Options{}).StartTLS(t)
	file := func(name string) string { return filepath.Join(certPath, name) }
	cli, err := client.New(client.WithHost(host), client.WithTLSClientConfig(file("ca.pem"), file("cert.pem"), file("key.pem")))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cli.Ping(t.Context(), client.PingOptions{}); err != nil {
		t.Error(err)
	}
	cli, err = client.New(client.WithHost(host), client.WithTLSClientConfig(file("ca.pem"), "", ""))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cli.Ping(t.Context(), client.PingOptions{}); err == nil {
		t.Error("a client without a certificate gets an answer")
	}
}

// TestDockerCommand uses the docker command over each transport and format.
func TestDockerCommand(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("docker"); err != nil {
		t.Skip(err)
	}
	img := testImage("amd64")
	run := func(t *testing.T, env []string, args ...string) []byte {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "docker", args...)
		cmd.Env = append(os.Environ(), append([]string{"DOCKER_CONFIG=" + t.TempDir(), "DOCKER_CONTEXT=", "DOCKER_TLS_VERIFY="}, env...)...)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("docker %s: %v: %s", strings.Join(args, " "), err, &stderr)
		}
		return out
	}
	for name, start := range map[string]func(testing.TB, *fakeengine.Engine) []string{
		"tcp":  func(t testing.TB, e *fakeengine.Engine) []string { return []string{"DOCKER_HOST=" + e.Start(t)} },
		"unix": func(t testing.TB, e *fakeengine.Engine) []string { return []string{"DOCKER_HOST=" + e.StartUnix(t)} },
		"tls": func(t testing.TB, e *fakeengine.Engine) []string {
			host, certPath := e.StartTLS(t)
			return []string{"DOCKER_HOST=" + host, "DOCKER_CERT_PATH=" + certPath, "DOCKER_TLS_VERIFY=1"}
		},
	} {
		for _, format := range imagetest.Formats {
			t.Run(name+"/"+format.String(), func(t *testing.T) {
				t.Parallel()
				e := fakeengine.New(fakeengine.Options{Format: format}, imagetest.Ref{Name: "app:v1", Content: img})
				env := start(t, e)
				if id := run(t, env, "image", "inspect", "-f", "{{index .RootFS.Layers 0}}", "app:v1"); strings.TrimSpace(string(id)) != diffID(t, img).String() {
					t.Errorf("inspect: layer %s", id)
				}
				got := run(t, env, "save", "app:v1")
				var want bytes.Buffer
				if err := imagetest.Export(&want, format, imagetest.Ref{Name: "app:v1", Content: img}); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got, want.Bytes()) {
					t.Errorf("save: got %d bytes, want %d", len(got), want.Len())
				}
			})
		}
	}
}

func newClient(t *testing.T, e *fakeengine.Engine) *client.Client {
	t.Helper()
	cli, err := client.New(client.WithHost(e.Start(t)))
	if err != nil {
		t.Fatal(err)
	}
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
	archive, err := io.ReadAll(r)
	if err != nil {
		return tarball.Descriptor{}, nil, err
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive)), nil }
	m, err := tarball.LoadManifest(open)
	if err != nil {
		return tarball.Descriptor{}, nil, err
	}
	if len(m) != 1 {
		return tarball.Descriptor{}, nil, errors.New("not one image in the archive: " + strings.Join(memberNames(t, archive), " "))
	}
	img, err := tarball.Image(open, nil)
	return m[0], img, err
}

func memberNames(t *testing.T, archive []byte) []string {
	t.Helper()
	var names []string
	for tr := tar.NewReader(bytes.NewReader(archive)); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return names
		} else if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
	}
}

func httpHost(t *testing.T, e *fakeengine.Engine) string {
	t.Helper()
	return "http" + strings.TrimPrefix(e.Start(t), "tcp")
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, strings.ReplaceAll(url, `"`, "%22"), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK && !json.Valid(body) {
		t.Errorf("%s: not JSON: %s", url, body)
	}
	return resp.StatusCode, string(body)
}

// read reads n bytes of the export of app.
func read(t *testing.T, ctx context.Context, host string, n int) (int, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, host+"/images/app/get", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return io.ReadFull(resp.Body, make([]byte, n))
}

func digests(t *testing.T, img v1.Image) (manifest, config v1.Hash) {
	t.Helper()
	manifest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	config, err = img.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	return manifest, config
}

// diffID returns the DiffID of the image's one layer.
func diffID(t *testing.T, img v1.Image) v1.Hash {
	t.Helper()
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if len(config.RootFS.DiffIDs) != 1 {
		t.Fatalf("%d layers, want 1", len(config.RootFS.DiffIDs))
	}
	return config.RootFS.DiffIDs[0]
}
