package streams

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
	"unsafe"

	"github.com/rs/zerolog"

	"leadstream/streams/failpoint"
	"leadstream/streams/journal"
)

// Journal record types.
const (
	recAccept     uint8 = 1 // a lead and what it came as
	recEvents     uint8 = 2 // facts about leads, as a JSON array
	recQuarantine uint8 = 3 // a request that could not be read
	recEpoch      uint8 = 4 // a partition's epoch, as this instance opened it
)

// Windows of the same body without a key (design: idempotency): a repeated request, then a repeated enquiry.
const (
	sameRequest = 10 * time.Minute
	sameEnquiry = 48 * time.Hour
)

// ErrRefused says that the journal could not make a lead durable: it was not taken, and the sender must repeat it.
var ErrRefused = errors.New("the journal cannot take leads now")

// Taken is a lead as the shim hands it over.
type Taken struct {
	Lead      *Lead
	Key       string // the sender's idempotency key or event id; empty: the body alone tells
	Canonical []byte // the body in a form in which the same content is the same bytes
	Raw       []byte // the body as it came, kept beside the lead
}

// Receipt is what the sender is told.
type Receipt struct {
	LeadID    string
	Duplicate bool // the lead was there already
	Conflict  bool // the key was there with another body: taken as a new lead, and alerted
}

// Custody is the local journal together with the ledger of every lead in it: what was accepted, where it is, how it
// ended. It answers for a lead from the 2xx on, whatever happens to Redis.
type Custody struct {
	Instance   string
	Partitions int
	Retention  time.Duration // how long a finished lead is remembered; 48 h at least
	Aside      []string      // destinations that bring a lead to nobody: by what happens there it is neither alive nor dead
	Now        func() time.Time
	Log        zerolog.Logger

	journal *journal.Journal
	dir     string     // its folder
	forward []*backlog // a partition each: what Redis has not confirmed yet

	noting  sync.RWMutex // held for writing while a lead is carried: its history must not overtake an event
	mu      sync.Mutex
	leads   map[string]*record   // but for those that are archived: find knows them all
	open    map[string]*record   // home leads that have not ended
	states  map[State]int        // how many home leads are in each
	bodies  map[[16]byte]*record // by source and body, leads without a key
	keyed   map[[16]byte]*record // by source and key
	epochs  map[int]epochNote    // by partition
	ended   func([]string)       // told of leads that died, were dropped or erased: their repeats are leads of their own
	counts  Counts
	clashes map[string]uint64      // conflicting keys, by source
	unread  map[string]Quarantined // quarantined requests that no person was told of
	trouble map[string]*record     // home leads that are dead or held somewhere, of which no person was told

	archives []*archive       // leads that had ended when their segments were indexed, the oldest first
	past     map[uint64]*past // of those that are in no map above, by segment
	floor    uint64           // what is archived of a segment before it is forgotten
	indexed  uint64           // the last segment that snapshot and archives speak of
	built    uint64           // the last segment in the index by now
	opened   time.Time
	torn     error             // an archive could not be read
	room     func(int64) error // whether the index may write so many bytes
}

// Counts are totals since the start, for metrics and alerts.
type Counts struct {
	Accepted, Duplicate, Conflict, Repeat, Quarantined uint64
}

// epochNote is what this instance knows of a partition's past.
type epochNote struct {
	Partition int       `json:"p"`
	Epoch     int64     `json:"e"`
	Run       string    `json:"run"`             // Redis's run id
	Foreign   int64     `json:"foreign"`         // entries of an epoch below this may have been delivered by an owner that is lost
	Others    time.Time `json:"others,omitzero"` // when another instance was last seen to own it
	At        time.Time `json:"at"`
	segment   uint64    // of the journal
}

// Quarantined is a request that came with a valid key and could not be read.
type Quarantined struct {
	Source, Reason, ContentType string
	At                          time.Time
	Raw                         []byte
	ID                          string
	segment                     uint64 // of the journal
}

