package damage

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"

	"leadstream/streams/journal"
)

// try damages one file in that way, checks what is read then, and mends the file.
func (b *base) try(rng *rand.Rand, k Kind, open bool) (c Count, err error) {
	f, other := b.files[rng.IntN(len(b.files))], b.files[rng.IntN(len(b.files))]
	for f.used == 0 {
		f = b.files[rng.IntN(len(b.files))]
	}
	ch := damaged(rng, k, f, other, b.rest)
	b.rest = ch.data
	t := &trial{b: b, f: f, data: ch.data}
	t.from, t.to = span(f.data, ch.data)
	if t.nothing() {
		return Count{Journals: 1, Records: b.total, Nothing: 1}, nil
	}
	t.lost = t.overlapped()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
		if err != nil {
			err = fmt.Errorf("segment %d of %d, sealed %v: %s: %w", f.number, len(b.files), f.sealed, ch.what, err)
		}
		err = errors.Join(err, f.put(f.data, t.from, t.to))
	}()
	if err := f.put(ch.data, t.from, t.to); err != nil {
		return c, err
	}
	c = Count{Journals: 1, Records: b.total, Hit: len(t.lost)}
	rep, err := t.read(b.dir)
	if err != nil {
		return c, err
	}
	if t.asCrash(rep) {
		c.AsCrash = 1
	} else if err := t.reported(rep); err != nil {
		return c, err
	} else {
		c.Reported = 1
	}
	if open {
		c.Opened = 1
		err = t.open(rng, rep)
	}
	return c, err
}

// put makes the file hold data, which differs from what it holds between two offsets.
func (f *file) put(data []byte, from, to int) error {
	if len(data) < to || len(f.data) < to {
		if err := f.f.Truncate(int64(len(data))); err != nil {
			return err
		}
	}
	_, err := f.f.WriteAt(data[from:min(to, len(data))], int64(from))
	return err
}

// nothing is a damage that changes nothing, or adds zeros behind a seal, where a crash may leave them.
func (t *trial) nothing() bool {
	tail := t.data[min(t.from, len(t.data)):]
	return t.from == t.to || t.f.sealed && t.from == len(t.f.data) && len(bytes.Trim(tail, "\x00")) == 0
}

// trial is one damaged journal.
type trial struct {
	b        *base
	f        *file  // the damaged one
	data     []byte // what it holds now
	from, to int    // where that differs
	lost     map[uint64]*record
}

// overlapped is the records that are not what they were, at their place.
func (t *trial) overlapped() map[uint64]*record {
	lost := map[uint64]*record{}
	for i := range t.f.records {
		r := &t.f.records[i]
		if r.to > int64(t.from) && r.from < int64(t.to) && !t.unchanged(r.from, r.to) {
			lost[r.Seq] = r
		}
	}
	return lost
}

func (t *trial) unchanged(from, to int64) bool {
	return to <= int64(len(t.data)) && bytes.Equal(t.data[from:to], t.f.data[from:to])
}

// read reads a journal and compares it, record for record.
func (t *trial) read(dir string) (journal.Report, error) {
	want := t.expect()
	rep, err := journal.Scan(dir, want.next)
	return rep, errors.Join(err, want.end())
}

// expect goes through the records that are to be read, in order.
type expect struct {
	t       *trial
	file, i int
	more    []journal.Record // behind those of the base
	extra   int
}

func (t *trial) expect() *expect { return &expect{t: t} }

// peek is the next record that was not hit.
func (e *expect) peek() *journal.Record {
	for ; e.file < len(e.t.b.files); e.file, e.i = e.file+1, 0 {
		for f := e.t.b.files[e.file]; e.i < len(f.records); e.i++ {
			if r := &f.records[e.i]; f != e.t.f || e.t.lost[r.Seq] == nil {
				return &r.Record
			}
		}
	}
	if e.extra < len(e.more) {
		return &e.more[e.extra]
	}
	return nil
}

func (e *expect) next(got journal.Record) error {
	want := e.peek()
	if want == nil {
		return fmt.Errorf("record %d was read behind the last one: invented", got.Seq)
	}
	if e.file == len(e.t.b.files) {
		e.extra++
	} else {
		e.i++
	}
	if got.Seq != want.Seq || got.Pos != want.Pos {
		return fmt.Errorf("record %d at %v was read, want %d at %v: lost, doubled or invented", got.Seq, got.Pos, want.Seq, want.Pos)
	}
	if got.Type != want.Type || !want.Time.IsZero() && !got.Time.Equal(want.Time) || !bytes.Equal(got.Payload, want.Payload) {
		return fmt.Errorf("record %d is not what was written", got.Seq)
	}
	return nil
}

func (e *expect) end() error {
	if want := e.peek(); want != nil {
		return fmt.Errorf("record %d was not read, and nothing has hit it", want.Seq)
	}
	return nil
}

