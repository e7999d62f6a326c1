package source

import (
	"bytes"
	"cmp"
	"io"
	"path"
	"strings"
	"unicode/utf8"

	"github.com/pkg/errors"
)

// what says what a file is that is no tar.
func what(f io.ReaderAt) string {
	start := make([]byte, 512)
	n, err := f.ReadAt(start, 0)
	if err != nil && err != io.EOF {
		return "it cannot be read: " + err.Error()
	}
	start = start[:n]
	text := strings.ToLower(string(bytes.TrimSpace(bytes.TrimPrefix(start, []byte("\xef\xbb\xbf")))))
	for _, kind := range []struct{ start, name string }{
		{"PK\x03\x04", "a zip file"},
		{"PK\x05\x06", "a zip file"},
		{"7z\xbc\xaf\x27\x1c", "a 7z file"},
		{"\x7fELF", "a program (ELF)"},
		{"\x04\x22\x4d\x18", "an lz4 file, which has to be unpacked first"},
		{"\x5d\x00\x00", "an lzma file, which has to be unpacked first"},
		{"%PDF", "a PDF document"},
	} {
		if bytes.HasPrefix(start, []byte(kind.start)) {
			return kind.name
		}
	}
	switch {
	case n == 0:
		return "an empty file"
	case len(bytes.Trim(start, "\x00")) == 0:
		return "an empty tar, or nothing but zeros"
	case strings.HasPrefix(text, "<!doctype html"), strings.HasPrefix(text, "<html"):
		return "an HTML page: did a download want a login?"
	case strings.HasPrefix(text, "{"), strings.HasPrefix(text, "["):
		return "a JSON file"
	case isText(start):
		return "a text file"
	}
	return "something else, or a damaged one"
}

// isText reports whether the first bytes of a file are of a text; the last
// character may be cut off.
func isText(b []byte) bool {
	for len(b) > 0 {
		r, size := utf8.DecodeRune(b)
		if r == utf8.RuneError && size == 1 && len(b) >= utf8.UTFMax || r < ' ' && !strings.ContainsRune("\t\n\r\f\x1b", r) {
			return false
		}
		b = b[size:]
	}
	return true
}

// another says what files are, other than the reference has it.
func another(f files, r Reference) error {
	has := func(name string) bool {
		content, _, err := f.open(name)
		if err == nil {
			content.Close()
		}
		return err == nil
	}
	a, _ := f.(*archive)
	name := r.path
	if a != nil {
		name = a.name
	}
	switch {
	case a != nil && has("manifest.json"):
		return errors.Errorf("%s is a `docker save` archive: use docker-archive:%s", name, r.rest)
	case a != nil && has("index.json"):
		return errors.Errorf("%s is an OCI archive: use oci-archive:%s", name, r.rest)
	case a != nil && a.isChart():
		return errors.Errorf("%s is a Helm chart, not a container image", name)
	case a != nil && (has("etc/passwd") || has("etc/hosts") || has(".dockerenv")):
		return errors.Errorf("%s holds the files of a container, as `docker export` writes them: use `docker save IMAGE`, or `docker import` it first", name)
	case a != nil:
		return cmp.Or(a.brokenOff(), errors.Errorf("%s is a tar, but not an image archive: it has neither manifest.json nor index.json", name))
	case has("manifest.json") && has("version"):
		return errors.Errorf("%s is a directory as skopeo's dir: writes it, not an OCI image layout: use `skopeo copy dir:%[1]s oci:LAYOUT`", name)
	default:
		return errors.Errorf("%s is not an OCI image layout: it has no index.json", name)
	}
}

// isChart reports whether the archive is a Helm chart: NAME/Chart.yaml.
func (a *archive) isChart() bool {
	for name := range a.members {
		if dir, file := path.Split(name); file == "Chart.yaml" && strings.Count(dir, "/") == 1 {
			return true
		}
	}
	return false
}
