package main

import (
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// cpu measures what the program computes against another build of it, from an
// archive and from a registry, in both of which layers are gzip.
func cpu(b *bench) ([]row, error) {
	if b.before == "" {
		return skipped("-before names no other build of the program"), nil
	}
	img, err := b.typical()
	if err != nil {
		return nil, err
	}
	server, address, err := serve(b, img)
	if err != nil {
		return nil, err
	}
	defer server.Close()
	var rows []row
	for _, from := range []struct{ what, image string }{
		{"cpu, gzip OCI archive; the build before", img.fromOCIArchive()},
		{"cpu, registry; the build before", "docker://" + address},
	} {
		args := []string{"--image", from.image, "--dry-run"}
		if strings.HasPrefix(from.image, "docker://") {
			args = append(args, "--tls-verify=false")
		}
		all, err := inTurn(b.runs,
			func() (usage, error) { return b.convert(b.program, nil, args...) },
			func() (usage, error) { return b.convert(b.before, nil, args...) })
		if err != nil {
			return nil, err
		}
		x, y := median(all[0], cpuSeconds), median(all[1], cpuSeconds)
		rows = append(rows, row{from.what, seconds(x), seconds(y), ratio(x / y), "<= 0.85"})
	}
	return rows, nil
}

// serve runs a registry that has an image, and returns the image's name there.
func serve(b *bench, i *image) (*httptest.Server, string, error) {
	blobs := filepath.Join(b.dir, "registry")
	if err := os.MkdirAll(blobs, 0o755); err != nil {
		return nil, "", err
	}
	server := httptest.NewServer(registry.New(
		registry.WithBlobHandler(registry.NewDiskBlobHandler(blobs)), registry.Logger(log.New(io.Discard, "", 0)),
	))
	address := strings.TrimPrefix(server.URL, "http://") + "/bench:1"
	ref, err := name.ParseReference(address, name.Insecure)
	if err == nil {
		content, problem := tarball.ImageFromPath(i.archive, nil)
		if err = problem; err == nil {
			err = remote.Write(ref, content, remote.WithContext(b.ctx))
		}
	}
	if err != nil {
		server.Close()
	}
	return server, address, err
}
