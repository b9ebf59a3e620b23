// Package journal keeps records on the local disk so that a record whose Append has returned is still there after
// kill -9, a power loss, a full disk or a damaged sector elsewhere in the file. It is what a 2xx rests on.
//
// Records lie one behind another in segment files of a fixed size. A header carries the record's length, number and
// time; two checksums make every byte of the record count, and bind it to its segment and its place, so that a copy of
// a record inside another record's payload is never taken for one. Reading skips what is damaged, says so, and goes on
// with the next whole record; nothing of a damaged file is ever cut or deleted.
//
// All damage is reported but one kind: behind the last whole record of the newest segment, if that was not closed in
// order, zeros look like space not used yet and anything else like the torn record of a crash. From the next Open on,
// which seals that segment, damage there is reported too. A record that was moved within its file, or behind bytes that
// went missing, is damaged as well: it is not where it was written.
//
// One goroutine writes: it takes all the records that wait, writes them at once and calls fdatasync once. A segment
// whose write or sync has failed is never written again, because Linux forgets the pages that it could not write and a
// second fsync would report success.
//
// What a record means, which segment is still needed, and what to answer when the journal is full is left to others.
package journal

import (
	"cmp"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"
)

var (
	ErrFull     = errors.New("journal: disk space is short")
	ErrClosed   = errors.New("journal: closed")
	ErrPoisoned = errors.New("journal: segment cannot be written")
	ErrLocked   = errors.New("journal: in use by another process")
	ErrTooLarge = errors.New("journal: record too large")
	ErrStalled  = errors.New("journal: disk does not answer")
	ErrDamaged  = errors.New("journal: record damaged")
)

// MaxType is the largest Type that a caller may use; those above are the journal's own.
const MaxType = 0xEF

const (
	segmentSize = 16 << 20
	maxRecord   = 1 << 20
	maxReserve  = 512 << 20
	stallAfter  = 10 * time.Second
)

// Pos is where a record's payload lies. The zero Pos is nowhere.
type Pos struct {
	Segment uint64
	Offset  int64
	Len     int32
}

// Compare orders records as they were written.
func (p Pos) Compare(o Pos) int {
	return cmp.Or(cmp.Compare(p.Segment, o.Segment), cmp.Compare(p.Offset, o.Offset))
}

// Record is one entry of the journal. AppendBatch looks at Type and Payload only.
type Record struct {
	Type    uint8
	Seq     uint64 // grows from record to record, over segments and restarts; gaps are records that were refused
	Payload []byte
	Pos     Pos
	Time    time.Time // when it was written
}

// Options say where a journal is and how it behaves; only Dir is required.
type Options struct {
	Dir         string
	SegmentSize int64 // 16 MiB by default, under 4 GiB
	MaxRecord   int   // longest payload, 1 MiB by default
	Reserve     int64 // free space to leave on the disk; 512 MiB or 5 % of it by default, whichever is less; < 0 is none

	// Essential says which types may use the reserve, the spare segment included: the outcomes of what was accepted
	// earlier. With none, nothing is. It is called by many goroutines.
	Essential func(typ uint8) bool

	// Known, if set, names closed segments whose records the caller knows already, all of those that Fits has found: they
	// are not replayed. It is called by Open, once the journal is locked. Whoever uses it has each of them read by Check
	// later, so that damage is noticed all the same.
	Known func() []Known

	// OnFault is told of damage (a Damage), a poisoned segment and lack of space. It must not block or call Close.
	OnFault func(error)
	Log     zerolog.Logger

	disk disk // replaced in tests
}

// Journal is an open journal. Its methods may be called by many goroutines.
type Journal struct {
	o     Options
	disk  disk
	lock  *os.File
	pool  sync.Pool
	wake  chan struct{}
	ended chan struct{}
	aside sync.WaitGroup // the making of a spare
	since atomic.Int64   // when the commit under way began, 0 if none

	mu       sync.Mutex
	queue    []*request
	closed   bool
	segments []*segment // in order; the last one may be the one being written
	broken   error      // why there is no segment to write, nil if there is
	full     error      // why only essential records are taken, nil if all are
	spare    spareState
	noSpare  bool // the last try to make one failed; stays while the next try is under way
	closeErr error

	// Owned by the committer.
	cur     *segment
	batch   []*request
	buf     []byte
	seq     uint64 // last one given out
	durable uint64 // last one known to be on the disk
	number  uint64 // last segment number given out
	backoff time.Duration
	nextTry time.Time
}

