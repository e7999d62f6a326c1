package publish

import (
	"errors"
	"slices"
	"strings"
	"testing"

	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
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
		{"empty namespace", func(o *Options) { o.Namespace = "" }, "Namespace", "letters"},
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
		{"most runtimes", func(o *Options) { o.Runtimes = make([]string, 15) }, "", ""},
		{"more runtimes", func(o *Options) { o.Runtimes = make([]string, 16) }, "Runtimes", "there are 16"},
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
	for image, want := range map[string][]lambdatypes.Architecture{
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
