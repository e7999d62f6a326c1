package extract

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/imagetest"
)

// thorough makes tests with many cases go through all of them, where by default
// they take some at random (-seed).
var thorough = os.Getenv("IMG2LAMBDA_TEST_LONG") != ""

// random is the source of a test's choices. Its seed is logged, and -seed sets
// it.
func random(t testing.TB, stream uint64) *rand.Rand {
	t.Logf("-seed %d", *seed)
	return rand.New(rand.NewPCG(*seed, stream))
}

// zipsOf converts an image and returns the zips by name.
func zipsOf(ctx context.Context, dir string, open func(work string) (source, error)) (map[string]string, error) {
	out, err := os.MkdirTemp(dir, "out-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(out)
	work := filepath.Join(out, "work")
	if err := os.Mkdir(work, 0o700); err != nil {
		return nil, err
	}
	src, err := open(work)
	if err == nil {
		defer src.close()
		_, err = convert(ctx, "test", src, work, Options{Dir: out, Progress: silent{}, Warn: func(string) {}})
	}
	files, problem := os.ReadDir(out)
	if problem != nil {
		return nil, problem
	}
	zips := make(map[string]string)
	for _, f := range files {
		if f.Name() == "work" {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%w; and %s was left behind", err, f.Name())
		}
		b, problem := os.ReadFile(filepath.Join(out, f.Name()))
		if problem != nil {
			return nil, problem
		}
		zips[f.Name()] = string(b)
	}
	return zips, err
}

// streamed is an image as an engine sends it, without the engine.
type streamed struct{ io.Reader }

func (s streamed) read(ctx context.Context, repack repackFunc) (*image, error) {
	return readExport(ctx, s.Reader, Platform{}, repack)
}

func (streamed) close() error { return nil }

// form is an image in one of the ways in which the program gets it.
type form struct {
	name    string
	content []byte // a tar
	// open opens what has become of content.
	open func(work string, content []byte) (source, error)
	// exact are the digests of the files in content of which every bit matters,
	// layers of those that are a layer.
	exact, layers []v1.Hash
}

// forms are two images in all forms: small, so that every byte can be damaged in
// turn.
func forms(t testing.TB) (all []form) {
	t.Helper()
	tars := [][]byte{
		imagetest.Tar(imagetest.Dir("opt/"), imagetest.File("opt/a", "some content"), imagetest.Hardlink("opt/b", "opt/a")),
		imagetest.Tar(imagetest.Whiteout("opt/b"), imagetest.Symlink("opt/c", "a"), imagetest.File("var/task/f", "a function")),
	}
	dir := memoryDir(t)
	file := func(name string, write func(file string) error) []byte {
		name = filepath.Join(dir, name)
		if err := write(name); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	archive := func(transport string) func(string, []byte) (source, error) {
		return func(work string, content []byte) (source, error) {
			name := filepath.Join(work, "archive")
			if err := os.WriteFile(name, content, 0o600); err != nil {
				return nil, err
			}
			r := Reference{transport: transport, rest: name, path: name}
			return r.open(context.Background(), work, Options{})
		}
	}
	stream := func(_ string, content []byte) (source, error) {
		return streamed{bytes.NewReader(content)}, nil
	}
	for _, c := range []imagetest.Compression{imagetest.None, imagetest.Gzip, imagetest.Zstd} {
		img := imagetest.Image(imagetest.Options{OCI: true, Compression: c}, tars...)
		manifest, config, layers, diffIDs := digests(t, img)
		exact := slices.Concat([]v1.Hash{manifest, config}, layers)
		all = append(all, form{
			"oci-archive " + c.String(),
			file(c.String()+".oci.tar", func(f string) error { return imagetest.WriteOCIArchive(f, "", img) }),
			archive(fromOCIArchive), exact, layers,
		})
		formats := []imagetest.Format{imagetest.DockerContainerd}
		if c == imagetest.None {
			formats = imagetest.Formats
		}
		for _, format := range formats {
			// Of a compressed layer, what is in it counts: gzip's own header
			// has a time in it.
			exact := append(slices.Clone(diffIDs), config)
			content := file(format.String(), func(f string) error {
				return imagetest.WriteDockerArchive(f, format, imagetest.Ref{Name: "app", Content: img})
			})
			name := format.String() + " " + c.String()
			all = append(all,
				form{"docker-archive " + name, content, archive(fromDockerArchive), exact, append(layers, diffIDs...)},
				form{"engine " + name, content, stream, exact, append(layers, diffIDs...)})
		}
	}
	return all
}

func digests(t testing.TB, img v1.Image) (manifest, config v1.Hash, layers, diffIDs []v1.Hash) {
	t.Helper()
	must := func(h v1.Hash, err error) v1.Hash {
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	all, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range all {
		layers = append(layers, must(l.Digest()))
		diffIDs = append(diffIDs, must(l.DiffID()))
	}
	return must(img.Digest()), must(img.ConfigName()), layers, diffIDs
}

// part is a member of a tar.
type part struct {
	name            string
	header          int // where its header begins
	start, end      int // of its content
	exact, ofALayer bool
}

// parts lists the members of the form's tar.
func (f form) parts(t testing.TB) (parts []part) {
	t.Helper()
	r := bytes.NewReader(f.content)
	end := 0
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if err == io.EOF {
			return parts
		} else if err != nil {
			t.Fatal(err)
		}
		p := part{name: h.Name, header: end, start: len(f.content) - r.Len()}
		p.end = p.start + int(h.Size)
		end = (p.end + 511) &^ 511
		sum, _, err := v1.SHA256(bytes.NewReader(f.content[p.start:p.end]))
		if err != nil {
			t.Fatal(err)
		}
		p.exact = h.Size > 0 && slices.Contains(f.exact, sum)
		p.ofALayer = h.Size > 0 && slices.Contains(f.layers, sum)
		parts = append(parts, p)
	}
}

// namesLayer matches an error that says which layer it is about: by digest, by
// place, or by what an engine calls it.
var namesLayer = regexp.MustCompile(`layer (sha256:)?[0-9a-f]{64}|layer blobs/sha256/[0-9a-f]{64}|layer [12] of 2|[0-9a-f]{64}/layer\.tar`)

// damage is a change to a form's content.
type damage struct {
	name    string
	content []byte
	refused bool // it has to be
	layer   bool // and the layer named
}

// check converts a damaged image. Either it is refused, or the damage is to
// what does not matter: the zips are those of the undamaged image.
func (f form) check(t *testing.T, dir string, want map[string]string, d damage) (refused bool) {
	t.Helper()
	got, err := zipsOf(t.Context(), dir, func(work string) (source, error) { return f.open(work, d.content) })
	switch {
	case err != nil && strings.Contains(err.Error(), "was left behind"),
		err != nil && d.layer && !namesLayer.MatchString(err.Error()):
		t.Errorf("%s: got error %v", d.name, err)
	case err == nil && d.refused:
		t.Errorf("%s: was not refused", d.name)
	case err == nil && !cmp.Equal(got, want):
		t.Errorf("%s: was not refused, and the zips are others", d.name)
	}
	return err != nil
}

// TestDamaged guards against any change on the way to the program that it does
// not notice: each byte is changed in turn (or some of them, see thorough), the
// end is cut off at each, each file is missing.
func TestDamaged(t *testing.T) {
	t.Parallel()
	for i, f := range forms(t) {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			rng, dir := random(t, uint64(i)), memoryDir(t)
			want, err := zipsOf(t.Context(), dir, func(work string) (source, error) { return f.open(work, f.content) })
			if err != nil || len(want) != 3 {
				t.Fatalf("undamaged: %d zips, error %v", len(want), err)
			}
			done, refused := 0, 0
			check := func(d damage) {
				done++
				if f.check(t, dir, want, d) {
					refused++
				}
			}
			parts := f.parts(t)
			at := func(n int) part {
				i, _ := slices.BinarySearchFunc(parts, n, func(p part, n int) int { return p.end - n - 1 })
				if i == len(parts) || n < parts[i].start {
					return part{}
				}
				return parts[i]
			}
			flip := func(n int, bits byte) {
				b := slices.Clone(f.content)
				b[n] ^= bits
				p := at(n)
				check(damage{fmt.Sprintf("byte %d changed by %#x (%s)", n, bits, p.name), b, p.exact, p.exact && p.ofALayer})
			}
			cut := func(n int) {
				check(damage{fmt.Sprintf("cut after byte %d", n), f.content[:n], false, false})
			}
			for n := 0; n < len(f.content); n += 512 {
				cut(n)
			}
			if thorough {
				for n := range f.content {
					flip(n, byte(1+rng.IntN(255)))
					cut(n)
				}
			} else {
				for range 30 {
					flip(rng.IntN(len(f.content)), byte(1+rng.IntN(255)))
					cut(rng.IntN(len(f.content)))
				}
				for _, p := range parts {
					for range min(8, p.end-p.start) {
						flip(p.start+rng.IntN(p.end-p.start), byte(1+rng.IntN(255)))
					}
				}
			}
			for i, p := range parts {
				next := len(f.content)
				if i+1 < len(parts) {
					next = parts[i+1].header
				}
				check(damage{p.name + " missing", slices.Delete(slices.Clone(f.content), p.header, next), p.exact, p.exact && p.ofALayer})
			}
			for _, p := range parts {
				if !p.exact { // the same size, so that only the content tells
					continue
				}
				b := slices.Clone(f.content)
				for i := range b[p.start:p.end] {
					b[p.start+i] = byte(rng.Uint32())
				}
				check(damage{p.name + " random", b, true, p.ofALayer})
			}
			check(damage{"garbage at the end", append(slices.Clone(f.content), "garbage"...), false, false})
			t.Logf("%d ways of damage, %d refused", done, refused)
		})
	}
}

