package integration

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/imagetest"
)

// parseLayers reads the description of an image's layers, a line for each tar
// entry:
//
//	layer                        begins the next layer
//	file PATH CONTENT
//	random PATH SIZE             a file of bytes that do not shrink
//	zeros PATH SIZE              a file of bytes that do
//	text PATH SIZE               a file of words
//	dir PATH
//	symlink PATH TARGET
//	hardlink PATH TARGET
//	fifo PATH
//	whiteout PATH
//	opaque PATH
//
// PATH and CONTENT may be quoted as in Go. Behind the first word of a line can
// be ",mode=OCTAL" and ",time=RFC3339". Empty lines are left out.
func parseLayers(text string) (layers [][]imagetest.Entry, err error) {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case line == "":
		case line == "layer":
			layers = append(layers, nil)
		case len(layers) == 0:
			return nil, fmt.Errorf("%q before the first layer", line)
		default:
			e, err := parseEntry(line)
			if err != nil {
				return nil, fmt.Errorf("%q: %w", line, err)
			}
			layers[len(layers)-1] = append(layers[len(layers)-1], e)
		}
	}
	return layers, nil
}

// layerLines brings layers into the form of parseLayers: each is a line, with ;
// between its entries.
func layerLines(layers []string) string {
	return "layer\n" + strings.ReplaceAll(strings.Join(layers, "\nlayer\n"), ";", "\n")
}

// layersOf describes n layers with files that differ by name, and one with a
// function.
func layersOf(name string, n int) (layers []string) {
	for i := range n {
		layers = append(layers, fmt.Sprintf("file opt/%s/%d %d;random opt/%s/random%d 20000", name, i, i, name, i))
	}
	return append(layers, "file var/task/"+name+" function")
}

func parseEntry(line string) (e imagetest.Entry, err error) {
	what, rest, _ := strings.Cut(line, " ")
	kind, set, err := parseOptions(what)
	if err != nil {
		return e, err
	}
	path, rest, err := parseWord(rest)
	if err != nil {
		return e, err
	}
	if strings.HasPrefix(rest, `"`) {
		if rest, err = strconv.Unquote(rest); err != nil {
			return e, err
		}
	}
	switch kind {
	case "file":
		return imagetest.File(path, rest, set), nil
	case "random", "zeros", "text":
		b, err := bytesOf(kind, rest)
		return imagetest.File(path, string(b), set), err
	case "dir":
		return imagetest.Dir(path, set), nil
	case "symlink":
		return imagetest.Symlink(path, rest, set), nil
	case "hardlink":
		return imagetest.Hardlink(path, rest, set), nil
	case "fifo":
		return imagetest.Fifo(path, set), nil
	case "whiteout":
		return imagetest.Whiteout(path, set), nil
	case "opaque":
		return imagetest.Opaque(path, set), nil
	}
	return e, fmt.Errorf("there is no entry of kind %q", kind)
}

// parseWord reads the first word of s, which may be quoted.
func parseWord(s string) (word, rest string, err error) {
	if !strings.HasPrefix(s, `"`) {
		word, rest, _ = strings.Cut(s, " ")
		return word, rest, nil
	}
	quoted, err := strconv.QuotedPrefix(s)
	if err != nil {
		return "", "", err
	}
	word, err = strconv.Unquote(quoted)
	return word, strings.TrimPrefix(s[len(quoted):], " "), err
}

// parseOptions reads KIND[,OPTION=VALUE]...
func parseOptions(s string) (kind string, set imagetest.Option, err error) {
	kind, options, _ := strings.Cut(s, ",")
	var all []imagetest.Option
	for o := range strings.SplitSeq(options, ",") {
		switch name, value, _ := strings.Cut(o, "="); name {
		case "":
		case "mode":
			mode, err := strconv.ParseInt(value, 8, 64)
			if err != nil {
				return "", nil, err
			}
			all = append(all, imagetest.Mode(mode))
		case "time":
			at, err := time.Parse(time.RFC3339, value)
			if err != nil {
				return "", nil, err
			}
			all = append(all, imagetest.ModTime(at))
		default:
			return "", nil, fmt.Errorf("there is no option %q", o)
		}
	}
	return kind, func(e *imagetest.Entry) {
		for _, set := range all {
			set(e)
		}
	}, nil
}

func bytesOf(kind, size string) ([]byte, error) {
	n, err := strconv.Atoi(size)
	if err != nil {
		return nil, err
	}
	b := make([]byte, n)
	source := rand.NewPCG(1, uint64(n))
	switch kind {
	case "random":
		for i := range b {
			b[i] = byte(source.Uint64() >> 32)
		}
	case "text":
		for at := 0; at < n; {
			x := source.Uint64()
			at += copy(b[at:], words[x%uint64(len(words))])
			at += copy(b[at:], []byte{" \n"[x>>32%8/7]})
		}
	}
	return b, nil
}

// words are what text files are made of.
var words = strings.Fields(`a layer of an image is a tar of what it adds and deletes
	the zip holds every file below opt with its permissions and its time`)

// TestParseLayers is there as a script with a slip in an image that it
// describes could be about something else than it says.
func TestParseLayers(t *testing.T) {
	t.Parallel()
	got, err := parseLayers(`
		layer
		dir opt/
		file,mode=4755,time=2001-09-09T01:46:40Z opt/a some text
		file "opt/\x1b" "line\n"
		layer
		symlink opt/b ../a
		hardlink opt/c opt/a
		whiteout opt/d/e
		opaque opt/f
		zeros opt/g 3
	`)
	if err != nil {
		t.Fatal(err)
	}
	want := [][]imagetest.Entry{
		{
			imagetest.Dir("opt/"),
			imagetest.File("opt/a", "some text", imagetest.Mode(0o4755), imagetest.ModTime(time.Unix(1e9, 0).UTC())),
			imagetest.File("opt/\x1b", "line\n"),
		},
		{
			imagetest.Symlink("opt/b", "../a"),
			imagetest.Hardlink("opt/c", "opt/a"),
			imagetest.Whiteout("opt/d/e"),
			imagetest.Opaque("opt/f"),
			imagetest.File("opt/g", "\x00\x00\x00"),
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("layers (+) are not as described (-):\n%s", diff)
	}
	for _, bad := range []string{"file opt/a", "layer\nfil opt/a", "layer\nfile,mod=1 opt/a", "layer\nfile,mode=9 opt/a", `layer` + "\n" + `file "opt/a 1`, "layer\nrandom opt/a much"} {
		if layers, err := parseLayers(bad); err == nil {
			t.Errorf("%q: got %v, want an error", bad, layers)
		}
	}
}
