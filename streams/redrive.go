package streams

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"leadstream/streams/failpoint"
)

func (c *Custody) epochOf(partition int) epochNote {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.epochs[partition]
}

func (c *Custody) noteEpoch(n epochNote) error {
	c.noting.RLock()
	defer c.noting.RUnlock()
	return c.appendEpoch(n)
}

func (c *Custody) appendEpoch(n epochNote) error {
	b, err := json.Marshal(n)
	if err != nil {
		return err
	}
	pos, _, err := c.journal.Append(recEpoch, b)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	n.segment = pos.Segment
	c.epochs[n.Partition] = n
	return nil
}

// redriveAll has every open lead forwarded (again): at the start. Whether Redis had it before is not known, nor whether
// another owner has delivered it.
func (c *Custody) redriveAll() {
	for p := range c.Partitions {
		c.redrive(p, c.othersIn(p))
	}
}

// othersIn says whether another instance may have delivered leads of ours.
func (c *Custody) othersIn(partition int) bool {
	others := c.epochs[partition].Others
	return !others.IsZero() && c.Now().Sub(others) < c.Retention
}

// redrive has the open leads of a partition forwarded again, in the order in which they came. The idempotency key keeps
// those that Redis still has from being added twice.
func (c *Custody) redrive(partition int, unsure bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var rows []*record
	for _, r := range c.open {
		switch {
		case r.partition != partition:
		case !r.queued:
			rows = append(rows, r)
		case r.redriven: // it stood in Redis before, and waits to be driven again already
			r.unsure = r.unsure || unsure
		}
	}
	c.push(rows, pending{unsure: unsure})
}

// doubtKeyed has the leads that wait for Redis looked up, where their senders gave them a key: Redis has lost its memory,
// and with it whether the same request was accepted by another daemon, which may have delivered it.
func (c *Custody) doubtKeyed(partition int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.open {
		if r.partition == partition && r.queued && r.key != [16]byte{} {
			r.unsure = true
		}
	}
}

// redriveLost has single leads added again whatever the idempotency key says: their entries are gone, and with them
// what another owner may have noted of a try.
func (c *Custody) redriveLost(partition int, ids []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var rows []*record
	for _, id := range ids {
		if r := c.open[id]; r != nil && !r.queued {
			rows = append(rows, r)
		}
	}
	c.push(rows, pending{force: true, unsure: c.othersIn(partition)})
}

// push queues records for the forwarder, as like says. The caller holds mu.
func (c *Custody) push(rows []*record, like pending) {
	slices.SortFunc(rows, func(a, b *record) int { return a.came().compare(b.came()) }) // the backlog's own sort moves much more
	again := make([][]pending, c.Partitions)
	for _, r := range rows {
		p := like
		p.record = r
		if r.routed {
			p.only = strings.Join(r.lacking(), ",")
		}
		r.queued, r.redriven = true, true
		again[r.partition] = append(again[r.partition], p)
	}
	for n, ps := range again {
		c.forward[n].merge(ps)
	}
}

// sending says of a lead that is about to be sent whether it still has to be, and whether it may have been delivered.
// From here on it may stand in Redis.
func (c *Custody) sending(r *record) (open, unsure bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r.redriven = true
	return c.open[r.id] == r, r.unsure
}

// lineOf reads a lead back as it is to be forwarded again: with the lead that triage has found it to repeat, for Redis
// may have forgotten that, and the repeat may be at its destination already.
func (c *Custody) lineOf(r *record) ([]byte, error) {
	lead, line, err := c.lead(r)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	of := r.repeatOf
	c.mu.Unlock()
	if of == lead.RepeatOf {
		return line, nil
	}
	lead.RepeatOf = of
	return encodeLead(lead)
}

// forwarded marks leads that Redis has.
func (c *Custody) forwarded(batch []pending) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range batch {
		p.record.queued, p.record.redriven, p.record.unsure = false, false, false
		p.record.forwarded = true
	}
}

