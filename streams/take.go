package streams

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"leadstream/streams/failpoint"
	"leadstream/streams/journal"
)

// taking is one lead on its way into custody.
type taking struct {
	*record
	id        string // if it is new
	body, key [16]byte
	fresh     bool
	end       int    // of its accept record among the payloads of all
	line      []byte // its lead as JSON
}

// name derives what the lead is found by.
func (t *taking) name(lead *Taken, now time.Time) {
	source, sum := lead.Lead.Source, sha256.Sum256(lead.Canonical)
	content := hex.EncodeToString(sum[:])
	t.body = digest(source, string(sum[:]))
	if lead.Key != "" {
		t.key = digest(source, "key", lead.Key)
		t.id = keyedID(source, lead.Key, content)
	} else {
		t.id = NewID("body", source, content, now.UTC().Format(time.RFC3339Nano))
	}
}

// KeyedID is the id of a lead that its sender has named: whoever knows what was sent knows the id.
func KeyedID(source, key string, canonical []byte) string {
	sum := sha256.Sum256(canonical)
	return keyedID(source, key, hex.EncodeToString(sum[:]))
}

func keyedID(source, key, content string) string { return NewID("key", source, key, content) }

// TakeAll makes leads durable: it returns after one fsync for all, or takes none. Duplicates are told by the receipt.
// It sets ID and Home of the leads that are new.
func (c *Custody) TakeAll(ctx context.Context, taken []Taken) ([]Receipt, error) {
	receipts := make([]Receipt, len(taken))
	all := make([]taking, len(taken))
	now := c.Now()
	for i := range taken {
		all[i].name(&taken[i], now)
	}
	ready := make(chan struct{})
	c.mu.Lock()
	for i := range taken {
		receipts[i] = c.reserve(&taken[i], &all[i], now, ready)
	}
	c.mu.Unlock()
	failpoint.Hit(failpoint.CustodyReserved)
	if err := c.keep(taken, all, ready); err != nil {
		return nil, err
	}
	for _, t := range all {
		if t.fresh {
			continue
		}
		if err := t.wait(ctx); err != nil {
			return nil, err
		}
	}
	return receipts, nil
}

// wait is for a twin that may still be on its way to the disk. What is there already needs no patience.
func (t *taking) wait(ctx context.Context) error {
	select {
	case <-t.ready:
	default:
		select {
		case <-t.ready:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ErrRefused, ctx.Err())
		}
	}
	if t.refused {
		return ErrRefused
	}
	return nil
}

// payloads are the buffers in which accept records are put together, until the journal has them on the disk.
var payloads = sync.Pool{New: func() any { return new([]byte) }}

// payloadsKept is the largest buffer that is worth keeping.
const payloadsKept = 1 << 20

