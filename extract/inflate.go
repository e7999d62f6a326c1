package extract

import (
	"encoding/binary"
	"io"

	"github.com/pkg/errors"
)

// errDeflate is the error of a stream that is not valid deflate.
var errDeflate = errors.New("gzip: the content is damaged")

const (
	inSize  = 64 << 10
	outSize = windowSize + 256<<10
	// longestMatch is how many bytes a match can stand for (RFC 1951, 3.2.5).
	longestMatch = 258
	// outSlack is how much room a step needs in the output: it may write two literals
	// and a whole match, which is copied in words of 8 bytes.
	outSlack = longestMatch + 16
	// inSlack is how many bytes of input a step reads at most: two words.
	inSlack = 16
)

// inflater decompresses deflate streams (RFC 1951). It takes about half as long as
// compress/flate, because it reads words of 64 bits instead of bytes, and copies matches
// within one flat buffer.
type inflater struct {
	src   io.Reader
	ended error // the error at the end of src, after which in has zeros
	in    [inSize + 2*inSlack]byte
	pos   int // in in, of the first byte that is not in bits yet
	end   int // of what src has put into in
	// bits holds the next n bits of the input, the lowest first. Above them are zeros
	// or the bits that follow.
	bits uint64
	n    uint

	out   [outSize]byte
	start int // of the output that a match may refer to
	wr    int // the end of the output

	last    bool                  // whether the block is the stream's last one
	state   func(*inflater) error // what comes next; nil after the end
	stored  int                   // bytes left in a stored block
	lit     *litTable             // the block's tables
	dist    *distTable
	ownLit  litTable
	ownDist distTable
	lengths [maxLitCodes + maxDistCodes]uint8
}

// begin prepares for a stream that starts at the next byte of the input.
func (f *inflater) begin() {
	f.start, f.last, f.state = f.wr, false, (*inflater).block
}

// inflate decompresses until the output is full or the stream ends, in which case done
// is true.
func (f *inflater) inflate() (done bool, err error) {
	for f.wr <= outSize-outSlack {
		if f.state == nil {
			return true, nil
		}
		if err := f.state(f); err != nil {
			if f.ended != nil && 8*(f.end-f.pos)+int(f.n) < 64 {
				err = f.tooShort() // it may be the zeros that are invalid
			}
			return false, err
		}
	}
	return f.state == nil, f.checkEnd()
}

// slide makes room for more output, once all of it has been taken.
func (f *inflater) slide() {
	from := max(f.wr-windowSize, f.start)
	copy(f.out[:], f.out[from:f.wr])
	f.start, f.wr = 0, f.wr-from
}

// fill makes sure that there is input for one step. After the end of src it is zeros.
func (f *inflater) fill() error {
	if f.end-f.pos >= inSlack || f.ended != nil {
		return f.checkEnd()
	}
	from := f.pos - int(f.n>>3) // align may give the bytes in bits back
	copy(f.in[:], f.in[from:f.end])
	f.pos, f.end = f.pos-from, f.end-from
	for empty := 0; f.end-f.pos < inSlack; {
		n, err := f.src.Read(f.in[f.end:inSize])
		f.end += n
		if empty++; n > 0 {
			empty = 0
		} else if empty == 100 && err == nil { // as package bufio has it
			err = io.ErrNoProgress
		}
		if err != nil {
			f.ended = err
			clear(f.in[f.end:])
			return nil
		}
	}
	return nil
}

// checkEnd fails if more bits were used than src had.
func (f *inflater) checkEnd() error {
	if f.ended != nil && 8*f.pos-int(f.n) > 8*f.end {
		return f.tooShort()
	}
	return nil
}

// tooShort is the error of a stream that goes on after the end of src.
func (f *inflater) tooShort() error {
	if f.ended == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return f.ended
}

// refill makes n at least 56. It needs the input that fill provides.
func (f *inflater) refill() {
	if f.pos > len(f.in)-8 { // zeros after the end
		f.n |= 56
		return
	}
	f.bits |= binary.LittleEndian.Uint64(f.in[f.pos:]) << f.n
	f.pos += int(63-f.n) >> 3
	f.n |= 56
}

// take returns the next n bits of the input, at most 16.
func (f *inflater) take(n uint) (int, error) {
	if f.n < n {
		if err := f.fill(); err != nil {
			return 0, err
		}
		f.refill()
	}
	v := f.bits & (1<<n - 1)
	f.bits >>= n
	f.n -= n
	return int(v), f.checkEnd()
}

// align skips to the next byte boundary, and gives whole bytes in bits back.
func (f *inflater) align() {
	f.pos -= int(f.n >> 3)
	f.bits, f.n = 0, 0
}

// block begins the next block, or ends the stream after the last one.
func (f *inflater) block() error {
	if f.last {
		f.align()
		f.state = nil
		return nil
	}
	header, err := f.take(3)
	if err != nil {
		return err
	}
	f.last = header&1 != 0
	switch header >> 1 {
	case 0:
		return f.storedBlock()
	case 1:
		f.lit, f.dist = fixedTables()
	case 2:
		if err := f.readTables(); err != nil {
			return err
		}
	default:
		return errDeflate
	}
	f.state = (*inflater).symbols
	return nil
}

// storedBlock begins a block whose content is stored as it is.
func (f *inflater) storedBlock() error {
	f.align()
	size, err := f.take(16)
	if err != nil {
		return err
	}
	check, err := f.take(16)
	if err != nil {
		return err
	}
	if size != check^0xffff {
		return errDeflate
	}
	f.align()
	f.stored, f.state = size, (*inflater).copyStored
	return nil
}

// copyStored copies as much of a stored block as there is room for.
func (f *inflater) copyStored() error {
	if f.stored == 0 {
		f.state = (*inflater).block
		return nil
	}
	if f.pos >= f.end {
		if err := f.fill(); err != nil {
			return err
		}
		if f.pos >= f.end {
			return f.tooShort()
		}
	}
	n := copy(f.out[f.wr:outSize-outSlack+1], f.in[f.pos:min(f.end, f.pos+f.stored)])
	f.pos += n
	f.wr += n
	f.stored -= n
	return nil
}

// symbols decodes literals and matches until the block ends or the output is full.
func (f *inflater) symbols() error {
	for f.wr <= outSize-outSlack {
		if err := f.fill(); err != nil {
			return err
		}
		end, err := f.run()
		if err != nil {
			return err
		}
		if end {
			f.state = (*inflater).block
			return f.checkEnd()
		}
	}
	return nil
}
