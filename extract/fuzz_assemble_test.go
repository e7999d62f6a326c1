package extract

import (
	"os"
	"path"
	"strconv"
	"strings"
	"testing"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/imagetest"
	"github.com/awslabs/aws-lambda-container-image-converter/internal/testrun"
	"github.com/awslabs/aws-lambda-container-image-converter/internal/ziptest"
)

// FuzzAssemble takes any bytes for the description of an image. Its zips are
// good, and if the image has one meaning, they restore it.
func FuzzAssemble(f *testing.F) {
	for _, description := range []string{
		"\x00",
		// A file, a link to it, and a file over it.
		"\x01\x10\x00\x00\x07\x08\x00\x0f\x00\x00\x10\x00\x05",
		// A directory that becomes a link, and a whiteout.
		"\x02\x03\x00\x00\x10\x40\x00\x0f\x00\x00\x05\x00\x10\x0f\x00\x00\x0a\x00\x00\x10\x08\x05",
		// A link to where a layer between has a directory that no entry names.
		"\x00\x10\x10\x00\x0f\x00\x00\x10\x50\x00\x0f\x00\x00\x07\x00\x10",
		// An opaque directory, and links to what it hides, inside and outside.
		"\x00\x10\x40\x00\x10\x06\x00\x0f\x00\x00\x0c\x00\x00\x07\x08\x40\x07\x10\x06",
	} {
		f.Add([]byte(description))
	}
	f.Fuzz(func(t *testing.T, description []byte) {
		most, layers := describe(description)
		dir, result, _, err := convertLayers(t, most, layers...)
		if err != nil {
			testrun.CheckEmpty(t, dir)
		} else {
			for _, name := range append(layerZips(dir, result), functionZip(dir, result)...) {
				content, err := os.ReadFile(name)
				if err != nil {
					t.Fatal(err)
				}
				ziptest.Check(t, string(content))
			}
			checkNames(t, result, most)
		}
		if ambiguous(layers) || err != nil && strings.Contains(err.Error(), "symbolic links lead round in a circle") {
			return
		}
		tree := imagetest.Flatten(layers)
		opt, task, ok := imagetest.Roots(tree)
		if !ok {
			return
		}
		dangling := false
		for p, n := range tree {
			dangling = dangling || n.Kind == imagetest.KindDangling && (below(p, opt) || below(p, task))
		}
		empty := len(ziptest.Below(tree, opt)) == 0 && len(ziptest.Below(tree, task)) == 0
		switch {
		case dangling && (err == nil || !strings.Contains(err.Error(), "is a hard link to")),
			!dangling && empty && (err == nil || !nothing.MatchString(err.Error())),
			!dangling && !empty && err != nil:
			t.Errorf("got error %v\n%s", err, tell(layers))
		case err == nil:
			checkRestored(t, dir, result, layers)
			if t.Failed() {
				t.Log(tell(layers))
			}
		}
	})
}

// tell describes an image for people.
func tell(layers layers) string {
	var b strings.Builder
	for _, entries := range layers {
		b.WriteString("layer\n")
		for _, e := range entries {
			b.WriteString("\t" + string(e.Typeflag) + " " + strconv.Quote(e.Name) + " " + strconv.Quote(e.Linkname) + "\n")
		}
	}
	return b.String()
}

// describe makes an image of bytes: the first says how many Lambda layers there
// may be, and then three are an entry, or begin the next layer.
func describe(b []byte) (most int, layers layers) {
	if len(b) == 0 {
		return 0, nil
	}
	most, b = int(b[0]%5), b[1:]
	layers = append(layers, nil)
	entries := 0
	for ; len(b) >= 3 && len(layers) <= 6 && entries < 60; b = b[3:] {
		if b[0]%16 == 15 {
			layers = append(layers, nil)
			continue
		}
		name, other := somePath(b[1]), somePath(b[2])
		metadata := func(e *imagetest.Entry) { e.Mode = int64(b[2]) * 8 & 0o7777 }
		var e imagetest.Entry
		switch b[0] % 16 {
		case 0, 1, 2:
			e = imagetest.File(name, strings.Repeat(other, int(b[0]/16)), metadata)
		case 3, 4:
			e = imagetest.Dir(name+"/", metadata)
		case 5, 6:
			e = imagetest.Symlink(name, other)
		case 7, 8, 9:
			e = imagetest.Hardlink(name, other, metadata)
		case 10, 11:
			e = imagetest.Whiteout(name)
		case 12:
			e = imagetest.Opaque(name)
		case 13:
			e = imagetest.Fifo(name)
		case 14:
			e = imagetest.Dir(path.Dir(name))
		}
		layers[len(layers)-1] = append(layers[len(layers)-1], e)
		entries++
	}
	return most, layers
}

// somePath is one of a few paths, so that they often meet.
func somePath(b byte) string {
	p := []string{"opt", "opt", "opt", "opt", "opt", "var/task", "usr", "./opt"}[b&7] + "/" + []string{"a", "b", "d"}[b>>3&7%3]
	switch b >> 6 {
	case 1:
		p += "/a"
	case 2:
		p += "/d/b"
	case 3:
		if b&7 != 7 {
			p = path.Dir(p)
		}
	}
	return p
}
