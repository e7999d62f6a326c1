package extract

import (
	"archive/tar"
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/tartest"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/ziptest"
)

// TestHostileNames guards against names and targets that lead out of the
// directory into which somebody unzips, and against any that are followed here.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	gnuLong := func(name string, typeflag byte) []byte { // a name in an entry of its own
		body := append([]byte(name), make([]byte, -len(name)&511)...)
		return append(tartest.Header("././@LongLink", typeflag, int64(len(name)), nil), body...)
	}
	file := func(name string) []byte { return tartest.Header(name, tar.TypeReg, 0, nil) }
	for _, tt := range []struct {
		name  string
		layer []byte
		want  string // the names in the zip, or the error
	}{
		{"climbing", slices.Concat(file("opt/../../etc/x"), file("opt/../../opt/a"), file("../../../opt/b"), file("opt/d/../../../../c"), file("opt/..")), "a b"},
		{"absolute", slices.Concat(file("/opt/a"), file("//opt//b"), file("/etc/passwd"), file("/")), "a b"},
		{"dots", slices.Concat(file("opt/."), file("opt/./a"), file("opt/.../b"), file("opt/..c"), file("opt/d../e")), "a .../b ..c d../e"},
		{"drives and backslashes", slices.Concat(file(`opt/C:\x`), file(`opt/..\..\x`), file(`C:/opt/a`), file("opt/c:")), `C:\x ..\..\x c:`},
		{"control characters", slices.Concat(file("opt/a\nb"), file("opt/\x1b[2J"), file("opt/\r"), file("opt/\xff\xfe"), file("opt/\u202e")), "a\nb \x1b[2J \r \xff\xfe \u202e"},
		{"NUL in a header", slices.Concat(file("opt/a\x00/../../etc/x")), "a"},
		{"NUL in GNU's long name", slices.Concat(gnuLong("opt/a\x00/../../etc/x", tar.TypeGNULongName), file("x")), "a"},
		{"NUL in PAX's path", slices.Concat(tartest.PAX(map[string]string{"path": "opt/a\x00b"}), file("x")), "tar: "},
		{"NUL in PAX's link", slices.Concat(tartest.PAX(map[string]string{"linkpath": "a\x00b"}), tartest.Header("opt/a", tar.TypeSymlink, 0, nil)), "tar: "},
		{"climbing in PAX", slices.Concat(tartest.PAX(map[string]string{"path": "opt/../../../opt/../etc/x"}), file("opt/a"), file("opt/b")), "b"},
		{"PAX for all the others", slices.Concat(tartest.Header("g", tar.TypeXGlobalHeader, 0, nil), file("opt/a")), "a"},
		{"empty", slices.Concat(file(""), file("opt/a")), "a"},
		{"links that climb", slices.Concat(
			tartest.Header("opt/a", tar.TypeSymlink, 0, func(b []byte) { copy(b[157:], "../../../../etc/passwd") }),
			tartest.Header("opt/b", tar.TypeSymlink, 0, func(b []byte) { copy(b[157:], "/etc/passwd") }),
			file("opt/a/c"), file("opt/b/c")), "a b"},
		{"hard link that climbs to what the machine has", slices.Concat(
			tartest.Header("opt/a", tar.TypeLink, 0, func(b []byte) { copy(b[157:], "../../../../../../../../../../etc/passwd") })), "is a hard link to"},
		{"duplicates", slices.Concat(file("opt/a"), file("./opt/a"), file("opt//a"), file("opt/x/../a"), file("/opt/a")), "a"},
		{"names that differ in case", slices.Concat(file("opt/a"), file("opt/A"), file("OPT/a"), file("opt/\u00e9"), file("opt/e\u0301")), "a A \u00e9 e\u0301"},
		{"as deep as can be", slices.Concat(tartest.PAX(map[string]string{"path": "opt" + strings.Repeat("/d", maxDepth-1)}), file("x")), strings.Repeat("d/", maxDepth-2) + "d"},
		{"deeper", slices.Concat(tartest.PAX(map[string]string{"path": "opt" + strings.Repeat("/d", maxDepth)}), file("x")), "directories deep"},
		{"as long as can be", slices.Concat(tartest.PAX(map[string]string{"path": "opt/" + strings.Repeat("n", maxPath-4)}), file("x")), strings.Repeat("n", maxPath-4)},
		{"longer", slices.Concat(tartest.PAX(map[string]string{"path": "opt/" + strings.Repeat("n", maxPath-3)}), file("x")), "4096 bytes"},
		{"records of megabytes", slices.Concat(tartest.PAX(map[string]string{"comment": strings.Repeat("x", 2<<20)}), file("opt/a")), "tar: "},
		{"a hundred thousand records", slices.Concat(tartest.PAX(records(100_000)), file("opt/a")), "tar: "},
		{"records that are none", slices.Concat(tartest.Header("x", tar.TypeXHeader, 512, nil), bytes.Repeat([]byte("9"), 512), file("opt/a")), "tar: "},
		{"a long name for a long name", slices.Concat(bytes.Repeat(gnuLong("opt/x", tar.TypeGNULongName), 1000), file("opt/a")), "x"},
		{"a type that is none", slices.Concat(tartest.Header("opt/a", 0xff, 0, nil)), "a"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			zips, err := zipsOf(t.Context(), t, memory{append(slices.Clone(tt.layer), tartest.EndOfTar...)})
			if err != nil {
				if !strings.Contains(err.Error(), tt.want) || strings.ContainsFunc(err.Error(), unicode.IsControl) {
					t.Errorf("got error  %q\nwant error %q", err, tt.want)
				}
				return
			}
			names := ziptest.Check(t, zips["layer-1.zip"])
			if got := strings.Join(names, " "); got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

// records are so many for a PAX header.
func records(n int) map[string]string {
	r := make(map[string]string)
	for i := range n {
		r[fmt.Sprint("comment.", i)] = "x"
	}
	return r
}
