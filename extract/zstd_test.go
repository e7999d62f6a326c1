package extract

import (
	"bufio"
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// TestZstdFrames is about streams of several frames, as layers have that can be
// read in part (zstd:chunked): none is mistaken for another, and the largest window
// is what is waited for, until the stream is closed.
func TestZstdFrames(t *testing.T) {
	t.Parallel()
	frame := func(content string, options ...zstd.EOption) []byte {
		var b bytes.Buffer
		w, err := zstd.NewWriter(&b, options...)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(w, strings.NewReader(content)); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	long := strings.Repeat("many blocks, ", 100_000)
	skippable := []byte{0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3}
	stream := slices.Concat(
		skippable,
		frame("small", zstd.WithSingleSegment(true)),
		frame(long, zstd.WithWindowSize(64<<10), zstd.WithEncoderCRC(false)),
		frame(strings.Repeat("\x00", 1<<20)),
		skippable,
		frame(long, zstd.WithWindowSize(64<<20)),
		frame("", zstd.WithZeroFrames(true)),
		frame("end"),
	)
	read := func(b []byte) (string, error) {
		r, err := Zstd.Decompress(bufio.NewReader(bytes.NewReader(b)))
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		frames := r.(*zstdReader).frames
		if err == nil && len(b) == len(stream) && frames.held != 64<<20 {
			t.Errorf("%d bytes were held for windows", frames.held)
		}
		r.Close()
		if frames.held != 0 {
			t.Errorf("%d bytes are held for windows at the end", frames.held)
		}
		return string(content), err
	}
	want := "small" + long + strings.Repeat("\x00", 1<<20) + long + "end"
	if got, err := read(stream); err != nil || got != want {
		t.Errorf("got %d bytes, error %v; want %d", len(got), err, len(want))
	}
	for n := range stream { // cut off
		if n%7 > 0 && n > 100 {
			continue
		}
		if got, _ := read(stream[:n]); !strings.HasPrefix(want, got) {
			t.Errorf("of %d bytes: got other content", n)
		}
	}
}
