package streams

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"leadstream/streams/failpoint"
)

const firstID = "0-0"

func (r *runner) passing() bool { return len(r.cursors) > 0 }

// beginPass starts a look through all parked entries for those that are due. A pass under way goes on.
func (r *runner) beginPass() {
	if !r.passing() {
		for range r.queues {
			r.cursors = append(r.cursors, firstID)
		}
	}
}

// reclaim goes on with the pass: XAUTOCLAIM looks at ten times count entries a call, and its cursor is carried on.
func (r *runner) reclaim(ctx context.Context, n int) {
	for i, q := range r.queues {
		if r.cursors[i] == "" {
			continue
		}
		entries, deleted, next, err := q.due(ctx, r.p.Custody.Instance, r.cursors[i], max(n, 10))
		if err != nil {
			r.unheard = true
			r.trouble(ctx, err)
			return
		}
		if failpoint.Seeded(failpoint.DeletedIgnored) {
			deleted = nil
		}
		if len(deleted) > 0 { // the body is gone: the journal has it, and reconcile drives it again
			r.p.Metrics.Deleted.Add(float64(len(deleted)))
			r.log.Error().Int("count", len(deleted)).Msg("entries were deleted from Redis under the queue")
			for _, id := range deleted {
				if key, ok := r.lines.gone(handle{q.name, id}); ok {
					r.ended[key] = true
				}
			}
			r.p.wantReconcile()
		}
		if len(entries) > 0 {
			failpoint.Hit(failpoint.DueClaimed)
		}
		for _, e := range entries {
			r.admit(e)
		}
		r.cursors[i] = next
		if next == firstID {
			r.cursors[i] = ""
		}
		if len(entries) > 0 {
			break
		}
	}
	for _, c := range r.cursors {
		if c != "" {
			return
		}
	}
	r.cursors = nil
	if r.again {
		r.again = false
		r.beginPass()
	}
}

// sweep takes up what Redis has handed to us in an answer that never came: it is pending under our name, so nobody else
// is given it, and not in our hands. No read may be under way. The answer may have been lost with Redis's memory, and our
// lease with it: until that is known nothing more is read, for another may be the owner.
func (r *runner) sweep(ctx context.Context) {
	if ours, err := r.queues[0].ours(ctx); err != nil {
		r.trouble(ctx, err)
		return
	} else if !ours {
		r.p.lost()
		return
	}
	have := map[handle]bool{}
	for _, es := range [][]*Entry{r.ready, r.early, r.defers} {
		for _, e := range es {
			have[e.handle()] = true
		}
	}
	defer r.inOrder()
	for _, q := range r.queues {
		err := r.pages(ctx, q, r.p.Custody.Instance, func(rows []redis.XPendingExt) error {
			ids := slices.DeleteFunc(rowIDs(rows), func(id string) bool {
				h := handle{q.name, id}
				return have[h] || r.inHand[h]
			})
			entries, err := q.take(ctx, r.p.Custody.Instance, ids, time.Time{})
			if err != nil {
				return err
			}
			for _, e := range entries {
				r.takeBack(e)
			}
			return nil
		})
		if err != nil {
			r.trouble(ctx, err)
			return
		}
	}
	r.unheard = false
}

// open makes the queues, which exist, ready for a new owner: what earlier owners had in hand is taken over, and what is
// parked is known by customer and time.
func (r *runner) open(ctx context.Context) error {
	for _, q := range r.queues {
		if err := r.learnParked(ctx, q); err != nil {
			return err
		}
	}
	for _, q := range r.queues {
		if err := r.takeOver(ctx, q, ""); err != nil {
			return err
		}
	}
	for _, key := range r.lines.idle() { // what they waited behind ended with the owner before
		r.ended[key] = true
	}
	return nil
}

