package cli

import "testing"

func TestDrawBar(t *testing.T) {
	t.Parallel()
	const label = "layer-1.zip to ap-southeast-2"
	for _, tt := range []struct {
		name       string
		width      int
		label      string
		done, size int64
		want       string
	}{
		{"half", 80, label, 5 * mb, 10 * mb, "layer-1.zip to ap-southeast-2  [===============                ]   5.0 / 10.0 MB"},
		{"all", 80, label, 10 * mb, 10 * mb, "layer-1.zip to ap-southeast-2  [===============================]  10.0 / 10.0 MB"},
		{"more than all", 80, label, 11 * mb, 10 * mb, "layer-1.zip to ap-southeast-2  [===============================]  10.0 / 10.0 MB"},
		{"a label that is shorter than others", 80, "layer-1.zip to sa-east-1", 0, mb, "layer-1.zip to sa-east-1       [                                 ]  0.0 / 1.0 MB"},
		{"wide", 200, "layer", 0, mb, "layer                          [                                        ]  0.0 / 1.0 MB"},
		{"no room for a bar", 40, label, 5 * mb, 10 * mb, "layer-1.zip …southeast-2   5.0 / 10.0 MB"},
		{"no room for a label", 14, label, 5 * mb, 10 * mb, "   5.0 / 10.0 MB"},
		{"nobody knows the size", 80, "reading a layer", 5 * mb, -1, "reading a layer                5.0 MB"},
		{"nothing", 80, "reading a layer", 0, 0, "reading a layer                0.0 MB"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := drawBar(tt.width, len(label), tt.label, tt.done, tt.size); got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestShorten(t *testing.T) {
	t.Parallel()
	for width, want := range map[int]string{-1: "", 0: "", 1: "a", 2: "a…", 3: "a…g", 4: "ab…g", 6: "abc…fg", 7: "abcdefg", 8: "abcdefg"} {
		if got := shorten("abcdefg", width); got != want {
			t.Errorf("in %d columns: %q, want %q", width, got, want)
		}
	}
}
