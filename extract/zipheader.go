package extract

import (
	"encoding/binary"
	"time"
	"unicode/utf8"
)

// Records of a zip (PKWARE APPNOTE 4.3). Zips have hundreds of thousands of
// entries, so all that is kept of one is the entry itself: the records are made
// of it when they are written.
const (
	localHeaderSignature   = 0x04034b50
	descriptorSignature    = 0x08074b50
	centralHeaderSignature = 0x02014b50
	endSignature           = 0x06054b50
	end64Signature         = 0x06064b50
	end64LocatorSignature  = 0x07064b50

	localHeaderSize = 30 // without name and extra field
	timestampSize   = 9  // of the extra field with the time

	versionUnix20 = 3<<8 | 20 // made by Unix, for version 2.0
	version20     = 20
	version45     = 45 // has 64-bit records
)

// General purpose bits of a zip entry (APPNOTE 4.4.4).
const (
	flagDataDescriptor = 0x8
	flagUTF8           = 0x800
)

// Types of files in the upper half of external attributes, as Unix has them
// (stat.h); the lower half is MS-DOS's.
const (
	unixFile     = 0o100000
	unixDir      = 0o040000
	unixSymlink  = 0o120000
	msdosDir     = 0x10
	methodStore  = 0
	methodDefl   = 8
	end64Size    = 56
	uint16Max    = 1<<16 - 1
	uint32Max    = 1<<32 - 1
	msdosNothing = 1<<5 | 1 // 1980-01-01, the first day that MS-DOS can say
)

var le = binary.LittleEndian

// appendLocalHeader appends what comes before the content of an entry called
// name. If the sizes follow the content, they and the CRC are left out here.
func appendLocalHeader(b []byte, e *entry, name []byte, sizesFollow bool) []byte {
	b = le.AppendUint32(b, localHeaderSignature)
	c := e.content
	if sizesFollow {
		c = content{}
	}
	b = appendCommon(b, e, c, name, sizesFollow)
	b = append(b, name...)
	return appendTimestamp(b, e.modTime)
}

// appendCentralHeader appends the directory's record of an entry whose local
// header is at offset.
func appendCentralHeader(b []byte, e *entry, name []byte, sizesFollow bool, offset int64) []byte {
	b = le.AppendUint32(b, centralHeaderSignature)
	b = le.AppendUint16(b, versionUnix20)
	b = appendCommon(b, e, e.content, name, sizesFollow)
	b = append(b, 0, 0, 0, 0, 0, 0) // no comment, disk 0, no internal attributes
	b = le.AppendUint32(b, attributes(e.kind, e.perm))
	b = le.AppendUint32(b, uint32(offset))
	b = append(b, name...)
	return appendTimestamp(b, e.modTime)
}

// appendCommon appends the fields that both headers of an entry have.
func appendCommon(b []byte, e *entry, c content, name []byte, sizesFollow bool) []byte {
	flags, method := uint16(0), uint16(methodStore)
	if !isASCII(name) && utf8.Valid(name) {
		flags |= flagUTF8
	}
	if sizesFollow {
		flags |= flagDataDescriptor
	}
	if e.deflated {
		method = methodDefl
	}
	b = le.AppendUint16(b, version20)
	b = le.AppendUint16(b, flags)
	b = le.AppendUint16(b, method)
	b = appendMSDOSTime(b, e.modTime)
	b = le.AppendUint32(b, c.crc)
	b = le.AppendUint32(b, c.compressed)
	b = le.AppendUint32(b, c.size)
	b = le.AppendUint16(b, uint16(len(name)))
	return le.AppendUint16(b, timestampSize)
}

// appendDescriptor appends what follows the content of an entry whose local header
// does not have the sizes.
func appendDescriptor(b []byte, c content) []byte {
	b = le.AppendUint32(b, descriptorSignature)
	b = le.AppendUint32(b, c.crc)
	b = le.AppendUint32(b, c.compressed)
	return le.AppendUint32(b, c.size)
}

// appendEnd appends what ends a zip of so many entries, whose directory takes size
// bytes at start.
func appendEnd(b []byte, entries int, start, size int64) []byte {
	if entries >= uint16Max || size >= uint32Max || start >= uint32Max {
		b = le.AppendUint32(b, end64Signature)
		b = le.AppendUint64(b, end64Size-12) // what follows
		b = le.AppendUint16(b, version45)
		b = le.AppendUint16(b, version45)
		b = le.AppendUint64(b, 0) // two disk numbers
		b = le.AppendUint64(b, uint64(entries))
		b = le.AppendUint64(b, uint64(entries))
		b = le.AppendUint64(b, uint64(size))
		b = le.AppendUint64(b, uint64(start))
		b = le.AppendUint32(b, end64LocatorSignature)
		b = le.AppendUint32(b, 0) // disk
		b = le.AppendUint64(b, uint64(start+size))
		b = le.AppendUint32(b, 1) // disks in all
		entries, size, start = uint16Max, uint32Max, uint32Max
	}
	b = le.AppendUint32(b, endSignature)
	b = le.AppendUint32(b, 0) // two disk numbers
	b = le.AppendUint16(b, uint16(entries))
	b = le.AppendUint16(b, uint16(entries))
	b = le.AppendUint32(b, uint32(size))
	b = le.AppendUint32(b, uint32(start))
	return le.AppendUint16(b, 0) // no comment
}

// attributes are an entry's external attributes. They widen permissions so that
// the user that Lambda runs a function as can read everything, and go where
// anybody can. Setuid, setgid and sticky are not in perm: they are dropped.
func attributes(k kind, perm uint16) uint32 {
	switch k {
	case kindDir:
		return uint32(unixDir|perm|0o555)<<16 | msdosDir | readOnly(perm)
	case kindSymlink:
		return (unixSymlink | 0o777) << 16
	}
	if perm&0o111 != 0 {
		perm |= 0o111
	}
	return uint32(unixFile|perm|0o444)<<16 | readOnly(perm)
}

// readOnly is the MS-DOS attribute of what the owner cannot write.
func readOnly(perm uint16) uint32 {
	if perm&0o200 == 0 {
		return 1
	}
	return 0
}

// clampTime brings a modification time into what setting a zip's can say.
func clampTime(sec int64) int64 {
	const first, last = -1 << 31, 1<<32 - 1
	return min(max(sec, first), last)
}

// appendMSDOSTime appends the time and date that every zip entry has, in UTC, to
// two seconds; it goes from 1980 to 2107. Info-ZIP takes the seconds of the extra
// field over 31 bits for a time after 2038 or before 1970 by what this date says.
func appendMSDOSTime(b []byte, sec int64) []byte {
	t := time.Unix(clampTime(sec), 0).UTC()
	year, month, day := t.Date()
	if year < 1980 {
		b = le.AppendUint16(b, 0)
		return le.AppendUint16(b, msdosNothing)
	}
	hour, minute, second := t.Clock()
	b = le.AppendUint16(b, uint16(second/2+minute<<5+hour<<11))
	return le.AppendUint16(b, uint16(day+int(month)<<5+(year-1980)<<9))
}

// appendTimestamp appends the extra field with the time to the second: Info-ZIP's
// extended timestamp (0x5455), 32 bits of seconds since 1970.
func appendTimestamp(b []byte, sec int64) []byte {
	b = append(b, 'U', 'T', 5, 0, 1)
	return le.AppendUint32(b, uint32(clampTime(sec)))
}

func isASCII(s []byte) bool {
	for _, c := range s {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
