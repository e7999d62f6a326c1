package extract

import "encoding/binary"

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
