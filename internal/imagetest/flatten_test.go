package imagetest

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestFlatten has the rules by name, and with them what Random leaves out.
func TestFlatten(t *testing.T) {
	t.Parallel()
	file := func(body string) Node {
		return Node{Kind: KindFile, Mode: 0o644, ModTime: DefaultTime.Unix(), Body: body}
	}
	dir := Node{Kind: KindDir, Mode: 0o755, ModTime: DefaultTime.Unix()}
	implied := Node{Kind: KindDir, Implied: true}
	link := func(text string) Node {
		return Node{Kind: KindSymlink, Mode: 0o777, ModTime: DefaultTime.Unix(), Linkname: text}
	}
	dangling := func(target string) Node {
		return Node{Kind: KindDangling, Mode: 0o644, ModTime: DefaultTime.Unix(), Linkname: target}
	}
	type layers = [][]Entry
	type tree = map[string]Node

	for _, test := range []struct {
		name   string
		layers layers
		want   tree
	}{
		{"nothing", layers{{}, nil}, tree{}},
		{
			"names are cleaned, the root is left out",
			layers{{Dir("./"), File("./a", "1"), File("/b", "2"), File("x/../c", "3"), Dir("d/"), File("../../e", "4")}},
			tree{"a": file("1"), "b": file("2"), "c": file("3"), "d": dir, "e": file("4")},
		},
		{
			"metadata",
			layers{{File("a", "", Mode(0o4755), ModTime(time.Unix(-1, 5e8)))}},
			tree{"a": {Kind: KindFile, Mode: 0o4755, ModTime: -1}},
		},
		{
			"whiteout and new file in one layer, either order",
			layers{{File("a", "old"), File("b", "old")}, {Whiteout("a"), File("a", "new"), File("b", "new"), Whiteout("b")}},
			tree{"a": file("new"), "b": file("new")},
		},
		{
			"whiteout of a directory hides what is below it in lower layers",
			layers{{Dir("d", Mode(0o700)), File("d/a", "1"), File("d/b", "2")}, {File("d/c", "3"), Whiteout("d")}},
			tree{"d": implied, "d/c": file("3")},
		},
		{
			"opaque marker after its siblings keeps the directory",
			layers{{Dir("d"), File("d/a", "1"), File("d/e/b", "2"), File("da", "3")}, {File("d/c", "4"), Opaque("d")}},
			tree{"d": dir, "d/c": file("4"), "da": file("3")},
		},
		{"opaque root", layers{{File("a", "1"), File("d/b", "2")}, {Opaque(""), File("c", "3")}}, tree{"c": file("3")}},
		{
			"markers do not reach upwards",
			layers{{Whiteout("a"), Opaque("d")}, {File("a", "1"), File("d/b", "2")}},
			tree{"a": file("1"), "d": implied, "d/b": file("2")},
		},
		{
			"markers make directories, of files too",
			layers{{File("f", "1")}, {Whiteout("d/a"), Opaque("e"), Whiteout("f/a")}},
			tree{"d": implied, "e": implied, "f": implied},
		},
		{
			"file for directory and back, over three layers",
			layers{{File("d/a", "1")}, {File("d", "2")}, {Dir("d")}},
			tree{"d": dir},
		},
		{
			"file for directory and back, within one tar",
			layers{{Dir("d"), File("d/a", "1"), File("d", "2"), File("d/b", "3")}},
			tree{"d": implied, "d/b": file("3")},
		},
		{
			"what a tar undoes itself does nothing to the lower layers",
			layers{{Dir("d"), File("d/a", "1")}, {File("d", "2"), File("d/b", "3")}},
			tree{"d": dir, "d/a": file("1"), "d/b": file("3")},
		},
		{
			"the last entry of a path wins",
			layers{{File("a", "1"), Dir("b"), Dir("b", Mode(0o700)), File("a", "2")}},
			tree{"a": file("2"), "b": {Kind: KindDir, Mode: 0o700, ModTime: DefaultTime.Unix()}},
		},
		{
			"an entry below a link replaces it by a directory",
			layers{{Symlink("l", "d"), Dir("d")}, {File("l/a", "1")}},
			tree{"l": implied, "l/a": file("1"), "d": dir},
		},
		{
			"hard links: before, after, lower",
			layers{
				{File("low", "0"), File("t", "0")},
				{
					Hardlink("later", "n"), File("t", "1"), Hardlink("before", "./t"), File("t", "2"),
					Hardlink("low2", "/low"), Hardlink("chain", "low2"), File("n", "3"), File("n", "4"),
				},
			},
			tree{
				"low": file("0"), "t": file("2"), "n": file("4"),
				"later": file("3"), "before": file("1"), "low2": file("0"), "chain": file("0"),
			},
		},
		{
			"a hard link's target is what is there when the link comes",
			layers{{File("t", "low")}, {Hardlink("a", "t"), File("t", "own"), Hardlink("b", "t")}},
			tree{"t": file("own"), "a": file("low"), "b": file("own")},
		},
		{
			"the names of a file have the last header among them, and outlive each other",
			layers{{Symlink("s", "x"), Hardlink("a", "s", Mode(0o600)), Fifo("p"), Hardlink("b", "p")}, {Whiteout("s"), Whiteout("p")}},
			tree{
				"a": {Kind: KindSymlink, Mode: 0o600, ModTime: DefaultTime.Unix(), Linkname: "x"},
				"b": {Kind: KindSpecial, Mode: 0o644, ModTime: DefaultTime.Unix()},
			},
		},
		{
			"names of files that were replaced",
			layers{{
				File("a", "1", Mode(0o700)), Hardlink("b", "a", Mode(0o600)), File("a", "2", Mode(0o755)), Hardlink("c", "a", Mode(0o640)),
				Hardlink("d", "b", Mode(0o444)), File("d", "3"),
			}},
			tree{
				"a": {Kind: KindFile, Mode: 0o640, ModTime: DefaultTime.Unix(), Body: "2"},
				"c": {Kind: KindFile, Mode: 0o640, ModTime: DefaultTime.Unix(), Body: "2"},
				"b": {Kind: KindFile, Mode: 0o444, ModTime: DefaultTime.Unix(), Body: "1"},
				"d": file("3"),
			},
		},
		{
			"paths through links of the same tar",
			layers{
				{Dir("d"), File("d/low", "1"), File("d/gone", "1")},
				{
					Symlink("l", "x/../d"), File("l/a", "2"), Whiteout("l/gone"), Symlink("m", "/../../l"), Hardlink("h", "m/a"),
					Symlink("up", "../.."), Dir("up/e"), Symlink("no", "where"), File("no/f", "3"),
				},
			},
			tree{
				"l": link("x/../d"), "m": link("/../../l"), "up": link("../.."), "no": link("where"),
				"d": dir, "d/low": file("1"), "d/a": file("2"), "h": file("2"), "e": dir, "where": implied, "where/f": file("3"),
			},
		},
		{
			"links that are replaced in the same tar",
			layers{{Symlink("l", "a"), File("l/1", "1"), Symlink("l", "b"), File("l/2", "2"), Dir("l"), File("l/3", "3")}},
			tree{"a": implied, "a/1": file("1"), "b": implied, "b/2": file("2"), "l": dir, "l/3": file("3")},
		},
		{
			"dangling hard links",
			layers{
				{File("gone", ""), Dir("d")},
				{Whiteout("gone"), Hardlink("a", "no"), Hardlink("b", "gone"), Hardlink("c", "d"), Hardlink("e", "f"), Hardlink("f", "e"), Hardlink("g", "g")},
			},
			tree{
				"d": dir, "a": dangling("no"), "b": dangling("gone"), "c": dangling("d"),
				"e": dangling("f"), "f": dangling("e"), "g": dangling("g"),
			},
		},
		{
			"leftovers of AUFS",
			layers{{Dir(".wh..wh.plnk"), File(".wh..wh.plnk/1", ""), File("a/.wh..wh.aufs", ""), Opaque(".wh..wh.orph")}},
			tree{},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, Flatten(test.layers)); diff != "" {
				t.Errorf("tree (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRandomIsReproducible(t *testing.T) {
	t.Parallel()
	a, b := Random(rand.New(rand.NewPCG(1, 2))), Random(rand.New(rand.NewPCG(1, 2)))
	if diff := cmp.Diff(a, b); diff != "" {
		t.Errorf("two images of one seed differ:\n%s", diff)
	}
}

// TestRandomHasEverything counts in how many of some images each case is that a
// converter may get wrong.
func TestRandomHasEverything(t *testing.T) {
	t.Parallel()
	const images = 300
	counts := map[string]int{}
	for seed := range images {
		layers := Random(rand.New(rand.NewPCG(uint64(seed), 1)))
		if len(layers) < 1 || len(layers) > 6 {
			t.Fatalf("%d layers", len(layers))
		}
		for what := range cases(layers) {
			counts[what]++
		}
		for p, n := range Flatten(layers) {
			if n.Kind == KindDangling {
				t.Errorf("image %d: %s is a dangling link\n%s", seed, p, describe(layers))
			}
		}
	}
	for _, what := range []string{
		"empty layer", "same layer twice", "two entries of a path", "whiteout", "opaque", "opaque after sibling",
		"whiteout then same path", "same path then whiteout", "symlink", "special", "implied", "./", "/", "kind change",
		"link to earlier", "link to later", "link to lower", "link from opt to outside", "setuid", "long name", "leftover",
	} {
		if counts[what] < images/100 {
			t.Errorf("%s: in %d of %d images", what, counts[what], images)
		}
	}
}

// cases returns what there is in an image.
func cases(layers [][]Entry) map[string]bool {
	has := map[string]bool{}
	view := map[string]Node{}
	for i, entries := range layers {
		has["empty layer"] = has["empty layer"] || len(entries) == 0
		for _, lower := range layers[:i] {
			if len(entries) > 0 && bytes.Equal(Tar(lower...), Tar(entries...)) {
				has["same layer twice"] = true
			}
		}
		seen := map[string]meaning{}
		for j, e := range entries {
			p, what := classify(e.Name)
			before, again := seen[p]
			switch what {
			case whiteout:
				has["whiteout"] = true
				has["same path then whiteout"] = has["same path then whiteout"] || again && before == content
			case opaque:
				has["opaque"] = true
				for q := range seen {
					has["opaque after sibling"] = has["opaque after sibling"] || below(q, p)
				}
			case leftover:
				has["leftover"] = true
			case content:
				has["two entries of a path"] = has["two entries of a path"] || again && before == content
				has["whiteout then same path"] = has["whiteout then same path"] || again && before == whiteout
				kind := nodeOf(entries, j, view, nil).Kind
				has[string(kind)] = true
				if lower, ok := view[p]; ok && lower.Kind != kind {
					has["kind change"] = true
				}
				has["setuid"] = has["setuid"] || e.Mode&0o4000 != 0
				has["long name"] = has["long name"] || len(p) > 100
				has["./"] = has["./"] || e.Name[:1] == "."
				has["/"] = has["/"] || e.Name[:1] == "/"
				if e.Linkname != "" && kind != KindSymlink {
					target := targetIndex(entries, j)
					has["link to earlier"] = has["link to earlier"] || target >= 0 && target < j
					has["link to later"] = has["link to later"] || target > j
					has["link to lower"] = has["link to lower"] || target < 0
					if below(p, "opt") && !below(clean(e.Linkname), "opt") {
						has["link from opt to outside"] = true
					}
				}
			}
			seen[p] = what
		}
		view = Flatten(layers[:i+1])
	}
	for _, n := range view {
		has["implied"] = has["implied"] || n.Implied
	}
	return has
}
