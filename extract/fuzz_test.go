package extract

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/imagetest"
)

// fuzzSize bounds what fuzzing unpacks, in bytes: it looks for what is wrong,
// not for what takes time.
const fuzzSize = 4 << 20

// repair makes the checksums in a tar right, and in the tars in it: without, all
// that a fuzzer changes in a header comes to the same end.
func repair(b []byte) {
	for len(b) >= 512 {
		if !bytes.HasPrefix(b[257:], []byte("ustar")) {
			b = b[512:]
			continue
		}
		checksum(b)
		size, err := strconv.ParseInt(strings.Trim(string(b[124:136]), " \x00"), 8, 64)
		b = b[512:]
		if err == nil && size > 0 && size <= int64(len(b)) {
			repair(b[:size])
			b = b[min(int64(len(b)), (size+511)&^511):]
		}
	}
}

// unpacked returns the content of a layer; false if there is too much of it, or
// if it cannot be unpacked.
func unpacked(layer []byte) ([]byte, bool) {
	var r io.Reader = bytes.NewReader(layer)
	switch {
	case bytes.HasPrefix(layer, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, false
		}
		r = z
	case bytes.HasPrefix(layer, []byte{0x28, 0xb5, 0x2f, 0xfd}), len(layer) >= 4 && layer[0]&0xf0 == 0x50 && string(layer[1:4]) == "\x2a\x4d\x18":
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, false
		}
		defer z.Close()
		r = z
	}
	b, err := io.ReadAll(io.LimitReader(r, fuzzSize+1))
	return b, err == nil && len(b) <= fuzzSize
}

// tooMuch reports whether the files in a tar, holes among them, are more than is
// to be unpacked.
func tooMuch(b []byte) bool {
	var sum int64
	for t := tar.NewReader(bytes.NewReader(b)); ; {
		h, err := t.Next()
		if err != nil {
			return false
		}
		if sum += h.Size; sum > fuzzSize && sum <= maxContent { // more is refused at once
			return true
		}
	}
}

// FuzzRepack takes any bytes for a layer. The end is an error, or zips that are
// good.
func FuzzRepack(f *testing.F) {
	for _, layer := range []string{
		"", "\x1f\x8b", "\x28\xb5\x2f\xfd", string(endOfTar),
		string(imagetest.Tar(imagetest.Dir("opt/"), imagetest.File("opt/a", "some content"), imagetest.Hardlink("opt/b", "opt/a"), imagetest.Symlink("opt/c", "../a"))),
		string(imagetest.Tar(imagetest.File("opt/"+long, "x", imagetest.GNU()), imagetest.Hardlink("opt/b", "opt/"+long, imagetest.GNU()))),
		string(imagetest.Tar(imagetest.File("opt/"+long, "x", imagetest.PAX("comment", "x")))),
		string(imagetest.Tar(imagetest.Whiteout("opt/a"), imagetest.Opaque("opt"), imagetest.Fifo("opt/f"), imagetest.CharDev("opt/d"), imagetest.File("var/task/x", strings.Repeat("x", 1000)))),
		string(append(sparse("opt/a", 1<<20), endOfTar...)),
		string(append(paxSparse("opt/a", 1<<20), endOfTar...)),
		string(slices.Concat(header("opt/a", 'Z', 0, nil), header("opt/../../b", tar.TypeReg, 0, nil), header("opt/a", tar.TypeLink, 0, func(b []byte) { copy(b[157:], "opt/a") }), endOfTar)),
	} {
		f.Add([]byte(layer), true)
		f.Add(gzipOf(f, []byte(layer)), false)
		f.Add(zstdOf(f, []byte(layer)), false)
	}
	f.Fuzz(func(t *testing.T, layer []byte, right bool) {
		if right {
			layer = slices.Clone(layer)
			repair(layer)
		}
		content, ok := unpacked(layer)
		if ok && tooMuch(content) || !ok && len(content) > fuzzSize {
			t.Skip()
		}
		l, _, err := repackOne(t, t.Context(), bytes.NewReader(layer))
		if err == nil && (!ok || l.diffID != digest.FromBytes(content)) {
			t.Errorf("the layer is taken for %s, but it is %s (%t)", l.diffID, digest.FromBytes(content), ok)
		}
		zips, err := zipsOf(t.Context(), memoryDir(t), func(string) (source, error) {
			return generatedLayers{func() io.Reader { return bytes.NewReader(layer) }}, nil
		})
		checkAll(t, zips, err)
	})
}

// checkAll fails unless there is an error and nothing else, or there are good
// zips.
func checkAll(t testing.TB, zips map[string]string, err error) {
	t.Helper()
	if err != nil {
		if strings.Contains(err.Error(), "left behind") {
			t.Error(err)
		}
		return
	}
	if len(zips) == 0 {
		t.Error("neither an error nor a zip")
	}
	for name, content := range zips {
		if len(checkZip(t, content)) == 0 {
			t.Errorf("%s is empty", name)
		}
	}
}

