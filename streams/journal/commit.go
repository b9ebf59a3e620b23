package journal

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"time"

	"leadstream/streams/failpoint"
)

const (
	batchRecords = 256
	batchBytes   = 1 << 20
	tendEvery    = time.Second
	maxBackoff   = time.Minute
)

// request is what one caller wants committed together. It comes from the pool, without entries.
type request struct {
	entries   []entry
	size      int
	essential bool
	done      func(Pos, uint64, error)
	wait      chan error
}

type entry struct {
	typ     uint8
	sum     uint32
	payload []byte
	pos     Pos
	seq     uint64
}

// run is the committer.
func (j *Journal) run() {
	defer close(j.ended)
	tick := time.NewTicker(tendEvery)
	defer tick.Stop()
	j.tend()
	for {
		more, closed := j.take()
		if more {
			j.commit()
		} else if closed {
			j.closeErr = j.shut()
			return
		}
		if more {
			select {
			case <-tick.C:
				j.tend()
			default:
			}
			runtime.Gosched()
			continue
		}
		select {
		case <-j.wake:
		case <-tick.C:
			j.tend()
		}
	}
}

// take moves what waits into j.batch, up to the bounds of a batch. It waits for nothing: whatever comes during a
// commit is the next one.
func (j *Journal) take() (more, closed bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	records, size, n := 0, 0, 0
	for _, r := range j.queue {
		records, size = records+len(r.entries), size+r.size
		if n > 0 && (records > batchRecords || size > batchBytes) {
			break
		}
		n++
	}
	j.batch = append(j.batch[:0], j.queue[:n]...)
	rest := copy(j.queue, j.queue[n:])
	clear(j.queue[rest:])
	j.queue = j.queue[:rest]
	return n > 0, j.closed
}

// commit writes j.batch and tells everybody.
func (j *Journal) commit() {
	now := time.Now()
	j.since.Store(now.UnixNano())
	defer j.since.Store(0)
	j.checkSpace()
	size := j.refuse()
	if len(j.batch) == 0 {
		return
	}
	if err := j.room(size); err != nil {
		j.finishAll(err)
		return
	}
	j.encode(now.UnixNano())
	failpoint.Hit(failpoint.JournalEncoded)
	if failpoint.Seeded(failpoint.AnswerBeforeSync) {
		j.finishAll(nil)
	}
	if err := j.write(); err != nil {
		j.poison(err)
		j.finishAll(j.state())
		j.revive()
		return
	}
	failpoint.Hit(failpoint.JournalSynced)
	j.settled(now.UnixNano())
	j.finishAll(nil)
	failpoint.Hit(failpoint.JournalTold)
}

// refuse takes the requests out of the batch that may not use the reserve, and returns the size of the rest.
func (j *Journal) refuse() (size int) {
	j.mu.Lock()
	full := j.full
	j.mu.Unlock()
	kept := j.batch[:0]
	for _, r := range j.batch {
		if full != nil && !r.essential {
			j.finish(r, full)
			continue
		}
		kept = append(kept, r)
		size += r.size
	}
	j.batch = kept
	return size
}

func (j *Journal) finishAll(err error) {
	for _, r := range j.batch {
		j.finish(r, err)
	}
	clear(j.batch)
	j.batch = j.batch[:0]
}

// encode lays the batch out behind what the segment holds. A seq is never given out twice, even if this write fails:
// the record might be found one day.
func (j *Journal) encode(now int64) {
	j.buf = j.buf[:0]
	for _, r := range j.batch {
		for i := range r.entries {
			e := &r.entries[i]
			j.seq++
			e.seq = j.seq
			e.pos = Pos{Segment: j.cur.number, Offset: j.put(e.typ, e.sum, e.payload, now), Len: int32(len(e.payload))}
		}
	}
}

// put adds a record to the buffer and returns where in the segment its payload will be.
func (j *Journal) put(typ uint8, sum uint32, payload []byte, now int64) int64 {
	off := j.cur.size + int64(len(j.buf))
	h := header{typ: typ, size: uint32(len(payload)), sum: sum, seq: j.seq, time: now}
	j.buf = append(h.appendTo(j.buf, j.cur.seed, off), payload...)
	return off + headerSize
}

func (j *Journal) write() error {
	if _, err := j.cur.f.WriteAt(j.buf, j.cur.size); err != nil {
		return err
	}
	failpoint.Hit(failpoint.JournalWritten)
	err := j.cur.f.Datasync()
	if err != nil && failpoint.Seeded(failpoint.SyncAgain) {
		err = j.cur.f.Datasync()
	}
	return err
}

// settled counts what has just become lasting.
func (j *Journal) settled(now int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.cur.size += int64(len(j.buf))
	for _, r := range j.batch {
		for i := range r.entries {
			j.cur.note(r.entries[i].seq, now)
		}
	}
	j.durable, j.backoff = j.seq, 0
}

// room sees to it that size bytes and a seal fit into the segment.
func (j *Journal) room(size int) error {
	if j.cur != nil && j.cur.size+int64(size)+headerSize <= j.o.SegmentSize {
		return nil
	}
	if time.Now().Before(j.nextTry) {
		return j.state()
	}
	old := j.cur
	if err := j.start(); err != nil {
		j.fail(err)
		return j.state()
	}
	j.replaced(old)
	return nil
}

