package integration

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/imagetest"
	"github.com/awslabs/aws-lambda-container-image-converter/internal/tartest"
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

// mkhostile makes an image that is small as it is stored, and much work: too large
// for parseLayers.
func (r *rig) mkhostile(ts *testscript.TestScript, args []string) {
	args = parse(ts, new(flag.FlagSet), args, 2, 2)
	var layers []v1.Layer
	switch args[1] {
	case "small-files":
		layers = append(layers, pieces(300_000, func(i int) []byte {
			return tartest.Header(fmt.Sprintf("opt/app/node_modules/%04d/file-%06d.js", i/300, i), tar.TypeReg, 0, nil)
		}))
	case "long-names":
		dir := "opt/" + strings.Repeat(strings.Repeat("n", 240)+"/", 16)
		layers = append(layers, pieces(40_000, func(i int) []byte { return named(fmt.Sprint(dir, i), tar.TypeReg, "") }))
	case "long-targets":
		dir := "usr/" + strings.Repeat(strings.Repeat("n", 240)+"/", 16)
		layers = append(layers, pieces(40_000, func(i int) []byte { return named(fmt.Sprint("usr/", i), tar.TypeLink, fmt.Sprint(dir, i)) }))
	case "deep-names":
		for l := range 8 {
			layers = append(layers, pieces(2_000, func(i int) []byte {
				if l == 7 && i == 0 {
					return named("opt/link", tar.TypeLink, "opt/nowhere")
				}
				return named(fmt.Sprintf("opt/%d-%d%s/f", l, i, strings.Repeat("/d", 238)), tar.TypeReg, "")
			}))
		}
	case "deep-targets":
		layers = append(layers, pieces(12_000, func(i int) []byte {
			return named(fmt.Sprint("opt/", i), tar.TypeLink, fmt.Sprintf("usr/%d%s/f", i, strings.Repeat("/d", 238)))
		}))
	case "deleted-names":
		for l := range 8 {
			layers = append(layers, pieces(2_000, func(i int) []byte {
				return named(fmt.Sprintf("opt/%d-%d%s/.wh.f", l, i, strings.Repeat("/d", 238)), tar.TypeReg, "")
			}))
		}
	case "windows":
		for l := range 4 {
			layers = append(layers, largeWindow(tartest.Header(fmt.Sprint("usr/", l), tar.TypeReg, 140<<20, nil), 140<<20))
		}
	case "replaced":
		for l := range 5 {
			layers = append(layers, pieces(2, func(i int) []byte {
				return [][]byte{tartest.Sparse("opt/large", 999<<20), tartest.Header(fmt.Sprint("opt/", l), tar.TypeReg, 0, nil)}[i]
			}))
		}
	case "layers":
		for l := range 300 {
			layers = append(layers, pieces(2, func(i int) []byte { return named(fmt.Sprintf("opt/%d-%d", i, l), tar.TypeReg, "") }))
		}
		layers = append(layers, pieces(300, func(i int) []byte { return named(fmt.Sprintf("opt/.wh.1-%d", i), tar.TypeReg, "") }))
	default:
		ts.Fatalf("there is no hostile image %q", args[1])
	}
	r.add(ts, args[0], imagetest.ImageOf(imagetest.Options{OCI: true}, layers...))
}

// named is the header of an entry whose name and target may be long.
func named(name string, typeflag byte, target string) []byte {
	records := map[string]string{"path": name}
	if target != "" {
		records["linkpath"] = target
	}
	return slices.Concat(tartest.PAX(records), tartest.Header("x", typeflag, 0, nil))
}

// pieces is a layer of so many pieces of a tar. What repeats is soon compressed by
// zstd, also with the race detector.
func pieces(n int, piece func(i int) []byte) v1.Layer {
	var blob bytes.Buffer
	z, err := zstd.NewWriter(&blob, zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		log.Panic(err)
	}
	tar := sha256.New()
	if _, err := io.Copy(io.MultiWriter(z, tar), tartest.Generated(n, piece)); err != nil {
		log.Panic(err)
	}
	if err := z.Close(); err != nil {
		log.Panic(err)
	}
	return &blobLayer{blob.Bytes(), hex.EncodeToString(tar.Sum(nil)), types.OCILayerZStd}
}

// largeWindow is a layer of head and so many zeros, in zstd with a window of 128
// MiB (RFC 8878), which is the largest that is allowed.
func largeWindow(head []byte, zeros int) v1.Layer {
	const block, raw, rle = 128 << 10, 0, 1
	header := func(last, kind, size int) []byte {
		h := last | kind<<1 | size<<3
		return []byte{byte(h), byte(h >> 8), byte(h >> 16)}
	}
	tar := sha256.New()
	tar.Write(head)
	blob := []byte{0x28, 0xb5, 0x2f, 0xfd, 0, (27 - 10) << 3}
	blob = append(append(blob, header(0, raw, len(head))...), head...)
	for range zeros / block {
		tar.Write(make([]byte, block))
		blob = append(append(blob, header(0, rle, block)...), 0)
	}
	tar.Write(tartest.EndOfTar)
	blob = append(append(blob, header(1, raw, len(tartest.EndOfTar))...), tartest.EndOfTar...)
	return &blobLayer{blob, hex.EncodeToString(tar.Sum(nil)), types.OCILayerZStd}
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
