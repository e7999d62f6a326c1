package source

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"path"
	"path/filepath"

	"github.com/awslabs/aws-lambda-container-image-converter/extract"
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

// directory is files on disk.
type directory string

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

// archive is files in a tar, which are read where they are.
type archive struct {
	file      *os.File
	temporary bool // the file is our own
	members   map[string]member
}

type member struct {
	offset, size int64  // of its content in the tar, in bytes
	link         string // name of the member that has the content, if not itself
}

// openArchive lists a tar. One that is compressed, or comes through a pipe, is
// first written out to dir.
func openArchive(ctx context.Context, name, dir string) (_ *archive, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	temporary := false
	defer func() {
		if err != nil {
			(&archive{file: f, temporary: temporary}).Close()
		}
	}()
	r := bufio.NewReader(f)
	c, err := extract.Sniff(r)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if c != extract.Uncompressed || !info.Mode().IsRegular() {
		compressed := f
		defer compressed.Close()
		if f, err = os.CreateTemp(dir, "archive-"); err != nil {
			return nil, err
		}
		temporary = true
		content, err := c.Decompress(r)
		if err == nil {
			err = unpack(ctx, f, content)
			content.Close()
		}
		if err != nil {
			return nil, errors.Wrap(err, name)
		}
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	a := &archive{file: f, temporary: temporary, members: make(map[string]member)}
	for t := tar.NewReader(f); ; {
		h, err := t.Next()
		if err == io.EOF {
			return a, nil
		} else if err != nil {
			return nil, errors.Wrapf(err, "%s is no image archive, or a damaged one", name)
		}
		// The reader has read the header and nothing more.
		offset, err := f.Seek(0, io.SeekCurrent)
		if err != nil {
			return nil, err
		}
		m := member{offset: offset, size: h.Size}
		switch h.Typeflag {
		case tar.TypeReg:
		case tar.TypeSymlink: // Docker, of layers that are in the archive already
			m.link = cleanPath(path.Join(path.Dir(h.Name), h.Linkname))
		case tar.TypeLink:
			m.link = cleanPath(h.Linkname)
		default:
			continue
		}
		a.members[cleanPath(h.Name)] = m
	}
}

// unpack copies a decompressed archive to disk.
func unpack(ctx context.Context, f *os.File, content io.Reader) error {
	for size := int64(0); size <= maxArchive; {
		n, err := io.CopyN(f, content, 1<<20)
		size += n
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		}
	}
	return errors.Errorf("it is over %d GB unpacked", maxArchive>>30)
}

// find returns the name and place of the member that has the content of name.
func (a *archive) find(name string) (string, member, error) {
	name = cleanPath(name)
	for range 8 { // links to links
		m, ok := a.members[name]
		if !ok {
			break
		}
		if m.link == "" {
			return name, m, nil
		}
		name = m.link
	}
	return "", member{}, errors.Wrapf(os.ErrNotExist, "%s in %s", name, a.file.Name())
}

func (a *archive) open(name string) (io.ReadCloser, int64, error) {
	_, m, err := a.find(name)
	if err != nil {
		return nil, 0, err
	}
	return io.NopCloser(io.NewSectionReader(a.file, m.offset, m.size)), m.size, nil
}

// Close closes the tar, and removes it if it was written out.
func (a *archive) Close() error {
	err := a.file.Close()
	if a.temporary {
		os.Remove(a.file.Name())
	}
	return err
}

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