// replaced ends the segment before, if any, once there is one to write again.
func (j *Journal) replaced(old *segment) {
	j.mu.Lock()
	j.broken = nil
	j.mu.Unlock()
	j.nextTry = time.Time{}
	if old == nil {
		return
	}
	if err := j.seal(old); err != nil { // every record of it was lasting before
		j.o.Log.Warn().Err(err).Uint64("segment", old.number).Msg("journal: seal")
	}
}

// state is why there is no segment for a batch.
func (j *Journal) state() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.broken
}

// start makes the spare, or else a new file, the segment being written.
func (j *Journal) start() error {
	j.aside.Wait()
	from := filepath.Join(j.o.Dir, spareName)
	j.mu.Lock()
	ready := j.spare == spareReady
	j.mu.Unlock()
	if !ready {
		from = filepath.Join(j.o.Dir, newName)
		if err := j.disk.create(from, j.o.SegmentSize); err != nil {
			return err
		}
		failpoint.Hit(failpoint.SegmentCreated)
	}
	return j.startFrom(from)
}

func (j *Journal) startFrom(path string) error {
	j.number++
	id := identity{number: j.number, after: j.durable, salt: rand.Uint64(), full: j.o.SegmentSize}
	if path == filepath.Join(j.o.Dir, spareName) {
		j.setSpare(spareMissing)
	}
	to := filepath.Join(j.o.Dir, id.name())
	if err := j.disk.rename(path, to); err != nil {
		return err
	}
	failpoint.Hit(failpoint.SegmentStarted)
	f, err := j.disk.open(to)
	if err != nil {
		return err
	}
	j.cur = &segment{identity: id, seed: id.seed(), f: f, length: j.o.SegmentSize}
	j.mu.Lock()
	j.segments = append(j.segments, j.cur)
	j.mu.Unlock()
	j.makeSpare()
	return nil
}

// seal ends a segment in order and gives its unused space back.
func (j *Journal) seal(s *segment) error {
	b := header{typ: typeSeal, seq: max(s.after, s.last), time: time.Now().UnixNano()}.appendTo(nil, s.seed, s.size)
	_, err := s.f.WriteAt(b, s.size)
	failpoint.Hit(failpoint.SegmentSealed)
	if err == nil {
		err = s.f.Datasync()
	}
	j.mu.Lock()
	s.closed = true
	if err == nil {
		s.size += headerSize
		s.sealed = true
	}
	j.mu.Unlock()
	if err == nil {
		err = s.f.Truncate(s.size)
		failpoint.Hit(failpoint.SegmentTrimmed)
	}
	return errors.Join(err, s.f.Close())
}

// poison gives the segment up for writing; what it holds stays. A new one is tried at once, unless nothing has been
// written since the last time: then after a while.
func (j *Journal) poison(err error) {
	j.cur.f.Close()
	j.mu.Lock()
	j.cur.closed, j.cur.poisoned = true, true
	j.mu.Unlock()
	number, again := j.cur.number, j.backoff > 0
	j.cur = nil
	j.fail(fmt.Errorf("segment %d: %w", number, err))
	if !again {
		j.nextTry = time.Time{}
	}
}

// fail notes that there is no segment to write and sets when to try for another.
func (j *Journal) fail(err error) {
	kind := ErrPoisoned
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		kind = ErrFull
	}
	err = fmt.Errorf("%w: %w", kind, err)
	j.backoff = min(max(2*j.backoff, tendEvery), maxBackoff)
	j.nextTry = time.Now().Add(j.backoff)
	j.mu.Lock()
	told := j.broken != nil
	j.broken = err
	j.mu.Unlock()
	if !told {
		j.o.Log.Error().Err(err).Msg("journal: no segment to write")
		j.o.OnFault(err)
	}
}

// revive tries a new segment after one could not be had or written, with a record of its own: readiness is red, so
// nobody else would. The file of a try that fails has never held anything else, and goes.
func (j *Journal) revive() {
	if j.state() == nil || time.Now().Before(j.nextTry) {
		return
	}
	old := j.cur
	if err := j.start(); err != nil {
		j.fail(err)
		return
	}
	j.buf = j.buf[:0]
	j.put(typeProbe, 0, nil, time.Now().UnixNano())
	if err := j.write(); err != nil {
		j.abandon(err)
		j.cur = old
		return
	}
	j.mu.Lock()
	j.cur.size += headerSize
	j.mu.Unlock()
	j.replaced(old)
	j.o.Log.Info().Uint64("segment", j.cur.number).Msg("journal: writing again")
}

func (j *Journal) abandon(err error) {
	j.cur.f.Close()
	_ = j.disk.remove(filepath.Join(j.o.Dir, j.cur.name()))
	j.mu.Lock()
	j.segments = slices.DeleteFunc(j.segments, func(s *segment) bool { return s == j.cur })
	j.mu.Unlock()
	j.fail(fmt.Errorf("segment %d: %w", j.cur.number, err))
}

// tend looks after space, spare and a broken journal once a second, with or without traffic.
func (j *Journal) tend() {
	j.checkSpace()
	j.makeSpare()
	j.revive()
}

// shut ends the journal when nothing waits any more.
func (j *Journal) shut() error {
	j.aside.Wait()
	var err error
	switch {
	case j.cur == nil:
	case j.cur.size == 0: // left for the next Open
		err = j.cur.f.Close()
	default:
		err = j.seal(j.cur)
	}
	return errors.Join(err, j.lock.Close())
}
