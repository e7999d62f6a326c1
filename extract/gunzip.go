package extract

import (
	"encoding/binary"
	"hash/crc32"
	"io"
	"sync"

	"github.com/pkg/errors"
)

// gunzipper reads the content of gzip members, one after the other (RFC 1952).
type gunzipper struct {
	inflater
	read int    // the end of the output that Read has returned
	crc  uint32 // of the member's content so far
	size uint32 // of the same, modulo 2³²
	err  error  // what Read returns after the output
}

// gunzippers are used again, because each takes some 400 KB.
var gunzippers = sync.Pool{New: func() any { return new(gunzipper) }}

// newGunzipper returns a reader of the content of r. It reads the first header.
func newGunzipper(r io.Reader) (*gunzipper, error) {
	g := gunzippers.Get().(*gunzipper)
	f := &g.inflater
	f.src, f.ended, f.pos, f.end, f.bits, f.n, f.wr, f.start = r, nil, 0, 0, 0, 0, 0, 0
	g.read, g.err = 0, nil
	if err := g.header(); err != nil {
		g.Close()
		return nil, err
	}
	return g, nil
}

// Close lets others use the memory. It must not be called twice.
func (g *gunzipper) Close() error {
	g.src = nil
	gunzippers.Put(g)
	return nil
}

func (g *gunzipper) Read(p []byte) (int, error) {
	for g.read == g.wr {
		if g.err != nil {
			return 0, g.err
		}
		if g.wr > outSize-outSlack {
			g.slide()
			g.read = g.wr
		}
		g.err = g.more()
	}
	n := copy(p, g.out[g.read:g.wr])
	g.read += n
	return n, nil
}

// more decompresses some of the member. At the member's end it goes on to the next one.
func (g *gunzipper) more() error {
	done, err := g.inflate()
	if err != nil { // some of the output may come from the zeros after the end
		g.wr = g.read
		return err
	}
	g.crc = crc32.Update(g.crc, crc32.IEEETable, g.out[g.read:g.wr])
	g.size += uint32(g.wr - g.read)
	if done {
		return g.trailer()
	}
	return nil
}

// trailer checks a member's checksum and size, and begins the next member. The error is
// io.EOF if there is none.
func (g *gunzipper) trailer() error {
	var b [8]byte
	if err := g.readFull(b[:]); err != nil {
		return err
	}
	if binary.LittleEndian.Uint32(b[:4]) != g.crc || binary.LittleEndian.Uint32(b[4:]) != g.size {
		return errors.New("gzip: the checksum is wrong")
	}
	if _, err := g.peek(); err != nil {
		return err
	}
	return g.header()
}

// Flags of a member's header.
const (
	gzipHeaderCRC = 1 << 1
	gzipExtra     = 1 << 2
	gzipName      = 1 << 3
	gzipComment   = 1 << 4
)

// maxGzipName is the longest name or comment, in bytes, that compress/gzip accepts.
const maxGzipName = 512

// header reads a member's header and prepares for its content.
func (g *gunzipper) header() error {
	var b [10]byte
	if err := g.readFull(b[:]); err != nil {
		return err
	}
	if b[0] != 0x1f || b[1] != 0x8b || b[2] != 8 {
		return errors.New("gzip: not a gzip header")
	}
	crc := crc32.ChecksumIEEE(b[:])
	flags := b[3]
	skip := func(n int, toZero bool) error {
		for range n {
			c, err := g.readByte()
			if err != nil {
				return err
			}
			crc = crc32.Update(crc, crc32.IEEETable, []byte{c})
			if toZero && c == 0 {
				return nil
			}
		}
		if toZero {
			return errors.New("gzip: the header has a name that is too long")
		}
		return nil
	}
	if flags&gzipExtra != 0 {
		var size [2]byte
		if err := g.readFull(size[:]); err != nil {
			return err
		}
		crc = crc32.Update(crc, crc32.IEEETable, size[:])
		if err := skip(int(binary.LittleEndian.Uint16(size[:])), false); err != nil {
			return err
		}
	}
	for _, flag := range []byte{gzipName, gzipComment} {
		if flags&flag != 0 {
			if err := skip(maxGzipName, true); err != nil {
				return err
			}
		}
	}
	if flags&gzipHeaderCRC != 0 {
		want := uint16(crc)
		var sum [2]byte
		if err := g.readFull(sum[:]); err != nil {
			return err
		}
		if binary.LittleEndian.Uint16(sum[:]) != want {
			return errors.New("gzip: the header's checksum is wrong")
		}
	}
	g.crc, g.size = 0, 0
	g.begin()
	return nil
}

// peek returns the next byte; the error is io.EOF if there is none.
func (g *gunzipper) peek() (byte, error) {
	if g.pos >= g.end {
		if err := g.fill(); err != nil {
			return 0, err
		}
		if g.pos >= g.end {
			return 0, g.ended
		}
	}
	return g.in[g.pos], nil
}

// readByte reads a byte of a header or trailer.
func (g *gunzipper) readByte() (byte, error) {
	c, err := g.peek()
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	g.pos++
	return c, err
}

// readFull reads len(b) bytes.
func (g *gunzipper) readFull(b []byte) (err error) {
	for i := range b {
		if b[i], err = g.readByte(); err != nil {
			return err
		}
	}
	return nil
}