// reconcile looks for leads that the ledger holds open and no queue holds: an entry trimmed, deleted with its group, or
// lost with its consumer. Queues are read in the order in which leads move, so that a lead on its way is not missed;
// one that is missing twice in a row is driven again. It answers how many were.
func (p *Partition) reconcile(ctx context.Context, suspects map[string]bool) (int, error) {
	stale := p.Custody.staleIn(p.Keys.Partition, p.Custody.Now().Add(-p.reconcileAfter))
	if failpoint.Seeded(failpoint.ReconcileOff) {
		stale = nil
	}
	if len(stale) == 0 || p.epoch.Load() == 0 {
		clear(suspects)
		p.unexplained.Store(0)
		return 0, nil
	}
	missing := map[string]bool{}
	for _, id := range stale {
		missing[id] = true
	}
	for _, w := range p.Workers {
		for _, stream := range w.streams() {
			if err := p.scan(ctx, p.Keys.Queue(stream), missing); err != nil {
				return 0, err
			}
		}
	}
	if len(missing) > 0 { // one that has ended elsewhere left the queues and its outcome for us in one step
		if err := p.readHome(ctx); err != nil {
			return 0, err
		}
		maps.DeleteFunc(missing, func(id string, _ bool) bool { return !p.Custody.isOpen(id) })
	}
	var lost []string
	for id := range missing {
		if suspects[id] {
			lost = append(lost, id)
			delete(missing, id)
		}
	}
	if len(missing)+len(lost) > 0 {
		failpoint.Hit(failpoint.ReconcileLooked)
	}
	clear(suspects)
	for id := range missing {
		suspects[id] = true
	}
	p.unexplained.Store(int64(len(missing)))
	if len(lost) > 0 {
		p.Metrics.Lost.Add(float64(len(lost)))
		p.Log.Error().Int("count", len(lost)).Strs("lead", lost[:min(len(lost), 10)]).
			Msg("leads had vanished from Redis: driven again from the journal")
		p.Custody.redriveLost(p.Keys.Partition, lost)
		failpoint.Hit(failpoint.ReconcileRedriven)
		p.lost() // what the queues' runners remember of those entries is wrong by now
	}
	return len(lost), nil
}

// runReconcile compares ledger and queues from time to time, and at once when an entry was found deleted.
func (p *Partition) runReconcile(ctx context.Context) {
	suspects := map[string]bool{}
	wait := p.reconcileAfter
	for ctx.Err() == nil {
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-p.missing:
		case <-timer.C:
		}
		timer.Stop()
		lost, err := p.reconcile(ctx, suspects)
		if err != nil && ctx.Err() == nil {
			p.Log.Debug().Err(err).Msg("ledger and queues not compared; trying again")
		}
		// A look reads all that waits. While everything is where it should be, long queues are looked at less often.
		if wait = min(2*wait, 20*p.reconcileAfter); lost+len(suspects) > 0 || err != nil {
			wait = p.reconcileAfter
		}
	}
}

func (p *Partition) wantReconcile() {
	select {
	case p.missing <- struct{}{}:
	default:
	}
}

// scan takes the leads that stand in a queue out of missing. An entry that was handed out once and is pending nowhere
// (its consumer was deleted) will never be handed out again: it is removed, and its lead stays missing.
func (p *Partition) scan(ctx context.Context, stream string, missing map[string]bool) error {
	const page = 500
	c := p.Clients.Write
	groups, err := c.XInfoGroups(ctx, stream).Result()
	if err != nil || len(groups) == 0 {
		return wrap("reconcile", err)
	}
	handedOut := groups[0].LastDeliveredID
	for from := "-"; len(missing) > 0; {
		msgs, err := c.XRangeN(ctx, stream, from, "+", page).Result()
		if err != nil || len(msgs) == 0 {
			return wrap("reconcile", err)
		}
		last := msgs[len(msgs)-1].ID
		rows, err := c.XPendingExt(ctx, &redis.XPendingExtArgs{
			Stream: stream, Group: Group, Start: msgs[0].ID, End: last, Count: 1 << 20, // also what is pending and has lost its body
		}).Result()
		if err != nil {
			return wrap("reconcile", err)
		}
		held := map[string]bool{}
		for _, row := range rows {
			held[row.ID] = true
		}
		var orphans []string
		for _, m := range msgs {
			if !held[m.ID] && !idLess(handedOut, m.ID) {
				orphans = append(orphans, m.ID)
			} else if id, _ := m.Values["id"].(string); id != "" {
				delete(missing, id)
			} else {
				delete(missing, externalID(p.Keys.Partition, m.ID))
			}
		}
		if len(orphans) > 0 {
			if err := c.XDel(ctx, stream, orphans...).Err(); err != nil {
				return wrap("reconcile", err)
			}
		}
		if len(msgs) < page {
			break
		}
		from = "(" + last
	}
	return nil
}

// idLess compares stream ids.
func idLess(a, b string) bool { return compareIDs(a, b) < 0 }

func compareIDs(a, b string) int {
	am, as := idParts(a)
	bm, bs := idParts(b)
	return cmp.Or(cmp.Compare(am, bm), cmp.Compare(as, bs))
}

func idParts(id string) (ms, seq uint64) {
	m, s, _ := strings.Cut(id, "-")
	ms, _ = strconv.ParseUint(m, 10, 64)
	seq, _ = strconv.ParseUint(s, 10, 64)
	return ms, seq
}

// staleIn lists the open leads of a partition that Redis should have, accepted before t.
func (c *Custody) staleIn(partition int, t time.Time) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var ids []string
	for id, r := range c.open {
		if r.partition == partition && !r.queued && r.accepted.Before(t) {
			ids = append(ids, id)
		}
	}
	return ids
}
