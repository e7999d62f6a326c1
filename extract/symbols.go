package extract

import "encoding/binary"

// run decodes while there is input and room for output. end is true after the block's
// last symbol. The 56 bits of a refill are enough for a match: its length takes at most
// 15 and 5 more, its distance 15 and 13. Of n only the lowest 6 bits count here: entries
// are subtracted whole, and their lowest 6 bits are how many to drop.
func (f *inflater) run() (end bool, err error) {
	var (
		in, out   = &f.in, &f.out
		pos, wr   = uint(f.pos), uint(f.wr)
		start     = uint(f.start)
		word, n   = f.bits, f.n
		lit, dist = f.lit, f.dist
		limit     = f.end - inSlack // of pos
	)
	if f.ended != nil {
		limit = f.end + 8 // checkEnd finds out if that was too far
	}
	// The second bound follows from the first. It shows the compiler that reads of in
	// stay within it.
	for int(pos) <= limit && pos <= inSize+inSlack && wr <= outSize-outSlack {
		word |= binary.LittleEndian.Uint64(in[pos:pos+8]) << (n & 63)
		pos += (63 - n) >> 3 & 7
		n |= 56
		e := lit[word&(1<<litBits-1)]
		if e&isLiteral != 0 { // often several in a row, of 11 bits at most
			word >>= e & 63
			n -= uint(e)
			out[wr] = byte(e >> 16)
			wr++
			e = lit[word&(1<<litBits-1)]
			if e&isLiteral != 0 {
				word >>= e & 63
				n -= uint(e)
				out[wr] = byte(e >> 16)
				wr++
				e = lit[word&(1<<litBits-1)]
				if e&isLiteral != 0 {
					word >>= e & 63
					n -= uint(e)
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
				n -= uint(e)
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
			n -= uint(e)
			break
		}
		word |= binary.LittleEndian.Uint64(in[pos:pos+8]) << (n & 63)
		pos += (63 - n) >> 3 & 7
		n |= 56
		length := uint(e>>16&0xfff) + uint(word&(1<<(e&63)-1)>>(e>>8&63))
		word >>= e & 63
		n -= uint(e)
		d := dist[word&(1<<distBits-1)]
		if d&isDistLink != 0 {
			d = dist[uint(d>>16&0x7fff)+uint(word>>distBits)&(1<<(d>>8&63)-1)]
		}
		distance := uint(d>>16) + uint(word&(1<<(d&63)-1)>>(d>>8&63))
		word >>= d & 63
		n -= uint(d)
		if d == 0 || distance > wr-start {
			err = errDeflate
			break
		}
		if distance >= 8 {
			copyFar(out, wr, distance, length)
		} else {
			copyNear(out, wr, distance, length)
		}
		wr += length
	}
	f.pos, f.wr, f.bits, f.n = int(pos), int(wr), word, n&63
	return end, err
}

// copyFar copies a match whose distance is at least 8. Most are short: it writes 16 bytes
// at least, and up to 7 more after longer ones.
func copyFar(out *[outSize]byte, wr, distance, length uint) {
	from := wr - distance
	src, dst := (*[16]byte)(out[from:]), (*[16]byte)(out[wr:])
	binary.LittleEndian.PutUint64(dst[:8], binary.LittleEndian.Uint64(src[:8]))
	binary.LittleEndian.PutUint64(dst[8:], binary.LittleEndian.Uint64(src[8:]))
	for i := uint(16); i < length; i += 8 {
		binary.LittleEndian.PutUint64(out[wr+i:wr+i+8], binary.LittleEndian.Uint64(out[from+i:from+i+8]))
	}
}

// copyNear copies a match whose distance is less than 8: its bytes repeat. It may write
// up to 7 more bytes after them.
func copyNear(out *[outSize]byte, wr, distance, length uint) {
	for i := wr; i < wr+8; i++ {
		out[i] = out[i-distance]
	}
	// What repeats does so at every multiple of the distance.
	far := distance
	for far < 8 {
		far += distance
	}
	for i := uint(8); i < length; i += 8 {
		binary.LittleEndian.PutUint64(out[wr+i:wr+i+8], binary.LittleEndian.Uint64(out[wr+i-far:wr+i-far+8]))
	}
}
