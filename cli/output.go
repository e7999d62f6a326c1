package cli

import (
	"context"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"github.com/awslabs/aws-lambda-container-image-converter/types"
	"github.com/pkg/errors"
)

// results are the files that a run of one kind leaves in the output directory.
type results int

const (
	dryRunFiles    results = iota // the layers' zips
	publishedFiles                // the ARNs
)

// layerZip is the name of a layer's zip.
var layerZip = regexp.MustCompile(`^layer-[1-9][0-9]*\.zip$`)

// has reports whether a file is one of the results, by its name.
func (r results) has(name string) bool {
	switch name {
	case "function.zip", "report.json":
		return true
	case "layers.json", "layers.yaml":
		return r == publishedFiles
	}
	return r == dryRunFiles && layerZip.MatchString(name)
}

// output is the output directory. Results are made in a directory within it,
// and moved out when all is there.
type output struct {
	dir     string
	staging string
	created []string // directories that were not there before, deepest first
}

func openOutput(dir string) (_ *output, err error) {
	o := &output{dir: dir}
	for d := filepath.Clean(dir); d != filepath.Dir(d); d = filepath.Dir(d) {
		info, err := os.Stat(d)
		if _, dangling := os.Readlink(d); err != nil && dangling == nil {
			return nil, errors.Errorf("output directory %s: %s is a link to nothing", dir, d)
		}
		if err == nil && !info.IsDir() {
			return nil, errors.Errorf("output directory %s: %s is a file", dir, d)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
		o.created = append(o.created, d)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		o.removeCreated()
		return nil, errors.Wrapf(plain(err), "output directory %s cannot be made", dir)
	}
	if o.staging, err = os.MkdirTemp(dir, ".img2lambda-"); err != nil {
		o.removeCreated()
		return nil, errors.Wrapf(plain(err), "output directory %s cannot be written", dir)
	}
	return o, nil
}

// plain takes the path out of a file system's error: the message has it.
func plain(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// commit adds report.json to the results, and moves those that are to be left
// to the output directory. What else is there of an earlier run is taken away.
func (o *output) commit(ctx context.Context, image *types.Image, leave results) error {
	report, err := json.MarshalIndent(image, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(o.staging, "report.json"), append(report, '\n'), 0o644); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	results, err := os.ReadDir(o.staging)
	if err != nil {
		return err
	}
	unlock, err := lock(ctx, o.dir)
	if err != nil {
		return errors.Wrapf(err, "output directory %s", o.dir)
	}
	defer unlock()
	for _, r := range results { // all of them, or none
		name := filepath.Join(o.dir, r.Name())
		if info, err := os.Lstat(name); err == nil && info.IsDir() && leave.has(r.Name()) {
			return errors.Errorf("%s is a directory, where a result has to go: move it away", name)
		}
	}
	made := make(map[string]bool)
	for _, r := range results {
		if !leave.has(r.Name()) {
			continue
		}
		made[r.Name()] = true
		if err := os.Rename(filepath.Join(o.staging, r.Name()), filepath.Join(o.dir, r.Name())); err != nil {
			return err
		}
	}
	there, err := os.ReadDir(o.dir)
	if err != nil {
		return err
	}
	for _, f := range there {
		if (leave.has(f.Name()) || dryRunFiles.has(f.Name())) && !made[f.Name()] && !f.IsDir() {
			if err := os.Remove(filepath.Join(o.dir, f.Name())); err != nil {
				return err
			}
		}
	}
	o.created = nil
	return nil
}

// discard removes what commit has not moved, and the directories if they would
// be left empty.
func (o *output) discard() {
	os.RemoveAll(o.staging)
	o.removeCreated()
}

func (o *output) removeCreated() {
	for _, d := range o.created {
		if info, err := os.Lstat(d); err == nil && info.IsDir() { // still ours
			os.Remove(d) // only if it is empty
		}
	}
}