// crafted is an OCI image layout of two layers in memory. Its documents say what
// a test wants, and fit each other only as far as that leaves them.
type crafted struct {
	config   func(*ispec.Image)
	manifest func(*ispec.Manifest)
	blobs    func(files inMemory)
}

// craftedLayers are the layers of a crafted image.
var craftedLayers = [][]byte{
	imagetest.Tar(imagetest.File("opt/a", "1")),
	imagetest.Tar(imagetest.File("opt/b", "2")),
}

func (c crafted) open() source {
	files := inMemory{}
	put := func(mediaType string, b []byte) ispec.Descriptor {
		d := digest.FromBytes(b)
		files["blobs/sha256/"+d.Encoded()] = b
		return ispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(b))}
	}
	marshal := func(v any) []byte {
		b, err := json.Marshal(v)
		if err != nil {
			panic(err) // these are plain structs
		}
		return b
	}
	config := ispec.Image{Platform: ispec.Platform{OS: "linux", Architecture: "amd64"}}
	config.RootFS.Type = "layers"
	manifest := ispec.Manifest{MediaType: ispec.MediaTypeImageManifest}
	manifest.SchemaVersion = 2
	for _, l := range craftedLayers {
		manifest.Layers = append(manifest.Layers, put(ispec.MediaTypeImageLayer, l))
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, digest.FromBytes(l))
	}
	if c.config != nil {
		c.config(&config)
	}
	manifest.Config = put(ispec.MediaTypeImageConfig, marshal(config))
	if c.manifest != nil {
		c.manifest(&manifest)
	}
	image := put(ispec.MediaTypeImageManifest, marshal(manifest))
	if c.blobs != nil {
		c.blobs(files)
	}
	return &manifestSource{store: &layout{files: files, image: image}}
}

// zips converts the image.
func (c crafted) zips(t testing.TB) (map[string]string, error) {
	t.Helper()
	return zipsOf(t.Context(), memoryDir(t), func(string) (source, error) { return c.open(), nil })
}

func blobFile(d digest.Digest) string { return "blobs/sha256/" + d.Encoded() }

