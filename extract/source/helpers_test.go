package source

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/awslabs/aws-lambda-container-image-converter/extract"
	"github.com/awslabs/aws-lambda-container-image-converter/types"
)

// silent is an extract.Progress that nobody watches.
type silent struct{}

func (silent) Start(string, int64) extract.Task { return silent{} }

func (silent) Add(int) {}

func (silent) Done(digest.Digest) {}

// convert converts what ref names to zips in dir, as the program does.
func convert(ctx context.Context, ref Reference, dir string) (result *types.Image, warnings []string, err error) {
	src, err := Open(ctx, ref, Options{Dir: dir})
	if err != nil {
		return nil, nil, err
	}
	defer src.Close()
	result, err = extract.Convert(ctx, src, ref.String(), extract.Options{
		Dir:      dir,
		Progress: silent{},
		Warn:     func(s string) { warnings = append(warnings, s) },
	})
	return result, warnings, err
}

// zipsOf converts an image and returns the zips by name. It is an error, too, if
// anything else stays behind.
func zipsOf(ctx context.Context, dir string, open func(dir string) (extract.Source, error)) (map[string]string, error) {
	out, err := os.MkdirTemp(dir, "out-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(out)
	src, err := open(out)
	if err == nil {
		_, err = extract.Convert(ctx, src, "test", extract.Options{Dir: out, Progress: silent{}, Warn: func(string) {}})
		src.Close()
	}
	files, problem := os.ReadDir(out)
	if problem != nil {
		return nil, problem
	}
	zips := make(map[string]string)
	for _, f := range files {
		if err != nil || filepath.Ext(f.Name()) != ".zip" {
			return nil, fmt.Errorf("%v; and %s was left behind", err, f.Name())
		}
		b, problem := os.ReadFile(filepath.Join(out, f.Name()))
		if problem != nil {
			return nil, problem
		}
		zips[f.Name()] = string(b)
	}
	return zips, err
}

// parsed is a reference that is known to be good.
func parsed(t testing.TB, s string) Reference {
	t.Helper()
	ref, err := ParseReference(s)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}
