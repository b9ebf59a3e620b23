package journal

import (
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
)

// Known is a closed segment as somebody remembers it who has read it: enough to open the journal without reading it again.
type Known struct {
	Name           string
	Size, Length   int64 // of the records, of the file
	Records        int
	First, Last    uint64
	Oldest, Newest int64 // unix ns
	Sealed, Torn   bool
	Tail           uint32 // checksum of the last bytes of its records
}

const tailSize = 4096

// Number is the segment's number; 0 if its name is none.
func (k Known) Number() uint64 {
	id, _ := parseName(k.Name)
	return id.number
}

func (k Known) segment(id identity) *segment {
	return &segment{identity: id, seed: id.seed(), size: k.Size, length: k.Length, closed: true, sealed: k.Sealed, torn: k.Torn,
		records: k.Records, first: k.First, last: k.Last, oldest: k.Oldest, newest: k.Newest}
}

// Known describes the segments before the first one that may still change or was not whole.
func (j *Journal) Known() ([]Known, error) {
	j.mu.Lock()
	var segments []segment
	for _, s := range j.segments {
		if !s.closed || s.damaged || s.poisoned {
			break
		}
		segments = append(segments, *s)
	}
	j.mu.Unlock()
	known := make([]Known, 0, len(segments))
	for _, s := range segments {
		k := Known{Name: s.name(), Size: s.size, Records: s.records, First: s.first, Last: s.last, Oldest: s.oldest, Newest: s.newest,
			Sealed: s.sealed, Torn: s.torn}
		var err error
		if k.Length, k.Tail, err = tailOf(filepath.Join(j.o.Dir, k.Name), k.Size); errors.Is(err, os.ErrNotExist) {
			continue // dropped meanwhile
		} else if err != nil {
			return nil, err
		}
		known = append(known, k)
	}
	return known, nil
}

// tailOf is how long a file is, and the checksum of what stands before size.
func tailOf(path string, size int64) (length int64, sum uint32, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return 0, 0, err
	}
	b := make([]byte, min(size, tailSize))
	_, err = f.ReadAt(b, size-int64(len(b)))
	return st.Size(), crc32.Checksum(b, castagnoli), err
}

// Fits says whether the journal in dir begins with segments as they are remembered, and with which: older ones may have
// been dropped since.
func Fits(dir string, known []Known) ([]Known, bool) {
	ids, _, err := list(dir)
	if err != nil || len(ids) == 0 {
		return nil, false
	}
	from := slices.IndexFunc(known, func(k Known) bool { return k.Name == ids[0].name() })
	if from < 0 || len(known)-from > len(ids) {
		return nil, false
	}
	known = known[from:]
	for i, k := range known {
		length, sum, err := tailOf(filepath.Join(dir, k.Name), k.Size)
		if ids[i].name() != k.Name || err != nil || length != k.Length || sum != k.Tail {
			return nil, false
		}
	}
	return known, true
}

// Replay hands the records of one closed segment to fn, as Open does. If not all of them can be read, it hands over those
// that can, and is ErrDamaged: Check reports it.
func (j *Journal) Replay(number uint64, fn func(Record) error) error {
	damages, err := j.read(number, fn)
	if err == nil && len(damages) > 0 {
		err = damages[0]
	}
	return err
}

// Check reads a closed segment, and reports damage as Open does.
func (j *Journal) Check(number uint64) error {
	damages, err := j.read(number, nil)
	if len(damages) == 0 || err != nil {
		return err
	}
	j.mu.Lock()
	for _, s := range j.segments {
		s.damaged = s.damaged || s.number == number
	}
	j.mu.Unlock()
	j.tell(damages)
	return nil
}

func (j *Journal) read(number uint64, fn func(Record) error) ([]Damage, error) {
	known, ok := j.find(number)
	if !ok {
		return nil, os.ErrNotExist
	}
	s := scanner{dir: j.o.Dir, fn: fn}
	if err := s.segment(known.identity); err != nil {
		return nil, err
	}
	// Zeros at the end of a segment without a seal look like space not used yet.
	if found := s.found[0]; found.last < known.last && !found.damaged {
		s.damaged(found, found.size, found.length)
		s.report.Damages[0].Lost = known.last - found.last
	}
	return s.report.Damages, nil
}