// TestLies is what an image's documents say of each other and of the layers,
// and that is not so.
func TestLies(t *testing.T) {
	t.Parallel()
	if zips, err := (crafted{}).zips(t); err != nil || len(zips) != 2 {
		t.Fatalf("without a lie: %d zips, error %v", len(zips), err)
	}
	first, second := digest.FromBytes(craftedLayers[0]), digest.FromBytes(craftedLayers[1])
	other := imagetest.Tar(imagetest.File("opt/b", "3"))
	layer := func(change func(*ispec.Descriptor)) func(*ispec.Manifest) {
		return func(m *ispec.Manifest) { change(&m.Layers[1]) }
	}
	size := func(change func(int64) int64) func(*ispec.Descriptor) {
		return func(d *ispec.Descriptor) { d.Size = change(d.Size) }
	}
	// instead puts b in the place of the second layer, as a good manifest would.
	instead := func(mediaType string, b []byte) crafted {
		d := digest.FromBytes(b)
		return crafted{
			manifest: layer(func(l *ispec.Descriptor) {
				*l = ispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(b))}
			}),
			blobs: func(files inMemory) { files[blobFile(d)] = b },
		}
	}
	gzipped, zstded := gzipOf(t, craftedLayers[1]), zstdOf(t, craftedLayers[1])
	const gzipType, zstdType = ispec.MediaTypeImageLayerGzip, ispec.MediaTypeImageLayerZstd
	const damaged = ": the image is damaged$"
	for _, tt := range []struct {
		name string
		crafted
		want string // a regular expression
	}{
		{"config with a layer less", crafted{config: func(c *ispec.Image) { c.RootFS.DiffIDs = c.RootFS.DiffIDs[:1] }}, "has 2 layers and its config 1" + damaged},
		{"config with a layer more", crafted{config: func(c *ispec.Image) { c.RootFS.DiffIDs = append(c.RootFS.DiffIDs, first) }}, "has 2 layers and its config 3" + damaged},
		{"config without layers", crafted{config: func(c *ispec.Image) { c.RootFS.DiffIDs = nil }}, "has 2 layers and its config 0" + damaged},
		{"manifest with a layer less", crafted{manifest: func(m *ispec.Manifest) { m.Layers = m.Layers[:1] }}, "has 1 layers and its config 2" + damaged},
		{"manifest without layers", crafted{manifest: func(m *ispec.Manifest) { m.Layers = nil }}, "has 0 layers and its config 2" + damaged},
		{"layers in another order", crafted{manifest: func(m *ispec.Manifest) { slices.Reverse(m.Layers) }}, "^layer 1 of 2 should be " + first.String() + ".* is " + second.String() + damaged},
		{"one layer twice", crafted{manifest: func(m *ispec.Manifest) { m.Layers[1] = m.Layers[0] }}, "^layer 2 of 2 should be " + second.String()},
		{"another layer", instead(ispec.MediaTypeImageLayer, other), "^layer 2 of 2 should be " + second.String()},
		{"another layer, gzip", instead(gzipType, gzipOf(t, other)), "^layer 2 of 2 should be " + second.String()},
		{"another layer, zstd", instead(zstdType, zstdOf(t, other)), "^layer 2 of 2 should be " + second.String()},
		{"a DiffID that is none", crafted{config: func(c *ispec.Image) { c.RootFS.DiffIDs[1] = "sha256:x" }}, `^the image's config: DiffID "sha256:x"`},
		{"a DiffID with an algorithm that is none", crafted{config: func(c *ispec.Image) { c.RootFS.DiffIDs[1] = "md5:d41d8cd98f00b204e9800998ecf8427e" }}, `^the image's config: DiffID "md5:`},
		{"a layer's digest that is none", crafted{manifest: layer(func(d *ispec.Descriptor) { d.Digest = "sha256:../../../../etc/passwd" })}, `^layer `},

		{"layer's size one less", crafted{manifest: layer(size(func(n int64) int64 { return n - 1 }))}, "^layer " + second.String() + ": it should be 2047 bytes, not 2048" + damaged},
		{"layer's size one more", crafted{manifest: layer(size(func(n int64) int64 { return n + 1 }))}, "^layer " + second.String() + ": it should be 2049 bytes, not 2048" + damaged},
		{"layer's size zero", crafted{manifest: layer(size(func(int64) int64 { return 0 }))}, "^layer " + second.String() + ": it should be 0 bytes"},
		{"layer's size enormous", crafted{manifest: layer(size(func(int64) int64 { return 1<<63 - 1 }))}, "^layer " + second.String() + ": it should be 9223372036854775807 bytes"},
		{"config's size one less", crafted{manifest: func(m *ispec.Manifest) { m.Config.Size-- }}, "^the image's config: it should be "},
		{"config's size one more", crafted{manifest: func(m *ispec.Manifest) { m.Config.Size++ }}, "^the image's config: it should be "},

		{"garbage behind a layer", instead(ispec.MediaTypeImageLayer, append(slices.Clone(craftedLayers[1]), "garbage!"...)), "^layer 2 of 2 should be " + second.String()},
		{"garbage behind gzip", instead(gzipType, append(slices.Clone(gzipped), "garbage!"...)), "^layer sha256:[0-9a-f]{64}: .*(gzip|EOF)"},
		{"garbage behind zstd", instead(zstdType, append(slices.Clone(zstded), "garbage!"...)), "^layer sha256:[0-9a-f]{64}: .*magic number"},
		{"more gzip behind gzip", instead(gzipType, append(slices.Clone(gzipped), gzipped...)), "^layer 2 of 2 should be " + second.String()},
		{"more zstd behind zstd", instead(zstdType, append(slices.Clone(zstded), zstded...)), "^layer 2 of 2 should be " + second.String()},
		{"gzip cut short", instead(gzipType, gzipped[:len(gzipped)-1]), "^layer sha256:[0-9a-f]{64}: .*EOF"},
		{"zstd cut short", instead(zstdType, zstded[:len(zstded)-1]), "^layer sha256:[0-9a-f]{64}: .*EOF"},
		{"gzip in gzip", instead(gzipType, gzipOf(t, gzipped)), "^layer sha256:[0-9a-f]{64}: tar: "},
		{"no tar", instead(ispec.MediaTypeImageLayer, []byte(strings.Repeat("no tar", 1000))), "^layer sha256:[0-9a-f]{64}: tar: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, err := tt.zips(t); err == nil || !regexp.MustCompile(tt.want).MatchString(err.Error()) {
				t.Errorf("got error  %v\nwant error %s", err, tt.want)
			}
		})
	}
}

func zstdOf(t testing.TB, b []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll(b, nil)
}

// TestMediaTypes is what is read as a layer by what it says it is: something
// encrypted, or no layer at all, must not be taken for one, whatever is in it.
func TestMediaTypes(t *testing.T) {
	t.Parallel()
	want, err := (crafted{}).zips(t)
	if err != nil {
		t.Fatal(err)
	}
	for mediaType, good := range map[string]bool{
		"application/vnd.oci.image.layer.v1.tar":                            true,
		"application/vnd.oci.image.layer.nondistributable.v1.tar":           true,
		"application/vnd.docker.image.rootfs.foreign.diff.tar":              true,
		"application/vnd.oci.image.layer.v1.tar+encrypted":                  false,
		"application/vnd.oci.image.layer.v1.tar+gzip+encrypted":             false,
		"application/vnd.oci.image.layer.v1.tar+zstd+encrypted":             false,
		"application/vnd.docker.image.rootfs.diff.tar.gzip+encrypted":       false,
		"application/vnd.in-toto+json":                                      false,
		"application/vnd.oci.image.config.v1+json":                          false,
		"application/vnd.oci.image.manifest.v1+json":                        false,
		"application/vnd.cncf.helm.chart.content.v1.tar+gzip":               false,
		"application/vnd.dev.cosign.simplesigning.v1+json":                  false,
		"application/vnd.oci.image.layer.v2.tar":                            false,
		"text/plain":                                                        false,
		"application/vnd.oci.image.layer.v1.tar\x1b[2Jand\nmore \u202ehere": false,
	} {
		t.Run(mediaType, func(t *testing.T) {
			t.Parallel()
			got, err := crafted{manifest: func(m *ispec.Manifest) { m.Layers[1].MediaType = mediaType }}.zips(t)
			if good {
				if err != nil || !cmp.Equal(got, want) {
					t.Errorf("got error %v, or other zips", err)
				}
				return
			}
			named := fmt.Sprintf("layer %s: its media type is %q", digest.FromBytes(craftedLayers[1]), mediaType)
			if err == nil || !strings.HasPrefix(err.Error(), named) {
				t.Errorf("got error  %v\nwant error %s", err, named)
			}
		})
	}
}

