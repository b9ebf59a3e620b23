package damage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"leadstream/streams/journal"
)

// record is what was written, and where.
type record struct {
	journal.Record
	from, to int64 // in its file, header and payload
}

// file is one segment.
type file struct {
	name    string
	number  uint64
	data    []byte
	used    int64 // behind the last record, and behind the seal if it has one
	sealed  bool
	newest  bool
	records []record
	f       *os.File
}

// base is a journal before it is damaged.
type base struct {
	dir   string
	files []*file
	total int    // records
	rest  []byte // spare room for the damaged content
}

// write makes a journal below dir: 1,000 records or more, of all types and of many sizes, in one segment or several,
// by one process or by some that were stopped or killed. It ends closed in order, or as a crash leaves it.
func write(dir string, rng *rand.Rand) (*base, error) {
	o := journal.Options{Dir: filepath.Join(dir, "written"), Reserve: -1, MaxRecord: 16 << 10, SegmentSize: 512 << 10}
	if rng.IntN(2) == 0 {
		o.SegmentSize = 40<<10 + int64(rng.IntN(120<<10))
	}
	b := &base{dir: filepath.Join(dir, "damaged")}
	crash := rng.IntN(2) == 0
	for n, lives := 1000+rng.IntN(300), 1+rng.IntN(3); lives > 0; lives-- {
		j, err := journal.Open(o, nil)
		if err != nil {
			return nil, err
		}
		some := n
		if lives > 1 {
			some = rng.IntN(n + 1)
		}
		n -= some
		err = fill(j, rng, some)
		if err == nil && lives == 1 && crash {
			err = copySegments(b.dir, o.Dir) // nothing is under way: what is on the disk is what a crash leaves
		}
		if err = errors.Join(err, j.Close()); err != nil {
			return nil, err
		}
	}
	if !crash {
		if err := copySegments(b.dir, o.Dir); err != nil {
			return nil, err
		}
	}
	return b, b.load()
}

func fill(j *journal.Journal, rng *rand.Rand, n int) error {
	var all []byte // what was written before, for those who send us our own files
	for n > 0 {
		batch := make([]journal.Record, min(n, 1+rng.IntN(40)))
		for i := range batch {
			batch[i] = journal.Record{Type: uint8(rng.IntN(journal.MaxType + 1)), Payload: payload(rng, all)}
		}
		at, err := j.AppendBatch(batch)
		if err != nil {
			return err
		}
		if rng.IntN(8) == 0 {
			if all, err = segmentBytes(j, at[0]); err != nil {
				return err
			}
		}
		n -= len(batch)
	}
	return nil
}

// payload is of a size and content that some lead has, or that would be hard on the reader.
func payload(rng *rand.Rand, journal []byte) []byte {
	size := 60 + rng.IntN(240)
	switch rng.IntN(40) {
	case 0:
		size = 0
	case 1, 2:
		size = rng.IntN(40)
	case 3:
		size = 2000 + rng.IntN(4000)
	case 4:
		return make([]byte, size)
	case 5:
		return bytes.Repeat([]byte("\xf5LSJ\x01"), size/5)
	case 6:
		if from := rng.IntN(len(journal) + 1); from < len(journal) {
			return slices.Clone(journal[from:min(from+1000, len(journal))])
		}
	}
	return random(rng, size)
}

func random(rng *rand.Rand, size int) []byte {
	p := make([]byte, 0, size+8)
	for len(p) < size {
		p = binary.LittleEndian.AppendUint64(p, rng.Uint64())
	}
	return p[:size]
}

func segmentBytes(j *journal.Journal, at journal.Pos) ([]byte, error) {
	r, err := j.Read(at)
	return r.Payload, err
}

func copySegments(to, from string) error {
	names, err := filepath.Glob(filepath.Join(from, "*.seg"))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, filepath.Base(name)), b, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// load reads the undamaged journal: this is what was written.
func (b *base) load() error {
	names, err := filepath.Glob(filepath.Join(b.dir, "*.seg"))
	if err != nil {
		return err
	}
	for _, name := range names {
		f := &file{name: filepath.Base(name)}
		if f.number, err = strconv.ParseUint(f.name[:16], 16, 64); err != nil {
			return err
		}
		if f.data, err = os.ReadFile(name); err != nil {
			return err
		}
		if f.f, err = os.OpenFile(name, os.O_RDWR, 0); err != nil {
			return err
		}
		b.files = append(b.files, f)
	}
	b.files[len(b.files)-1].newest = true
	rep, err := journal.Scan(b.dir, func(r journal.Record) error {
		f := b.file(r.Pos.Segment)
		r.Payload = slices.Clone(r.Payload)
		to := r.Pos.Offset + int64(r.Pos.Len)
		f.records = append(f.records, record{Record: r, from: f.used, to: to})
		f.used = to
		b.total++
		return nil
	})
	if err != nil || len(rep.Damages) > 0 || rep.TornTails > 0 {
		return fmt.Errorf("read before any damage: %+v, %w", rep, err)
	}
	for _, f := range b.files {
		if f.sealed = len(bytes.TrimLeft(f.data[f.used:], "\x00")) > 0; f.sealed {
			f.used = int64(len(f.data))
		}
	}
	return nil
}

func (b *base) file(number uint64) *file {
	for _, f := range b.files {
		if f.number == number {
			return f
		}
	}
	return nil
}

func (b *base) close() {
	for _, f := range b.files {
		f.f.Close()
	}
}
