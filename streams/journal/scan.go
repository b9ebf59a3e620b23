package journal

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"leadstream/streams/failpoint"
)

// Damage is a stretch of a segment that was written whole and cannot be read now.
type Damage struct {
	Segment  uint64
	File     string
	From, To int64
	Lost     uint64 // records missing by count of seq; 0 also where nothing behind them tells how many they were
}

func (d Damage) Error() string {
	lost := "records lost"
	if d.Lost > 0 {
		lost = fmt.Sprintf("%d records lost", d.Lost)
	}
	return fmt.Sprintf("journal: %s is damaged from byte %d to %d: %s", d.File, d.From, d.To, lost)
}

func (d Damage) Unwrap() error { return ErrDamaged }

// Report is what reading a journal has found.
type Report struct {
	Segments  int
	Records   int
	Bytes     int64 // of payload
	First     uint64
	Last      uint64 // seq
	Damages   []Damage
	TornTails int // segments that end in the middle of a record, as a crash leaves them; nothing was lost
	TornBytes int64
	Strangers []string // files that end like a segment and are none
}

// Scan reads the journal in dir without changing anything, while a daemon writes it or not, and hands every whole
// record to fn in order; the payload is fn's only until it returns. In a journal being written, the last record may
// look torn.
func Scan(dir string, fn func(Record) error) (Report, error) {
	s := scanner{dir: dir, fn: fn}
	err := s.run()
	return s.report, err
}

// scanner reads all segments of a directory one after another.
type scanner struct {
	dir    string
	fn     func(Record) error
	settle func(path string) bool // may be nil: called before a segment without a seal is read; false is not lasting
	known  map[string]Known       // segments that need not be read, by file name
	report Report
	found  []*segment
	buf    []byte
	last   uint64 // highest seq
}

func (s *scanner) run() error {
	ids, strangers, err := list(s.dir)
	if err != nil {
		return err
	}
	s.report.Strangers = strangers
	for _, id := range ids {
		if k, ok := s.known[id.name()]; ok {
			s.found = append(s.found, k.segment(id))
			s.last = max(s.last, id.after, k.Last)
			continue
		}
		if err := s.segment(id); err != nil && !errors.Is(err, os.ErrNotExist) { // dropped since it was listed
			return err
		}
	}
	return nil
}

func list(dir string) (ids []identity, strangers []string, err error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, nil, err
	}
	for _, f := range files {
		if id, ok := parseName(f.Name()); ok {
			ids = append(ids, id)
		} else if strings.HasSuffix(f.Name(), suffix) {
			strangers = append(strangers, f.Name())
		}
	}
	slices.SortFunc(ids, func(a, b identity) int { return strings.Compare(a.name(), b.name()) })
	return ids, strangers, nil
}

func (s *scanner) segment(id identity) error {
	path := filepath.Join(s.dir, id.name())
	seg := &segment{identity: id, seed: id.seed(), closed: true}
	if s.settle != nil && !sealed(path, id) {
		seg.poisoned = !s.settle(path)
	}
	b, length, unread, err := readAll(path, s.buf)
	if err != nil {
		return err
	}
	s.buf = b
	s.checkBefore(id)
	s.last = max(s.last, id.after)
	w := walker{b: b, seed: seg.seed, prev: id.after, emit: func(h header, off int64, payload []byte) error {
		return s.record(seg, h, off, payload)
	}}
	if err := w.run(); err != nil {
		return err
	}
	seg.size, seg.length, seg.torn, seg.sealed = w.end, length, w.tail > w.end, w.sealed
	seg.damaged = len(w.damages) > 0
	s.last = max(s.last, w.prev) // a seal tells how far seq had come even where the records before it are gone
	for _, d := range w.damages {
		d.Segment, d.File = id.number, id.name()
		s.report.Damages = append(s.report.Damages, d)
	}
	s.tail(seg, w.tail, unread)
	s.report.Segments++
	s.found = append(s.found, seg)
	return nil
}

func (s *scanner) record(seg *segment, h header, off int64, payload []byte) error {
	if h.typ > MaxType {
		return nil
	}
	seg.note(h.seq, h.time)
	s.last = max(s.last, h.seq)
	if s.report.Records == 0 {
		s.report.First = h.seq
	}
	s.report.Records++
	s.report.Bytes += int64(len(payload))
	s.report.Last = h.seq
	if s.fn == nil {
		return nil
	}
	pos := Pos{Segment: seg.number, Offset: off + headerSize, Len: int32(len(payload))}
	return s.fn(Record{Type: h.typ, Seq: h.seq, Payload: payload, Pos: pos, Time: time.Unix(0, h.time)})
}

// tail judges what lies behind the last whole record, up to the last byte that is not zero. It is damage where the disk
// itself said that it could not be read, where it follows a seal, and where the file has lost or gained bytes without
// one. Otherwise it is a torn record, as a crash leaves it.
func (s *scanner) tail(seg *segment, tail int64, unread []int64) {
	for _, at := range unread {
		if at+page > seg.size {
			s.damaged(seg, max(at, seg.size), min(at+page, seg.length))
		}
	}
	if len(unread) == 0 && (seg.sealed && seg.torn || !seg.sealed && seg.length != seg.full) {
		s.damaged(seg, seg.size, seg.length)
	}
	if seg.torn && !seg.damaged {
		s.report.TornTails++
		s.report.TornBytes += tail - seg.size
	}
}

