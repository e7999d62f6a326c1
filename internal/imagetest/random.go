package imagetest

import (
	"archive/tar"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"time"
)

// Random returns the layers of a random image, lowest first, for property
// tests: one to six layers of up to twenty entries of all kinds, whose names
// are so few that they collide often within a layer and between layers. Most
// are below opt, some below var/task or elsewhere.
//
// What an image has no one meaning for is left out: every hard link points to
// something that is there at that moment (in the tar before it, or after it, or
// in the lower layers with this layer's whiteouts applied); no path leads through
// symbolic links in a circle; whiteouts and opaque
// markers stand in directories that exist; a directory of the lower layers does
// not become something else and a directory again within one tar. A symbolic
// link may point to nothing.
func Random(rng *rand.Rand) [][]Entry { return (&generator{Rand: rng}).image() }

type generator struct {
	*rand.Rand
	loadable, again bool // what Loadable was asked for
}

func (g *generator) image() [][]Entry {
	var layers [][]Entry
	view := map[string]Node{} // what the layers so far make
	for n := 1 + g.IntN(6); len(layers) < n; {
		var entries []Entry
		if len(layers) > 0 && g.chance(10) {
			entries = layers[g.IntN(len(layers))] // The same layer again.
			if len(g.invalid(entries, layers)) > 0 {
				continue
			}
		} else {
			entries = g.layer(layers, view)
		}
		layers = append(layers, entries)
		view = Flatten(layers)
	}
	return layers
}

// layer returns a layer that can stand upon the lower ones, of which view is the
// tree.
func (g *generator) layer(lower [][]Entry, view map[string]Node) []Entry {
	if g.chance(5) {
		return nil
	}
	var entries []Entry
	known := sortedKeys(view)
	for n := 1 + g.IntN(20); len(entries) < n; {
		entries = append(entries, g.entries(entries, known)...)
	}
	// Without one entry others may lose their meaning, so look again.
	for bad := g.invalid(entries, lower); len(bad) > 0; bad = g.invalid(entries, lower) {
		for _, i := range slices.Backward(bad) {
			entries = slices.Delete(entries, i, i+1)
		}
	}
	return entries
}

// entries returns an entry, or several that belong together. earlier are those
// before it in the tar, known the paths of the lower layers.
func (g *generator) entries(earlier []Entry, known []string) []Entry {
	p := g.path()
	// To meet paths that are there is more telling than to make new ones.
	if len(known) > 0 && g.chance(35) {
		p = pick(g, known)
	} else if len(earlier) > 0 && g.chance(10) {
		p, _ = classify(pick(g, earlier).Name)
	}
	if p == "" {
		p = "opt"
	}
	if link := g.symlink(earlier); link != "" {
		p = link + "/" + pick(g, components)
	}
	name := g.spell(p)
	switch w := g.IntN(100); {
	case w < 32:
		return []Entry{File(name, g.body(), g.metadata())}
	case w < 50:
		if g.chance(60) {
			name += "/"
		}
		return []Entry{Dir(name, g.metadata())}
	case w < 60:
		return []Entry{Symlink(name, g.symlinkTarget(), g.metadata())}
	case w < 74:
		return []Entry{Hardlink(name, g.spell(g.linkTarget(earlier, known)), g.metadata())}
	case w < 84:
		return []Entry{Whiteout(name)}
	case w < 88: // Deleted and made again, or the other way round.
		pair := []Entry{Whiteout(name), File(g.spell(p), g.body(), g.metadata())}
		if g.chance(50) {
			pair[1] = Dir(g.spell(p), g.metadata())
		}
		if g.chance(50) {
			slices.Reverse(pair)
		}
		return pair
	case w < 93:
		marked := []Entry{Opaque(name)}
		if g.chance(50) {
			marked = append(marked, Dir(name+"/", g.metadata()))
		}
		if g.chance(50) {
			marked = append(marked, File(name+"/"+pick(g, components), g.body(), g.metadata()))
		}
		g.Shuffle(len(marked), func(i, j int) { marked[i], marked[j] = marked[j], marked[i] })
		return marked
	case w < 96:
		return []Entry{pick(g, []func(string, ...Option) Entry{Fifo, CharDev, BlockDev})(name, g.metadata())}
	case w < 97:
		return []Entry{Dir("./", g.metadata())} // The root, as many tars have it.
	case w < 98:
		return []Entry{Dir(metaPrefix + "plnk/"), File(metaPrefix+"plnk/1.2", ""), File(metaPrefix+"aufs", "")}
	default: // The same path twice, perhaps as something else.
		return []Entry{File(name, g.body(), g.metadata()), Dir(g.spell(p), g.metadata()), File(name, g.body(), g.metadata())}[g.IntN(2):]
	}
}

var (
	components = []string{"a", "b", "c", "lib", "é", "with space"}
	tops       = []string{"opt", "opt", "opt", "opt", "opt", "opt", "opt", "var/task", "var/task", "usr", ""}
	longName   = strings.Repeat("long", 30) // more than a header's 100 bytes
)

