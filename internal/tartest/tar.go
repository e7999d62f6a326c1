// Package tartest makes layers that archive/tar would not write, and changes the
// bytes of others.
package tartest

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"slices"
	"strconv"
)

// Header is a tar header that archive/tar would not write. change may break all
// but the checksum.
func Header(name string, typeflag byte, size int64, change func(b []byte)) []byte {
	b := make([]byte, 512)
	copy(b, name)
	copy(b[100:], "0000644\x000000000\x000000000\x00")
	number(b[124:136], size)
	copy(b[136:], "00000000000\x00")
	b[156] = typeflag
	copy(b[257:], "ustar  \x00") // GNU's
	if change != nil {
		change(b)
	}
	checksum(b)
	return b
}

// number writes n as GNU tar writes what is too long for octal digits.
func number(field []byte, n int64) {
	for i := range slices.Backward(field) {
		field[i] = byte(n)
		n >>= 8
	}
	field[0] |= 0x80
}

// checksum makes the checksum of a header right.
func checksum(b []byte) {
	copy(b[148:156], "        ")
	sum := 0
	for _, c := range b[:512] {
		sum += int(c)
	}
	copy(b[148:], fmt.Sprintf("%06o\x00 ", sum))
}

// Sparse is the header of a file of size bytes in GNU's old format for files
// with holes, which is nothing but one hole.
func Sparse(name string, size int64) []byte {
	return Header(name, tar.TypeGNUSparse, 0, func(b []byte) {
		number(b[386:398], size) // one piece of no bytes, at the end
		number(b[398:410], 0)
		number(b[483:495], size)
	})
}

// PAXSparse is the same in PAX's format 0.1.
func PAXSparse(name string, size int64) []byte {
	return slices.Concat(PAX(map[string]string{
		"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.size": fmt.Sprint(size), "GNU.sparse.numblocks": "1",
		"GNU.sparse.map": fmt.Sprintf("%d,0", size),
	}), Header(name, tar.TypeReg, 0, func(b []byte) { copy(b[257:], "ustar\x0000") }))
}

// PAX is an extended header with the records, whatever they are.
func PAX(records map[string]string) []byte {
	var b bytes.Buffer
	for key, value := range records {
		record := " " + key + "=" + value + "\n"
		n := len(record)
		for n != len(strconv.Itoa(n))+len(record) {
			n = len(strconv.Itoa(n)) + len(record)
		}
		b.WriteString(strconv.Itoa(n) + record)
	}
	size := b.Len()
	b.Write(make([]byte, -size&511))
	return append(Header("PaxHeaders/x", tar.TypeXHeader, int64(size), func(b []byte) { copy(b[257:], "ustar\x0000") }), b.Bytes()...)
}

// Named is the header of an entry without content whose name and target, if it has
// one, may be long.
func Named(name string, typeflag byte, target string) []byte {
	records := map[string]string{"path": name}
	if target != "" {
		records["linkpath"] = target
	}
	return slices.Concat(PAX(records), Header("x", typeflag, 0, nil))
}

// EndOfTar is what a tar ends with.
var EndOfTar = make([]byte, 1024)

// Generated is a tar of so many pieces, made while they are read.
func Generated(n int, piece func(i int) []byte) io.Reader {
	r := &generator{n: n, piece: piece}
	return r
}

type generator struct {
	piece func(i int) []byte
	i, n  int
	rest  []byte
}

func (g *generator) Read(p []byte) (int, error) {
	if len(g.rest) == 0 {
		if g.i > g.n {
			return 0, io.EOF
		}
		if g.rest = EndOfTar; g.i < g.n {
			g.rest = g.piece(g.i)
		}
		g.i++
	}
	n := copy(p, g.rest)
	g.rest = g.rest[n:]
	return n, nil
}
