package source

import (
	"bytes"
	"encoding/json"
	"io"

	"github.com/pkg/errors"
)

const (
	// maxLastWords is how many bytes at the end of a stream are remembered.
	maxLastWords = 4 << 10
	// maxRest is how many bytes are read of what comes after the tar, or after where
	// reading it failed.
	maxRest = 1 << 20
)

// lastWords is a stream from an engine, of which it remembers the end. An engine that
// fails in the middle of an export can say why only behind what it has sent (moby,
// getImagesGet): `docker save` writes that to the file as well.
type lastWords struct {
	io.Reader
	end []byte
}

func (l *lastWords) Read(b []byte) (int, error) {
	n, err := l.Reader.Read(b)
	last := b[max(n-maxLastWords, 0):n]
	keep := min(len(l.end), maxLastWords-len(last))
	l.end = append(append(l.end[:0], l.end[len(l.end)-keep:]...), last...)
	return n, err
}

// explain returns the reason for err, if the engine gives one at the end of the stream,
// and otherwise err itself.
func (l *lastWords) explain(err error) error {
	_, _ = io.CopyN(io.Discard, l, maxRest)
	if said := engineSays(l.end); said != "" {
		return errors.Errorf("the engine broke off: %s", said)
	}
	return err
}

// engineSays is what the end of an export says of a failure of the engine; empty if it
// does not.
func engineSays(end []byte) string {
	var message struct {
		Error string `json:"error"`
	}
	if start := bytes.LastIndex(end, []byte(`{"error`)); start < 0 || json.Unmarshal(end[start:], &message) != nil {
		return ""
	}
	return message.Error
}