// FuzzExport takes any bytes for an engine's export of an image.
func FuzzExport(f *testing.F) {
	for _, form := range forms(f) {
		if strings.HasPrefix(form.name, "engine") {
			f.Add(form.content, true)
			f.Add(form.content[:len(form.content)/2], false)
		}
	}
	config := `{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":["` + digest.FromBytes(craftedLayers[0]).String() + `"]}}`
	for _, manifest := range []string{
		`[{"Config":"config.json","RepoTags":["app:latest"],"Layers":["layer.tar"]}]`,
		`[{"Config":"config.json","Layers":["link"]}]`,
		`[{"Config":"config.json","Layers":["../../layer.tar"]},{"Config":"/etc/passwd","Layers":[""]}]`,
		`[]`, `null`, `[null]`, `{}`,
	} {
		f.Add(imagetest.Tar(
			imagetest.File("config.json", config), imagetest.File("layer.tar", string(craftedLayers[0])), imagetest.Symlink("link", "layer.tar"), imagetest.File("manifest.json", manifest),
		), true)
	}
	f.Fuzz(func(t *testing.T, export []byte, right bool) {
		if right {
			export = slices.Clone(export)
			repair(export)
		}
		for r := tar.NewReader(bytes.NewReader(export)); ; {
			if _, err := r.Next(); err != nil {
				break
			}
			b, err := io.ReadAll(io.LimitReader(r, fuzzSize+1))
			if err != nil {
				break
			}
			content, ok := unpacked(b)
			if len(b) > fuzzSize || ok && tooMuch(content) || !ok && len(content) > fuzzSize {
				t.Skip()
			}
		}
		zips, err := zipsOf(t.Context(), memoryDir(t), func(string) (source, error) { return streamed{bytes.NewReader(export)}, nil })
		checkAll(t, zips, err)
	})
}

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
			checkEmpty(t, dir)
		} else {
			for _, name := range append(layerZips(dir, result), functionZip(dir, result)...) {
				content, err := os.ReadFile(name)
				if err != nil {
					t.Fatal(err)
				}
				checkZip(t, string(content))
			}
			checkNames(t, result, most)
		}
		if ambiguous(layers) {
			return
		}
		tree := imagetest.Flatten(layers)
		dangling := false
		for p, n := range tree {
			dangling = dangling || n.Kind == imagetest.KindDangling && (below(p, layerRoot) || below(p, functionRoot))
		}
		nothing := len(expected(tree, layerRoot)) == 0 && len(expected(tree, functionRoot)) == 0
		switch {
		case dangling && (err == nil || !strings.Contains(err.Error(), "is a hard link to")),
			!dangling && nothing && (err == nil || !strings.Contains(err.Error(), "has nothing below")),
			!dangling && !nothing && err != nil:
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

// ambiguous reports whether an image has no one meaning, as imagetest.Random
// says it, so that the reference is as good as another.
func ambiguous(all layers) bool {
	for i, entries := range all {
		lower := all[:i:i]
		var markers []imagetest.Entry
		for _, e := range entries {
			if _, marker := pathOf(e); marker {
				markers = append(markers, e)
			}
		}
		base := imagetest.Flatten(append(slices.Clone(lower), markers))
		view := imagetest.Flatten(append(slices.Clone(lower), entries))
		isDir := func(tree map[string]imagetest.Node, p string) bool {
			return p == "" || p == "." || tree[p].Kind == imagetest.KindDir
		}
		for j, e := range entries {
			p, marker := pathOf(e)
			switch {
			case marker && path.Base(e.Name) == whiteoutOpaque && !isDir(view, p),
				marker && path.Base(e.Name) != whiteoutOpaque && !isDir(view, path.Dir(p)),
				!marker && e.Typeflag != tar.TypeDir && isDir(base, p) && isDir(view, p),
				!marker && e.Typeflag == tar.TypeLink && ambiguousLink(entries, j, base):
				return true
			}
		}
	}
	return false
}

// pathOf is what an entry is about, and whether it is a whiteout or an opaque
// marker.
func pathOf(e imagetest.Entry) (p string, marker bool) {
	dir, name := path.Split(path.Clean("/" + e.Name)[1:])
	if name == whiteoutOpaque {
		return path.Clean(dir), true
	}
	hidden, marker := strings.CutPrefix(name, whiteoutPrefix)
	return dir + hidden, marker
}

// ambiguousLink reports whether what the hard link entries[i] leads to depends
// on who unpacks the layer.
func ambiguousLink(entries []imagetest.Entry, i int, base map[string]imagetest.Node) bool {
	name, _ := pathOf(entries[i])
	target := path.Clean("/" + entries[i].Linkname)[1:]
	if name == target || below(name, target) || below(target, name) || target == "" {
		return true
	}
	at := -1
	for j, e := range entries {
		if p, marker := pathOf(e); !marker && p == target && (j < i || at < 0) {
			at = j
		}
	}
	if at > i {
		_, both := base[target]
		return both
	}
	for _, e := range entries[at+1 : i] {
		p, marker := pathOf(e)
		if !marker && (below(target, p) && e.Typeflag != tar.TypeDir || below(p, target)) {
			return true
		}
	}
	return false
}
