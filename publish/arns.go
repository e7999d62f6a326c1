package publish

import (
	"encoding/json"
	"os"
	"path/filepath"

	"github.com/awslabs/aws-lambda-container-image-converter/types"
	"go.yaml.in/yaml/v3"
)

// WriteARNs writes the layers' ARNs to layers.json and layers.yaml in dir, a
// plain list each: `aws lambda create-function --layers` and deployment tools
// take it as it is.
func WriteARNs(dir string, layers []types.Layer) error {
	arns := make([]string, len(layers))
	for i, l := range layers {
		arns[i] = l.ARN
	}
	asJSON, err := json.MarshalIndent(arns, "", "  ")
	if err != nil {
		return err
	}
	asYAML, err := yaml.Marshal(arns)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "layers.json"), append(asJSON, '\n'), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "layers.yaml"), asYAML, 0o644)
}
