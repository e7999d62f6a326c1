package integration

import (
	"archive/zip"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/opencontainers/image-spec/identity"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/awslabs/aws-lambda-container-image-converter/types"
)

func (r *rig) exits(ts *testscript.TestScript, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	got := 0
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

func (r *rig) holds(ts *testscript.TestScript, args []string) {
	files, err := os.ReadDir(ts.MkAbs(args[0]))
	ts.Check(err)
	got := []string{}
	for _, f := range files {
		got = append(got, f.Name())
	}
	want := append([]string{}, args[1:]...)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		ts.Fatalf("%s holds (+), not (-):\n%s", args[0], diff)
	}
}

func (r *rig) same(ts *testscript.TestScript, args []string) {
	args = parse(ts, new(flag.FlagSet), args, 2, many)
	zips := func(dir string) map[string]string {
		names, err := filepath.Glob(filepath.Join(ts.MkAbs(dir), "*.zip"))
		ts.Check(err)
		if len(names) == 0 {
			ts.Fatalf("%s has no zips", dir)
		}
		contents := map[string]string{}
		for _, name := range names {
			contents[filepath.Base(name)] = ts.ReadFile(name)
		}
		return contents
	}
	first := zips(args[0])
	for _, dir := range args[1:] {
		other := zips(dir)
		if a, b := slices.Sorted(maps.Keys(first)), slices.Sorted(maps.Keys(other)); !slices.Equal(a, b) {
			ts.Fatalf("%s has %v, %s has %v", args[0], a, dir, b)
		}
		for name := range first {
			if first[name] != other[name] {
				ts.Fatalf("%s is not the same in %s and %s", name, args[0], dir)
			}
		}
	}
}

func (r *rig) tree(ts *testscript.TestScript, args []string) {
	args = parse(ts, new(flag.FlagSet), args, 1, many)
	tree := map[string]string{}
	for _, name := range args {
		z, err := zip.OpenReader(ts.MkAbs(name))
		ts.Check(err)
		defer z.Close()
		for _, f := range z.File {
			content, err := f.Open()
			ts.Check(err)
			b, err := io.ReadAll(content)
			ts.Check(err)
			line := f.Mode().String() + " " + f.Name
			switch {
			case f.Mode().IsDir():
			case !f.Mode().IsRegular():
				line += " -> " + string(b)
			case len(b) < 60:
				line += " " + strconv.Quote(string(b))
			default:
				line += fmt.Sprintf(" %d bytes", len(b))
			}
			tree[f.Name] = line
		}
	}
	for _, name := range slices.Sorted(maps.Keys(tree)) {
		fmt.Fprintln(ts.Stdout(), tree[name])
	}
}

func (r *rig) report(ts *testscript.TestScript, args []string) {
	image, err := readReport(ts.MkAbs(args[0]))
	ts.Check(err)
	names := make(map[string]bool)
	for i, l := range image.Layers {
		if names[l.Name] {
			ts.Fatalf("two layers are named %s", l.Name)
		}
		names[l.Name] = true
		if len(l.Regions) > 0 && (r.cloud == nil || !r.cloud.has(l)) {
			ts.Fatalf("Lambda does not have %v with SHA-256 %s", l.Regions, l.CodeSha256)
		}
		sum, err := base64.StdEncoding.DecodeString(l.CodeSha256)
		ts.Check(err)
		ts.Setenv(fmt.Sprint("NAME", i+1), l.Name)
		arn := ""
		if regions := slices.Sorted(maps.Keys(l.Regions)); len(regions) > 0 {
			arn = l.Regions[regions[0]].ARN
		}
		ts.Setenv(fmt.Sprint("ARN", i+1), arn)
		ts.Setenv(fmt.Sprint("SUM", i+1), l.CodeSha256)
		ts.Setenv(fmt.Sprint("HEX", i+1), hex.EncodeToString(sum))
	}
}

func (r *rig) provenance(ts *testscript.TestScript, args []string) {
	config, err := r.image(ts, args[0]).(v1.Image).ConfigFile()
	ts.Check(err)
	var want, got []string
	for _, d := range config.RootFS.DiffIDs {
		want = append(want, d.String())
	}
	report, err := readReport(ts.MkAbs(args[1]))
	ts.Check(err)
	for _, l := range report.Layers {
		for _, d := range l.DiffIDs {
			got = append(got, d.String())
		}
		chain := identity.ChainID(slices.Clone(l.DiffIDs)) // it is made in place
		if name := args[2] + "-sha256-" + chain.Encoded(); l.Digest != chain || l.Name != name {
			ts.Fatalf("%s has digest %s and name %s, but what it holds gives %s and %s", l.File, l.Digest, l.Name, chain, name)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		ts.Fatalf("the image's layers (-) and the report's (+):\n%s", diff)
	}
}

func readReport(file string) (*types.Image, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var image types.Image
	if err := json.Unmarshal(content, &image); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return &image, nil
}