func (s *scanner) damaged(seg *segment, from, to int64) {
	seg.damaged = true
	s.report.Damages = append(s.report.Damages, Damage{Segment: seg.number, File: seg.name(), From: from, To: to})
}

// checkBefore uses what the next segment's name knows: when that segment began, id.after was on the disk. If the one
// before ends earlier now, its tail is not torn but lost.
func (s *scanner) checkBefore(id identity) {
	if len(s.found) == 0 || id.after <= s.last {
		return
	}
	prev := s.found[len(s.found)-1]
	if prev.number+1 != id.number {
		return // one between them was dropped
	}
	lost := id.after - s.last
	if n := len(s.report.Damages); n > 0 && s.report.Damages[n-1].Segment == prev.number && s.report.Damages[n-1].From >= prev.size {
		s.report.Damages[n-1].Lost = lost
		return
	}
	if prev.torn && !prev.damaged {
		s.report.TornTails--
	}
	s.damaged(prev, prev.size, prev.length)
	s.report.Damages[len(s.report.Damages)-1].Lost = lost
}

// walker goes through the bytes of one segment.
type walker struct {
	b    []byte
	seed uint32
	prev uint64 // seq of the record before
	emit func(h header, off int64, payload []byte) error

	damages []Damage
	sealed  bool  // the last whole record is a seal
	end     int64 // behind the last whole record
	tail    int64 // behind the last byte that is not zero, at least end
}

// run hands out every whole record. A stretch between two of them is damage. Behind the last one, zeros are space not
// used yet, anything else is a torn record.
func (w *walker) run() error {
	bad := -1
	for off := 0; off < len(w.b); {
		h, ok := parseHeader(w.b[off:], w.seed, int64(off))
		end := off + headerSize + int(h.size)
		ok = ok && end <= len(w.b)
		if !ok || !w.follows(h) || crc32.Checksum(w.b[off+headerSize:end], castagnoli) != h.sum {
			if failpoint.Seeded(failpoint.CutAtDamage) {
				break
			}
			if bad < 0 {
				bad = off
			}
			if ok {
				off = end
			} else {
				off = w.next(off)
			}
			continue
		}
		if bad >= 0 {
			w.damages = append(w.damages, Damage{From: int64(bad), To: int64(off), Lost: w.missing(h)})
			bad = -1
		}
		w.prev, w.sealed = h.seq, h.typ == typeSeal
		if err := w.emit(h, int64(off), w.b[off+headerSize:end]); err != nil {
			return err
		}
		off = end
		w.end = int64(end)
	}
	w.tail = w.end + int64(len(trimZeros(w.b[w.end:])))
	return nil
}

var zeros [page]byte

// trimZeros cuts the zeros at the end of b, which are most of a segment that a crash has left: a page at a time.
func trimZeros(b []byte) []byte {
	for len(b) >= page && bytes.Equal(b[len(b)-page:], zeros[:]) {
		b = b[:len(b)-page]
	}
	return bytes.TrimRight(b, "\x00")
}

// follows keeps a record from being taken twice, whatever the file holds.
func (w *walker) follows(h header) bool {
	return h.seq > w.prev || h.typ > MaxType && h.seq == w.prev
}

func (w *walker) missing(h header) uint64 {
	if h.typ > MaxType {
		return h.seq - w.prev
	}
	return h.seq - w.prev - 1
}

// next is where the next record could begin behind off.
func (w *walker) next(off int) int {
	if i := bytes.Index(w.b[off+1:], magic); i >= 0 {
		return off + 1 + i
	}
	return len(w.b)
}

// sealed looks for the seal that ends a segment closed in order.
func sealed(path string, id identity) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil || st.Size() < headerSize {
		return false
	}
	var b [headerSize]byte
	off := st.Size() - headerSize
	if _, err := f.ReadAt(b[:], off); err != nil {
		return false
	}
	h, ok := parseHeader(b[:], id.seed(), off)
	return ok && h.typ == typeSeal
}

const page = 4096

// readAll reads a file into buf, grown if need be, and says how long it was before: it may be sealed meanwhile. Pages
// that the disk cannot read are zeros, and named in unread.
func readAll(path string, buf []byte) (b []byte, length int64, unread []int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, 0, nil, err
	}
	b = slices.Grow(buf[:0], int(st.Size()))[:st.Size()]
	n, err := f.ReadAt(b, 0)
	if err == nil || errors.Is(err, io.EOF) {
		return b[:n], st.Size(), nil, nil
	}
	return b, st.Size(), readPages(f, b), nil
}

func readPages(f io.ReaderAt, b []byte) (unread []int64) {
	for off := 0; off < len(b); off += page {
		p := b[off:min(off+page, len(b))]
		if _, err := f.ReadAt(p, int64(off)); err != nil && !errors.Is(err, io.EOF) {
			clear(p)
			unread = append(unread, int64(off))
		}
	}
	return unread
}
