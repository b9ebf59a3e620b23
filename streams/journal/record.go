package journal

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strconv"
)

// A record on the disk, little endian:
//
//	 0 magic    4
//	 4 version  1
//	 5 type     1
//	 6 zero     2
//	 8 length   4  of the payload
//	12 checksum 4  of the payload
//	16 seq      8
//	24 time     8  nanoseconds since 1970
//	32 checksum 4  of the above, begun with the segment's identity and the record's offset
//	36 payload
//
// The header has a checksum of its own so that a damaged payload is stepped over in one go and nobody looks for records
// inside it, and so that bytes which merely look like a header cost 36 bytes of checking and not a megabyte.
const (
	headerSize = 36
	version    = 1
)

// The journal's own types. They do not count in seq: theirs is that of the record before.
const (
	typeSeal  = 0xFF // ends a segment that was closed in order: what lies before it was whole once
	typeProbe = 0xFE // shows that a new segment can be written after an old one could not
)

// The first byte of magic occurs in no UTF-8 text.
var (
	magic      = []byte{0xF5, 'L', 'S', 'J'}
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// identity is a segment's name. It is part of every record's checksum; salt keeps a sender, who may know the rest, from
// writing a record into a payload.
type identity struct {
	number uint64
	after  uint64 // the last seq that was on the disk when the segment began: a reader who finds less has lost some
	salt   uint64
	full   int64 // length of the file until it is sealed: one of another length and without a seal has lost bytes
}

const suffix = ".seg"

func (id identity) name() string {
	return fmt.Sprintf("%016x-%016x-%016x-%016x%s", id.number, id.after, id.salt, id.full, suffix)
}

func parseName(s string) (identity, bool) {
	if len(s) != 4*16+3+len(suffix) {
		return identity{}, false
	}
	var n [4]uint64
	for i := range n {
		v, err := strconv.ParseUint(s[i*17:i*17+16], 16, 64)
		if err != nil {
			return identity{}, false
		}
		n[i] = v
	}
	id := identity{number: n[0], after: n[1], salt: n[2], full: int64(n[3])}
	return id, id.name() == s
}

func (id identity) seed() uint32 {
	b := make([]byte, 0, 32)
	b = binary.LittleEndian.AppendUint64(b, id.salt)
	b = binary.LittleEndian.AppendUint64(b, id.number)
	b = binary.LittleEndian.AppendUint64(b, id.after)
	b = binary.LittleEndian.AppendUint64(b, uint64(id.full))
	return crc32.Checksum(b, castagnoli)
}

type header struct {
	typ  uint8
	size uint32
	sum  uint32
	seq  uint64
	time int64
}

// headerSum begins with the offset: a CRC is one-to-one in where it begins, so the same header elsewhere never fits.
func headerSum(b []byte, seed uint32, off int64) uint32 {
	return crc32.Update(seed^uint32(off), castagnoli, b[:headerSize-4])
}

func (h header) appendTo(b []byte, seed uint32, off int64) []byte {
	at := len(b)
	b = append(b, magic...)
	b = append(b, version, h.typ, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, h.size)
	b = binary.LittleEndian.AppendUint32(b, h.sum)
	b = binary.LittleEndian.AppendUint64(b, h.seq)
	b = binary.LittleEndian.AppendUint64(b, uint64(h.time))
	return binary.LittleEndian.AppendUint32(b, headerSum(b[at:], seed, off))
}

// parseHeader is false for anything but a header of this segment that was written at this offset.
func parseHeader(b []byte, seed uint32, off int64) (header, bool) {
	if len(b) < headerSize || [4]byte(b) != [4]byte(magic) || b[4] != version {
		return header{}, false
	}
	if binary.LittleEndian.Uint32(b[32:]) != headerSum(b, seed, off) {
		return header{}, false
	}
	return header{
		typ:  b[5],
		size: binary.LittleEndian.Uint32(b[8:]),
		sum:  binary.LittleEndian.Uint32(b[12:]),
		seq:  binary.LittleEndian.Uint64(b[16:]),
		time: int64(binary.LittleEndian.Uint64(b[24:])),
	}, true
}
