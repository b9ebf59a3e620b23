package streams

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"leadstream/streams/failpoint"
	"leadstream/streams/journal"
)

// tidy forgets what ended longer than the retention ago, and has the journal drop segments that nothing needs. Segments
// go in order only, the oldest first: an event is never older than the lead it speaks of. A lead that stays open in a
// segment past its time is written again into the newest one.
func (c *Custody) tidy() error {
	return c.tidyAt(time.Now().Add(-failpoint.Sooner(failpoint.TidyAge, c.Retention)))
}

// tidyAt does so for segments last written before cutoff, by the disk's clock.
func (c *Custody) tidyAt(cutoff time.Time) error {
	segments := c.journal.Segments()
	var keep uint64
	c.mu.Lock()
	var carry []*record
	for _, s := range segments {
		if !s.Closed || s.Damaged || s.Newest.After(cutoff) { // a damaged one is kept, and what ended its leads with it
			break
		}
		keep = s.Number + 1
	}
	for _, q := range c.unread { // nobody was told of it yet: its body is still needed
		keep = min(keep, q.segment)
	}
	for _, r := range c.leads {
		if r.durable() && r.pos.Segment < keep && r.home && (!r.state().Final() || r.state() == Dead) {
			carry = append(carry, r)
		}
	}
	slices.SortFunc(carry, func(a, b *record) int { return a.came().compare(b.came()) })
	c.mu.Unlock()
	if failpoint.Seeded(failpoint.OpenDropped) {
		carry = nil
	}
	if err := c.carry(carry); err != nil {
		return err
	}
	if err := c.carryEpochs(keep); err != nil {
		return err
	}
	c.forget(keep, cutoff)
	if keep == 0 {
		return nil
	}
	return c.journal.Drop(keep, func(uint64) bool { return true })
}

// carry writes leads again, with all that is known of them.
func (c *Custody) carry(rows []*record) error {
	for _, r := range rows {
		if err := c.carryOne(r); err != nil {
			return err
		}
	}
	return nil
}

func (c *Custody) carryOne(r *record) error {
	c.noting.Lock()
	defer c.noting.Unlock()
	c.mu.Lock()
	from, first := r.pos, r.came()
	events := append([]event{{Lead: r.id, Kind: evCarried, First: first.String(), At: r.accepted}}, r.history()...)
	c.mu.Unlock()
	rec, err := c.journal.Read(from)
	if errors.Is(err, journal.ErrDamaged) { // since the start: a person is told, and the segment stays with those behind it
		err = errors.Join(err, c.journal.Check(from.Segment))
	}
	if err != nil {
		return err
	}
	b, err := json.Marshal(events)
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	// What is known of the lead comes first: a crash may keep the first record alone, and a copy without it would be taken for
	// a lead that has just come, once the segments before it are dropped.
	recs := []journal.Record{{Type: recEvents, Payload: b}, {Type: recAccept, Payload: slices.Clone(rec.Payload)}}
	pos, err := c.journal.AppendBatch(recs)
	if err != nil {
		return err
	}
	failpoint.Hit(failpoint.LeadCarried)
	c.mu.Lock()
	r.first, r.pos = first, pos[1]
	if c.Now().Sub(r.accepted) > sameEnquiry {
		c.unname(r)
	}
	c.mu.Unlock()
	return nil
}

// carryEpochs writes again what is known of partitions in segments before keep: Redis may stay as it is for years.
func (c *Custody) carryEpochs(keep uint64) error {
	c.noting.Lock()
	defer c.noting.Unlock()
	c.mu.Lock()
	notes := slices.Collect(maps.Values(c.epochs))
	c.mu.Unlock()
	for _, n := range notes {
		if n.segment >= keep {
			continue
		}
		if err := c.appendEpoch(n); err != nil {
			return fmt.Errorf("epoch: %w", err)
		}
	}
	return nil
}

// durable is false for a lead that is on its way to the disk.
func (r *record) durable() bool { return r.pos.Segment != 0 }

// history is the record as events.
func (r *record) history() []event {
	var dests []string
	for _, d := range r.dests {
		dests = append(dests, d.name)
	}
	var events []event
	add := func(e event) { e.Lead = r.id; events = append(events, e) }
	if r.routed {
		add(event{Kind: evRouted, Dests: dests, At: r.accepted, RepeatOf: r.repeatOf})
	}
	for _, d := range r.dests {
		if !d.intent.IsZero() {
			kind := evUnsure
			if d.calling {
				kind = evIntent
			}
			add(event{Kind: kind, Dest: d.name, At: d.intent})
		}
		for kind, state := range finalOf {
			if state == d.state {
				add(event{Kind: kind, Dest: d.name, Remote: d.remote, Reason: d.reason, Attempts: d.attempts, Tries: d.tries, At: d.at})
			}
		}
		if d.told {
			add(event{Kind: evTold, Dest: d.name, At: d.at})
		}
	}
	if r.whole != "" {
		for kind, state := range finalOf {
			if state == r.whole {
				add(event{Kind: kind, Reason: r.reason, At: r.accepted})
			}
		}
	}
	if r.toldLate {
		told := event{Kind: evTold, At: r.accepted}
		if !r.toldWhole {
			told.Reason = reasonLate
		}
		add(told)
	}
	return events
}

// forget drops ended leads from memory: those of segments below keep, and old ones that we delivered for others.
func (c *Custody) forget(keep uint64, cutoff time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.leads {
		if r.home && r.durable() && r.pos.Segment < keep || !r.home && r.accepted.Before(cutoff) {
			c.unindex(r)
		}
	}
	c.floor = max(c.floor, keep)
	maps.DeleteFunc(c.past, func(segment uint64, _ *past) bool { return segment < c.floor })
	// Somebody may be reading them: the file closes itself once nobody does.
	c.archives = slices.DeleteFunc(slices.Clone(c.archives), func(a *archive) bool { return a.note.Last < c.floor })
}