// TestOversizedDocuments guards against documents that fill the memory, and
// against looking at the beginning of one only, and so not at its digest.
func TestOversizedDocuments(t *testing.T) {
	t.Parallel()
	spaces := bytes.Repeat([]byte(" "), maxDocument)
	for _, tt := range []struct {
		name    string
		crafted crafted
		want    string
	}{
		{"manifest", crafted{manifest: func(m *ispec.Manifest) {
			m.Annotations = map[string]string{"much": string(spaces)}
		}}, "over [0-9]+ bytes"},
		{"config", crafted{config: func(c *ispec.Image) { c.Author = string(spaces) }}, "the image's config"},
		// All that is behind the limit, and the digest, would go unseen.
		{"config that is another one", crafted{
			manifest: func(m *ispec.Manifest) { m.Config.Size += int64(len(spaces)) + 1 },
			blobs: func(files inMemory) {
				for name, b := range files {
					if bytes.Contains(b, []byte(`"diff_ids"`)) {
						files[name] = slices.Concat(b, spaces, []byte("x"))
					}
				}
			},
		}, "the image's config"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, err := tt.crafted.zips(t); err == nil || !regexp.MustCompile(tt.want).MatchString(err.Error()) {
				t.Errorf("got error %.300v, want %s", err, tt.want)
			}
		})
	}
}

// header is a tar header that archive/tar would not write. change may break all
// but the checksum.
func header(name string, typeflag byte, size int64, change func(b []byte)) []byte {
	b := make([]byte, 512)
	copy(b, name)
	copy(b[100:], "0000644\x000000000\x000000000\x00")
	number(b[124:136], size)
	copy(b[136:], "00000000000\x00")
	b[156] = typeflag
	copy(b[257:], "ustar  \x00") // GNU's
	if change != nil {
		change(b)
	}
	checksum(b)
	return b
}

// number writes n as GNU tar writes what is too long for octal digits.
func number(field []byte, n int64) {
	for i := range slices.Backward(field) {
		field[i] = byte(n)
		n >>= 8
	}
	field[0] |= 0x80
}

// checksum makes the checksum of a header right.
func checksum(b []byte) {
	copy(b[148:156], "        ")
	sum := 0
	for _, c := range b[:512] {
		sum += int(c)
	}
	copy(b[148:], fmt.Sprintf("%06o\x00 ", sum))
}

// sparse is the header of a file of size bytes in GNU's old format for files
// with holes, which is nothing but one hole.
func sparse(name string, size int64) []byte {
	return header(name, tar.TypeGNUSparse, 0, func(b []byte) {
		number(b[386:398], size) // one piece of no bytes, at the end
		number(b[398:410], 0)
		number(b[483:495], size)
	})
}

// paxSparse is the same in PAX's format 0.1.
func paxSparse(name string, size int64) []byte {
	return slices.Concat(pax(map[string]string{
		"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.size": fmt.Sprint(size), "GNU.sparse.numblocks": "1",
		"GNU.sparse.map": fmt.Sprintf("%d,0", size),
	}), header(name, tar.TypeReg, 0, func(b []byte) { copy(b[257:], "ustar\x0000") }))
}

// pax is an extended header with the records, whatever they are.
func pax(records map[string]string) []byte {
	var b bytes.Buffer
	for key, value := range records {
		record := " " + key + "=" + value + "\n"
		n := len(record)
		for n != len(strconv.Itoa(n))+len(record) {
			n = len(strconv.Itoa(n)) + len(record)
		}
		b.WriteString(strconv.Itoa(n) + record)
	}
	size := b.Len()
	b.Write(make([]byte, -size&511))
	return append(header("PaxHeaders/x", tar.TypeXHeader, int64(size), func(b []byte) { copy(b[257:], "ustar\x0000") }), b.Bytes()...)
}

// endOfTar is what a tar ends with.
var endOfTar = make([]byte, 1024)

// repackOne takes a layer through the first step, and tells how many bytes of it
// were read.
func repackOne(t testing.TB, ctx context.Context, layer io.Reader) (l *repacked, read int64, err error) {
	t.Helper()
	p := &repacker{dir: memoryDir(t), compressor: newCompressor()}
	defer p.close()
	r := &counter{r: layer}
	l, err = p.repack(ctx, r)
	return l, r.n, err
}

type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// zeros is as many of them as one asks for.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// zerosInZstd is a zstd stream (RFC 8878) of head and then n blocks of 128 KiB of
// zeros, 4 bytes each: 100 GB in 3 MB.
func zerosInZstd(head []byte, n int) io.Reader {
	const raw, rle = 0, 1
	block := func(last, kind, size int) []byte {
		h := last | kind<<1 | size<<3
		return []byte{byte(h), byte(h >> 8), byte(h >> 16)}
	}
	b := []byte{0x28, 0xb5, 0x2f, 0xfd, 0, 0x58} // a window of 2 MiB, no sums
	b = append(append(b, block(0, raw, len(head))...), head...)
	zeros := append(block(0, rle, 128<<10), 0)
	return io.MultiReader(bytes.NewReader(b), io.LimitReader(&repeated{unit: zeros}, int64(n*len(zeros))), bytes.NewReader(block(1, raw, 0)))
}

// repeated is a unit of bytes again and again.
type repeated struct {
	unit []byte
	at   int
}

func (r *repeated) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = r.unit[r.at]
		if r.at++; r.at == len(r.unit) {
			r.at = 0
		}
	}
	return len(p), nil
}