// asCrash tells whether the damage cannot be told from what a crash leaves: nothing was reported and nothing could be,
// because it lies behind the last whole record of a newest segment that was not closed in order, and is either zeros or
// a torn record.
func (t *trial) asCrash(rep journal.Report) bool {
	end := t.end()
	if len(rep.Damages) > 0 || !t.openTail() || int64(t.from) < end {
		return false
	}
	torn := len(bytes.Trim(t.data[end:], "\x00")) > 0
	return torn == (rep.TornTails == 1)
}

// openTail tells whether nothing says how far the file had been written.
func (t *trial) openTail() bool {
	return t.f.newest && !t.f.sealed && len(t.data) == len(t.f.data)
}

// end is behind the last record that is still whole.
func (t *trial) end() int64 {
	end := int64(0)
	for _, r := range t.f.records {
		if t.lost[r.Seq] == nil {
			end = r.to
		}
	}
	return end
}

// reported checks that the damage is reported, all of it, and no other.
func (t *trial) reported(rep journal.Report) error {
	if len(rep.Damages) == 0 {
		return fmt.Errorf("%d records lost in silence: %+v", len(t.lost), rep)
	}
	if rep.TornTails > 0 {
		return fmt.Errorf("taken for a crash: %+v", rep)
	}
	sum := 0
	for _, d := range rep.Damages {
		if d.Segment != t.f.number || d.File != t.f.name {
			return fmt.Errorf("%w: but that segment is sound", d)
		}
		sum += int(d.Lost)
	}
	for _, r := range t.lost {
		if t.openTail() && r.from >= t.end() {
			continue // beside what is reported, a tail as of a crash
		}
		if !t.covers(rep.Damages, r) {
			return fmt.Errorf("record %d, bytes %d to %d, was lost and not reported: %v", r.Seq, r.from, r.to, rep.Damages)
		}
	}
	// What follows tells how many are missing: a record, a seal or the next segment. Without one nothing does.
	if told := !t.f.newest || t.end() > t.lastHit() || t.f.sealed && t.sealKept(); sum > len(t.lost) || told && sum < len(t.lost) {
		return fmt.Errorf("%d records lost, reported %d: %v", len(t.lost), sum, rep.Damages)
	}
	return nil
}

func (t *trial) covers(ds []journal.Damage, r *record) bool {
	for _, d := range ds {
		if d.From <= r.from && (d.To >= r.to || d.To >= int64(len(t.data))) {
			return true
		}
	}
	return false
}

// lastHit is where the last lost record ended.
func (t *trial) lastHit() (end int64) {
	for _, r := range t.lost {
		end = max(end, r.to)
	}
	return end
}

func (t *trial) sealKept() bool {
	last := int64(0)
	if n := len(t.f.records); n > 0 {
		last = t.f.records[n-1].to
	}
	return t.unchanged(last, t.f.used)
}

// open does what a daemon does that starts on a damaged journal: replays it, hears of the damage, writes on. Then the
// damaged file is as it was, and all is read that can be.
func (t *trial) open(rng *rand.Rand, rep journal.Report) error {
	dir := t.b.dir + "-open"
	defer os.RemoveAll(dir)
	if err := copySegments(dir, t.b.dir); err != nil {
		return err
	}
	told := 0
	want := t.expect()
	o := journal.Options{Dir: dir, Reserve: -1, MaxRecord: 16 << 10, SegmentSize: 64 << 10, OnFault: func(err error) {
		if errors.Is(err, journal.ErrDamaged) {
			told++
		}
	}}
	j, err := journal.Open(o, want.next)
	if err != nil {
		return fmt.Errorf("does not open: %w", err)
	}
	more, err := appendSome(j, rng)
	if err = errors.Join(want.end(), err, j.Close()); err != nil {
		return err
	}
	if told != len(rep.Damages) {
		return fmt.Errorf("told of %d damages on opening, want %d", told, len(rep.Damages))
	}
	after := t.expect()
	after.more = more
	again, err := journal.Scan(dir, after.next)
	if err = errors.Join(err, after.end()); err != nil || len(again.Damages) != len(rep.Damages) {
		return fmt.Errorf("read after it was written again: %+v, want %+v: %w", again, rep, err)
	}
	if len(rep.Damages)+rep.TornTails == 0 {
		return nil
	}
	if left, err := os.ReadFile(filepath.Join(dir, t.f.name)); err != nil || !bytes.Equal(left, t.data) {
		return fmt.Errorf("the damaged file was changed: %w", err)
	}
	return nil
}

// appendSome writes records behind the damage and reads each at its place.
func appendSome(j *journal.Journal, rng *rand.Rand) (more []journal.Record, err error) {
	for range 1 + rng.IntN(4) {
		r := journal.Record{Type: uint8(rng.IntN(journal.MaxType + 1)), Payload: payload(rng, nil)}
		if r.Pos, r.Seq, err = j.Append(r.Type, r.Payload); err != nil {
			return nil, err
		}
		got, err := j.Read(r.Pos)
		if err != nil || !bytes.Equal(got.Payload, r.Payload) || got.Seq != r.Seq || got.Type != r.Type {
			return nil, fmt.Errorf("read of a record written behind the damage: %w", err)
		}
		more = append(more, r)
	}
	return more, nil
}
