package extract

import (
	"math/bits"
	"sync"
)

// Codes of deflate (RFC 1951, 3.2.5 to 3.2.7).
const (
	maxLitCodes   = 288
	maxDistCodes  = 32
	maxCodeLength = 15
	endOfBlock    = 256
	// litBits and distBits are how many bits the first lookup in a table takes. A
	// longer code needs a second lookup.
	litBits  = 11
	distBits = 8
)

// An entry of a table says what a code stands for:
//
//	bits 0 to 7    how many bits to drop: the code and its extra bits
//	bits 8 to 15   how long the code is; in a link, how many bits the second lookup takes
//	bits 16 to 27  the literal, the shortest length, or the index that a link leads to
//	bits 28 to 31  the kind of entry; 0 if no such code exists
//
// In a table of distances, bits 16 to 30 are the shortest distance, or the index that a
// link leads to, and bit 31 marks a link.
type tableEntry = uint32

const (
	isLiteral tableEntry = 1 << 31
	isEnd     tableEntry = 1 << 30
	isLink    tableEntry = 1 << 29
	isMatch   tableEntry = 1 << 28

	isDistLink tableEntry = 1 << 31
)

type (
	// The sizes are the largest that a table can need, by zlib's enough.c: for 288
	// codes of up to 15 bits with 11 in the first lookup, and for 32 codes with 8.
	litTable  [2342]tableEntry
	distTable [402]tableEntry
)

var (
	lengthBase  = [29]uint16{3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258}
	lengthExtra = [29]uint8{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0}
	distBase    = [30]uint16{1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577}
	distExtra   = [30]uint8{0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13}
	// codeOrder is the order in which a block lists the lengths of the codes that its
	// other lengths are written in.
	codeOrder = [19]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}
)

// litEntry returns the entry of a literal or length, without the length of its code.
func litEntry(symbol int) tableEntry {
	switch {
	case symbol < endOfBlock:
		return isLiteral | tableEntry(symbol)<<16
	case symbol == endOfBlock:
		return isEnd
	case symbol-endOfBlock-1 < len(lengthBase):
		i := symbol - endOfBlock - 1
		return isMatch | tableEntry(lengthBase[i])<<16 | tableEntry(lengthExtra[i])
	}
	return 0 // 286 and 287 have codes, but no meaning
}

// distEntry does the same for a distance.
func distEntry(symbol int) tableEntry {
	if symbol < len(distBase) {
		return tableEntry(distBase[symbol])<<16 | tableEntry(distExtra[symbol])
	}
	return 0
}

// build fills a table for symbols whose codes have these lengths; 0 means that there is
// no code. entry returns what a symbol's entry says, and first is how many bits the first
// lookup takes. It reports whether the lengths are valid: they have to use up all codes,
// except that a single code of one bit may be alone.
func build(table []tableEntry, first uint, lengths []uint8, entry func(int) tableEntry, link tableEntry) bool {
	var count, next [maxCodeLength + 1]int
	longest := 0
	for _, n := range lengths {
		count[n]++
		longest = max(longest, int(n))
	}
	count[0] = 0
	code := 0
	for n := 1; n <= longest; n++ {
		code = (code + count[n-1]) << 1
		next[n] = code
	}
	if end := code + count[longest]; longest > 0 && end != 1<<longest && (end != 1 || longest != 1) {
		return false
	}
	clear(table[:1<<first])
	addLinks(table, first, lengths, next, link)
	for symbol, n := range lengths {
		if n == 0 {
			continue
		}
		length := uint(n)
		reversed := uint(bits.Reverse16(uint16(next[n])) >> (16 - n))
		next[n]++
		e := entry(symbol)
		if e != 0 {
			e += tableEntry(length) | tableEntry(length)<<8
		}
		if length <= first {
			for i := reversed; i < 1<<first; i += 1 << length {
				table[i] = e
			}
			continue
		}
		to := table[reversed&(1<<first-1)]
		start, width := uint(to&^link>>16), uint(to>>8&0xff)
		for i := reversed >> first; i < 1<<width; i += 1 << (length - first) {
			table[start+i] = e
		}
	}
	return true
}