// TestHugeFile guards against files that are small in the image and fill the
// disk, or take for ever, when they are unpacked: what is over all that Lambda
// takes is refused by what its header says. What is not for Lambda may be as
// large as it likes, and holes cost nothing.
func TestHugeFile(t *testing.T) {
	t.Parallel()
	const huge = 100 << 30
	const refused = `^"opt/huge": with it the layer has more than 1000 MB below /opt and /var/task; Lambda takes 250 MB`
	for _, tt := range []struct {
		name  string
		layer func() io.Reader
		most  int64  // bytes to be read
		want  string // a regular expression; empty: no error
	}{
		{"zeros", func() io.Reader {
			return io.MultiReader(bytes.NewReader(header("opt/huge", tar.TypeReg, huge, nil)), zeros{})
		}, 4 << 20, refused},
		{"zeros in zstd", func() io.Reader { return zerosInZstd(header("opt/huge", tar.TypeReg, huge, nil), huge/(128<<10)) }, 4 << 20, refused},
		{"sparse", func() io.Reader { return bytes.NewReader(append(sparse("opt/huge", huge), endOfTar...)) }, 1536, refused},
		{"sparse in PAX", func() io.Reader { return bytes.NewReader(append(paxSparse("opt/huge", huge), endOfTar...)) }, 4096, refused},
		{"in the function", func() io.Reader { return bytes.NewReader(append(sparse("var/task/huge", huge), endOfTar...)) }, 1536, "^\"var/task/huge\": with it"},
		{"several that are not too large each", func() io.Reader {
			return bytes.NewReader(slices.Concat(sparse("opt/large", 8<<20), sparse("opt/huge", maxContent-4<<20)))
		}, 1024, refused},
		{"size over 63 bits", func() io.Reader {
			return bytes.NewReader(append(header("opt/huge", tar.TypeReg, 0, func(b []byte) { copy(b[124:], "\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff") }), endOfTar...))
		}, 1536, "^tar: "},
		{"negative size", func() io.Reader {
			return bytes.NewReader(append(header("opt/huge", tar.TypeReg, 0, func(b []byte) { copy(b[124:], "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00") }), endOfTar...))
		}, 1536, "^tar: "},
		{"size that the layer does not have", func() io.Reader {
			return bytes.NewReader(append(header("opt/huge", tar.TypeReg, 1<<20, nil), endOfTar...))
		}, 1536, "unexpected EOF"},
		{"outside, sparse", func() io.Reader { return bytes.NewReader(append(sparse("usr/huge", huge), endOfTar...)) }, 1536, ""},
		{"a window of 1 GB for zstd", func() io.Reader {
			return bytes.NewReader([]byte{0x28, 0xb5, 0x2f, 0xfd, 0, 0xa0, 1, 0, 0})
		}, 1536, "window"},
		{"content of 100 GB in one piece for zstd", func() io.Reader {
			return bytes.NewReader([]byte{0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0, 0, 25, 0, 0, 0, 1, 0, 0})
		}, 1536, "exceeds"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, n, err := repackOne(t, t.Context(), tt.layer())
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("got error %v", err)
			case tt.want != "" && (err == nil || !regexp.MustCompile(tt.want).MatchString(err.Error())):
				t.Errorf("got error  %v\nwant error %s", err, tt.want)
			}
			if n > tt.most {
				t.Errorf("%d bytes were read, want %d at most", n, tt.most)
			}
		})
	}
}

// generated is a tar of so many pieces, made while they are read.
func generated(n int, piece func(i int) []byte) io.Reader {
	r := &generator{n: n, piece: piece}
	return r
}

type generator struct {
	piece func(i int) []byte
	i, n  int
	rest  []byte
}

func (g *generator) Read(p []byte) (int, error) {
	if len(g.rest) == 0 {
		if g.i > g.n {
			return 0, io.EOF
		}
		if g.rest = endOfTar; g.i < g.n {
			g.rest = g.piece(g.i)
		}
		g.i++
	}
	n := copy(p, g.rest)
	g.rest = g.rest[n:]
	return n, nil
}

// generatedLayers is an image of layers that are made while they are read.
type generatedLayers []func() io.Reader

func (g generatedLayers) read(ctx context.Context, repack repackFunc) (*image, error) {
	img := &image{config: ispec.Image{Platform: ispec.Platform{OS: "linux", Architecture: "amd64"}}}
	for i, layer := range g {
		l, err := repack(ctx, fmt.Sprint("layer ", i), -1, layer())
		if err != nil {
			return nil, err
		}
		img.layers = append(img.layers, l)
		img.config.RootFS.DiffIDs = append(img.config.RootFS.DiffIDs, l.diffID)
	}
	return img, nil
}

func (generatedLayers) close() error { return nil }

// convertOnly converts what src has, for nothing but the error.
func convertOnly(t testing.TB, ctx context.Context, src source) error {
	t.Helper()
	dir := memoryDir(t)
	work := filepath.Join(dir, "work")
	if err := os.Mkdir(work, 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := convert(ctx, "test", src, work, Options{Dir: dir, Progress: silent{}, Warn: func(string) {}})
	if err != nil {
		checkEmpty(t, dir)
	}
	return err
}

// peak calls f and returns the most memory on the heap that there was meanwhile,
// over what was there before, in bytes.
func peak(f func()) int64 {
	var before, m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	most := before.HeapAlloc
	done, ticker := make(chan struct{}), time.NewTicker(5*time.Millisecond)
	defer ticker.Stop()
	go func() {
		defer close(done)
		f()
	}()
	for {
		select {
		case <-ticker.C:
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapAlloc)
		case <-done:
			return int64(most - before.HeapAlloc)
		}
	}
}

// TestManyEntries guards against an index of the entries that outgrows the
// machine. It is not parallel, as it looks at all of the memory.
func TestManyEntries(t *testing.T) {
	n := 50_000
	if thorough {
		n = 1_000_000
	}
	var err error
	layer := func() io.Reader {
		return generated(n, func(i int) []byte { return header(fmt.Sprintf("opt/%d/file-%d", i%1000, i), tar.TypeReg, 0, nil) })
	}
	used := peak(func() { err = convertOnly(t, t.Context(), generatedLayers{layer}) })
	if err != nil {
		t.Fatal(err)
	}
	// Buffers, and what archive/zip and ours keep of an entry.
	if most := int64(100<<20 + n*2500); used > most {
		t.Errorf("%d entries took %d MB, want %d at most", n, used>>20, most>>20)
	}
	t.Logf("%d entries: %d MB", n, used>>20)
}

// TestTooManyEntries guards against memory without bounds where no layer is too
// large by itself.
func TestTooManyEntries(t *testing.T) {
	if !thorough {
		t.Skip("4,000,000 entries: IMG2LAMBDA_TEST_LONG=1")
	}
	read := 0
	var layers generatedLayers
	for l := range 8 {
		layers = append(layers, func() io.Reader {
			return generated(1_000_000, func(i int) []byte {
				read++
				return header(fmt.Sprintf("opt/%d/%d/%d", l, i%1000, i), tar.TypeReg, 0, nil)
			})
		})
	}
	err := convertOnly(t, t.Context(), layers)
	if err == nil || !strings.Contains(err.Error(), "more than 3000000 paths") {
		t.Errorf("got error %v", err)
	}
	if read > maxPaths+100_000 {
		t.Errorf("%d entries were read, want %d at most", read, maxPaths)
	}
}

