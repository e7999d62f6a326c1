package integration

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/imagetest"
)

// peak is the program of that name: peak MIB CODE PROGRAM ARG... It runs a program
// that has to end with this exit code, and fails if that took more than so many MiB
// of memory (resident set) at once.
func peak() {
	most, err := strconv.ParseInt(os.Args[1], 10, 64)
	if err != nil {
		log.Fatal(err)
	}
	want, err := strconv.Atoi(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	program := exec.Command(os.Args[3], os.Args[4:]...)
	program.Stdout, program.Stderr = os.Stdout, os.Stderr
	err = program.Run()
	if got := program.ProcessState.ExitCode(); got != want {
		log.Fatalf("%v, exit code %d; want %d", err, got, want)
	}
	if got := maxRSS(program.ProcessState) >> 20; got > most {
		log.Fatalf("it took %d MiB of memory, want %d at most", got, most)
	}
}

// mkhostile makes an image that is small as it is stored, and much work.
func (r *rig) mkhostile(ts *testscript.TestScript, args []string) {
	args = parse(ts, new(flag.FlagSet), args, 2, 2)
	dir := ts.MkAbs(args[0] + ".layers")
	ts.Check(os.Mkdir(dir, 0o755))
	cmd := exec.Command("go", "run", "../internal/hostile", args[1], dir)
	cmd.Stderr = ts.Stderr()
	out, err := cmd.Output()
	ts.Check(err)
	var layers []v1.Layer
	for line := range strings.Lines(string(out)) {
		var file, diffID, mediaType string
		_, err := fmt.Sscan(line, &file, &diffID, &mediaType)
		ts.Check(err)
		blob, err := os.ReadFile(file)
		ts.Check(err)
		layers = append(layers, &blobLayer{blob, digest.Digest(diffID).Encoded(), types.MediaType(mediaType)})
	}
	r.add(ts, args[0], imagetest.ImageOf(imagetest.Options{OCI: true}, layers...))
}

// blobLayer is a layer as it is stored.
type blobLayer struct {
	blob      []byte
	diffID    string // in hex
	mediaType types.MediaType
}

func (l *blobLayer) Digest() (v1.Hash, error) {
	h, _, err := v1.SHA256(bytes.NewReader(l.blob))
	return h, err
}

func (l *blobLayer) DiffID() (v1.Hash, error) {
	return v1.Hash{Algorithm: "sha256", Hex: l.diffID}, nil
}

func (l *blobLayer) Compressed() (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(l.blob)), nil
}

func (l *blobLayer) Uncompressed() (io.ReadCloser, error) { return nil, fmt.Errorf("it is not kept") }
func (l *blobLayer) Size() (int64, error)                 { return int64(len(l.blob)), nil }
func (l *blobLayer) MediaType() (types.MediaType, error)  { return l.mediaType, nil }