// addLinks adds the links to second lookups, for codes longer than first. A second lookup
// takes as many bits as the longest of its codes has left. next has the first code of
// each length.
func addLinks(table []tableEntry, first uint, lengths []uint8, next [maxCodeLength + 1]int, link tableEntry) {
	var width [1 << litBits]uint8
	for _, n := range lengths {
		if n == 0 {
			continue
		}
		reversed := bits.Reverse16(uint16(next[n])) >> (16 - n)
		next[n]++
		if uint(n) > first {
			at := reversed & (1<<first - 1)
			width[at] = max(width[at], n-uint8(first))
		}
	}
	free := 1 << first
	for at, w := range width[:1<<first] {
		if w > 0 {
			table[at] = link | tableEntry(free)<<16 | tableEntry(w)<<8 | tableEntry(first)
			clear(table[free : free+1<<w])
			free += 1 << w
		}
	}
}

// fixedTables returns the tables of blocks that have none of their own (RFC 1951, 3.2.6).
var fixedTables = sync.OnceValues(func() (*litTable, *distTable) {
	var lengths [maxLitCodes + maxDistCodes]uint8
	for i := range lengths {
		switch {
		case i < 144:
			lengths[i] = 8
		case i < 256:
			lengths[i] = 9
		case i < 280:
			lengths[i] = 7
		case i < maxLitCodes:
			lengths[i] = 8
		default:
			lengths[i] = 5
		}
	}
	lit, dist := new(litTable), new(distTable)
	build(lit[:], litBits, lengths[:maxLitCodes], litEntry, isLink)
	build(dist[:], distBits, lengths[maxLitCodes:], distEntry, isDistLink)
	return lit, dist
})

// readTables reads a block's own tables (RFC 1951, 3.2.7).
func (f *inflater) readTables() error {
	var header [3]int
	for i, n := range [...]uint{5, 5, 4} {
		var err error
		if header[i], err = f.take(n); err != nil {
			return err
		}
	}
	nlit, ndist, ncode := header[0]+257, header[1]+1, header[2]+4
	if nlit > 286 || ndist > 30 {
		return errDeflate
	}
	var codes [len(codeOrder)]uint8
	for _, at := range codeOrder[:ncode] {
		n, err := f.take(3)
		if err != nil {
			return err
		}
		codes[at] = uint8(n)
	}
	var table [1 << 7]tableEntry
	if !build(table[:], 7, codes[:], func(symbol int) tableEntry { return isLiteral | tableEntry(symbol)<<16 }, isLink) {
		return errDeflate
	}
	if err := f.readLengths(&table, f.lengths[:nlit+ndist]); err != nil {
		return err
	}
	if !build(f.ownLit[:], litBits, f.lengths[:nlit], litEntry, isLink) ||
		!build(f.ownDist[:], distBits, f.lengths[nlit:nlit+ndist], distEntry, isDistLink) {
		return errDeflate
	}
	f.lit, f.dist = &f.ownLit, &f.ownDist
	return nil
}

// readLengths reads the lengths of a block's codes. They are themselves encoded, by
// table, and repeated lengths are shortened.
func (f *inflater) readLengths(table *[1 << 7]tableEntry, lengths []uint8) error {
	for i := 0; i < len(lengths); {
		if f.n < maxCodeLength {
			if err := f.fill(); err != nil {
				return err
			}
			f.refill()
		}
		e := table[f.bits&(1<<7-1)]
		if e == 0 {
			return errDeflate
		}
		f.bits >>= e & 0xff
		f.n -= uint(e & 0xff)
		symbol := uint8(e >> 16)
		if symbol < 16 {
			lengths[i] = symbol
			i++
			continue
		}
		value, least, extra := uint8(0), 3, uint(3)
		switch symbol {
		case 16:
			if i == 0 {
				return errDeflate
			}
			value, extra = lengths[i-1], 2
		case 18:
			least, extra = 11, 7
		}
		n, err := f.take(extra)
		if err != nil {
			return err
		}
		if n += least; i+n > len(lengths) {
			return errDeflate
		}
		for range n {
			lengths[i] = value
			i++
		}
	}
	return f.checkEnd()
}
