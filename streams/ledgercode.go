package streams

import (
	"encoding/binary"
	"encoding/json"
	"slices"
	"time"
)

// A lead of the ledger in the index beside the journal: a byte of flags, then its members in the order of writeRecord.
// Numbers are varints, texts and times have their length before them.
const (
	flagHome = 1 << iota
	flagRouted
	flagToldLate
	flagToldWhole
	flagBody
	flagKey
)

// states are written as their place in this list.
var states = []State{"", InFlight, Held, Delivered, Merged, Dropped, Dead, Erased}

type ledgerWriter struct{ b []byte }

func (w *ledgerWriter) number(n int64) { w.b = binary.AppendVarint(w.b, n) }

func (w *ledgerWriter) text(s string) {
	w.b = append(binary.AppendUvarint(w.b, uint64(len(s))), s...)
}

func (w *ledgerWriter) time(t time.Time) {
	at := len(w.b)
	w.b = append(w.b, 0)
	if t.IsZero() {
		return
	}
	if b, err := t.AppendBinary(w.b); err == nil { // of a zone with seconds that no clock of ours has
		w.b = b
	}
	w.b[at] = byte(len(w.b) - at - 1)
}

func (w *ledgerWriter) state(s State) { w.b = append(w.b, byte(slices.Index(states, s))) }

func (w *ledgerWriter) record(r *record) {
	var flags byte
	for i, set := range []bool{r.home, r.routed, r.toldLate, r.toldWhole, r.body != [16]byte{}, r.key != [16]byte{}} {
		if set {
			flags |= 1 << i
		}
	}
	w.b = append(w.b, flags)
	w.text(r.id)
	w.text(r.source)
	w.number(int64(r.pos.Segment))
	w.number(r.pos.Offset)
	w.number(int64(r.pos.Len))
	w.number(int64(r.first.segment))
	w.number(r.first.offset)
	w.time(r.accepted)
	w.number(int64(r.partition))
	w.text(r.repeatOf)
	w.state(r.whole)
	w.text(r.reason)
	if flags&flagBody != 0 {
		w.b = append(w.b, r.body[:]...)
	}
	if flags&flagKey != 0 {
		w.b = append(w.b, r.key[:]...)
	}
	w.number(int64(len(r.dests)))
	for i := range r.dests {
		w.stop(&r.dests[i])
	}
}

func (w *ledgerWriter) stop(s *stop) {
	var flags byte
	if s.calling {
		flags |= 1
	}
	if s.told {
		flags |= 2
	}
	w.b = append(w.b, flags)
	w.text(s.name)
	w.state(s.state)
	w.number(int64(s.attempts))
	w.text(s.remote)
	w.text(s.reason)
	var tries []byte
	if len(s.tries) > 0 {
		tries, _ = json.Marshal(s.tries) // a Try is texts and a time
	}
	w.text(string(tries))
	w.time(s.at)
	w.time(s.intent)
}

// ledgerReader reads what ledgerWriter writes. Once something is not as it should be, bad stays set and all else is zero.
type ledgerReader struct {
	b   []byte
	bad bool
}

func (r *ledgerReader) take(n uint64) []byte {
	if r.bad || n > uint64(len(r.b)) {
		r.b, r.bad = nil, true
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *ledgerReader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *ledgerReader) number() int64 {
	n, w := binary.Varint(r.b)
	if w <= 0 {
		r.bad = true
		return 0
	}
	r.b = r.b[w:]
	return n
}

func (r *ledgerReader) bytes() []byte {
	n, w := binary.Uvarint(r.b)
	if w <= 0 {
		r.bad = true
		return nil
	}
	r.b = r.b[w:]
	return r.take(n)
}

func (r *ledgerReader) text() string { return string(r.bytes()) }

func (r *ledgerReader) time() (t time.Time) {
	if b := r.take(uint64(r.byte())); len(b) > 0 && t.UnmarshalBinary(b) != nil {
		r.bad = true
	}
	return t
}

func (r *ledgerReader) state() State {
	n := int(r.byte())
	if n >= len(states) {
		r.bad = true
		return ""
	}
	return states[n]
}

// record reads a lead; names are the texts that many have in common.
func (r *ledgerReader) record(names map[string]string) *record {
	common := func() string {
		b := r.bytes()
		s, ok := names[string(b)]
		if !ok {
			s = intern(string(b))
			names[s] = s
		}
		return s
	}
	flags := r.byte()
	rec := &record{home: flags&flagHome != 0, routed: flags&flagRouted != 0, toldLate: flags&flagToldLate != 0,
		toldWhole: flags&flagToldWhole != 0, ready: closed}
	rec.id, rec.source = r.text(), common()
	rec.pos.Segment, rec.pos.Offset, rec.pos.Len = uint64(r.number()), r.number(), int32(r.number())
	rec.first.segment, rec.first.offset = uint64(r.number()), r.number()
	rec.accepted, rec.partition = r.time(), int(r.number())
	rec.repeatOf, rec.whole, rec.reason = r.text(), r.state(), common()
	if flags&flagBody != 0 {
		copy(rec.body[:], r.take(16))
	}
	if flags&flagKey != 0 {
		copy(rec.key[:], r.take(16))
	}
	n := r.number()
	if n < 0 || n > int64(len(r.b)) {
		r.bad = true
	} else if n > 0 {
		rec.dests = make([]stop, n)
		for i := range rec.dests {
			r.stop(&rec.dests[i], common)
		}
	}
	return rec
}

func (r *ledgerReader) stop(s *stop, common func() string) {
	flags := r.byte()
	s.calling, s.told = flags&1 != 0, flags&2 != 0
	s.name, s.state, s.attempts = common(), r.state(), int(r.number())
	s.remote, s.reason = r.text(), common()
	if b := r.bytes(); len(b) > 0 && json.Unmarshal(b, &s.tries) != nil {
		r.bad = true
	}
	s.at, s.intent = r.time(), r.time()
}
