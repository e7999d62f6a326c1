package main

import (
	"archive/zip"
	"bufio"
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/fakeengine"
	"github.com/awslabs/aws-lambda-container-image-converter/internal/imagetest"
)

var update = flag.Bool("update", false, "write what the programs print into the scripts")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"img2lambda": main,
		"interrupt":  interrupt,
	})
}

// TestScripts runs testdata/*.txtar: the program as a user types it. Besides
// what testscript has, a script can use $ESC, the escape character, and
//
//	mkimage [-platform OS/ARCH] [-compression none|gzip|zstd] [-oci] [-damaged N] IMAGE FILE
//		make an image of what FILE says (see parseLayers) and call it IMAGE;
//		with -damaged, the content of layer N is not what the manifest says.
//		Sets IMAGE_id and IMAGE_digest to the digests of config and manifest,
//		IMAGE_id_hex and IMAGE_digest_hex to the same without "sha256:".
//	mkindex [-attest] IMAGE IMAGE...
//		make a multi-platform image. Sets IMAGE_digest, IMAGE_digest_hex.
//	write FORMAT PATH [NAME=]IMAGE...
//		write an archive or layout: oci, oci-archive, docker-legacy, docker-oci,
//		docker-containerd or podman
//	registry [-tls]
//		start a registry at $REGISTRY; with -tls, its certificate is in registry.pem
//	push NAME IMAGE
//		put an image into it
//	engine [-unix|-tls] [-stall] FORMAT [NAME=]IMAGE...
//		start a Docker engine that exports in one of the formats, and set
//		DOCKER_HOST and what belongs to it. With -stall, an export hangs after
//		three quarters
//	exits CODE PROGRAM ARG...
//		run a program that has to end with this exit code
//	exec interrupt INT|TERM CODE PROGRAM ARG...
//		run a program, send it the signal once it has read a layer, and fail
//		unless it ends with this exit code
//	holds DIR NAME...
//		fail unless these names, and no others, are in a directory
//	same DIR DIR...
//		fail unless the zips in the directories are the same, byte for byte
//	golden DIR FILE
//		fail unless the zips in DIR have the SHA-256 sums that FILE lists
//	tree ZIP...
//		print what is there once the zips are unzipped one over the other
//	cut FILE BYTES, flip FILE BYTE
//		cut the end off a file, change a byte
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			e.Values[rigKey{}] = &rig{
				t:      e.T().(testing.TB),
				images: map[string]imagetest.Content{},
			}
			e.Setenv("HOME", filepath.Join(e.WorkDir, "home"))
			e.Setenv("ESC", "\x1b")
			e.Setenv("AWS_EC2_METADATA_DISABLED", "true") // it is not there to be waited for
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"mkimage":  onRig((*rig).mkimage),
			"mkindex":  onRig((*rig).mkindex),
			"write":    onRig((*rig).write),
			"registry": onRig((*rig).startRegistry),
			"push":     onRig((*rig).push),
			"engine":   onRig((*rig).startEngine),
			"exits":    onRig((*rig).exits),
			"holds":    onRig((*rig).holds),
			"same":     onRig((*rig).same),
			"golden":   onRig((*rig).golden),
			"tree":     onRig((*rig).tree),
			"cut":      onRig((*rig).cut),
			"flip":     onRig((*rig).flip),
		},
		Condition:           condition,
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

func condition(name string) (bool, error) {
	switch name {
	case "root":
		return os.Getuid() == 0, nil
	}
	return false, fmt.Errorf("there is no condition %q", name)
}

// rig is what the commands of a script know of each other.
type rig struct {
	t      testing.TB
	images map[string]imagetest.Content
	blobs  registry.BlobPutHandler // of the registry
	client *http.Client            // for it
	url    string                  // of it
}

type rigKey struct{}

// onRig adapts a method to what testscript wants of a command.
func onRig(run func(r *rig, ts *testscript.TestScript, args []string)) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg {
			ts.Fatalf("! does not go with this command")
		}
		run(ts.Value(rigKey{}).(*rig), ts, args)
	}
}

