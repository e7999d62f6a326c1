package source

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/awslabs/aws-lambda-container-image-converter/extract"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/testrun"
)

// TestDamaged guards against any change on the way to the program that it does
// not notice.
func TestDamaged(t *testing.T) {
	t.Parallel()
	for _, f := range forms(t) {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			rng, dir := testrun.Random(t), testrun.MemoryDir(t)
			want, err := zipsOf(t.Context(), dir, func(work string) (extract.Source, error) { return f.open(work, f.content) })
			if err != nil || len(want) != 3 {
				t.Fatalf("undamaged: %d zips, error %v", len(want), err)
			}
			done, refused := 0, 0
			for _, damage := range f.damages(t, rng) {
				done++
				if f.check(t, dir, want, damage()) {
					refused++
				}
			}
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

// damages are the ways to damage f: a byte is changed, the end is cut off, a file
// is missing or is another. Those with bytes are some at random, and at each
// byte if thorough.
func (f form) damages(t testing.TB, rng *rand.Rand) (all []func() damage) {
	parts := f.parts(t)
	flip := func(n int) damage {
		b, bits := slices.Clone(f.content), byte(1+rng.IntN(255))
		b[n] ^= bits
		p := partAt(parts, n)
		return damage{fmt.Sprintf("byte %d changed by %#x (%s)", n, bits, p.name), b, p.exact, p.exact && p.ofALayer}
	}
	cut := func(n int) damage {
		return damage{fmt.Sprintf("cut after byte %d", n), f.content[:n], false, false}
	}
	add := func(d func() damage) { all = append(all, d) }
	if testrun.Long {
		for n := range f.content {
			add(func() damage { return flip(n) })
			add(func() damage { return cut(n) })
		}
	} else {
		for range 10 {
			add(func() damage { return flip(rng.IntN(len(f.content))) })
			add(func() damage { return cut(rng.IntN(len(f.content))) })
		}
	}
	for i, p := range parts {
		add(func() damage { return cut(p.header) })
		for range min(3, p.end-p.start) {
			add(func() damage { return flip(p.start + rng.IntN(p.end-p.start)) })
		}
		next := len(f.content)
		if i+1 < len(parts) {
			next = parts[i+1].header
		}
		add(func() damage {
			return damage{p.name + " missing", slices.Delete(slices.Clone(f.content), p.header, next), p.exact, p.exact && p.ofALayer}
		})
		if p.exact { // the same size, so that only the content tells
			add(func() damage {
				b := slices.Clone(f.content)
				for i := range b[p.start:p.end] {
					b[p.start+i] = byte(rng.Uint32())
				}
				return damage{p.name + " random", b, true, p.ofALayer}
			})
		}
	}
	add(func() damage {
		return damage{"garbage at the end", append(slices.Clone(f.content), "garbage"...), false, false}
	})
	return all
}

// partAt is the member of a tar to whose content byte n belongs, if any.
func partAt(parts []part, n int) part {
	i, _ := slices.BinarySearchFunc(parts, n, func(p part, n int) int { return p.end - n - 1 })
	if i == len(parts) || n < parts[i].start {
		return part{}
	}
	return parts[i]
}
