package source

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path"
	"path/filepath"

	"github.com/pkg/errors"
)

// cleanPath gives a tar's name for a path in the form that members have. Names
// that climb with ".." stop at the top.
func cleanPath(name string) string {
	return path.Clean("/" + name)[1:]
}

// files are the files of an image layout or archive, by their names.
type files interface {
	// open returns a file's content and its size in bytes; the error wraps
	// os.ErrNotExist if there is no such file.
	open(name string) (io.ReadCloser, int64, error)
	Close() error
}

// readDocument reads a small file.
func readDocument(f files, name string) ([]byte, error) {
	r, _, err := f.open(name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, maxDocument+1))
	if err == nil && len(b) > maxDocument {
		err = errors.Errorf("%s is over %d bytes", name, maxDocument)
	}
	return b, err
}

// parseJSON parses a document, unless it would take far more memory than its bytes
// do.
func parseJSON(b []byte, v any) error {
	if err := checkElements(b); err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}

// checkElements refuses a JSON document with too many members and elements.
func checkElements(b []byte) error {
	n, inString := 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			inString = !inString
		case inString && c == '\\':
			i++
		case !inString && (c == ',' || c == '{' || c == '['):
			n++
		}
	}
	if n > maxElements {
		return errors.Errorf("it has %d elements; %d are supported", n, maxElements)
	}
	return nil
}

// directory is files on disk.
type directory string

// openDirectory checks that there is a directory.
func openDirectory(name string) (files, error) {
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, errors.Errorf("no such file: %s", name)
	case err != nil:
		return nil, err
	case !info.IsDir():
		return nil, errors.Errorf("%s is a file, not an OCI image layout: for an archive, use oci-archive:%[1]s or docker-archive:%[1]s", name)
	}
	return directory(name), nil
}

func (d directory) open(name string) (io.ReadCloser, int64, error) {
	name = filepath.Join(string(d), filepath.FromSlash(cleanPath(name)))
	info, err := os.Stat(name)
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() { // opening a fifo would wait for ever
		return nil, 0, errors.Errorf("%s is not a file", name)
	}
	f, err := os.Open(name)
	return f, info.Size(), err
}

// Close is there for the interface.
func (d directory) Close() error { return nil }

// inMemory is small files that came by in a stream.
type inMemory map[string][]byte

func (m inMemory) open(name string) (io.ReadCloser, int64, error) {
	b, ok := m[cleanPath(name)]
	if !ok {
		return nil, 0, errors.Wrap(os.ErrNotExist, name)
	}
	return io.NopCloser(bytes.NewReader(b)), int64(len(b)), nil
}

// Close is there for the interface.
func (m inMemory) Close() error { return nil }