// parse reads a command's flags and checks the number of its other arguments.
func parse(ts *testscript.TestScript, f *flag.FlagSet, args []string, least, most int) []string {
	f.SetOutput(io.Discard)
	ts.Check(f.Parse(args))
	if f.NArg() < least || f.NArg() > most {
		ts.Fatalf("%d arguments", f.NArg())
	}
	return f.Args()
}

const many = 1 << 30

func (r *rig) image(ts *testscript.TestScript, name string) imagetest.Content {
	img, ok := r.images[name]
	if !ok {
		ts.Fatalf("there is no image %s but %v", name, slices.Sorted(maps.Keys(r.images)))
	}
	return img
}

func (r *rig) add(ts *testscript.TestScript, name string, content imagetest.Content) {
	r.images[name] = content
	digest, err := content.Digest()
	ts.Check(err)
	ts.Setenv(name+"_digest", digest.String())
	ts.Setenv(name+"_digest_hex", digest.Hex)
	if img, ok := content.(v1.Image); ok {
		id, err := img.ConfigName()
		ts.Check(err)
		ts.Setenv(name+"_id", id.String())
		ts.Setenv(name+"_id_hex", id.Hex)
	}
}

func (r *rig) mkimage(ts *testscript.TestScript, args []string) {
	var f flag.FlagSet
	platform := f.String("platform", "linux/amd64", "")
	compression := f.String("compression", "none", "")
	oci := f.Bool("oci", false, "")
	damaged := f.Int("damaged", 0, "")
	args = parse(ts, &f, args, 2, 2)

	parts := append(strings.Split(*platform, "/"), "")
	o := imagetest.Options{OS: parts[0], Architecture: parts[1], Variant: parts[2], OCI: *oci}
	kinds := []imagetest.Compression{imagetest.None, imagetest.Gzip, imagetest.Zstd}
	i := slices.IndexFunc(kinds, func(c imagetest.Compression) bool { return c.String() == *compression })
	if i < 0 {
		ts.Fatalf("there is no compression %q", *compression)
	}
	var layers []v1.Layer
	all, err := parseLayers(ts.ReadFile(args[1]))
	ts.Check(err)
	for n, entries := range all {
		l := imagetest.Layer(imagetest.Tar(entries...), kinds[i], *oci)
		if n+1 == *damaged {
			other := imagetest.Layer(imagetest.Tar(append(entries, imagetest.File("opt/another", "one"))...), kinds[i], *oci)
			l = imagetest.SwapContent(l, other)
		}
		layers = append(layers, l)
	}
	r.add(ts, args[0], imagetest.ImageOf(o, layers...))
}

func (r *rig) mkindex(ts *testscript.TestScript, args []string) {
	var f flag.FlagSet
	attest := f.Bool("attest", false, "")
	args = parse(ts, &f, args, 2, many)
	var images []v1.Image
	for _, name := range args[1:] {
		images = append(images, r.image(ts, name).(v1.Image))
	}
	if *attest {
		r.add(ts, args[0], imagetest.IndexWithAttestations(images...))
	} else {
		r.add(ts, args[0], imagetest.Index(images...))
	}
}

// refs reads [NAME=]IMAGE...
func (r *rig) refs(ts *testscript.TestScript, args []string) (refs []imagetest.Ref) {
	for _, a := range args {
		name, image, ok := strings.Cut(a, "=")
		if !ok {
			name, image = "", a
		}
		refs = append(refs, imagetest.Ref{Name: name, Content: r.image(ts, image)})
	}
	return refs
}

// format finds one of the formats of engines.
func format(ts *testscript.TestScript, name string) imagetest.Format {
	i := slices.IndexFunc(imagetest.Formats, func(f imagetest.Format) bool { return f.String() == name })
	if i < 0 {
		ts.Fatalf("there is no format %q but %v", name, imagetest.Formats)
	}
	return imagetest.Formats[i]
}