// Open opens the journal and reads the ledger from it. It comes before everything else.
func (c *Custody) Open(o journal.Options) error {
	c.reset()
	c.clashes = map[string]uint64{}
	c.Partitions = max(c.Partitions, 1)
	c.Retention = max(c.Retention, sameEnquiry)
	if c.Now == nil {
		c.Now = time.Now
	}
	for range c.Partitions {
		c.forward = append(c.forward, newBacklog())
	}
	o.Essential = func(typ uint8) bool { return typ != recAccept && typ != recQuarantine }
	o.Known = func() []journal.Known { return c.restore(o.Dir) }
	j, err := journal.Open(o, c.replay)
	if c.torn != nil {
		c.reset()
		o.Known = nil
		j, err = journal.Open(o, c.replay)
	}
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	c.journal, c.dir = j, o.Dir
	now := c.Now()
	c.opened, c.built = now, c.indexed
	for _, r := range c.leads {
		c.count(r)
		if r.home && !r.state().Final() || r.troubled() {
			c.place(r)
		}
		r.interrupted(now)
		if r.accepted.After(now) { // by a clock that was ahead: until ours is there, too, it would be neither missed nor late
			r.accepted = now
		}
	}
	c.redriveAll()
	failpoint.Hit(failpoint.StartLedger)
	return nil
}

// reset makes the ledger empty.
func (c *Custody) reset() {
	c.leads, c.open, c.states = map[string]*record{}, map[string]*record{}, map[State]int{}
	c.bodies, c.keyed, c.epochs = map[[16]byte]*record{}, map[[16]byte]*record{}, map[int]epochNote{}
	c.unread, c.trouble = map[string]Quarantined{}, map[string]*record{}
	c.closeArchives()
	c.past, c.floor, c.indexed, c.torn = map[uint64]*past{}, 0, 0, nil
}

func (c *Custody) closeArchives() {
	for _, a := range c.archives {
		a.f.Close()
	}
	c.archives = nil
}

// Close closes the journal.
func (c *Custody) Close() error {
	err := c.journal.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range c.archives {
		a.f.Close()
	}
	return err
}

// Healthy is nil, or says why no lead can be taken now.
func (c *Custody) Healthy() error { return c.journal.Healthy() }

