package imagetest

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestTarKeepsNames reads the raw headers, for a tar reader may clean names.
func TestTarKeepsNames(t *testing.T) {
	t.Parallel()
	long := "opt/" + strings.Repeat("x", 120)
	for _, test := range []struct {
		entry Entry
		want  []string // name field and type of each header
	}{
		{File("./opt/a", ""), []string{"./opt/a 0"}},
		{File("/opt/a", ""), []string{"/opt/a 0"}},
		{File("opt/../../a", ""), []string{"opt/../../a 0"}},
		{Dir("opt"), []string{"opt 5"}},
		{Dir("opt/"), []string{"opt/ 5"}},
		{Whiteout("./opt/a"), []string{"./opt/.wh.a 0"}},
		{Opaque("opt/"), []string{"opt/.wh..wh..opq 0"}},
		{Opaque(""), []string{".wh..wh..opq 0"}},
		{File(long, "", GNU()), []string{"././@LongLink L", long[:100] + " 0"}},
		{File(long, ""), []string{"opt/PaxHeaders.0/" + strings.Repeat("x", 83) + " x", long[:100] + " 0"}},
		{File("opt/é", ""), []string{"opt/PaxHeaders.0 x", "opt/ 0"}},
		{File("a", "", PAX("SCHILY.xattr.user.x", "y")), []string{"PaxHeaders.0/a x", "a 0"}},
		{Symlink("a", "b"), []string{"a 2"}},
		{Hardlink("a", "b"), []string{"a 1"}},
		{CharDev("a"), []string{"a 3"}},
		{BlockDev("a"), []string{"a 4"}},
		{Fifo("a"), []string{"a 6"}},
	} {
		raw := Tar(test.entry)
		var got []string
		for len(raw) > 1024 { // The end is two empty blocks.
			header := raw[:512]
			got = append(got, field(header[:100])+" "+string(header[156]))
			raw = raw[512:]
			if kind := header[156]; kind == 'x' || kind == 'L' {
				raw = raw[512:] // All of these have one block of content.
			}
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.entry.Name, diff)
		}
	}
}

func field(b []byte) string {
	b, _, _ = bytes.Cut(b, []byte{0})
	return string(b)
}