// TestLongLinks guards against targets of links that fill the memory: a tar has
// room for a megabyte in each, Linux for 4095 bytes. It is not parallel, as it
// looks at all of the memory.
func TestLongLinks(t *testing.T) {
	target := strings.Repeat("a/", 400_000)
	for kind, typeflag := range map[string]byte{"hard": tar.TypeLink, "symbolic": tar.TypeSymlink} {
		t.Run(kind, func(t *testing.T) {
			unit := slices.Concat(pax(map[string]string{"linkpath": target}), header("opt/link", typeflag, 0, nil))
			var read int64
			var err error
			used := peak(func() { _, read, err = repackOne(t, t.Context(), generated(200, func(int) []byte { return unit })) })
			if err == nil || !strings.Contains(err.Error(), "4095") {
				t.Errorf("got error %v", err)
			}
			if read > 4<<20 {
				t.Errorf("%d bytes were read, and took %d MB", read, used>>20)
			}
		})
	}
}

// TestLongPaths is likewise for names, which together are the memory that an
// index takes.
func TestLongPaths(t *testing.T) {
	if !thorough {
		t.Skip("2 GB of paths: IMG2LAMBDA_TEST_LONG=1")
	}
	name := "opt/" + strings.Repeat(strings.Repeat("n", 250)+"/", 16)
	var err error
	used := peak(func() {
		_, _, err = repackOne(t, t.Context(), generated(500_000, func(i int) []byte {
			return slices.Concat(pax(map[string]string{"path": fmt.Sprint(name, i)}), header("x", tar.TypeReg, 0, nil))
		}))
	})
	if err == nil || used > 1<<30 {
		t.Errorf("%d MB were taken, error %v", used>>20, err)
	}
}

// soon fails if f takes longer than what is no more than a moment for what it
// does could ever take, however slow the machine is.
func soon(t *testing.T, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("it goes on and on")
	}
}

// TestManyLinks guards against hard links that take for ever to resolve, each in
// a few bytes of a compressed tar.
func TestManyLinks(t *testing.T) {
	t.Parallel()
	file := func(name string) []byte { return header(name, tar.TypeReg, 0, nil) }
	link := func(name, target string) []byte {
		return header(name, tar.TypeLink, 0, func(b []byte) { copy(b[157:], target) })
	}
	n := 10_000
	if thorough {
		n = 1_000_000 // with which only what is linear has an end
	}
	for _, tt := range []struct {
		name  string
		layer func(i int) []byte
		want  string
	}{
		{"many to a path that is there many times", func(i int) []byte {
			if i%2 == 0 {
				return file("opt/a")
			}
			return link(fmt.Sprint("opt/", i), "opt/a")
		}, ""},
		{"many before a path that is there many times", func(i int) []byte {
			if i > n/2 {
				return file("opt/a")
			}
			return link(fmt.Sprint("opt/", i), "opt/a")
		}, ""},
		{"each to the one before", func(i int) []byte {
			if i == 0 {
				return file("opt/0")
			}
			return link(fmt.Sprint("opt/", i), fmt.Sprint("opt/", i-1))
		}, ""},
		{"each to the one behind", func(i int) []byte {
			return link(fmt.Sprint("opt/", i), fmt.Sprint("opt/", i+1))
		}, "no file in the image"},
		{"in a circle", func(i int) []byte {
			return link(fmt.Sprint("opt/", i), fmt.Sprint("opt/", (i+1)%n))
		}, "no file in the image"},
		{"in a circle outside", func(i int) []byte {
			if i == 0 {
				return link("opt/a", "usr/0")
			}
			return link(fmt.Sprint("usr/", i-1), fmt.Sprint("usr/", i%(n-1)))
		}, "no file in the image"},
		{"to outside, where all lead on", func(i int) []byte {
			if i%2 == 0 {
				return link(fmt.Sprint("opt/", i), "usr/a")
			}
			return link("usr/a", fmt.Sprint("usr/", i))
		}, "no file in the image"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			soon(t, func() {
				err := convertOnly(t, t.Context(), generatedLayers{func() io.Reader { return generated(n, tt.layer) }})
				if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
					t.Errorf("got error %v", err)
				}
			})
		})
	}
}

// TestLinkBomb guards against hard links that make of one file more than any disk
// has: each becomes a copy.
func TestLinkBomb(t *testing.T) {
	t.Parallel()
	const size, most = 16 << 20, maxContent / (16 << 20)
	links := func(n int, dir, target string) (layer []byte) {
		for i := range n {
			layer = append(layer, header(fmt.Sprint(dir, i), tar.TypeLink, 0, func(b []byte) { copy(b[157:], target) })...)
		}
		return append(layer, endOfTar...)
	}
	file := func(name string) []byte { return append(sparse(name, size), endOfTar...) }
	many := memory{file("opt/a")}
	for i := range 20 {
		many = append(many, links(most, fmt.Sprintf("opt/%d/", i), "opt/a"))
	}
	for name, layers := range map[string]memory{
		"in one layer":    {slices.Concat(sparse("opt/a", size), links(most, "opt/", "opt/a"))},
		"in the next":     {file("opt/a"), links(most+1, "opt/", "opt/a")},
		"from outside":    {file("usr/a"), links(most+1, "opt/", "usr/a")},
		"in the function": {file("opt/a"), links(most+1, "var/task/", "opt/a")},
		"in many layers":  many, // in none of them too much
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := convertOnly(t, t.Context(), layers); err == nil || !strings.Contains(err.Error(), "more than") {
				t.Errorf("got error %v", err)
			}
		})
	}
}