// Open takes the journal in o.Dir for this process alone, hands every whole record to replay in order, and starts a
// new segment. The payload is replay's only until it returns; an error of replay ends Open. Damage does not: it goes
// to OnFault. A journal on a full disk opens too, and says ErrFull until it has found space.
func Open(o Options, replay func(Record) error) (*Journal, error) {
	if err := o.complete(); err != nil {
		return nil, fmt.Errorf("journal %s: %w", o.Dir, err)
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	if err := syncDir(filepath.Dir(o.Dir)); err != nil { // the folder itself must be found after a power cut
		return nil, fmt.Errorf("journal: %w", err)
	}
	lock, err := flock(filepath.Join(o.Dir, "lock"))
	if err != nil {
		return nil, fmt.Errorf("journal %s: %w", o.Dir, err)
	}
	j := &Journal{o: o, disk: o.disk, lock: lock, wake: make(chan struct{}, 1), ended: make(chan struct{})}
	j.pool.New = func() any { return &request{wait: make(chan error, 1)} }
	if err := j.load(replay); err != nil {
		lock.Close()
		return nil, fmt.Errorf("journal %s: %w", o.Dir, err)
	}
	go j.run()
	return j, nil
}

func (o *Options) complete() error {
	if o.SegmentSize == 0 {
		o.SegmentSize = segmentSize
	}
	if o.MaxRecord == 0 {
		o.MaxRecord = maxRecord
	}
	if o.disk == nil {
		o.disk = realDisk{}
	}
	if o.OnFault == nil {
		o.OnFault = func(error) {}
	}
	if o.Essential == nil {
		o.Essential = func(uint8) bool { return false }
	}
	if o.SegmentSize >= 1<<32 || int64(o.MaxRecord)+2*headerSize > o.SegmentSize {
		return fmt.Errorf("a segment of %d bytes: it must be under 4 GiB and hold a record of %d", o.SegmentSize, o.MaxRecord)
	}
	return nil
}

func flock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	// A process that its last owner was about to start shares the lock for the blink between fork and exec.
	for deadline := time.Now().Add(time.Second); ; time.Sleep(5 * time.Millisecond) {
		if err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); !errors.Is(err, unix.EWOULDBLOCK) || time.Now().After(deadline) {
			break
		}
	}
	if err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, ErrLocked
		}
		return nil, fmt.Errorf("lock: %w", err)
	}
	return f, nil
}

// MaxRecord is the longest payload that is taken, in bytes.
func (j *Journal) MaxRecord() int { return j.o.MaxRecord }

// Append writes one record and returns when it is on the disk. After an error the record may or may not turn up in a
// later replay: whoever sent it was told no, and may send it again.
func (j *Journal) Append(typ uint8, payload []byte) (Pos, uint64, error) {
	r := j.pool.Get().(*request)
	r.entries = append(r.entries, entry{typ: typ, payload: payload})
	j.enqueue(r)
	err := <-r.wait
	pos, seq := r.entries[0].pos, r.entries[0].seq
	j.release(r)
	if err != nil {
		return Pos{}, 0, err
	}
	return pos, seq, nil
}

// AppendBatch writes records next to each other, in order, in one commit. A crash before it returns may leave the
// first few of them.
func (j *Journal) AppendBatch(recs []Record) ([]Pos, error) {
	if len(recs) == 0 {
		return nil, nil
	}
	r := j.pool.Get().(*request)
	defer j.release(r)
	for i := range recs {
		r.entries = append(r.entries, entry{typ: recs[i].Type, payload: recs[i].Payload})
	}
	j.enqueue(r)
	if err := <-r.wait; err != nil {
		return nil, err
	}
	ps := make([]Pos, len(recs))
	for i := range r.entries {
		ps[i] = r.entries[i].pos
	}
	return ps, nil
}

// Go is Append that does not wait. The payload must stay as it is until done is called: by the committer, so it must
// not block, or by Go itself when the record is refused at once. Nothing bounds how many records wait.
func (j *Journal) Go(typ uint8, payload []byte, done func(Pos, uint64, error)) {
	r := j.pool.Get().(*request)
	r.entries, r.done = append(r.entries, entry{typ: typ, payload: payload}), done
	j.enqueue(r)
}

// enqueue hands r to the committer, or finishes it when it cannot be written at all. Checksums are made here, by the
// many, and not by the one.
func (j *Journal) enqueue(r *request) {
	r.essential, r.size = true, 0
	for i := range r.entries {
		e := &r.entries[i]
		if e.typ > MaxType {
			j.finish(r, fmt.Errorf("journal: type %#x is the journal's own", e.typ))
			return
		}
		if len(e.payload) > j.o.MaxRecord {
			j.finish(r, ErrTooLarge)
			return
		}
		r.essential = r.essential && j.o.Essential(e.typ)
		r.size += headerSize + len(e.payload)
		e.sum = crc32.Checksum(e.payload, castagnoli)
	}
	if int64(r.size)+headerSize > j.o.SegmentSize {
		j.finish(r, ErrTooLarge)
		return
	}
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		j.finish(r, ErrClosed)
		return
	}
	j.queue = append(j.queue, r)
	j.mu.Unlock()
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

// finish tells whoever waits for r. A request with done is the journal's again afterwards; without, the waiter's.
func (j *Journal) finish(r *request, err error) {
	if r.done == nil {
		r.wait <- err
		return
	}
	if err != nil {
		r.done(Pos{}, 0, err)
	} else {
		r.done(r.entries[0].pos, r.entries[0].seq, nil)
	}
	j.release(r)
}

func (j *Journal) release(r *request) {
	clear(r.entries) // the payloads are the callers'
	r.entries, r.done = r.entries[:0], nil
	j.pool.Put(r)
}

// Healthy is nil, or why the journal cannot take every record now.
func (j *Journal) Healthy() error {
	if t := j.since.Load(); t != 0 && time.Since(time.Unix(0, t)) > stallAfter {
		return ErrStalled
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.closed:
		return ErrClosed
	case j.broken != nil:
		return j.broken
	}
	return j.full
}

// Close commits what waits, ends the segment and gives the directory free. Later appends get ErrClosed.
func (j *Journal) Close() error {
	j.mu.Lock()
	j.closed = true
	j.mu.Unlock()
	select {
	case j.wake <- struct{}{}:
	default:
	}
	<-j.ended
	return j.closeErr
}
