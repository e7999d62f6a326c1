// Command hostile writes the layers of an image that is much work for what it is,
// most of them small as they are stored:
//
//	hostile KIND DIR
//
// It prints a line for each: its file in DIR, the digest of its tar, and its media
// type. It is a program, as tests with the race detector take ten times as long to
// make such layers.
package main

import (
	"archive/tar"
	"bytes"
	_ "crypto/sha256" // for digest
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/tartest"
)

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: hostile KIND DIR")
	}
	for i, l := range layers(os.Args[1]) {
		file := filepath.Join(os.Args[2], fmt.Sprint(i))
		if err := os.WriteFile(file, l.blob, 0o644); err != nil {
			log.Fatal(err)
		}
		fmt.Println(file, l.diffID, l.mediaType)
	}
}

// layer is a layer as it is stored.
type layer struct {
	blob      []byte
	diffID    digest.Digest
	mediaType types.MediaType
}

// layers returns the layers of the image of that kind.
func layers(kind string) (layers []layer) {
	switch kind {
	case "small-files":
		layers = append(layers, pieces(300_000, func(i int) []byte {
			return tartest.Header(fmt.Sprintf("opt/app/node_modules/%04d/file-%06d.js", i/300, i), tar.TypeReg, 0, nil)
		}))
	case "long-names":
		dir := "opt/" + strings.Repeat(strings.Repeat("n", 240)+"/", 16)
		layers = append(layers, pieces(40_000, func(i int) []byte { return tartest.Named(fmt.Sprint(dir, i), tar.TypeReg, "") }))
	case "long-targets":
		dir := "usr/" + strings.Repeat(strings.Repeat("n", 240)+"/", 16)
		layers = append(layers, pieces(40_000, func(i int) []byte { return tartest.Named(fmt.Sprint("usr/", i), tar.TypeLink, fmt.Sprint(dir, i)) }))
	case "long-links":
		target := strings.Repeat("x", 4000)
		layers = append(layers, pieces(40_000, func(i int) []byte { return tartest.Named(fmt.Sprint("usr/", i), tar.TypeSymlink, target) }))
	case "replaced-links":
		name, target := "usr/"+strings.Repeat("d/", 500)+"l", strings.Repeat("x", 4000)
		layers = append(layers, pieces(60_000, func(i int) []byte {
			if i%2 == 1 {
				return tartest.Named("usr", tar.TypeReg, "")
			}
			return tartest.Named(name, tar.TypeSymlink, target)
		}))
	case "deep-names":
		for l := range 8 {
			layers = append(layers, pieces(2_000, func(i int) []byte {
				if l == 7 && i == 0 {
					return tartest.Named("opt/link", tar.TypeLink, "opt/nowhere")
				}
				return tartest.Named(fmt.Sprintf("opt/%d-%d%s/f", l, i, strings.Repeat("/d", 238)), tar.TypeReg, "")
			}))
		}
	case "deep-targets":
		layers = append(layers, pieces(12_000, func(i int) []byte {
			return tartest.Named(fmt.Sprint("opt/", i), tar.TypeLink, fmt.Sprintf("usr/%d%s/f", i, strings.Repeat("/d", 238)))
		}))
	case "deleted-names":
		for l := range 8 {
			layers = append(layers, pieces(2_000, func(i int) []byte {
				return tartest.Named(fmt.Sprintf("opt/%d-%d%s/.wh.f", l, i, strings.Repeat("/d", 238)), tar.TypeReg, "")
			}))
		}
	case "archive-names": // of this kind and the next two, the only layer is an archive
		layers = append(layers, pieces(18, func(i int) []byte { return tartest.Named(fmt.Sprint(i, megabyte), tar.TypeReg, "") }))
	case "archive-symlinks":
		layers = append(layers, pieces(18, func(i int) []byte { return tartest.Named(fmt.Sprint(i), tar.TypeSymlink, megabyte) }))
	case "archive-hardlinks":
		layers = append(layers, pieces(18, func(i int) []byte { return tartest.Named(fmt.Sprint(i), tar.TypeLink, megabyte) }))
	case "blocks":
		layers = append(layers, random(60_000_256))
	case "links-into-layers":
		for l := range 999 {
			layers = append(layers, pieces(1, func(int) []byte { return tartest.Named(fmt.Sprint("opt/d/", l), tar.TypeReg, "") }))
		}
		layers = append(layers, pieces(100_000, func(i int) []byte { return tartest.Named(fmt.Sprint("opt/", i), tar.TypeLink, "opt/d/0") }))
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
			layers = append(layers, pieces(2, func(i int) []byte { return tartest.Named(fmt.Sprintf("opt/%d-%d", i, l), tar.TypeReg, "") }))
		}
		layers = append(layers, pieces(300, func(i int) []byte { return tartest.Named(fmt.Sprintf("opt/.wh.1-%d", i), tar.TypeReg, "") }))
	default:
		log.Fatalf("there is no hostile image %q", kind)
	}
	return layers
}

// megabyte is about as long as archive/tar lets a name in a PAX header be.
var megabyte = strings.Repeat("a", 1_000_000)

// pieces is a layer of so many pieces of a tar.
func pieces(n int, piece func(i int) []byte) layer {
	var blob bytes.Buffer
	z, err := zstd.NewWriter(&blob, zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		log.Fatal(err)
	}
	tar := digest.Canonical.Digester()
	if _, err := io.Copy(io.MultiWriter(z, tar.Hash()), tartest.Generated(n, piece)); err != nil {
		log.Fatal(err)
	}
	if err := z.Close(); err != nil {
		log.Fatal(err)
	}
	return layer{blob.Bytes(), tar.Digest(), types.OCILayerZStd}
}

// random is a layer with a file of so many random bytes, a multiple of 512.
func random(size int) layer {
	content := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{}).Read(content)
	file := [][]byte{tartest.Header("opt/random", tar.TypeReg, int64(size), nil), content}
	return pieces(len(file), func(i int) []byte { return file[i] })
}

// largeWindow is a layer of head and so many zeros, in zstd with a window of 128
// MiB (RFC 8878), which is the largest that is allowed.
func largeWindow(head []byte, zeros int) layer {
	const block, raw, rle = 128 << 10, 0, 1
	header := func(last, kind, size int) []byte {
		h := last | kind<<1 | size<<3
		return []byte{byte(h), byte(h >> 8), byte(h >> 16)}
	}
	tar := digest.Canonical.Digester()
	tar.Hash().Write(head)
	blob := []byte{0x28, 0xb5, 0x2f, 0xfd, 0, (27 - 10) << 3}
	blob = append(append(blob, header(0, raw, len(head))...), head...)
	for range zeros / block {
		tar.Hash().Write(make([]byte, block))
		blob = append(append(blob, header(0, rle, block)...), 0)
	}
	tar.Hash().Write(tartest.EndOfTar)
	blob = append(append(blob, header(1, raw, len(tartest.EndOfTar))...), tartest.EndOfTar...)
	return layer{blob, tar.Digest(), types.OCILayerZStd}
}