// TestHostileNames guards against names and targets that lead out of the
// directory into which somebody unzips, and against any that are followed here.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	gnuLong := func(name string, typeflag byte) []byte { // a name in an entry of its own
		body := append([]byte(name), make([]byte, -len(name)&511)...)
		return append(header("././@LongLink", typeflag, int64(len(name)), nil), body...)
	}
	file := func(name string) []byte { return header(name, tar.TypeReg, 0, nil) }
	for _, tt := range []struct {
		name  string
		layer []byte
		want  string // the names in the zip, or the error
	}{
		{"climbing", slices.Concat(file("opt/../../etc/x"), file("opt/../../opt/a"), file("../../../opt/b"), file("opt/d/../../../../c"), file("opt/..")), "a b"},
		{"absolute", slices.Concat(file("/opt/a"), file("//opt//b"), file("/etc/passwd"), file("/")), "a b"},
		{"dots", slices.Concat(file("opt/."), file("opt/./a"), file("opt/.../b"), file("opt/..c"), file("opt/d../e")), "a .../b ..c d../e"},
		{"drives and backslashes", slices.Concat(file(`opt/C:\x`), file(`opt/..\..\x`), file(`C:/opt/a`), file("opt/c:")), `C:\x ..\..\x c:`},
		{"control characters", slices.Concat(file("opt/a\nb"), file("opt/\x1b[2J"), file("opt/\r"), file("opt/\xff\xfe"), file("opt/\u202e")), "a\nb \x1b[2J \r \xff\xfe \u202e"},
		{"NUL in a header", slices.Concat(file("opt/a\x00/../../etc/x")), "a"},
		{"NUL in GNU's long name", slices.Concat(gnuLong("opt/a\x00/../../etc/x", tar.TypeGNULongName), file("x")), "a"},
		{"NUL in PAX's path", slices.Concat(pax(map[string]string{"path": "opt/a\x00b"}), file("x")), "tar: "},
		{"NUL in PAX's link", slices.Concat(pax(map[string]string{"linkpath": "a\x00b"}), header("opt/a", tar.TypeSymlink, 0, nil)), "tar: "},
		{"climbing in PAX", slices.Concat(pax(map[string]string{"path": "opt/../../../opt/../etc/x"}), file("opt/a"), file("opt/b")), "b"},
		{"PAX for all the others", slices.Concat(header("g", tar.TypeXGlobalHeader, 0, nil), file("opt/a")), "a"},
		{"empty", slices.Concat(file(""), file("opt/a")), "a"},
		{"links that climb", slices.Concat(
			header("opt/a", tar.TypeSymlink, 0, func(b []byte) { copy(b[157:], "../../../../etc/passwd") }),
			header("opt/b", tar.TypeSymlink, 0, func(b []byte) { copy(b[157:], "/etc/passwd") }),
			file("opt/a/c"), file("opt/b/c")), "a/c b/c"},
		{"hard link that climbs to what the machine has", slices.Concat(
			header("opt/a", tar.TypeLink, 0, func(b []byte) { copy(b[157:], "../../../../../../../../../../etc/passwd") })), "is a hard link to"},
		{"duplicates", slices.Concat(file("opt/a"), file("./opt/a"), file("opt//a"), file("opt/x/../a"), file("/opt/a")), "a"},
		{"names that differ in case", slices.Concat(file("opt/a"), file("opt/A"), file("OPT/a"), file("opt/\u00e9"), file("opt/e\u0301")), "a A \u00e9 e\u0301"},
		{"as deep as can be", slices.Concat(pax(map[string]string{"path": "opt" + strings.Repeat("/d", maxDepth-1)}), file("x")), strings.Repeat("d/", maxDepth-2) + "d"},
		{"deeper", slices.Concat(pax(map[string]string{"path": "opt" + strings.Repeat("/d", maxDepth)}), file("x")), "directories deep"},
		{"as long as can be", slices.Concat(pax(map[string]string{"path": "opt/" + strings.Repeat("n", maxPath-4)}), file("x")), strings.Repeat("n", maxPath-4)},
		{"longer", slices.Concat(pax(map[string]string{"path": "opt/" + strings.Repeat("n", maxPath-3)}), file("x")), "4096 bytes"},
		{"records of megabytes", slices.Concat(pax(map[string]string{"comment": strings.Repeat("x", 2<<20)}), file("opt/a")), "tar: "},
		{"a hundred thousand records", slices.Concat(pax(records(100_000)), file("opt/a")), "tar: "},
		{"records that are none", slices.Concat(header("x", tar.TypeXHeader, 512, nil), bytes.Repeat([]byte("9"), 512), file("opt/a")), "tar: "},
		{"a long name for a long name", slices.Concat(bytes.Repeat(gnuLong("opt/x", tar.TypeGNULongName), 1000), file("opt/a")), "x"},
		{"a type that is none", slices.Concat(header("opt/a", 0xff, 0, nil)), "a"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			zips, err := zipsOf(t.Context(), memoryDir(t), func(string) (source, error) {
				return memory{append(slices.Clone(tt.layer), endOfTar...)}, nil
			})
			if err != nil {
				if !strings.Contains(err.Error(), tt.want) || strings.ContainsFunc(err.Error(), unicode.IsControl) {
					t.Errorf("got error  %q\nwant error %q", err, tt.want)
				}
				return
			}
			names := checkZip(t, zips["layer-1.zip"])
			if got := strings.Join(names, " "); got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

// records are so many for a PAX header.
func records(n int) map[string]string {
	r := make(map[string]string)
	for i := range n {
		r[fmt.Sprint("comment.", i)] = "x"
	}
	return r
}

// checkZip fails unless a zip is one that every program can read and that is
// safe to unzip, and returns the names of what is in it.
func checkZip(t testing.TB, content string) (names []string) {
	t.Helper()
	z, err := zip.NewReader(strings.NewReader(content), int64(len(content)))
	if err != nil {
		t.Fatalf("not a zip: %v", err)
	}
	seen := make(map[string]bool)
	for _, f := range z.File {
		name := strings.TrimSuffix(f.Name, "/")
		if !safe(name) || seen[name] || len(f.Name) > maxPath+1 {
			t.Errorf("%.300q: not a name to unzip, or twice", f.Name)
		}
		seen[name] = true
		names = append(names, f.Name)
		mode := f.Mode()
		want := fs.FileMode(0o444)
		switch mode.Type() {
		case 0:
		case fs.ModeDir:
			want = 0o555
		case fs.ModeSymlink:
			want = 0o777
		default:
			t.Errorf("%.300q has mode %v", f.Name, mode)
		}
		if mode&want != want || mode&(fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky) != 0 || mode.IsDir() != strings.HasSuffix(f.Name, "/") {
			t.Errorf("%.300q has mode %v", f.Name, mode)
		}
		r, err := f.Open()
		if err != nil {
			t.Errorf("%.300q: %v", f.Name, err)
			continue
		}
		if n, err := io.Copy(io.Discard, r); err != nil || uint64(n) != f.UncompressedSize64 { // the CRC too
			t.Errorf("%.300q: %d bytes of %d, error %v", f.Name, n, f.UncompressedSize64, err)
		}
		modTime(t, f)
	}
	return names
}

// safe reports whether a path stays below the directory that it is unzipped to.
func safe(name string) bool {
	if strings.ContainsRune(name, 0) {
		return false
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || part == "." || part == ".." {
			return false
		}
	}
	return true
}

// endless gives zeros until it notices that nobody wants to stop.
type endless struct {
	after  int64 // bytes, and then cancel is called
	cancel func()
	n      int64
}

func (e *endless) Read(p []byte) (int, error) {
	clear(p)
	e.n += int64(len(p))
	if e.n > e.after {
		e.cancel()
	}
	if e.n > e.after+(256<<20) {
		return 0, errors.New("it goes on and on")
	}
	return len(p), nil
}

// TestInterruptedWhileSkipping guards against a Ctrl-C that waits for the end of
// what is read and not used, gigabytes of it perhaps.
func TestInterruptedWhileSkipping(t *testing.T) {
	t.Parallel()
	const huge = 1 << 40
	for name, head := range map[string][]byte{
		"a file outside":        header("usr/huge", tar.TypeReg, huge, nil),
		"behind the tar":        slices.Concat(header("opt/a", tar.TypeReg, 0, nil), endOfTar),
		"behind an empty tar":   endOfTar,
		"a file for Lambda":     header("opt/a", tar.TypeReg, maxContent, nil),
		"a type without a name": header("usr/huge", 'Z', huge, nil),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			_, _, err := repackOne(t, ctx, io.MultiReader(bytes.NewReader(head), &endless{after: 3 << 20, cancel: cancel}))
			if !errors.Is(err, context.Canceled) {
				t.Errorf("got error %v", err)
			}
		})
	}
}

