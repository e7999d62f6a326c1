package source

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/awslabs/aws-lambda-container-image-converter/extract"
	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/pkg/errors"
	"go.podman.io/image/v5/manifest"
	podman "go.podman.io/image/v5/types"
)

// containerdName is the annotation of an index's manifest in which containerd
// and the Docker engine write the full name of the image.
const containerdName = "io.containerd.image.name"

// layout is an OCI image layout (OCI image spec, image-layout.md) in a
// directory or a tar. It is read in place, where containers/image would first
// write a tar's content to disk, and it checks the digest of the manifest.
type layout struct {
	files files
	image ispec.Descriptor // of the chosen image
}

func openLayout(ctx context.Context, r Reference, o Options) (_ extract.Source, err error) {
	var f files
	if r.transport.prefix == "oci:" {
		f = directory(r.path)
	} else if f, err = openArchive(ctx, r.path, o.Dir); err != nil {
		return nil, notThere(err, r.path)
	}
	l := &layout{files: f}
	if err := l.find(r, o.Platform); err != nil {
		f.Close()
		return nil, err
	}
	return &manifestSource{store: l, platform: o.Platform, warn: o.Warn}, nil
}

// notThere says plainly that there is no such file.
func notThere(err error, path string) error {
	if errors.Is(err, os.ErrNotExist) {
		return errors.Errorf("no such file: %s", path)
	}
	return err
}

// find looks the image up in the layout's index. Of several with the same name,
// or without one, the platform chooses.
func (l *layout) find(r Reference, p Platform) error {
	if _, err := os.Stat(r.path); err != nil {
		return notThere(err, r.path)
	}
	b, err := readDocument(l.files, ispec.ImageIndexFile)
	if err != nil {
		return errors.Wrapf(err, "%s is not an OCI image layout", r.path)
	}
	var index ispec.Index
	if err := json.Unmarshal(b, &index); err != nil {
		return errors.Wrapf(err, "%s: %s", r.path, ispec.ImageIndexFile)
	}
	var there []string
	var found []ispec.Descriptor
	for _, d := range index.Manifests {
		tag, name := d.Annotations[ispec.AnnotationRefName], d.Annotations[containerdName]
		if r.tag == "" || tag == r.tag || name == r.tag || d.Digest.String() == r.tag {
			if !slices.ContainsFunc(found, func(f ispec.Descriptor) bool { return f.Digest == d.Digest }) {
				found = append(found, d)
			}
		}
		if tag == "" {
			tag = d.Digest.String()
		}
		there = append(there, r.transport.prefix+r.path+":"+tag)
	}
	if len(found) > 1 {
		found = slices.DeleteFunc(found, func(d ispec.Descriptor) bool {
			return d.Platform == nil || p.orDefault().check(platformOf(*d.Platform)) != nil
		})
	}
	if len(found) == 1 {
		l.image = found[0]
		return nil
	}
	return choose(r, there)
}

// choose says that a reference names no image, and which ones there are.
func choose(r Reference, there []string) error {
	switch {
	case len(there) == 0:
		return errors.Errorf("%s holds no image", r.path)
	case r.tag == "":
		return errors.Errorf("%s holds several images, choose one: %s", r.path, strings.Join(there, ", "))
	default:
		return errors.Errorf("%s holds no image %s; there is %s", r.path, r.tag, strings.Join(there, ", "))
	}
}

func (l *layout) manifest(_ context.Context, d digest.Digest) ([]byte, string, error) {
	top := d == ""
	if top {
		d = l.image.Digest
	}
	name, err := blobPath(d)
	if err != nil {
		return nil, "", err
	}
	b, err := readDocument(l.files, name)
	if err != nil {
		return nil, "", errors.Wrapf(err, "manifest %s", d)
	}
	if got := d.Algorithm().FromBytes(b); got != d {
		return nil, "", errors.Errorf("manifest %s has digest %s: the image is damaged", d, got)
	}
	if top && l.image.MediaType != "" {
		return b, l.image.MediaType, nil
	}
	return b, manifest.GuessMIMEType(b), nil
}

func (l *layout) blob(_ context.Context, b podman.BlobInfo) (io.ReadCloser, error) {
	name, err := blobPath(b.Digest)
	if err != nil {
		return nil, err
	}
	r, _, err := l.files.open(name)
	return r, err
}

// blobPath is where a layout keeps a blob.
func blobPath(d digest.Digest) (string, error) {
	if err := d.Validate(); err != nil {
		return "", errors.Wrapf(err, "%q", d)
	}
	return ispec.ImageBlobsDir + "/" + d.Algorithm().String() + "/" + d.Encoded(), nil
}

// Close is part of extract.Source.
func (l *layout) Close() error { return l.files.Close() }