// Quarantine keeps a request that could not be read, durably, for a person to look at.
func (c *Custody) Quarantine(q Quarantined) error {
	if q.At.IsZero() {
		q.At = c.Now().UTC()
	}
	// What does not fit into a record would be refused for ever, and with it whatever its sender has to tell after it.
	q.Raw = q.Raw[:min(len(q.Raw), c.journal.MaxRecord()/2)]
	q.ID = quarantineID + NewID("quarantine", q.Source, q.At.Format(time.RFC3339Nano), string(q.Raw))
	b, err := json.Marshal(q)
	if err != nil {
		return fmt.Errorf("quarantine: %w", err)
	}
	pos, _, err := c.journal.Append(recQuarantine, b)
	if err != nil {
		return fmt.Errorf("quarantine: %w: %w", ErrRefused, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts.Quarantined++
	q.segment = pos.Segment
	c.quarantined(q)
	return nil
}

// quarantineID begins the ids of quarantined requests in the journal's events.
const quarantineID = "q:"

// quarantined keeps a request, without its body, until a person was told of it. The caller holds mu.
func (c *Custody) quarantined(q Quarantined) {
	q.Raw = nil
	c.unread[q.ID] = q
}

// note journals events and applies them. It returns after the disk has them.
func (c *Custody) note(events []event) error {
	if len(events) == 0 {
		return nil
	}
	b, err := encodeEvents(events)
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	c.noting.RLock()
	_, _, err = c.journal.Append(recEvents, b)
	var ended []string
	if err == nil {
		ended = c.apply(events)
	}
	c.noting.RUnlock()
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	c.tellEnded(ended)
	return nil
}

// noteSoon is note for facts that may be forgotten in a crash, because they would be found out again: it applies them
// and does not wait for the disk. They are there before whatever is noted later, since the journal keeps its order.
func (c *Custody) noteSoon(events []event) error {
	b, err := encodeEvents(events)
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	c.noting.RLock()
	c.tellEnded(c.apply(events))
	c.journal.Go(recEvents, b, func(_ journal.Pos, _ uint64, err error) {
		c.noting.RUnlock()
		if err != nil {
			c.Log.Error().Err(err).Msg("where leads go is not journaled")
		}
	})
	return nil
}

func (c *Custody) tellEnded(ids []string) {
	if c.ended != nil && len(ids) > 0 {
		c.ended(ids)
	}
}

func (c *Custody) applyAll(events []event) { c.tellEnded(c.apply(events)) }

// apply answers which leads have died, were dropped or erased by the events.
func (c *Custody) apply(events []event) (ended []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range events {
		r := c.recordOf(e)
		if r == nil {
			continue
		}
		was := c.alive(r)
		r.apply(e)
		c.place(r)
		if was && !c.alive(r) || e.Kind == evErased { // what is kept of one that was dead goes now
			ended = append(ended, r.id)
		}
	}
	return ended
}

// recordOf is the lead that an event speaks of; nil when that is a quarantined request. The caller holds mu.
func (c *Custody) recordOf(e event) *record {
	if strings.HasPrefix(e.Lead, quarantineID) {
		delete(c.unread, e.Lead)
		return nil
	}
	r := c.leads[e.Lead]
	if r == nil {
		r = c.takeOut(e.Lead)
	}
	if r == nil { // delivered here for another instance
		r = &record{id: strings.Clone(e.Lead), accepted: e.At, ready: closed, repeatOf: strings.Clone(e.RepeatOf)}
		c.leads[r.id] = r
	}
	return r
}

// place keeps a lead among the open ones and those that a person must hear of, or takes it out, and counts it by its
// state. The caller holds mu.
func (c *Custody) place(r *record) {
	c.count(r)
	if s := r.state(); r.home && (s.Final() || s == Held) {
		delete(c.open, r.id)
	} else if r.home {
		c.open[r.id] = r
	}
	if r.home && r.troubled() {
		c.trouble[r.id] = r
	} else {
		delete(c.trouble, r.id)
	}
}

// count keeps the number of home leads in each state: summing up a million of them would hold up every request.
func (c *Custody) count(r *record) {
	if !r.home {
		return
	}
	if s := r.state(); s != r.counted {
		c.uncount(r)
		c.states[s]++
		r.counted = s
	}
}

func (c *Custody) uncount(r *record) {
	if r.counted != "" {
		c.states[r.counted]--
		r.counted = ""
	}
}

var closed = func() chan struct{} { ch := make(chan struct{}); close(ch); return ch }()

// replay rebuilds the ledger from one journal record. Where its leads belong is for Open to say, once it knows how they
// stand in the end.
func (c *Custody) replay(rec journal.Record) error {
	switch rec.Type {
	case recAccept:
		r, lead, err := readAccept(rec.Payload)
		if err != nil {
			return err
		}
		r.partition = PartitionOf(lead.OrderKey(), c.Partitions)
		old := c.leads[r.id]
		if old == nil {
			old = c.takeOut(r.id)
		}
		if old != nil { // carried forward into a newer segment, maybe behind events that stayed
			c.unname(old)
			if old.home && old.durable() { // an older version said nothing of where it came
				old.first = old.came()
			}
			old.adopt(r)
			r = old
		}
		if rec.Time.Sub(r.accepted) > sameEnquiry {
			c.unname(r)
		}
		r.home, r.pos, r.ready = true, rec.Pos, closed
		c.index(r)
	case recEvents:
		events, err := decodeShared(rec.Payload)
		if err != nil {
			return fmt.Errorf("events: %w", err)
		}
		if failpoint.Seeded(failpoint.IntentForgotten) {
			events = slices.DeleteFunc(events, func(e event) bool { return e.Kind == evIntent || e.Kind == evUnsure })
		}
		for _, e := range events {
			if r := c.recordOf(e); r != nil {
				e.RepeatOf, e.Remote, e.Reason = strings.Clone(e.RepeatOf), strings.Clone(e.Remote), intern(e.Reason)
				r.apply(e)
				if !r.home { // as long as anything is said of it
					r.pos.Segment = rec.Pos.Segment
				}
			}
		}
	case recQuarantine:
		var q Quarantined
		if err := json.Unmarshal(rec.Payload, &q); err != nil {
			return fmt.Errorf("quarantine: %w", err)
		}
		q.segment = rec.Pos.Segment
		c.quarantined(q)
	case recEpoch:
		var n epochNote
		if err := json.Unmarshal(rec.Payload, &n); err != nil {
			return fmt.Errorf("epoch: %w", err)
		}
		n.segment = rec.Pos.Segment
		c.epochs[n.Partition] = n
	}
	return c.torn
}

// appendAccept appends the payload of an accept record, a lead with what makes it the same lead: length, lead, accept
// time, digests, raw body. The length has a fixed width, so that the lead can be written in its place before it is known.
// line is the lead's part of it.
func appendAccept(b []byte, l *Lead, r *record, raw []byte) (_, line []byte, err error) {
	begin := len(b)
	b = append(b, 0, 0, 0, 0)
	from := len(b)
	if b, err = appendLead(b, l); err != nil {
		return b, nil, err
	}
	to := len(b)
	putLength(b[begin:from], to-from)
	b = binary.BigEndian.AppendUint64(b, uint64(r.accepted.UnixMilli()))
	b = append(b, r.body[:]...)
	b = append(b, r.key[:]...)
	b = append(b, raw...)
	return b, b[from:to], nil
}

// putLength writes n as an unsigned varint that fills b. What is too long for that no journal takes either.
func putLength(b []byte, n int) {
	for i := range b {
		b[i] = byte(n>>(7*i)) | 0x80
	}
	b[len(b)-1] &^= 0x80
}

// readAccept reads an accept record as it is replayed: of the lead, only what decodeBrief does, and only for as long as b
// stays as it is.
func readAccept(b []byte) (*record, *Lead, error) {
	line, rest, err := acceptLine(b)
	if err != nil {
		return nil, nil, err
	}
	var lead Lead
	// The lead's texts share the line's memory, which is the journal's: nothing of them may stay.
	if err := decodeBrief(unsafe.String(unsafe.SliceData(line), len(line)), &lead); err != nil {
		return nil, nil, fmt.Errorf("accept record: %w", err)
	}
	r := &record{id: strings.Clone(lead.ID), source: intern(lead.Source), repeatOf: strings.Clone(lead.RepeatOf), accepted: time.UnixMilli(int64(binary.BigEndian.Uint64(rest)))}
	copy(r.body[:], rest[8:])
	copy(r.key[:], rest[24:])
	return r, &lead, nil
}

func acceptLine(b []byte) (line, rest []byte, err error) {
	n, w := binary.Uvarint(b)
	if w <= 0 || uint64(len(b)-w) < n+40 {
		return nil, nil, errors.New("accept record: too short")
	}
	return b[w : w+int(n)], b[w+int(n):], nil
}

func digest(parts ...string) (d [16]byte) {
	var few [512]byte
	b := few[:0]
	for _, p := range parts {
		b = append(append(b, p...), 0)
	}
	sum := sha256.Sum256(b)
	copy(d[:], sum[:])
	return d
}

// lead reads a home lead back from the journal.
func (c *Custody) lead(r *record) (*Lead, []byte, error) {
	c.mu.Lock()
	pos := r.pos
	c.mu.Unlock()
	l, line, err := c.leadAt(pos)
	if err != nil {
		return nil, nil, fmt.Errorf("lead %s: %w", r.id, err)
	}
	return l, line, nil
}

// leadAt reads the lead of an accept record, and its line.
func (c *Custody) leadAt(pos journal.Pos) (*Lead, []byte, error) {
	rec, err := c.journal.Read(pos)
	if err != nil {
		return nil, nil, err
	}
	line, _, err := acceptLine(rec.Payload)
	if err != nil {
		return nil, nil, err
	}
	var l Lead
	if err := decodeLead(string(line), &l); err != nil {
		return nil, nil, err
	}
	return &l, slices.Clone(line), nil
}
