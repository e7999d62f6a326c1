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
	// outSlack is how much room a step needs in the output: it may write a whole
	// match, which is copied in words of 8 bytes.
	outSlack = longestMatch + 8
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

// run decodes while there is input and room for output. end is true after the block's
// last symbol. The 56 bits of a refill are enough for a match: its length takes at most
// 15 and 5 more, its distance 15 and 13.
func (f *inflater) run() (end bool, err error) {
	var (
		in, out   = &f.in, &f.out
		pos, wr   = f.pos, f.wr
		word, n   = f.bits, f.n
		lit, dist = f.lit, f.dist
		limit     = f.end - inSlack // of pos
	)
	if f.ended != nil {
		limit = f.end + 8 // checkEnd finds out if that was too far
	}
	for pos <= limit && wr <= outSize-outSlack {
		word |= binary.LittleEndian.Uint64(in[pos:]) << (n & 63)
		pos += int(63-n) >> 3
		n |= 56
		e := lit[word&(1<<litBits-1)]
		if e&isLiteral != 0 { // often several in a row, of 11 bits at most
			word >>= e & 63
			n -= uint(e & 63)
			out[wr] = byte(e >> 16)
			wr++
			e = lit[word&(1<<litBits-1)]
			if e&isLiteral != 0 {
				word >>= e & 63
				n -= uint(e & 63)
				out[wr] = byte(e >> 16)
				wr++
				e = lit[word&(1<<litBits-1)]
				if e&isLiteral != 0 {
					word >>= e & 63
					n -= uint(e & 63)
					out[wr] = byte(e >> 16)
					wr++
					continue
				}
			}
		}
		if e&isLink != 0 {
			e = lit[uint(e>>16&0xfff)+uint(word>>litBits)&(1<<(e>>8&63)-1)]
			if e&isLiteral != 0 {
				word >>= e & 63
				n -= uint(e & 63)
				out[wr] = byte(e >> 16)
				wr++
				continue
			}
		}
		if e&isMatch == 0 {
			if end = e&isEnd != 0; !end {
				err = errDeflate
			}
			word >>= e & 63
			n -= uint(e & 63)
			break
		}
		word |= binary.LittleEndian.Uint64(in[pos:]) << (n & 63)
		pos += int(63-n) >> 3
		n |= 56
		length := int(e>>16&0xfff) + int(word>>(e>>8&63))&(1<<((e-e>>8)&63)-1)
		word >>= e & 63
		n -= uint(e & 63)
		d := dist[word&(1<<distBits-1)]
		if d&isDistLink != 0 {
			d = dist[uint(d>>16&0x7fff)+uint(word>>distBits)&(1<<(d>>8&63)-1)]
		}
		distance := int(d>>16) + int(word>>(d>>8&63))&(1<<((d-d>>8)&63)-1)
		word >>= d & 63
		n -= uint(d & 63)
		if d == 0 || distance > wr-f.start {
			err = errDeflate
			break
		}
		copyMatch(out, wr, distance, length)
		wr += length
	}
	f.pos, f.wr, f.bits, f.n = pos, wr, word, n
	return end, err
}

// copyMatch copies length bytes to wr from distance bytes before it. If distance is less
// than length, the bytes repeat. It may write up to 7 more bytes after those.
func copyMatch(out *[outSize]byte, wr, distance, length int) {
	switch from := wr - distance; {
	case distance >= 8:
		for i := 0; i < length; i += 8 {
			binary.LittleEndian.PutUint64(out[wr+i:wr+i+8], binary.LittleEndian.Uint64(out[from+i:from+i+8]))
		}
	case distance == 1:
		word := uint64(out[from]) * 0x0101010101010101
		for i := 0; i < length; i += 8 {
			binary.LittleEndian.PutUint64(out[wr+i:wr+i+8], word)
		}
	default:
		for i := range length {
			out[wr+i] = out[from+i]
		}
	}
}
