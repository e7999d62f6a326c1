package source

import (
	"cmp"
	"context"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/awslabs/aws-lambda-container-image-converter/extract"
	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/pkg/errors"
	"go.podman.io/image/v5/docker/reference"
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
		f, err = openDirectory(r.path)
	} else {
		f, err = openArchive(ctx, r.path, o.Dir)
	}
	if err != nil {
		return nil, err
	}
	l := &layout{files: f}
	if err := l.find(r, o.Platform); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			err = another(f, r)
		}
		f.Close()
		return nil, err
	}
	return &manifestSource{store: l, platform: o.Platform, warn: o.Warn}, nil
}

// find looks the image up in the layout's index. Of several with the same name,
// or without one, the platform chooses.
func (l *layout) find(r Reference, p Platform) error {
	b, err := readDocument(l.files, ispec.ImageIndexFile)
	if err != nil {
		return err
	}
	var index ispec.Index
	if err := parseJSON(b, &index); err != nil {
		return errors.Wrapf(err, "%s: %s", r.path, ispec.ImageIndexFile)
	}
	var there []string
	var found []ispec.Descriptor
	for _, d := range index.Manifests {
		if !isImage(d) || !l.has(d.Digest) {
			continue
		}
		there = append(there, r.transport.prefix+r.path+":"+label(d))
		if r.tag == "" || isNamed(d, r.tag) {
			if !slices.ContainsFunc(found, func(f ispec.Descriptor) bool { return f.Digest == d.Digest }) {
				found = append(found, d)
			}
		}
	}
	if len(found) > 1 {
		several := found
		found = slices.DeleteFunc(slices.Clone(found), func(d ispec.Descriptor) bool {
			return platformIn(d).isZero() || !p.orDefault().matches(platformIn(d))
		})
		if len(found) > 1 && !slices.ContainsFunc(found, func(d ispec.Descriptor) bool { return label(d) != label(found[0]) }) {
			best, err := p.choose(found) // of their variants
			if err != nil {
				return err
			}
			found = []ispec.Descriptor{best}
		}
		if len(found) == 0 {
			found = several
		}
	}
	if len(found) == 1 {
		l.image = found[0]
		return nil
	}
	return choose(r, there, len(found))
}

// label is the name that tells an image of a layout from the others: containerd's,
// short, as the docker CLI shows it, or the tag, or the digest.
func label(d ispec.Descriptor) string {
	if named, err := reference.ParseNormalizedNamed(d.Annotations[containerdName]); err == nil {
		return reference.FamiliarString(named)
	}
	return cmp.Or(d.Annotations[ispec.AnnotationRefName], d.Digest.String())
}

// isNamed reports whether a name means the image.
func isNamed(d ispec.Descriptor, name string) bool {
	full := d.Annotations[containerdName]
	return name == d.Annotations[ispec.AnnotationRefName] || name == d.Digest.String() || full != "" && sameName(full, name)
}

// choose says that a reference names no image, or several, and which there are.
func choose(r Reference, there []string, found int) error {
	list := listed(there)
	switch {
	case len(there) == 0:
		return errors.Errorf("%s holds no image", r.path)
	case r.tag == "":
		return errors.Errorf("%s holds several images, choose one: %s", r.path, list)
	case found > 1:
		return errors.Errorf("%s holds several images %s, choose one by its full name, or with --platform: %s", r.path, r.tag, list)
	default:
		return errors.Errorf("%s holds no image %s; there is %s", r.path, r.tag, list)
	}
}

// listed is a list of names for a message.
func listed(names []string) string {
	if len(names) > maxListed {
		names = append(slices.Clone(names[:maxListed]), "…")
	}
	return strings.Join(names, ", ")
}

// has is part of store.
func (l *layout) has(d digest.Digest) bool {
	name, err := blobPath(d)
	if err != nil {
		return true // which is said when it is read
	}
	r, _, err := l.files.open(name)
	if err != nil {
		return !errors.Is(err, os.ErrNotExist)
	}
	r.Close()
	return true
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
