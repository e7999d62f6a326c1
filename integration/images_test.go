package integration

import (
	"flag"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/imagetest"
)

// image returns the image that a script calls by this name.
func (r *rig) image(ts *testscript.TestScript, name string) imagetest.Content {
	img, ok := r.images[name]
	if !ok {
		ts.Fatalf("there is no image %s but %v", name, slices.Sorted(maps.Keys(r.images)))
	}
	return img
}

func (r *rig) add(ts *testscript.TestScript, name string, content imagetest.Content) {
	r.images[name] = content
	digest, err := content.Digest()
	ts.Check(err)
	ts.Setenv(name+"_digest", digest.String())
	ts.Setenv(name+"_digest_hex", digest.Hex)
	if img, ok := content.(v1.Image); ok {
		id, err := img.ConfigName()
		ts.Check(err)
		ts.Setenv(name+"_id", id.String())
		ts.Setenv(name+"_id_hex", id.Hex)
	}
}

func (r *rig) mkimage(ts *testscript.TestScript, args []string) {
	var f flag.FlagSet
	platform := f.String("platform", "linux/amd64", "")
	compression := f.String("compression", "none", "")
	oci := f.Bool("oci", false, "")
	damaged := f.Int("damaged", 0, "")
	args = parse(ts, &f, args, 2, many)

	parts := append(strings.Split(*platform, "/"), "")
	o := imagetest.Options{OS: parts[0], Architecture: parts[1], Variant: parts[2], OCI: *oci}
	kinds := []imagetest.Compression{imagetest.None, imagetest.Gzip, imagetest.Zstd}
	i := slices.IndexFunc(kinds, func(c imagetest.Compression) bool { return c.String() == *compression })
	if i < 0 {
		ts.Fatalf("there is no compression %q", *compression)
	}
	text := layerLines(args[1:])
	if len(args) == 2 && !strings.Contains(args[1], " ") {
		text = ts.ReadFile(args[1])
	}
	all, err := parseLayers(text)
	ts.Check(err)
	var layers []v1.Layer
	for n, entries := range all {
		l := imagetest.Layer(imagetest.Tar(entries...), kinds[i], *oci)
		if n+1 == *damaged {
			other := imagetest.Layer(imagetest.Tar(append(entries, imagetest.File("opt/another", "one"))...), kinds[i], *oci)
			l = imagetest.SwapContent(l, other)
		}
		layers = append(layers, l)
	}
	r.add(ts, args[0], imagetest.ImageOf(o, layers...))
}

func (r *rig) mkindex(ts *testscript.TestScript, args []string) {
	var f flag.FlagSet
	attest := f.Bool("attest", false, "")
	args = parse(ts, &f, args, 2, many)
	var images []v1.Image
	for _, name := range args[1:] {
		images = append(images, r.image(ts, name).(v1.Image))
	}
	if *attest {
		r.add(ts, args[0], imagetest.IndexWithAttestations(images...))
	} else {
		r.add(ts, args[0], imagetest.Index(images...))
	}
}

// refs reads [NAME=]IMAGE...
func (r *rig) refs(ts *testscript.TestScript, args []string) (refs []imagetest.Ref) {
	for _, a := range args {
		name, image, ok := strings.Cut(a, "=")
		if !ok {
			name, image = "", a
		}
		refs = append(refs, imagetest.Ref{Name: name, Content: r.image(ts, image)})
	}
	return refs
}

// format finds one of the formats of engines.
func format(ts *testscript.TestScript, name string) imagetest.Format {
	i := slices.IndexFunc(imagetest.Formats, func(f imagetest.Format) bool { return f.String() == name })
	if i < 0 {
		ts.Fatalf("there is no format %q but %v", name, imagetest.Formats)
	}
	return imagetest.Formats[i]
}

func (r *rig) write(ts *testscript.TestScript, args []string) {
	args = parse(ts, new(flag.FlagSet), args, 3, many)
	file, refs := ts.MkAbs(args[1]), r.refs(ts, args[2:])
	switch args[0] {
	case "oci":
		for _, ref := range refs {
			ts.Check(imagetest.WriteOCILayout(file, ref.Name, ref.Content))
		}
	case "oci-archive":
		if len(refs) > 1 {
			ts.Fatalf("one image at a time")
		}
		ts.Check(imagetest.WriteOCIArchive(file, refs[0].Name, refs[0].Content))
	default:
		ts.Check(imagetest.WriteDockerArchive(file, format(ts, args[0]), refs...))
	}
}

func (r *rig) cut(ts *testscript.TestScript, args []string) {
	args = parse(ts, new(flag.FlagSet), args, 2, 2)
	n, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	file := ts.MkAbs(args[0])
	info, err := os.Stat(file)
	ts.Check(err)
	ts.Check(os.Truncate(file, info.Size()-n))
}

func (r *rig) flip(ts *testscript.TestScript, args []string) {
	args = parse(ts, new(flag.FlagSet), args, 2, 2)
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	file := ts.MkAbs(args[0])
	b, err := os.ReadFile(file)
	ts.Check(err)
	b[n] ^= 0xff
	ts.Check(os.WriteFile(file, b, 0o644))
}

// newImage makes an image as mkimage does of layers without flags.
func newImage(t *testing.T, layers ...string) v1.Image {
	t.Helper()
	all, err := parseLayers(layerLines(layers))
	if err != nil {
		t.Fatal(err)
	}
	var tars [][]byte
	for _, entries := range all {
		tars = append(tars, imagetest.Tar(entries...))
	}
	return imagetest.Image(imagetest.Options{}, tars...)
}

// writeLayout makes an image and writes an OCI layout of it.
func writeLayout(t *testing.T, dir string, layers ...string) {
	t.Helper()
	if err := imagetest.WriteOCILayout(dir, "", newImage(t, layers...)); err != nil {
		t.Fatal(err)
	}
}
