package extract

import (
	"archive/tar"
	"archive/zip"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/imagetest"
	"github.com/awslabs/aws-lambda-container-image-converter/internal/ziptest"
)

// TestModes is what law 1 says of permissions.
func TestModes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		dir      bool
		in, want fs.FileMode
	}{
		{false, 0o644, 0o644},
		{false, 0o666, 0o666},
		{false, 0o600, 0o644},
		{false, 0o400, 0o444},
		{false, 0o040, 0o444},
		{false, 0o000, 0o444},
		{false, 0o755, 0o755},
		{false, 0o700, 0o755},
		{false, 0o711, 0o755},
		{false, 0o100, 0o555},
		{false, 0o010, 0o555},
		{false, 0o001, 0o555},
		{false, 0o776, 0o777},
		{false, 0o4755, 0o755},
		{false, 0o2711, 0o755},
		{false, 0o4644, 0o644},
		{false, 0o1600, 0o644},
		{true, 0o755, 0o755},
		{true, 0o000, 0o555},
		{true, 0o700, 0o755},
		{true, 0o600, 0o755},
		{true, 0o220, 0o775},
		{true, 0o1777, 0o777},
		{true, 0o2770, 0o775},
	}
	var entries []imagetest.Entry
	want := map[string]string{"link": (fs.ModeSymlink | 0o777).String()}
	for _, test := range tests {
		if name := fmt.Sprintf("%04o", test.in); test.dir {
			entries = append(entries, imagetest.Dir("opt/d"+name+"/", imagetest.Mode(int64(test.in))))
			want["d"+name+"/"] = (fs.ModeDir | test.want).String()
		} else {
			entries = append(entries, imagetest.File("opt/f"+name, name, imagetest.Mode(int64(test.in))))
			want["f"+name] = test.want.String()
		}
	}
	entries = append(entries, imagetest.Symlink("opt/link", "f0000", imagetest.Mode(0o600)))

	layers := layers{entries}
	dir, result, _, err := convertLayers(t, 0, layers...)
	if err != nil {
		t.Fatal(err)
	}
	z, err := zip.OpenReader(filepath.Join(dir, "layer-1.zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	got := map[string]string{}
	for _, f := range z.File {
		got[f.Name] = f.Mode().String()
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("modes (+) are not as expected (-):\n%s", diff)
	}
	checkRestored(t, dir, result, layers)
	checkUnzipped(t, dir, result)
}

// TestModTimes is law 1 for modification times, among them those that the date
// of MS-DOS in each zip entry cannot say.
func TestModTimes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		in, want time.Time
	}{
		{"zero", time.Unix(0, 0), time.Unix(0, 0)},
		{"before 1970", time.Unix(-1, 0), time.Unix(-1, 0)},
		{"long before 1970", time.Date(1066, 10, 14, 0, 0, 0, 0, time.UTC), time.Unix(-1<<31, 0)},
		{"before MS-DOS", time.Date(1979, 12, 31, 23, 59, 59, 0, time.UTC), time.Date(1979, 12, 31, 23, 59, 59, 0, time.UTC)},
		{"MS-DOS", time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)},
		{"odd", time.Date(2021, 3, 4, 5, 6, 7, 0, time.UTC), time.Date(2021, 3, 4, 5, 6, 7, 0, time.UTC)},
		{"fraction", time.Date(2021, 3, 4, 5, 6, 7, 999_999_999, time.UTC), time.Date(2021, 3, 4, 5, 6, 7, 0, time.UTC)},
		{"31 bits", time.Unix(1<<31-1, 0), time.Unix(1<<31-1, 0)},
		{"32 bits", time.Unix(1<<31, 0), time.Unix(1<<31, 0)},
		{"2040", time.Date(2040, 2, 29, 12, 0, 1, 0, time.UTC), time.Date(2040, 2, 29, 12, 0, 1, 0, time.UTC)},
		{"last", time.Unix(1<<32-1, 0), time.Unix(1<<32-1, 0)},
		{"after the last", time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), time.Unix(1<<32-1, 0)},
	}
	var entries []imagetest.Entry
	for _, test := range tests {
		at := func(e *imagetest.Entry) { e.Format, e.Header.ModTime = tar.FormatPAX, test.in }
		entries = append(entries, imagetest.File("opt/"+test.name, "1", at), imagetest.Dir("opt/dir "+test.name+"/", at), imagetest.Symlink("opt/link "+test.name, "1", at))
	}
	dir, result, _, err := convertLayers(t, 0, entries)
	if err != nil {
		t.Fatal(err)
	}
	z, err := zip.OpenReader(filepath.Join(dir, "layer-1.zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	got := map[string]*zip.File{}
	for _, f := range z.File {
		got[f.Name] = f
	}
	for _, test := range tests {
		for _, name := range []string{test.name, "dir " + test.name + "/", "link " + test.name} {
			if got := ziptest.ExtendedTime(t, got[name]); !got.Equal(test.want) {
				t.Errorf("%s: got %v, want %v", name, got, test.want.UTC())
			}
		}
	}
	// A program that knows only the date of MS-DOS gets UTC, to two seconds.
	for name, want := range map[string]time.Time{
		"zero":           time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC),
		"before MS-DOS":  time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC),
		"odd":            time.Date(2021, 3, 4, 5, 6, 6, 0, time.UTC),
		"2040":           time.Date(2040, 2, 29, 12, 0, 0, 0, time.UTC),
		"after the last": time.Date(2106, 2, 7, 6, 28, 14, 0, time.UTC),
	} {
		if got := got[name].ModTime(); !got.Equal(want) {
			t.Errorf("%s: got MS-DOS date %v, want %v", name, got, want)
		}
	}

	if !ziptest.HaveUnzip() {
		return
	}
	tree := ziptest.Unzip(t, layerZips(dir, result)...)
	for _, test := range tests {
		want := test.want
		if want.Unix() < 0 { // unzip does not know of these
			want = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)
		}
		for _, name := range []string{test.name, "dir " + test.name} {
			if got := tree[name].ModTime; got != want.Unix() {
				t.Errorf("%s: unzip makes %v, want %v", name, time.Unix(got, 0).UTC(), want.UTC())
			}
		}
	}
}