// TestInterruptedWhileUnpacking is likewise for an archive that is compressed as
// a whole, and first written to disk.
func TestInterruptedWhileUnpacking(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{fromDockerArchive, fromOCIArchive} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			name := filepath.Join(t.TempDir(), "archive")
			if err := os.WriteFile(name, gzipOf(t, make([]byte, 1<<20)), 0o600); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			dir := t.TempDir()
			_, err := Convert(ctx, Reference{transport: transport, rest: name, path: name}, Options{Dir: dir, Progress: silent{}})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("got error %v", err)
			}
			checkEmpty(t, dir)
		})
	}
}

// TestManyLayers guards against work that grows with the square of their number,
// which nothing but the manifest's size limits.
func TestManyLayers(t *testing.T) {
	t.Parallel()
	n := 500
	if thorough {
		n = 3000
	}
	var layers memory
	for i := range n {
		layers = append(layers, append(header(fmt.Sprint("opt/", i), tar.TypeReg, 0, nil), endOfTar...))
	}
	for _, most := range []int{0, 1} {
		soon(t, func() {
			dir := memoryDir(t)
			work := filepath.Join(dir, "work")
			if err := os.Mkdir(work, 0o700); err != nil {
				t.Error(err)
			}
			result, err := convert(t.Context(), "test", layers, work, Options{Dir: dir, MaxLayers: most, Progress: silent{}, Warn: func(string) {}})
			if err != nil || most > 0 && len(result.Layers) != most {
				t.Errorf("at most %d: got error %v", most, err)
			}
		})
	}
}

// TestFIFO guards against waiting for ever for somebody to write to what is in
// the place of a file.
func TestFIFO(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("mkfifo"); err != nil {
		t.Skip("no mkfifo")
	}
	img := imagetest.Image(imagetest.Options{OCI: true}, craftedLayers...)
	manifest, config, layers, _ := digests(t, img)
	for name, file := range map[string]string{
		"index": "index.json", "manifest": "blobs/sha256/" + manifest.Hex, "config": "blobs/sha256/" + config.Hex, "layer": "blobs/sha256/" + layers[1].Hex,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := t.TempDir()
			if err := imagetest.WriteOCILayout(in, "", img); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(in, filepath.FromSlash(file))
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command("mkfifo", file).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			soon(t, func() {
				_, err := Convert(t.Context(), Reference{transport: fromLayout, rest: in, path: in}, Options{Dir: t.TempDir(), Progress: silent{}})
				if err == nil || !strings.Contains(err.Error(), "is not a file") {
					t.Errorf("got error %v", err)
				}
			})
		})
	}
}

// TestLinksInArchives guards against archives whose own links lead to themselves
// or to files of the machine.
func TestLinksInArchives(t *testing.T) {
	t.Parallel()
	img := imagetest.Image(imagetest.Options{}, craftedLayers...)
	var export bytes.Buffer
	if err := imagetest.Export(&export, imagetest.Podman, imagetest.Ref{Content: img}); err != nil {
		t.Fatal(err)
	}
	_, config, _, diffIDs := digests(t, img)
	for name, tt := range map[string]struct{ file, target string }{
		"a layer to itself":            {diffIDs[0].Hex + ".tar", diffIDs[0].Hex + ".tar"},
		"a layer to the machine's":     {diffIDs[0].Hex + ".tar", "/etc/passwd"},
		"a layer to the machine's, up": {diffIDs[0].Hex + ".tar", "../../../../../../../../etc/passwd"},
		"a layer to a document":        {diffIDs[0].Hex + ".tar", "manifest.json"},
		"a layer to another":           {diffIDs[0].Hex + ".tar", diffIDs[1].Hex + ".tar"},
		"the config to the machine's":  {config.Hex + ".json", "/etc/passwd"},
		"the manifest to itself":       {"manifest.json", "manifest.json"},
		"the manifest to the config":   {"manifest.json", config.Hex + ".json"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var changed bytes.Buffer
			w := tar.NewWriter(&changed)
			for r := tar.NewReader(bytes.NewReader(export.Bytes())); ; {
				h, err := r.Next()
				if err == io.EOF {
					break
				} else if err != nil {
					t.Fatal(err)
				}
				if h.Name == tt.file {
					h = &tar.Header{Typeflag: tar.TypeSymlink, Name: h.Name, Linkname: tt.target}
				}
				if err := w.WriteHeader(h); err != nil {
					t.Fatal(err)
				}
				if _, err := io.CopyN(w, r, h.Size); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			dir := memoryDir(t)
			file := filepath.Join(dir, "archive.tar")
			if err := os.WriteFile(file, changed.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			for how, open := range map[string]func(work string) (source, error){
				"archive": func(work string) (source, error) {
					return Reference{transport: fromDockerArchive, path: file}.open(t.Context(), work, Options{})
				},
				"engine": func(string) (source, error) { return streamed{&changed}, nil },
			} {
				_, err := zipsOf(t.Context(), dir, open)
				if err == nil || strings.Contains(err.Error(), "left behind") || strings.Contains(err.Error(), "root:") {
					t.Errorf("%s: got error %v", how, err)
				}
			}
		})
	}
}