// keep journals what is new, and hands it to the forwarder.
func (c *Custody) keep(taken []Taken, all []taking, ready chan struct{}) error {
	recs := make([]journal.Record, 0, len(all))
	buf := payloads.Get().(*[]byte)
	b := (*buf)[:0]
	defer func() {
		if cap(b) <= payloadsKept {
			*buf = b
			payloads.Put(buf)
		}
	}()
	for i := range all {
		t := &all[i]
		if t.fresh {
			var line []byte
			var err error
			if b, line, err = appendAccept(b, taken[i].Lead, t.record, taken[i].Raw); err != nil {
				c.refuse(all, ready)
				return fmt.Errorf("lead: %w", err)
			}
			t.line = slices.Clone(line)
		}
		t.end = len(b)
	}
	from := 0
	for _, t := range all { // b has come to rest
		if t.fresh {
			recs = append(recs, journal.Record{Type: recAccept, Payload: b[from:t.end]})
		}
		from = t.end
	}
	if len(recs) == 0 {
		return nil
	}
	at, err := c.journal.AppendBatch(recs)
	if err != nil {
		c.refuse(all, ready)
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	failpoint.Hit(failpoint.CustodyKept)
	c.accepted(all, at, ready)
	return nil
}

// reserve finds the lead that t is, or makes a place for a new one. The caller holds mu.
func (c *Custody) reserve(lead *Taken, t *taking, now time.Time, ready chan struct{}) Receipt {
	conflict := false
	if lead.Key != "" {
		r := c.find(t.id)
		if r != nil && r.ready == closed && failpoint.Seeded(failpoint.KeysForgotten) {
			r = nil
		}
		if r != nil && r.ready != nil {
			return c.duplicate(t, r)
		}
		conflict = c.keyKnown(t.key)
	} else if r := c.latest(t.body); r != nil && c.alive(r) {
		switch age := now.Sub(r.accepted); {
		case age <= sameRequest:
			return c.duplicate(t, r)
		case age <= sameEnquiry && lead.Lead.Event == "": // the same news again is news
			lead.Lead.RepeatOf = cmp.Or(r.repeatOf, r.id)
			c.counts.Repeat++
		}
	}
	l := lead.Lead
	l.ID, l.Home = t.id, c.Instance
	if l.ReceivedAt.IsZero() {
		l.ReceivedAt = now.UTC().Truncate(time.Millisecond)
	}
	t.fresh, t.record = true, &record{
		id: l.ID, source: l.Source, home: true, accepted: now, repeatOf: l.RepeatOf,
		partition: PartitionOf(l.OrderKey(), c.Partitions), body: t.body, key: t.key, ready: ready,
	}
	c.index(t.record)
	if conflict {
		c.counts.Conflict++
		c.clashes[l.Source]++
	}
	return Receipt{LeadID: l.ID, Conflict: conflict}
}

func (c *Custody) duplicate(t *taking, of *record) Receipt {
	c.counts.Duplicate++
	t.record = of
	return Receipt{LeadID: of.id, Duplicate: true}
}

// index makes the lead findable by id, and by key or body.
func (c *Custody) index(r *record) {
	if old := c.leads[r.id]; old != nil && old != r {
		c.uncount(old)
	}
	c.leads[r.id] = r
	if r.key != ([16]byte{}) {
		c.keyed[r.key] = r
	} else if r.body != ([16]byte{}) {
		c.bodies[r.body] = r
	}
}

func (c *Custody) unindex(r *record) {
	c.uncount(r)
	delete(c.leads, r.id)
	delete(c.open, r.id)
	delete(c.trouble, r.id)
	if c.keyed[r.key] == r {
		delete(c.keyed, r.key)
	}
	if c.bodies[r.body] == r {
		delete(c.bodies, r.body)
	}
}

// unname has a lead no longer found by its body: carried behind leads that have come with the same one since, and too old
// for anything to repeat it, it would hide them.
func (c *Custody) unname(r *record) {
	if c.bodies[r.body] == r {
		delete(c.bodies, r.body)
	}
	r.body = [16]byte{}
}

// alive is false for a lead whose repeats are leads of their own: it was dropped or erased, or has died on the way to
// somebody, whatever it still waits for elsewhere. The caller holds mu.
func (c *Custody) alive(r *record) bool {
	switch r.whole {
	case Dead, Dropped, Erased:
		return false
	}
	carried, dropped := 0, 0
	for i := range r.dests {
		d := &r.dests[i]
		switch {
		case slices.Contains(c.Aside, d.name):
			continue
		case d.state == Dead:
			return false
		case d.state == Dropped:
			dropped++
		}
		carried++
	}
	return carried == 0 || dropped < carried
}

// accepted hands the fresh ones, whose records are now in the journal, to the forwarder.
func (c *Custody) accepted(all []taking, at []journal.Pos, ready chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range all {
		if !t.fresh {
			continue
		}
		r := t.record
		r.pos, at = at[0], at[1:]
		c.place(r)
		c.counts.Accepted++
		r.queued = true
		c.forward[r.partition].push(pending{record: r, line: t.line})
	}
	close(ready)
}

func (c *Custody) refuse(all []taking, ready chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range all {
		if t.fresh {
			t.refused = true
			c.unindex(t.record)
		}
	}
	close(ready)
}

// TakeExternal takes custody of leads that a program added to the intake stream itself: ids come from their entries.
func (c *Custody) takeExternal(entries []*Entry, partition int) error {
	var recs []journal.Record
	var rows []*record
	c.mu.Lock()
	for _, e := range entries {
		id := externalID(partition, e.ID)
		e.Lead.ID, e.Lead.Home = id, c.Instance
		if e.Lead.ReceivedAt.IsZero() {
			e.Lead.ReceivedAt = idTime(e.ID).UTC()
		}
		if e.Lead.Source == "" {
			e.Lead.Source = "xadd"
		}
		if c.find(id) != nil {
			continue
		}
		rows = append(rows, &record{id: id, source: e.Lead.Source, home: true, accepted: c.Now(), repeatOf: e.Lead.RepeatOf,
			partition: PartitionOf(e.Lead.OrderKey(), c.Partitions), ready: make(chan struct{})})
		payload, _, err := appendAccept(nil, e.Lead, rows[len(rows)-1], nil)
		if err != nil {
			c.mu.Unlock()
			return fmt.Errorf("lead: %w", err)
		}
		recs = append(recs, journal.Record{Type: recAccept, Payload: payload})
	}
	c.mu.Unlock()
	if len(recs) == 0 {
		return nil
	}
	at, err := c.journal.AppendBatch(recs)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, r := range rows {
		r.pos = at[i]
		c.index(r)
		c.place(r)
		c.counts.Accepted++
		close(r.ready)
	}
	return nil
}

// externalID is the id of a lead that a program added to the intake stream of a partition.
func externalID(partition int, entry string) string {
	return NewID("xadd", strconv.Itoa(partition), entry)
}