func (r *rig) write(ts *testscript.TestScript, args []string) {
	args = parse(ts, new(flag.FlagSet), args, 3, many)
	file, refs := ts.MkAbs(args[1]), r.refs(ts, args[2:])
	switch args[0] {
	case "oci":
		for _, ref := range refs {
			ts.Check(imagetest.WriteOCILayout(file, ref.Name, ref.Content))
		}
	case "oci-archive":
		if len(refs) > 1 {
			ts.Fatalf("one image at a time")
		}
		ts.Check(imagetest.WriteOCIArchive(file, refs[0].Name, refs[0].Content))
	default:
		ts.Check(imagetest.WriteDockerArchive(file, format(ts, args[0]), refs...))
	}
}

func (r *rig) startRegistry(ts *testscript.TestScript, args []string) {
	var f flag.FlagSet
	secure := f.Bool("tls", false, "")
	parse(ts, &f, args, 0, 0)
	blobs := registry.NewInMemoryBlobHandler()
	silent := log.New(io.Discard, "", 0)
	server := httptest.NewUnstartedServer(registry.New(registry.WithBlobHandler(blobs), registry.Logger(silent)))
	server.Config.ErrorLog = silent // of clients that do not like the certificate
	if *secure {
		server.StartTLS()
		cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
		ts.Check(os.WriteFile(ts.MkAbs("registry.pem"), cert, 0o644))
	} else {
		server.Start()
	}
	r.t.Cleanup(server.Close)
	r.blobs, r.client, r.url = blobs.(registry.BlobPutHandler), server.Client(), server.URL
	ts.Setenv("REGISTRY", server.Listener.Addr().String())
}

// push goes past the registry's checks: a damaged image is to get in.
func (r *rig) push(ts *testscript.TestScript, args []string) {
	args = parse(ts, new(flag.FlagSet), args, 2, 2)
	repository, tag, found := strings.Cut(args[0], ":")
	if !found {
		tag = "latest"
	}
	ts.Check(r.pushAs(repository, tag, r.image(ts, args[1])))
}

func (r *rig) pushAs(repository, reference string, content imagetest.Content) error {
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
			if err := r.pushAs(repository, d.Digest.String(), img); err != nil {
				return err
			}
		}
	case v1.Image:
		config, err := c.RawConfigFile()
		if err != nil {
			return err
		}
		name, err := c.ConfigName()
		if err != nil {
			return err
		}
		if err := r.blobs.Put(context.Background(), repository, name, io.NopCloser(bytes.NewReader(config))); err != nil {
			return err
		}
		layers, err := c.Layers()
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
			if err := r.blobs.Put(context.Background(), repository, digest, blob); err != nil {
				return err
			}
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
	request, err := http.NewRequest(http.MethodPut, r.url+"/v2/"+repository+"/manifests/"+reference, bytes.NewReader(manifest))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", string(mediaType))
	answer, err := r.client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusCreated {
		return fmt.Errorf("%s: %s", request.URL, answer.Status)
	}
	return nil
}

func (r *rig) startEngine(ts *testscript.TestScript, args []string) {
	var f flag.FlagSet
	unix := f.Bool("unix", false, "")
	secure := f.Bool("tls", false, "")
	stall := f.Bool("stall", false, "")
	args = parse(ts, &f, args, 1, many)
	format, refs := format(ts, args[0]), r.refs(ts, args[1:])
	engine := fakeengine.New(fakeengine.Options{Format: format}, refs...)
	if *stall {
		var size countingWriter
		ts.Check(imagetest.Export(&size, format, refs...))
		engine.Fail(fakeengine.Export, fakeengine.Fault{After: int64(size) * 3 / 4, Stall: true})
	}
	switch {
	case *secure:
		host, certificates := engine.StartTLS(r.t)
		ts.Setenv("DOCKER_HOST", host)
		ts.Setenv("DOCKER_CERT_PATH", certificates)
		ts.Setenv("DOCKER_TLS_VERIFY", "1")
	case *unix:
		ts.Setenv("DOCKER_HOST", engine.StartUnix(r.t))
	default:
		ts.Setenv("DOCKER_HOST", engine.Start(r.t))
	}
}

type countingWriter int64

func (c *countingWriter) Write(p []byte) (int, error) {
	*c += countingWriter(len(p))
	return len(p), nil
}

