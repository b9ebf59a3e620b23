package streams

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"

	"leadstream/streams/failpoint"
	"leadstream/streams/journal"
)

// TakeAll makes leads durable: it returns after one fsync for all, or takes none. Duplicates are told by the receipt.
// It sets ID and Home of the leads that are new.
func (c *Custody) TakeAll(ctx context.Context, taken []Taken) ([]Receipt, error) {
	receipts := make([]Receipt, len(taken))
	rows := make([]*record, len(taken))
	fresh := make([]bool, len(taken))
	c.mu.Lock()
	for i, t := range taken {
		rows[i], receipts[i], fresh[i] = c.reserve(t)
	}
	c.mu.Unlock()
	failpoint.Hit(failpoint.CustodyReserved)

	var recs []journal.Record
	var lines [][]byte
	for i, t := range taken {
		if !fresh[i] {
			continue
		}
		line, err := encodeLead(t.Lead)
		if err != nil {
			c.refuse(rows, fresh)
			return nil, fmt.Errorf("lead: %w", err)
		}
		lines = append(lines, line)
		recs = append(recs, journal.Record{Type: recAccept, Payload: acceptPayload(line, rows[i], t.Raw)})
	}
	if len(recs) > 0 {
		at, err := c.journal.AppendBatch(recs)
		if err != nil {
			c.refuse(rows, fresh)
			return nil, fmt.Errorf("%w: %w", ErrRefused, err)
		}
		failpoint.Hit(failpoint.CustodyKept)
		c.accepted(rows, fresh, lines, at)
	}
	for i, r := range rows {
		if fresh[i] {
			continue
		}
		select { // a twin may still be on its way to the disk
		case <-r.ready:
			if r.refused {
				return nil, ErrRefused
			}
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", ErrRefused, ctx.Err())
		}
	}
	return receipts, nil
}

// reserve finds the lead that t is, or makes a place for a new one.
func (c *Custody) reserve(t Taken) (*record, Receipt, bool) {
	now := c.Now()
	sum := sha256.Sum256(t.Canonical)
	body := digest(t.Lead.Source, string(sum[:]))
	var key [16]byte
	conflict := false
	if t.Key != "" {
		key = digest(t.Lead.Source, "key", t.Key)
		id := NewID("key", t.Lead.Source, t.Key, hex.EncodeToString(sum[:]))
		r := c.leads[id]
		if r != nil && r.ready == closed && failpoint.Seeded(failpoint.KeysForgotten) {
			r = nil
		}
		if r != nil && r.ready != nil {
			c.counts.Duplicate++
			return r, Receipt{LeadID: r.id, Duplicate: true}, false
		}
		t.Lead.ID = id
		conflict = c.keyed[key] != nil
	} else {
		if r := c.bodies[body]; r != nil && alive(r) {
			switch age := now.Sub(r.accepted); {
			case age <= sameRequest:
				c.counts.Duplicate++
				return r, Receipt{LeadID: r.id, Duplicate: true}, false
			case age <= sameEnquiry:
				t.Lead.RepeatOf = r.id
				if r.repeatOf != "" {
					t.Lead.RepeatOf = r.repeatOf
				}
				c.counts.Repeat++
			}
		}
		t.Lead.ID = NewID("body", t.Lead.Source, hex.EncodeToString(sum[:]), now.UTC().Format(time.RFC3339Nano))
	}
	t.Lead.Home = c.Instance
	if t.Lead.ReceivedAt.IsZero() {
		t.Lead.ReceivedAt = now.UTC().Truncate(time.Millisecond)
	}
	r := &record{
		id: t.Lead.ID, source: t.Lead.Source, home: true, accepted: now, repeatOf: t.Lead.RepeatOf,
		partition: PartitionOf(t.Lead.OrderKey(), c.Partitions), body: body, key: key, ready: make(chan struct{}),
	}
	c.index(r)
	if conflict {
		c.counts.Conflict++
		c.clashes[r.source]++
	}
	return r, Receipt{LeadID: r.id, Conflict: conflict}, true
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

// alive is false for a lead whose repeats are leads of their own.
func alive(r *record) bool {
	switch r.state() {
	case Dead, Dropped, Erased:
		return false
	}
	return true
}

func (c *Custody) accepted(rows []*record, fresh []bool, lines [][]byte, at []journal.Pos) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for i, r := range rows {
		if !fresh[i] {
			continue
		}
		r.pos = at[n]
		c.place(r)
		c.counts.Accepted++
		r.queued = true
		c.forward[r.partition].push(pending{record: r, line: lines[n]})
		n++
		close(r.ready)
	}
}

func (c *Custody) refuse(rows []*record, fresh []bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, r := range rows {
		if fresh[i] {
			r.refused = true
			c.unindex(r)
			close(r.ready)
		}
	}
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
		if c.leads[id] != nil {
			continue
		}
		rows = append(rows, &record{id: id, source: e.Lead.Source, home: true, accepted: c.Now(), repeatOf: e.Lead.RepeatOf,
			partition: PartitionOf(e.Lead.OrderKey(), c.Partitions), ready: make(chan struct{})})
		line, err := encodeLead(e.Lead)
		if err != nil {
			c.mu.Unlock()
			return fmt.Errorf("lead: %w", err)
		}
		recs = append(recs, journal.Record{Type: recAccept, Payload: acceptPayload(line, rows[len(rows)-1], nil)})
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