// TestNames is the flag by which zips tell names in UTF-8, and the bytes of
// names that are not: programs guess otherwise.
func TestNames(t *testing.T) {
	t.Parallel()
	want := map[string]bool{"plain": false, "é": true, "日本/": true, "\xe9": false, "\xe6\x97/": false}
	var entries []imagetest.Entry
	for name := range want {
		if strings.HasSuffix(name, "/") {
			entries = append(entries, imagetest.Dir("opt/"+name, imagetest.GNU()))
		} else {
			entries = append(entries, imagetest.File("opt/"+name, "1", imagetest.GNU()))
		}
	}
	dir, result, _, err := convertLayers(t, 0, entries)
	if err != nil {
		t.Fatal(err)
	}
	z, err := zip.OpenReader(filepath.Join(dir, "layer-1.zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	got := map[string]bool{}
	for _, f := range z.File {
		got[f.Name] = f.Flags&flagUTF8 != 0
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("names with the flag (+) are not as expected (-):\n%s", diff)
	}
	if !ziptest.HaveUnzip() {
		return
	}
	tree := ziptest.Unzip(t, layerZips(dir, result)...)
	for name := range want {
		if _, ok := tree[strings.TrimSuffix(name, "/")]; !ok {
			t.Errorf("unzip does not make %q", name)
		}
	}
}

// TestParents is the times of directories to which a later layer adds something
// and whose entry it does not repeat: unzipping it over the others must not
// leave them with the time of the day, nor with modes of the program's choice.
func TestParents(t *testing.T) {
	t.Parallel()
	one, two := time.Unix(1e9, 0), time.Unix(1e9+60, 0)
	layers := layers{
		{
			imagetest.Dir("opt/"),
			imagetest.Dir("opt/d/", imagetest.ModTime(one), imagetest.Mode(0o775)),
			imagetest.Dir("opt/d/e/", imagetest.ModTime(two), imagetest.Mode(0o777)),
			imagetest.File("opt/d/e/a", "1"),
		},
		{imagetest.File("opt/d/e/f/b", "2")},
		{imagetest.File("opt/d/c", "3")},
	}
	dir, result, _, err := convertLayers(t, 0, layers...)
	if err != nil {
		t.Fatal(err)
	}
	checkRestored(t, dir, result, layers)
	tree := ziptest.Restore(t, layerZips(dir, result)...)
	if got := tree["d"]; got.ModTime != one.Unix() || got.Mode != 0o775 {
		t.Errorf("/opt/d has time %v and mode %o", time.Unix(got.ModTime, 0).UTC(), got.Mode)
	}
	if got := tree["d/e"]; got.ModTime != two.Unix() || got.Mode != 0o777 {
		t.Errorf("/opt/d/e has time %v and mode %o", time.Unix(got.ModTime, 0).UTC(), got.Mode)
	}
}