// gather takes over what another consumer still has. An owner that was cut off may have taken entries in hand in the
// moment in which we had become the owner, and has left them, or given them back.
func (r *runner) gather(ctx context.Context) {
	defer r.inOrder()
	for _, q := range r.queues {
		err := r.takeOver(ctx, q, r.p.Custody.Instance)
		if err == nil {
			err = r.findDue(ctx, q)
		}
		if err != nil {
			r.trouble(ctx, err)
			return
		}
	}
	r.strays = false
}

// inOrder sorts what is in hand and not started: what was taken back has come before some of it, and after some.
func (r *runner) inOrder() {
	slices.SortStableFunc(r.ready, func(a, b *Entry) int { return compareIDs(a.ID, b.ID) })
}

// exorcise takes out of the lines what is pending nowhere any more: somebody has deleted a consumer with all that it had,
// and nothing will ever come that those behind it wait for. What has become of its lead the look at the queues finds out.
func (r *runner) exorcise(ctx context.Context) {
	for _, q := range r.queues {
		ghosts := r.lines.all(q.name)
		if len(ghosts) == 0 {
			continue
		}
		err := r.pages(ctx, q, "", func(rows []redis.XPendingExt) error {
			for _, row := range rows {
				delete(ghosts, row.ID)
			}
			return nil
		})
		if err == nil && len(ghosts) > 0 {
			err = r.forget(ctx, q, slices.Collect(maps.Keys(ghosts)))
		}
		if err != nil {
			r.trouble(ctx, err)
			return
		}
	}
	r.ghosts = false
}

// forget takes entries out of the lines, and what is kept beside them in Redis.
func (r *runner) forget(ctx context.Context, q *queue, ids []string) error {
	if err := q.forget(ctx, ids); err != nil {
		return err
	}
	r.p.Metrics.Deleted.Add(float64(len(ids)))
	r.log.Error().Int("count", len(ids)).Msg("parked entries have vanished from Redis under the queue")
	for _, id := range ids {
		if key, ok := r.lines.gone(handle{q.name, id}); ok {
			r.ended[key] = true
		}
	}
	r.p.wantReconcile()
	return nil
}

// findDue begins a pass when something parked is due. To ask costs Redis a tenth of what the pass would. What stands in no
// line of ours the owner before has given back: it is taken at once, for what we have read since comes after it.
func (r *runner) findDue(ctx context.Context, q *queue) error {
	due, err := q.redis.XPendingExt(ctx, &redis.XPendingExtArgs{
		Stream: q.keys.Queue(q.name), Group: Group, Idle: Horizon, Start: "-", End: "+", Count: 100, Consumer: parked,
	}).Result()
	if err != nil {
		return fmt.Errorf("queue %s: due: %w", q.name, err)
	}
	if len(due) == 0 {
		return nil
	}
	r.beginPass()
	ours := r.lines.all(q.name)
	back := slices.DeleteFunc(rowIDs(due), func(id string) bool { return ours[id] || r.inHand[handle{q.name, id}] })
	entries, err := q.take(ctx, r.p.Custody.Instance, back, time.Time{})
	if err != nil {
		return err
	}
	for _, e := range entries {
		r.takeBack(e)
	}
	return nil
}

// takeBack takes up an entry that was in somebody's hand.
func (r *runner) takeBack(e *Entry) {
	e.Redelivered = true
	r.recall(e)
	r.identify(e)
	if r.lines.known(e.meta.Key, e.handle()) {
		r.admit(e)
	} else {
		r.readmit(e)
	}
}

// recall adds what is known here of an entry that was in hand before: what only this journal knows must not be lost when
// it is parked, and another takes it.
func (r *runner) recall(e *Entry) {
	dest := r.w.destination()
	if dest == "" || e.fault != nil {
		return
	}
	known := r.p.Custody.at(e.Lead, dest)
	if known.final {
		known.intent = r.p.Custody.Now()
	}
	e.Unsure = later(e.Unsure, known.intent)
}

