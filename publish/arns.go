package publish

import (
	"encoding/json"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"
)

// WriteARNs writes the layers' ARNs to layers.json and layers.yaml in dir. Each is a
// plain list, as `aws lambda create-function --layers` and deployment tools take it. If
// there are several regions, each has its own two files in a directory of its name.
func WriteARNs(dir string, regions []Region) error {
	for _, r := range regions {
		dir := dir
		if len(regions) > 1 {
			dir = filepath.Join(dir, r.Name)
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return err
			}
		}
		if err := r.writeARNs(dir); err != nil {
			return err
		}
	}
	return nil
}

func (r *Region) writeARNs(dir string) error {
	arns := make([]string, len(r.Versions))
	for i, v := range r.Versions {
		arns[i] = v.ARN
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