func (r *rig) exits(ts *testscript.TestScript, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	got := 0
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// interrupt is the program of that name. It waits for what a user would see,
// not for some time.
func interrupt() {
	signals := map[string]syscall.Signal{"INT": syscall.SIGINT, "TERM": syscall.SIGTERM}
	send, ok := signals[os.Args[1]]
	want, err := strconv.Atoi(os.Args[2])
	if !ok || err != nil {
		log.Fatalf("interrupt %s %s?", os.Args[1], os.Args[2])
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	program := exec.CommandContext(ctx, os.Args[3], os.Args[4:]...)
	program.Stdout = os.Stdout
	stderr, err := program.StderrPipe()
	if err != nil {
		log.Fatal(err)
	}
	if err := program.Start(); err != nil {
		log.Fatal(err)
	}
	sent := false
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		fmt.Fprintln(os.Stderr, lines.Text())
		if !sent && strings.Contains(lines.Text(), "read layer") {
			sent = true
			if err := program.Process.Signal(send); err != nil {
				log.Fatal(err)
			}
		}
	}
	err = program.Wait()
	if got := program.ProcessState.ExitCode(); got != want {
		log.Fatalf("%v, exit code %d; want %d", err, got, want)
	}
}

func (r *rig) holds(ts *testscript.TestScript, args []string) {
	files, err := os.ReadDir(ts.MkAbs(args[0]))
	ts.Check(err)
	got := []string{}
	for _, f := range files {
		got = append(got, f.Name())
	}
	want := append([]string{}, args[1:]...)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		ts.Fatalf("%s holds (+), not (-):\n%s", args[0], diff)
	}
}

func (r *rig) same(ts *testscript.TestScript, args []string) {
	args = parse(ts, new(flag.FlagSet), args, 2, many)
	zips := func(dir string) map[string]string {
		names, err := filepath.Glob(filepath.Join(ts.MkAbs(dir), "*.zip"))
		ts.Check(err)
		if len(names) == 0 {
			ts.Fatalf("%s has no zips", dir)
		}
		contents := map[string]string{}
		for _, name := range names {
			contents[filepath.Base(name)] = ts.ReadFile(name)
		}
		return contents
	}
	first := zips(args[0])
	for _, dir := range args[1:] {
		other := zips(dir)
		if a, b := slices.Sorted(maps.Keys(first)), slices.Sorted(maps.Keys(other)); !slices.Equal(a, b) {
			ts.Fatalf("%s has %v, %s has %v", args[0], a, dir, b)
		}
		for name := range first {
			if first[name] != other[name] {
				ts.Fatalf("%s is not the same in %s and %s", name, args[0], dir)
			}
		}
	}
}

func (r *rig) tree(ts *testscript.TestScript, args []string) {
	args = parse(ts, new(flag.FlagSet), args, 1, many)
	tree := map[string]string{}
	for _, name := range args {
		z, err := zip.OpenReader(ts.MkAbs(name))
		ts.Check(err)
		defer z.Close()
		for _, f := range z.File {
			content, err := f.Open()
			ts.Check(err)
			b, err := io.ReadAll(content)
			ts.Check(err)
			line := f.Mode().String() + " " + f.Name
			switch {
			case f.Mode().IsDir():
			case !f.Mode().IsRegular():
				line += " -> " + string(b)
			case len(b) < 60:
				line += " " + strconv.Quote(string(b))
			default:
				line += fmt.Sprintf(" %d bytes", len(b))
			}
			tree[f.Name] = line
		}
	}
	for _, name := range slices.Sorted(maps.Keys(tree)) {
		fmt.Fprintln(ts.Stdout(), tree[name])
	}
}

func (r *rig) cut(ts *testscript.TestScript, args []string) {
	args = parse(ts, new(flag.FlagSet), args, 2, 2)
	n, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	file := ts.MkAbs(args[0])
	info, err := os.Stat(file)
	ts.Check(err)
	ts.Check(os.Truncate(file, info.Size()-n))
}

func (r *rig) flip(ts *testscript.TestScript, args []string) {
	args = parse(ts, new(flag.FlagSet), args, 2, 2)
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	file := ts.MkAbs(args[0])
	b, err := os.ReadFile(file)
	ts.Check(err)
	b[n] ^= 0xff
	ts.Check(os.WriteFile(file, b, 0o644))
}