// takeOver takes the entries that another consumer, or an earlier run of this one, had in hand. That of the name but is
// left out.
func (r *runner) takeOver(ctx context.Context, q *queue, but string) error {
	sum, err := q.redis.XPending(ctx, q.keys.Queue(q.name), Group).Result()
	if err != nil {
		return fmt.Errorf("queue %s: pending: %w", q.name, err)
	}
	for consumer := range sum.Consumers {
		if consumer == parked || consumer == but {
			continue
		}
		err := r.pages(ctx, q, consumer, func(rows []redis.XPendingExt) error {
			var unsure time.Time
			if consumer != r.p.Custody.Instance { // its journal is not here: it may have called the sink
				unsure = r.p.Custody.Now()
			}
			entries, err := q.take(ctx, r.p.Custody.Instance, rowIDs(rows), unsure)
			if err != nil {
				return err
			}
			failpoint.Hit(failpoint.TakenOver)
			for _, e := range entries {
				e.Unsure = unsure
				r.takeBack(e)
			}
			return nil
		})
		if err != nil {
			return err
		}
		r.log.Info().Str("from", consumer).Msg("entries in hand taken over")
	}
	return nil
}

// readmit takes up an entry that an owner before had in hand. It goes on, unless one of its customer waits for its retry,
// or an older one waits: that owner had only just read it. Then it stands at its place in the line.
func (r *runner) readmit(e *Entry) {
	key, h := e.meta.Key, e.handle()
	if r.lines.retrying(key) || r.lines.behind(key, h) {
		r.lines.waitInOrder(key, h)
		r.defers = append(r.defers, e)
		return
	}
	e.meta.Waiter = false
	r.lines.start(key)
	r.ready = append(r.ready, e)
}

// learnParked reads who waits for what from the pending list and the hash beside it.
func (r *runner) learnParked(ctx context.Context, q *queue) error {
	return r.pages(ctx, q, parked, func(rows []redis.XPendingExt) error {
		stubs := make([]*Entry, len(rows))
		for i, row := range rows {
			stubs[i] = &Entry{ID: row.ID, Queue: q.name}
		}
		stubs, err := q.withMeta(ctx, stubs)
		if err != nil {
			return err
		}
		var bare []string
		for i, e := range stubs {
			switch {
			case e.meta.Key == "":
				bare = append(bare, e.ID)
			case e.meta.Waiter:
				r.lines.wait(e.meta.Key, e.handle())
			default:
				r.lines.park(e.meta.Key, e.handle())
			}
			r.alarm.set(time.Now().Add(max(Horizon-rows[i].Idle, 0) + 20*time.Millisecond))
		}
		return r.bury(ctx, q, bare)
	})
}

// bury takes out of the pending list the entries without a body: somebody has emptied the queue while nobody served it, and
// what was kept beside them went with the last one. Until they were due, for days perhaps, nobody would hear of it.
func (r *runner) bury(ctx context.Context, q *queue, ids []string) error {
	dead, err := q.bodiless(ctx, ids)
	if err != nil || len(dead) == 0 {
		return err
	}
	return r.forget(ctx, q, dead)
}

// pages reads a consumer's pending entries to the end.
func (r *runner) pages(ctx context.Context, q *queue, consumer string, each func([]redis.XPendingExt) error) error {
	const page = 500
	from := "-"
	for {
		rows, err := q.redis.XPendingExt(ctx, &redis.XPendingExtArgs{
			Stream: q.keys.Queue(q.name), Group: Group, Start: from, End: "+", Count: page, Consumer: consumer,
		}).Result()
		if err != nil {
			return fmt.Errorf("queue %s: pending of %s: %w", q.name, consumer, err)
		}
		if len(rows) == 0 {
			return nil
		}
		if err := each(rows); err != nil {
			return err
		}
		if len(rows) < page {
			return nil
		}
		from = "(" + rows[len(rows)-1].ID
	}
}

func rowIDs(rows []redis.XPendingExt) []string {
	ids := make([]string, len(rows))
	for i, row := range rows {
		ids[i] = row.ID
	}
	return ids
}
