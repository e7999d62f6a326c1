package source

import (
	"archive/tar"
	"bufio"
	"cmp"
	"context"
	"io"
	"math"
	"os"
	"path"
	"strings"

	"github.com/awslabs/aws-lambda-container-image-converter/extract"
	"github.com/pkg/errors"
	"golang.org/x/term"
)

// archive is files in a tar, which are read where they are.
type archive struct {
	name      string // for people
	file      *os.File
	temporary bool // the file is our own
	members   map[string]member
}

type member struct {
	offset, size int64  // of its content in the tar, in bytes
	link         string // name of the member that has the content, if not itself
	sparse       int    // if it is stored without its zeros, its place among the tar's entries, from 1
}

// openArchive lists a tar; "-" is standard input. One that is compressed, or comes
// through a pipe, is first written out to dir.
func openArchive(ctx context.Context, name, dir string) (_ *archive, err error) {
	f, name, err := openFile(ctx, name)
	if err != nil {
		return nil, err
	}
	a := &archive{name: name, file: f, members: make(map[string]member)}
	defer func() {
		if err != nil {
			a.Close()
		}
	}()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, errors.Errorf("%s is a directory, not an archive: for an OCI image layout, use oci:%[1]s", name)
	}
	var content io.Reader = f
	if !info.Mode().IsRegular() {
		content = &interruptible{ctx: ctx, r: f}
	}
	r := bufio.NewReader(content)
	c, err := extract.Sniff(r)
	if err != nil {
		return nil, err
	}
	if c != extract.Uncompressed || !info.Mode().IsRegular() {
		if err := a.unpack(ctx, r, c, dir); errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, errors.Wrapf(err, "%s is a damaged archive", name)
		} else if err != nil {
			return nil, errors.Wrap(err, name)
		}
	} else if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	if err := a.list(); err != nil {
		return nil, err
	}
	return a, nil
}

// openFile opens an archive. Opening a fifo waits for somebody to write to it.
func openFile(ctx context.Context, name string) (f *os.File, forPeople string, err error) {
	if name == "-" {
		if term.IsTerminal(int(os.Stdin.Fd())) {
			return nil, "", errors.New("standard input is a terminal: pipe an archive into it, such as that of `docker save`")
		}
		return os.Stdin, "standard input", nil
	}
	f, err = abandon(ctx, func() (*os.File, error) { return os.Open(name) })
	if errors.Is(err, os.ErrNotExist) {
		err = errors.Errorf("no such file: %s", name)
	}
	return f, name, err
}

// list reads the headers of the tar.
func (a *archive) list() error {
	var names nameBudget
	t := tar.NewReader(a.file)
	for place := 1; ; place++ {
		h, err := t.Next()
		if err == io.EOF && len(a.members) == 0 {
			err = tar.ErrHeader
		} else if err == io.EOF {
			return nil
		}
		if err != nil && len(a.members) == 0 {
			return errors.Errorf("%s is not an image archive, but %s", a.name, what(a.file))
		} else if err != nil {
			return cmp.Or(a.brokenOff(), errors.Wrapf(err, "%s is a damaged archive", a.name))
		}
		// The reader has read the header and nothing more.
		offset, err := a.file.Seek(0, io.SeekCurrent)
		if err != nil {
			return err
		}
		m := member{offset: offset, size: h.Size}
		switch h.Typeflag {
		case tar.TypeReg, tar.TypeGNUSparse:
			if isSparse(h) {
				m.sparse = place
			}
		case tar.TypeSymlink: // Docker, of layers that are in the archive already
			m.link = cleanPath(path.Join(path.Dir(h.Name), h.Linkname))
		case tar.TypeLink:
			m.link = cleanPath(h.Linkname)
		default:
			continue
		}
		name := cleanPath(h.Name)
		if m.link == name { // tar writes this of a file that it is given twice
			continue
		}
		if err := names.add(h.Name, m.link); err != nil {
			return errors.Wrap(err, a.name)
		}
		a.members[name] = m
	}
}

// brokenOff says why the engine that wrote the archive did not come to its end: `docker
// save` writes that into it, and exits with 0. It is nil for others.
func (a *archive) brokenOff() error {
	info, err := a.file.Stat()
	if err != nil {
		return nil
	}
	end := make([]byte, maxLastWords)
	n, _ := a.file.ReadAt(end, max(info.Size()-maxLastWords, 0))
	if said := engineSays(end[:n]); said != "" {
		return errors.Errorf("%s is not complete: the engine that wrote it broke off: %s", a.name, said)
	}
	return nil
}

// nameBudget bounds what an archive's names and links take in memory.
type nameBudget int64

// add counts strings that are kept.
func (b *nameBudget) add(kept ...string) error {
	*b += 200 // for the entry in a map
	for _, s := range kept {
		*b += nameBudget(len(s))
	}
	if *b > maxNames {
		return errors.Errorf("the names in it take more than %d MB", maxNames>>20)
	}
	return nil
}

// unpack puts a file in dir, with the decompressed archive, in place of the one
// that is open.
func (a *archive) unpack(ctx context.Context, r *bufio.Reader, c extract.Compression, dir string) error {
	f, err := os.CreateTemp(dir, "archive-")
	if err != nil {
		return err
	}
	defer a.file.Close()
	a.file, a.temporary = f, true
	content, err := c.Decompress(r)
	if err != nil {
		return err
	}
	defer content.Close()
	for size := int64(0); size <= maxArchive; {
		n, err := io.CopyN(f, content, 1<<20)
		size += n
		switch {
		case err == io.EOF:
			_, err := f.Seek(0, io.SeekStart)
			return err
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
	return "", member{}, errors.Wrapf(os.ErrNotExist, "%s in %s", name, a.name)
}

func (a *archive) open(name string) (io.ReadCloser, int64, error) {
	_, m, err := a.find(name)
	if err != nil {
		return nil, 0, err
	}
	if m.sparse > 0 {
		return a.openSparse(m)
	}
	return io.NopCloser(io.NewSectionReader(a.file, m.offset, m.size)), m.size, nil
}

// isSparse reports whether a file is stored as `tar --sparse` does, and bsdtar by
// itself, if the file has holes.
func isSparse(h *tar.Header) bool {
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return h.Typeflag == tar.TypeGNUSparse
}

func (a *archive) openSparse(m member) (io.ReadCloser, int64, error) {
	if m.size > maxArchive {
		return nil, 0, errors.Errorf("it is over %d GB with its holes", maxArchive>>30)
	}
	t := tar.NewReader(io.NewSectionReader(a.file, 0, math.MaxInt64))
	for range m.sparse {
		if _, err := t.Next(); err != nil {
			return nil, 0, err
		}
	}
	return io.NopCloser(t), m.size, nil
}

// Close closes the tar, and removes it if it was written out.
func (a *archive) Close() error {
	err := a.file.Close()
	if a.temporary {
		os.Remove(a.file.Name())
	}
	return err
}

// interruptible is a reader, such as of a pipe, that may never send anything: a
// read ends with the context.
type interruptible struct {
	ctx context.Context
	r   io.Reader
	buf [64 << 10]byte
	// left is what came and has not been taken.
	left []byte
}

func (i *interruptible) Read(p []byte) (int, error) {
	if len(i.left) == 0 {
		n, err := abandon(i.ctx, func() (int, error) { return i.r.Read(i.buf[:]) })
		if n == 0 && err != nil {
			return 0, err
		}
		i.left = i.buf[:n] // an error comes again
	}
	n := copy(p, i.left)
	i.left = i.left[n:]
	return n, nil
}
