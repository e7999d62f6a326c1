package imagetest

import (
	"encoding/json"
	"time"
)

// layerMetadata is what an archive says of a layer in the image format that
// Docker had before 1.10, when each layer was an image with a parent.
type layerMetadata struct {
	id   string // hexadecimal
	json []byte
}

// v1Image is that format's image, with the fields in Docker's order, so that
// the bytes and hence the IDs are Docker's too.
type v1Image struct {
	ID              string           `json:"id,omitempty"`
	Parent          string           `json:"parent,omitempty"`
	Comment         string           `json:"comment,omitempty"`
	Created         time.Time        `json:"created"`
	Container       string           `json:"container,omitempty"`
	ContainerConfig containerConfig  `json:"container_config"`
	DockerVersion   string           `json:"docker_version,omitempty"`
	Author          string           `json:"author,omitempty"`
	Config          *containerConfig `json:"config,omitempty"`
	Architecture    string           `json:"architecture,omitempty"`
	Variant         string           `json:"variant,omitempty"`
	OS              string           `json:"os,omitempty"`
}

type containerConfig struct {
	Hostname     string
	Domainname   string
	User         string
	AttachStdin  bool
	AttachStdout bool
	AttachStderr bool
	ExposedPorts map[string]struct{} `json:",omitempty"`
	Tty          bool
	OpenStdin    bool
	StdinOnce    bool
	Env          []string
	Cmd          []string
	Healthcheck  json.RawMessage `json:",omitempty"`
	ArgsEscaped  bool            `json:",omitempty"`
	Image        string
	Volumes      map[string]struct{}
	WorkingDir   string
	Entrypoint   []string
	OnBuild      []string
	Labels       map[string]string
	StopSignal   string   `json:",omitempty"`
	Shell        []string `json:",omitempty"`
}

// legacyMetadata returns the metadata of the image's layers as Docker writes it:
// the top layer has the image's config, the others have next to nothing.
func legacyMetadata(img *savedImage) ([]layerMetadata, error) {
	var metadata []layerMetadata
	parent := ""
	for i, chainID := range chainIDs(img.diffIDs) {
		m := v1Image{Created: time.Unix(0, 0).UTC()}
		if i == len(img.diffIDs)-1 {
			if err := json.Unmarshal(img.raw, &m); err != nil {
				return nil, err
			}
		}
		id, err := v1ID(m, chainID, parent)
		if err != nil {
			return nil, err
		}
		m.ID, m.Parent, m.OS = id, parent, img.config.OS
		raw, err := json.Marshal(m)
		if err != nil {
			return nil, err
		}
		metadata = append(metadata, layerMetadata{id, raw})
		parent = id
	}
	return metadata, nil
}

// v1ID returns the ID of m, which has no ID nor parent yet: the digest of its
// JSON, the keys sorted, with the layer's chain ID and the parent's digest.
func v1ID(m v1Image, chainID, parent string) (string, error) {
	raw, err := json.Marshal(m)
	if err != nil {
		return "", err
	}
	// The values stay as they are: only the outermost keys are sorted.
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return "", err
	}
	fields["layer_id"] = json.RawMessage(`"` + chainID + `"`)
	if parent != "" {
		fields["parent"] = json.RawMessage(`"sha256:` + parent + `"`)
	}
	raw, err = json.Marshal(fields)
	if err != nil {
		return "", err
	}
	return sha256Of(raw).Hex, nil
}

// podmanMetadata is legacyMetadata as containers/image writes it, with IDs of
// its own.
func podmanMetadata(img *savedImage) ([]layerMetadata, error) {
	var config map[string]json.RawMessage
	if err := json.Unmarshal(img.raw, &config); err != nil {
		return nil, err
	}
	var metadata []layerMetadata
	parent := ""
	for i, chainID := range chainIDs(img.diffIDs) {
		m := map[string]any{}
		if parent != "" {
			m["parent"] = parent
		}
		if i == len(img.diffIDs)-1 {
			for _, key := range []string{"architecture", "config", "container", "container_config", "created", "docker_version", "os"} {
				m[key] = config[key] // null where the config has none
			}
		}
		m["layer_id"] = chainID
		raw, err := json.Marshal(m)
		if err != nil {
			return nil, err
		}
		parent = sha256Of(raw).Hex
		delete(m, "layer_id")
		m["id"] = parent
		if raw, err = json.Marshal(m); err != nil {
			return nil, err
		}
		metadata = append(metadata, layerMetadata{parent, raw})
	}
	return metadata, nil
}
