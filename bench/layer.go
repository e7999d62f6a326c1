package main

import (
	"archive/tar"
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path"
	"strconv"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const mega = 1e6 // bytes

// part is what a layer has of a kind.
type part struct {
	path string // a directory, or a file if it is one
	kind kind
	size int64 // in bytes
	one  bool  // a single file
	// files, if not 0, is how many files of 100 bytes there are instead.
	files int
}

// member is a file of a layer.
type member struct {
	name   string
	pieces []piece
}

// members says what files parts are.
func (c corpus) members(parts []part) (all []member) {
	for _, p := range parts {
		for i := range p.files {
			f := c[p.kind][0]
			f.size = 100
			all = append(all, member{fmt.Sprintf("%s/%d/%d", p.path, i/1000, i%1000), []piece{{file: f}}})
		}
		pieces := c.take(p.kind, p.size)
		if p.one {
			all = append(all, member{p.path, pieces})
			continue
		}
		for _, f := range pieces {
			all = append(all, member{path.Join(p.path, strconv.Itoa(f.round), f.name), []piece{f}})
		}
	}
	return all
}

// blob is a layer on disk, a gzip of a tar.
type blob struct {
	path   string
	desc   ispec.Descriptor
	diffID digest.Digest
}

func writeBlob(ctx context.Context, name string, members []member) (*blob, error) {
	f, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	stored, content := sha256.New(), sha256.New()
	out := bufio.NewWriterSize(io.MultiWriter(f, stored), 1<<20)
	z := gzip.NewWriter(out)
	in := bufio.NewWriterSize(io.MultiWriter(z, content), 1<<20)
	if err := writeTar(ctx, in, members); err != nil {
		return nil, err
	}
	if err := in.Flush(); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	if err := out.Flush(); err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return &blob{
		path: name,
		desc: ispec.Descriptor{
			MediaType: ispec.MediaTypeImageLayerGzip,
			Digest:    digest.NewDigest(digest.SHA256, stored),
			Size:      info.Size(),
		},
		diffID: digest.NewDigest(digest.SHA256, content),
	}, f.Close()
}

func writeTar(ctx context.Context, w io.Writer, members []member) error {
	t := tar.NewWriter(w)
	made := map[string]bool{".": true}
	for _, m := range members {
		if err := writeParents(t, m.name, made); err != nil {
			return err
		}
		h := header(tar.TypeReg, m.name, 0o644)
		for _, p := range m.pieces {
			h.Size += p.size
		}
		if err := t.WriteHeader(h); err != nil {
			return err
		}
		for _, p := range m.pieces {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := copyPiece(t, p); err != nil {
				return err
			}
		}
	}
	return t.Close()
}

func writeParents(t *tar.Writer, name string, made map[string]bool) error {
	dir := path.Dir(name)
	if made[dir] {
		return nil
	}
	made[dir] = true
	if err := writeParents(t, dir, made); err != nil {
		return err
	}
	return t.WriteHeader(header(tar.TypeDir, dir+"/", 0o755))
}

func header(typeflag byte, name string, mode int64) *tar.Header {
	return &tar.Header{Typeflag: typeflag, Name: name, Mode: mode, ModTime: time.Unix(1600000000, 0)}
}

func copyPiece(w io.Writer, p piece) error {
	f, err := os.Open(p.path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.CopyN(w, f, p.size)
	return err
}
