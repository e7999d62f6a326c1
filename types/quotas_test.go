package types

import "testing"

// TestFormatSize guards against sizes that nobody writes, such as "1024.0 KB".
func TestFormatSize(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{
		0:                       "0 B",
		1023:                    "1023 B",
		1 << 10:                 "1 KB",
		1536:                    "1.5 KB",
		1<<20 - 1:               "1 MB",
		1 << 20:                 "1 MB",
		MaxDirectUpload:         "50 MB",
		MaxDirectUpload + 1<<19: "50.5 MB",
		4 << 30:                 "4096 MB",
	} {
		if got := FormatSize(n); got != want {
			t.Errorf("%d bytes: got %s, want %s", n, got, want)
		}
	}
}
