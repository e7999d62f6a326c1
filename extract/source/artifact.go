package source

import (
	"strings"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/pkg/errors"
	"go.podman.io/image/v5/manifest"
)

// isImage reports whether an entry of an index is an image, or an index of images:
// beside them stand what is said of them, such as signatures, SBOMs and BuildKit's
// attestations.
func isImage(d ispec.Descriptor) bool {
	switch d.MediaType {
	case "", ispec.MediaTypeImageManifest, ispec.MediaTypeImageIndex,
		manifest.DockerV2Schema2MediaType, manifest.DockerV2ListMediaType,
		manifest.DockerV2Schema1MediaType, manifest.DockerV2Schema1SignedMediaType:
	default:
		return false
	}
	return isConfig(d.ArtifactType) &&
		d.Annotations["vnd.docker.reference.type"] == "" &&
		(d.Platform == nil || d.Platform.OS != "unknown")
}

// isConfig reports whether a config of that media type is an image's. Some tools
// leave the type out.
func isConfig(mediaType string) bool {
	switch mediaType {
	case "", ispec.MediaTypeImageConfig, manifest.DockerV2Schema2ConfigMediaType, "application/octet-stream", "application/json", "text/plain":
		return true
	}
	return false
}

// checkKind refuses a manifest that is not an image's: registries hold charts,
// signatures and much else.
func checkKind(artifactType, configType string) error {
	kind := artifactType
	if isConfig(kind) {
		kind = configType
	}
	switch {
	case isConfig(kind):
		return nil
	case strings.HasPrefix(kind, "application/vnd.cncf.helm."):
		return errors.New("not a container image, but a Helm chart")
	case kind == ispec.MediaTypeEmptyJSON:
		return errors.New("not a container image, but an artifact without a config")
	default:
		return errors.Errorf("not a container image, but an artifact of type %q", kind)
	}
}
