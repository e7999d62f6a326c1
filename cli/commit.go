package cli

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"

	"github.com/awslabs/aws-lambda-container-image-converter/types"
	"github.com/pkg/errors"
)

// Directories in the staging directory with the results of earlier runs: those that
// have been moved aside so far, all of them, and those that nobody needs any more.
const (
	asideDir    = "aside"
	replacedDir = "replaced"
	oldDir      = "old"
)

var (
	// layerZip is the name of a layer's zip.
	layerZip = regexp.MustCompile(`^layer-[1-9][0-9]*\.zip$`)
	// regionDir is the name of a region of AWS (partitions.json of the AWS CLI), and
	// so of a directory with its ARNs.
	regionDir = regexp.MustCompile(`^([a-z]{2}|eusc)(-[a-z]+){1,2}-[0-9]{1,2}$`)
	// anyDir is for directories in the staging directory: all are ours.
	anyDir = regexp.MustCompile(``)
)

// isResult tells whether a name in the output directory is one of a result.
func isResult(name string) bool {
	return name == "function.zip" || name == "report.json" || isARNs(name) || layerZip.MatchString(name)
}

// isARNs tells whether a name is one of a list of ARNs. There are such lists in
// directories of regions as well.
func isARNs(name string) bool { return name == "layers.json" || name == "layers.yaml" }

// resultsIn are the paths of the results in a directory, from there; regions are
// the names of directories with the ARNs of a region. What is a directory itself is
// no result.
func resultsIn(dir string, regions *regexp.Regexp) (paths []string, err error) {
	top, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, f := range top {
		switch {
		case !f.IsDir() && isResult(f.Name()):
			paths = append(paths, f.Name())
		case f.IsDir() && regions.MatchString(f.Name()):
			in, err := os.ReadDir(filepath.Join(dir, f.Name()))
			if err != nil {
				return nil, err
			}
			for _, l := range in {
				if !l.IsDir() && isARNs(l.Name()) {
					paths = append(paths, filepath.Join(f.Name(), l.Name()))
				}
			}
		}
	}
	return paths, nil
}

// commit adds report.json to the results, and moves them to the output directory,
// in place of all that earlier runs have left there. It does so wholly or not at
// all.
func (o *output) commit(ctx context.Context, image *types.Image) error {
	if !isDir(o.results()) {
		return errors.Errorf("output directory %s has gone, or been changed for another, while the program was working", o.name)
	}
	report, err := json.MarshalIndent(image, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(o.results(), "report.json"), append(report, '\n'), 0o644); err != nil {
		return err
	}
	results, err := o.made()
	if err != nil {
		return err
	}
	unlock, err := o.lock(ctx)
	if err != nil {
		return errors.Wrapf(plain(err), "output directory %s", o.name)
	}
	defer unlock()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := o.checkRoom(results); err != nil {
		return err
	}
	if err := o.replace(results); err != nil {
		if problem := rollBack(o.dir, o.staging); problem != nil {
			return errors.WithMessagef(err, "%s, and before that", problem)
		}
		return errors.Wrapf(err, "the results cannot be moved to output directory %s, which is as it was", o.name)
	}
	o.created = nil
	return nil
}

// made returns the results, and makes sure that they are on the disk.
func (o *output) made() ([]string, error) {
	results, err := resultsIn(o.results(), anyDir)
	if err != nil {
		return nil, err
	}
	for _, r := range results {
		f, err := os.OpenFile(filepath.Join(o.results(), r), os.O_RDWR, 0)
		if err != nil {
			return nil, err
		}
		err = f.Sync()
		f.Close()
		if err != nil {
			return nil, errors.Wrapf(err, "output directory %s", o.name)
		}
	}
	return results, nil
}

// checkRoom finds what is in the way of results.
func (o *output) checkRoom(results []string) error {
	for _, r := range results {
		region := filepath.Dir(r)
		if in := filepath.Join(o.dir, region); region != "." && isThere(in) && !isDir(in) {
			return errors.Errorf("%s is no directory, where one for a region has to go: move it away", filepath.Join(o.name, region))
		}
		if isDir(filepath.Join(o.dir, r)) {
			return errors.Errorf("%s is a directory, where a result has to go: move it away", filepath.Join(o.name, r))
		}
	}
	return nil
}

// replace moves earlier results aside, and the new ones to their places. After an
// error, and in a run that finds what this one has left when it was killed,
// rollBack undoes it.
func (o *output) replace(results []string) error {
	earlier, err := resultsIn(o.dir, regionDir)
	if err != nil {
		return err
	}
	aside, replaced := filepath.Join(o.staging, asideDir), filepath.Join(o.staging, replacedDir)
	if err := os.Mkdir(aside, 0o755); err != nil {
		return err
	}
	if err := move(earlier, o.dir, aside); err != nil {
		return err
	}
	if err := os.Rename(aside, replaced); err != nil {
		return err
	}
	if err := move(results, o.results(), o.dir); err != nil {
		return err
	}
	syncDir(o.dir)
	return os.Rename(replaced, filepath.Join(o.staging, oldDir))
}

// rollBack undoes what replace has done, unless it has come to its end.
func rollBack(dir, staging string) error {
	from := filepath.Join(staging, asideDir)
	if replaced := filepath.Join(staging, replacedDir); isDir(replaced) {
		from = replaced
		placed, err := resultsIn(dir, regionDir)
		if err != nil {
			return err
		}
		for _, r := range placed {
			if err := os.Remove(filepath.Join(dir, r)); err != nil {
				return err
			}
			removeRegionDir(dir, r)
		}
	}
	if !isDir(from) {
		return nil
	}
	earlier, err := resultsIn(from, anyDir)
	if err != nil {
		return err
	}
	return move(earlier, from, dir)
}

// move moves results from one directory to another. Directories of regions are
// made where they are missing, and removed where nothing is left in them.
func move(results []string, from, to string) error {
	for _, r := range results {
		if region := filepath.Dir(r); region != "." {
			if err := os.MkdirAll(filepath.Join(to, region), 0o755); err != nil {
				return err
			}
		}
		if err := os.Rename(filepath.Join(from, r), filepath.Join(to, r)); err != nil {
			return errors.Wrap(plain(err), r)
		}
		removeRegionDir(from, r)
	}
	return nil
}

// removeRegionDir removes the directory that a result was in, if it was one of a
// region and is empty now.
func removeRegionDir(dir, result string) {
	if region := filepath.Dir(result); region != "." {
		os.Remove(filepath.Join(dir, region))
	}
}

// syncDir makes sure that the names in a directory are on the disk, where systems
// can do that.
func syncDir(dir string) {
	if d, err := os.Open(dir); err == nil {
		_ = d.Sync()
		d.Close()
	}
}
