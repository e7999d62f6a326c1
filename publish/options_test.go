package publish

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCheck(t *testing.T) {
	valid := Options{Namespace: "img2lambda", Runtimes: []string{"provided.al2023"}}
	for _, tt := range []struct {
		name   string
		change func(o *Options)
		option string // that is wrong; empty: none is
		says   string
	}{
		{"defaults", func(*Options) {}, "", ""},
		{"all that a name can have", func(o *Options) { o.Namespace = "aZ09_-" }, "", ""},
		{"empty namespace", func(o *Options) { o.Namespace = "" }, "Namespace", "it is empty"},
		{"space", func(o *Options) { o.Namespace = "a b" }, "Namespace", "letters"},
		{"slash", func(o *Options) { o.Namespace = "a/b" }, "Namespace", "letters"},
		{"line end", func(o *Options) { o.Namespace = "a\n" }, "Namespace", "letters"},
		{"letter that is not ASCII", func(o *Options) { o.Namespace = "ä" }, "Namespace", "letters"},
		{"ARN", func(o *Options) { o.Namespace = "arn:aws:lambda:us-east-1:123456789012:layer:a" }, "Namespace", "letters"},
		// "-sha256-" and the digest take 72 of 140.
		{"longest namespace", func(o *Options) { o.Namespace = strings.Repeat("n", 68) }, "", ""},
		{"longer namespace", func(o *Options) { o.Namespace = strings.Repeat("n", 70) }, "Namespace", "shorten it by 2"},
		// Lambda counts characters, not bytes.
		{"longest description", func(o *Options) { o.Description = strings.Repeat("ä", 256) }, "", ""},
		{"longer description", func(o *Options) { o.Description = strings.Repeat("ä", 257) }, "Description", "257 characters"},
		{"longest license", func(o *Options) { o.LicenseInfo = strings.Repeat("ä", 512) }, "", ""},
		{"longer license", func(o *Options) { o.LicenseInfo = strings.Repeat("ä", 513) }, "LicenseInfo", "513 characters"},
		{"most runtimes", func(o *Options) { o.Runtimes = slices.Repeat([]string{"r"}, 15) }, "", ""},
		{"more runtimes", func(o *Options) { o.Runtimes = slices.Repeat([]string{"r"}, 16) }, "Runtimes", "there are 16"},
		{"empty runtime", func(o *Options) { o.Runtimes = []string{"a", ""} }, "Runtimes", "empty"},
		{"stable name", func(o *Options) { o.LayerName = strings.Repeat("n", 140) }, "", ""},
		{"long stable name", func(o *Options) { o.LayerName = strings.Repeat("n", 141) }, "LayerName", "141 characters"},
		{"stable name with a space", func(o *Options) { o.LayerName = "a b" }, "LayerName", "letters"},
		{"long namespace that is not used", func(o *Options) { o.LayerName, o.Namespace = "php", strings.Repeat("n", 70) }, "", ""},
		{"regions", func(o *Options) { o.Regions = []string{"eu-west-1", "us-gov-west-1"} }, "", ""},
		{"upper-case region", func(o *Options) { o.Regions = []string{"eu-west-1", "EU-WEST-1"} }, "Regions", `"EU-WEST-1"`},
		{"empty region", func(o *Options) { o.Regions = []string{""} }, "Regions", `""`},
		{"architectures", func(o *Options) { o.Architectures = []string{"x86_64", "arm64"} }, "", ""},
		{"no architecture", func(o *Options) { o.Architectures = []string{} }, "", ""},
		{"Docker's architecture", func(o *Options) { o.Architectures = []string{"amd64"} }, "Architectures", `"amd64"`},
		{"bucket", func(o *Options) { o.Bucket = "my.zips-1" }, "", ""},
		{"bucket of a region", func(o *Options) { o.Bucket, o.Regions = "zips-{region}", []string{"eu-west-1"} }, "", ""},
		{"bucket of a default region", func(o *Options) { o.Bucket = "{region}" }, "", ""},
		{"bucket of an unknown word", func(o *Options) { o.Bucket = "zips-{Region}" }, "Bucket", "letters"},
		{"bucket too long in one region", func(o *Options) {
			o.Bucket, o.Regions = strings.Repeat("b", 53)+"{region}", []string{"eu-west-1", "ap-southeast-1"}
		}, "Bucket", "63"},
		{"URL of a bucket", func(o *Options) { o.Bucket = "s3://x/" }, "Bucket", "s3://"},
		{"ARN of a bucket", func(o *Options) { o.Bucket = "arn:aws:s3:::zips" }, "Bucket", "letters"},
		{"short bucket", func(o *Options) { o.Bucket = "ab" }, "Bucket", "3 to 63"},
		{"shared", func(o *Options) { o.ShareWith = []string{"123456789012", "o-a1b2c3d4e5", "all"} }, "", ""},
		{"account of 11 digits", func(o *Options) { o.ShareWith = []string{"all", "12345678901"} }, "ShareWith", `"12345678901"`},
		{"short organization", func(o *Options) { o.ShareWith = []string{"o-abc"} }, "ShareWith", `"o-abc"`},
		{"everybody as Lambda has it", func(o *Options) { o.ShareWith = []string{"*"} }, "ShareWith", `"all"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := valid
			tt.change(&o)
			err := o.Check()
			if tt.option == "" {
				if err != nil {
					t.Errorf("got %v, want no error", err)
				}
				return
			}
			var problem *OptionError
			if !errors.As(err, &problem) || problem.Option != tt.option || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %+v, want a problem of %s that says %q", err, tt.option, tt.says)
			}
		})
	}
}

func TestUnknownRuntimes(t *testing.T) {
	t.Parallel()
	o := Options{Runtimes: []string{"python9.9", "provided.al2023", "nodejs8.10", "cobol"}}
	if diff := cmp.Diff([]string{"python9.9", "cobol"}, o.UnknownRuntimes()); diff != "" {
		t.Errorf("unknown runtimes (-want +got):\n%s", diff)
	}
}

func TestArchitectures(t *testing.T) {
	t.Parallel()
	for image, want := range map[string][]string{
		"amd64": {"x86_64"},
		"arm64": {"arm64"},
		"arm":   nil,
		"s390x": nil,
		"":      nil,
	} {
		if got := Architectures(image); !slices.Equal(got, want) {
			t.Errorf("%q: got %v, want %v", image, got, want)
		}
	}
}
