package source

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/awslabs/aws-lambda-container-image-converter/extract"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/tartest"
	"github.com/awslabs/aws-lambda-container-image-converter/internal/testrun"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/imagetest"
)

// crafted is an OCI image layout of two layers in memory. Its documents say what
// a test wants, and fit each other only as far as that leaves them.
type crafted struct {
	config   func(*ispec.Image)
	manifest func(*ispec.Manifest)
	blobs    func(files inMemory)
}

func (c crafted) open() extract.Source {
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
	return zipsOf(t.Context(), testrun.MemoryDir(t), func(string) (extract.Source, error) { return c.open(), nil })
}

// craftedLayers are the layers of a crafted image.
var craftedLayers = [][]byte{
	imagetest.Tar(imagetest.File("opt/a", "1")),
	imagetest.Tar(imagetest.File("opt/b", "2")),
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
	gzipped, zstded := tartest.Gzip(t, craftedLayers[1]), tartest.Zstd(t, craftedLayers[1])
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
		{"another layer, gzip", instead(gzipType, tartest.Gzip(t, other)), "^layer 2 of 2 should be " + second.String()},
		{"another layer, zstd", instead(zstdType, tartest.Zstd(t, other)), "^layer 2 of 2 should be " + second.String()},
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
		{"gzip in gzip", instead(gzipType, tartest.Gzip(t, gzipped)), "^layer sha256:[0-9a-f]{64}: tar: "},
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