func (g *generator) path() string {
	p := pick(g, tops)
	for n := 1 + g.IntN(3); n > 0; n-- {
		if g.chance(2) {
			p = path.Join(p, longName)
		} else {
			// The first ones more often, for more collisions.
			p = path.Join(p, components[min(g.IntN(len(components)), g.IntN(len(components)))])
		}
	}
	if g.chance(5) {
		p = pick(g, []string{"opt", "var", "var/task", "usr", "a"})
	}
	return p
}

// spell returns another way to write the path p.
func (g *generator) spell(p string) string {
	switch w := g.IntN(100); {
	case w < 25:
		return "./" + p
	case w < 35:
		return "/" + p
	case w < 38:
		return path.Dir(p) + "/x/../" + path.Base(p)
	}
	return p
}

func (g *generator) symlinkTarget() string {
	switch target := g.path(); g.IntN(4) {
	case 0:
		return "/" + target
	case 1:
		return "../" + path.Base(target)
	case 2:
		return pick(g, []string{"nowhere", "/no/where", "../../../..", "."})
	default:
		return path.Base(target)
	}
}

// symlink returns the path of a symbolic link before in the tar, now and then.
func (g *generator) symlink(earlier []Entry) string {
	if len(earlier) == 0 || !g.chance(40) {
		return ""
	}
	if e := pick(g, earlier); e.Typeflag == tar.TypeSymlink {
		return clean(e.Name)
	}
	return ""
}

func (g *generator) linkTarget(earlier []Entry, known []string) string {
	if link := g.symlink(earlier); link != "" {
		return link + "/" + pick(g, components)
	}
	switch w := g.IntN(100); {
	case w < 45 && len(earlier) > 0:
		p, _ := classify(pick(g, earlier).Name)
		return p
	case w < 80 && len(known) > 0:
		return pick(g, known)
	default:
		return g.path()
	}
}

var bodies = []string{"", "", "shared", "#!/bin/sh\necho hello\n", strings.Repeat("zero", 1024)}

func (g *generator) body() string {
	if g.chance(50) {
		return pick(g, bodies)
	}
	b := make([]byte, g.IntN(1<<g.IntN(13)+1))
	for i := range b {
		b[i] = byte(g.IntN(256))
	}
	return string(b)
}

var (
	modes = []int64{0o644, 0o755, 0o755, 0o600, 0o400, 0, 0o111, 0o700, 0o711, 0o4755, 0o2755, 0o1777, 0o6711}
	times = []time.Time{
		DefaultTime,
		time.Unix(0, 0),
		time.Date(1979, 12, 31, 23, 59, 59, 0, time.UTC), // before DOS
		time.Date(2037, 1, 1, 0, 0, 1, 0, time.UTC),
	}
)

func (g *generator) metadata() Option {
	mode, t := pick(g, modes), DefaultTime.Add(time.Duration(g.IntN(1e6))*time.Second)
	if g.chance(10) {
		t = pick(g, times)
	}
	fraction := g.chance(5)
	return func(e *Entry) {
		e.Mode, e.Header.ModTime = mode, t
		if fraction {
			e.Format, e.Header.ModTime = tar.FormatPAX, t.Add(900*time.Millisecond)
		}
	}
}

// invalid returns the places of the entries that have no one meaning upon the
// lower layers, as Random tells them.
func (g *generator) invalid(entries []Entry, lower [][]Entry) []int {
	markers := slices.DeleteFunc(Resolve(entries), func(e Entry) bool {
		_, what := classify(e.Name)
		return what == content
	})
	base := Flatten(append(slices.Clone(lower), markers))
	view := Flatten(append(slices.Clone(lower), entries))
	bad := circular(entries)
	if g.loadable {
		bad = g.unloadable(entries, lower)
	}
	if len(bad) > 0 {
		return bad
	}
	entries = Resolve(entries)
	for i, e := range entries {
		p, what := classify(e.Name)
		switch {
		case what == whiteout && !isDir(view, parent(p)), what == opaque && !isDir(view, p),
			what == content && e.Typeflag != tar.TypeDir && isDir(base, p) && isDir(view, p),
			what == content && e.Typeflag == tar.TypeLink && !linkable(entries, i, base):
			bad = append(bad, i)
		}
	}
	return bad
}

func isDir(tree map[string]Node, p string) bool { return p == "" || tree[p].Kind == KindDir }

// linkable says whether the target of the hard link entries[i] is there at that
// point, base being the lower layers with this layer's whiteouts applied.
func linkable(entries []Entry, i int, base map[string]Node) bool {
	name, target := clean(entries[i].Name), clean(entries[i].Linkname)
	if name == target || below(name, target) || below(target, name) || target == "" {
		return false
	}
	if nodeOf(entries, i, base, nil).Kind == KindDangling {
		return false
	}
	j := targetIndex(entries, i)
	if j > i {
		return true
	}
	for _, e := range entries[j+1 : i] {
		p, what := classify(e.Name)
		replaced := below(target, p) && p != "" && e.Typeflag != tar.TypeDir
		if what == content && (replaced || below(p, target)) {
			return false
		}
	}
	return true
}

func (g *generator) chance(percent int) bool { return g.IntN(100) < percent }

func pick[T any](g *generator, s []T) T { return s[g.IntN(len(s))] }

func sortedKeys(tree map[string]Node) []string {
	keys := make([]string, 0, len(tree))
	for p := range tree {
		keys = append(keys, p)
	}
	slices.Sort(keys)
	return keys
}
