package source

import (
	"fmt"
	"slices"
	"testing"
)

// TestDamaged guards against any change on the way to the program that it does
// not notice: each byte is changed in turn (or some of them, see thorough), the
// end is cut off at each, each file is missing.
func TestDamaged(t *testing.T) {
	t.Parallel()
	for i, f := range forms(t) {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			rng, dir := random(t, uint64(i)), memoryDir(t)
			want, err := zipsOf(t.Context(), dir, func(work string) (extract.Source, error) { return f.open(work, f.content) })
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

// damage is a change to a form's content.
type damage struct {
	name    string
	content []byte
	refused bool // it has to be
	layer   bool // and the layer named
}
