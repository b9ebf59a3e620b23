package streams

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"slices"
	"sort"
)

// archive is a file of leads that have ended, each found by its key without reading the rest. It never changes. Blocks of
// entries in the order of their keys, then a foot that says where each block begins and which keys there may be, then the
// foot's length and checksum.
type archive struct {
	f    *os.File
	note archiveNote
	foot archiveFoot
}

// archiveNote names an archive in the snapshot that counts on it.
type archiveNote struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	Sum    uint32 `json:"sum"`    // of its foot
	Newest int64  `json:"newest"` // when the last of its leads was accepted, unix ms
	Last   uint64 `json:"last"`   // highest segment of a lead in it: once that is dropped, so is the archive
}

type archiveFoot struct {
	blocks []archiveBlock
	filter []byte
}

type archiveBlock struct {
	first archiveKey // of its entries
	at    int64
	len   int
	sum   uint32
}

// archiveKey is what an entry is found by: a kind, and 16 bytes that are as good as random.
type archiveKey [17]byte

func keyOf(kind byte, b [16]byte) (k archiveKey) {
	k[0] = kind
	copy(k[1:], b[:])
	return k
}

type archived struct {
	key   archiveKey
	value []byte
}

const (
	archiveBlockSize = 4096
	archiveTrailer   = 8
	filterBits       = 512 // of a line of the filter, which is what a processor reads at once
	filterProbes     = 7
)

var (
	errArchive = errors.New("index: damaged")
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// encodeArchive puts entries together as a file. Of two with one key, the one with the greater value counts.
func encodeArchive(entries []archived) (b []byte, sum uint32) {
	slices.SortFunc(entries, func(a, b archived) int {
		return cmp.Or(bytes.Compare(a.key[:], b.key[:]), bytes.Compare(b.value, a.value))
	})
	entries = slices.CompactFunc(entries, func(a, b archived) bool { return a.key == b.key })
	var foot archiveFoot
	foot.filter = make([]byte, (len(entries)*16/filterBits+1)*filterBits/8)
	from := 0
	for i, e := range entries {
		if len(b) == from {
			foot.blocks = append(foot.blocks, archiveBlock{first: e.key, at: int64(from)})
		}
		b = append(b, e.key[:]...)
		b = append(binary.AppendUvarint(b, uint64(len(e.value))), e.value...)
		mark(foot.filter, e.key)
		if len(b)-from >= archiveBlockSize || i == len(entries)-1 {
			last := &foot.blocks[len(foot.blocks)-1]
			last.len, last.sum = len(b)-from, crc32.Checksum(b[from:], castagnoli)
			from = len(b)
		}
	}
	end := foot.appendTo(nil)
	b = append(b, end...)
	sum = crc32.Checksum(end, castagnoli)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(end)))
	return binary.LittleEndian.AppendUint32(b, sum), sum
}

func (foot *archiveFoot) appendTo(b []byte) []byte {
	w := ledgerWriter{b: b}
	w.number(int64(len(foot.blocks)))
	for _, block := range foot.blocks {
		w.b = append(w.b, block.first[:]...)
		w.number(int64(block.len))
		w.b = binary.LittleEndian.AppendUint32(w.b, block.sum)
	}
	return append(w.b, foot.filter...)
}

func (foot *archiveFoot) read(b []byte) bool {
	r := ledgerReader{b: b}
	foot.blocks = make([]archiveBlock, max(min(r.number(), int64(len(b))), 0))
	at := int64(0)
	for i := range foot.blocks {
		block := &foot.blocks[i]
		copy(block.first[:], r.take(uint64(len(block.first))))
		block.at, block.len = at, int(r.number())
		if sum := r.take(4); sum != nil {
			block.sum = binary.LittleEndian.Uint32(sum)
		}
		at += int64(block.len)
	}
	foot.filter = r.b
	return !r.bad && len(r.b) > 0 && len(r.b)%(filterBits/8) == 0
}

// openArchive opens the archive that a note names. Any that is not the very same is an error.
func openArchive(path string, note archiveNote) (*archive, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	a := &archive{f: f, note: note}
	if err := a.readFoot(); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return a, nil
}

func (a *archive) readFoot() error {
	st, err := a.f.Stat()
	if err != nil {
		return err
	}
	var trailer [archiveTrailer]byte
	at := a.note.Size - archiveTrailer
	if st.Size() != a.note.Size || at < 0 {
		return errArchive
	}
	if _, err := a.f.ReadAt(trailer[:], at); err != nil {
		return err
	}
	size := int64(binary.LittleEndian.Uint32(trailer[:]))
	if size > at || binary.LittleEndian.Uint32(trailer[4:]) != a.note.Sum {
		return errArchive
	}
	b := make([]byte, size)
	if _, err := a.f.ReadAt(b, at-size); err != nil {
		return err
	}
	if crc32.Checksum(b, castagnoli) != a.note.Sum || !a.foot.read(b) {
		return errArchive
	}
	return nil
}

// get finds the entry of a key; nil when there is none.
func (a *archive) get(k archiveKey) ([]byte, error) {
	if !marked(a.foot.filter, k) {
		return nil, nil
	}
	i := sort.Search(len(a.foot.blocks), func(i int) bool { return bytes.Compare(a.foot.blocks[i].first[:], k[:]) > 0 }) - 1
	if i < 0 {
		return nil, nil
	}
	var found []byte
	err := a.block(i, func(key archiveKey, value []byte) error {
		if key == k {
			found = value
		}
		return nil
	})
	return found, err
}

// each hands every entry to fn.
func (a *archive) each(fn func(archiveKey, []byte) error) error {
	for i := range a.foot.blocks {
		if err := a.block(i, fn); err != nil {
			return err
		}
	}
	return nil
}

func (a *archive) block(i int, fn func(archiveKey, []byte) error) error {
	block := a.foot.blocks[i]
	b := make([]byte, block.len)
	if _, err := a.f.ReadAt(b, block.at); err != nil || crc32.Checksum(b, castagnoli) != block.sum {
		return fmt.Errorf("%w: %s from byte %d: %v", errArchive, a.note.Name, block.at, err)
	}
	r := ledgerReader{b: b}
	for len(r.b) > 0 {
		var k archiveKey
		copy(k[:], r.take(uint64(len(k))))
		value := r.bytes()
		if r.bad {
			return fmt.Errorf("%w: %s", errArchive, a.note.Name)
		}
		if err := fn(k, value); err != nil {
			return err
		}
	}
	return nil
}

// mark and marked are a Bloom filter of lines: one key in a thousand is taken for one that is there. A key's own bytes say
// its line and its bits.
func mark(filter []byte, k archiveKey) {
	line, bits := filterLine(filter, k)
	for range filterProbes {
		line[bits%filterBits/8] |= 1 << (bits % 8)
		bits /= filterBits
	}
}

func marked(filter []byte, k archiveKey) bool {
	line, bits := filterLine(filter, k)
	for range filterProbes {
		if line[bits%filterBits/8]&(1<<(bits%8)) == 0 {
			return false
		}
		bits /= filterBits
	}
	return true
}

func filterLine(filter []byte, k archiveKey) (line []byte, bits uint64) {
	n := uint64(len(filter) / (filterBits / 8))
	at := (binary.LittleEndian.Uint64(k[1:]) ^ uint64(k[0])) % n * (filterBits / 8)
	return filter[at : at+filterBits/8], binary.LittleEndian.Uint64(k[9:])
}
