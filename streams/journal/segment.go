package journal

import (
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"time"

	"leadstream/streams/failpoint"
)

// segment is one file of the journal.
type segment struct {
	identity
	seed uint32
	f    file // open while it is written

	size     int64 // behind the last whole record
	length   int64 // of the file
	closed   bool
	sealed   bool // ends with a seal
	torn     bool
	damaged  bool
	poisoned bool

	records        int
	first, last    uint64
	oldest, newest int64
}

// note counts a record.
func (s *segment) note(seq uint64, at int64) {
	if s.records == 0 {
		s.first, s.oldest, s.newest = seq, at, at
	}
	s.records++
	s.last, s.oldest, s.newest = seq, min(s.oldest, at), max(s.newest, at)
}

// SegmentInfo describes one segment.
type SegmentInfo struct {
	Number         uint64
	Size           int64 // of its records
	Records        int
	First, Last    uint64 // seq, both 0 without records
	Closed         bool
	Damaged        bool
	Poisoned       bool // a write to it has failed since Open, or it could not be settled then
	Oldest, Newest time.Time
}

// Segments lists the segments in order; the last one is being written, unless it is closed.
func (j *Journal) Segments() []SegmentInfo {
	j.mu.Lock()
	defer j.mu.Unlock()
	infos := make([]SegmentInfo, len(j.segments))
	for i, s := range j.segments {
		infos[i] = SegmentInfo{Number: s.number, Size: s.size, Records: s.records, First: s.first, Last: s.last,
			Closed: s.closed, Damaged: s.damaged, Poisoned: s.poisoned}
		if s.records > 0 {
			infos[i].Oldest, infos[i].Newest = time.Unix(0, s.oldest), time.Unix(0, s.newest)
		}
	}
	return infos
}

// Read reads the record at p again. A record that is not whole is ErrDamaged; one that was dropped, os.ErrNotExist.
func (j *Journal) Read(p Pos) (Record, error) {
	id, ok := j.find(p.Segment)
	if !ok || p.Offset < headerSize || p.Len < 0 {
		return Record{}, fmt.Errorf("journal: record %v: %w", p, os.ErrNotExist)
	}
	f, err := os.Open(filepath.Join(j.o.Dir, id.name()))
	if err != nil {
		return Record{}, fmt.Errorf("journal: record %v: %w", p, err)
	}
	defer f.Close()
	b := make([]byte, headerSize+int(p.Len))
	off := p.Offset - headerSize
	if _, err := f.ReadAt(b, off); err != nil {
		return Record{}, fmt.Errorf("%w: %v: %v", ErrDamaged, p, err)
	}
	h, ok := parseHeader(b, id.seed, off)
	payload := b[headerSize:]
	if !ok || int(h.size) != len(payload) || h.typ > MaxType || crc32.Checksum(payload, castagnoli) != h.sum {
		return Record{}, fmt.Errorf("%w: %v", ErrDamaged, p)
	}
	return Record{Type: h.typ, Seq: h.seq, Payload: payload, Pos: p, Time: time.Unix(0, h.time)}, nil
}

func (j *Journal) find(number uint64) (segment, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, s := range j.segments {
		if s.number == number {
			return *s, true
		}
	}
	return segment{}, false
}

// Drop deletes the closed segments before number keepFrom that ok lets go. One with damage stays for a person.
func (j *Journal) Drop(keepFrom uint64, ok func(segment uint64) bool) error {
	var gone bool
	for _, s := range j.Segments() {
		if !s.Closed || s.Damaged || s.Number >= keepFrom || !ok(s.Number) {
			continue
		}
		if err := j.drop(s.Number); err != nil {
			return fmt.Errorf("journal: drop segment %d: %w", s.Number, err)
		}
		gone = true
	}
	if !gone {
		return nil
	}
	if err := syncDir(j.o.Dir); err != nil {
		return fmt.Errorf("journal: drop: %w", err)
	}
	return nil
}

func (j *Journal) drop(number uint64) error {
	id, ok := j.find(number)
	if !ok {
		return nil
	}
	if err := os.Remove(filepath.Join(j.o.Dir, id.name())); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	failpoint.Hit(failpoint.SegmentDropped)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.segments = slices.DeleteFunc(j.segments, func(s *segment) bool { return s.number == number })
	return nil
}
