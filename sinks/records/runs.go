package records

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"leadstream/streams/outbound"
)

// Customers on their way through sequences of messages. What a step changes and the message that it makes are one
// transaction.

const runColumns = "SELECT sequence, customer, cause, variant, step, due_at, state, reason, vals, last, begun_at, moved_at, ended_at FROM runs "

func scanRun(scan func(...any) error) (r outbound.Run, err error) {
	var due, begun, moved, ended int64
	var state, vals string
	err = scan(&r.Sequence, &r.Customer, &r.Cause, &r.Variant, &r.Step, &due, &state, &r.Reason, &vals, &r.Last, &begun, &moved, &ended)
	r.State, r.Due, r.BegunAt, r.MovedAt, r.EndedAt = outbound.RunState(state), fromMilli(due), fromMilli(begun), fromMilli(moved), fromMilli(ended)
	if vals != "" {
		r.Values = json.RawMessage(vals)
	}
	return r, err
}

// BeginRun begins a run, unless the customer is in this sequence already or was begun in it less than again before.
func (s *Store) BeginRun(ctx context.Context, r outbound.Run, again time.Duration) (begun bool, err error) {
	err = s.write(ctx, func(b *batch) {
		card := b.standing(r.Customer)
		var n int64
		b.get([]any{&n}, "SELECT count(*) FROM runs WHERE sequence = $1 AND customer = $2 AND (state = 'on' OR begun_at > $3)",
			clean(r.Sequence, 100), card, r.BegunAt.Add(-again).UnixMilli())
		if n > 0 {
			return
		}
		begun = b.exec(`INSERT INTO runs (sequence, customer, cause, variant, step, due_at, state, reason, vals, last, begun_at, moved_at, ended_at)
			VALUES ($1, $2, $3, $4, $5, $6, 'on', '', $7, '', $8, $9, 0) ON CONFLICT (sequence, customer, cause) DO NOTHING`,
			clean(r.Sequence, 100), card, clean(r.Cause, 64), clean(r.Variant, 100), r.Step, milli(r.Due), clean(string(r.Values), 16<<10),
			milli(r.BegunAt), milli(r.MovedAt)) == 1
	})
	return begun && err == nil, err
}

// OpenRuns are the sequences that a customer is in, the oldest first.
func (s *Store) OpenRuns(ctx context.Context, card int64) ([]outbound.Run, error) {
	return s.runs(ctx, runColumns+"WHERE customer = $1 AND state = 'on' ORDER BY begun_at, cause", card)
}

// RunsAfter are runs that are on, behind one in the order of sequence, customer and cause; zero: from the first.
func (s *Store) RunsAfter(ctx context.Context, after outbound.Run, limit int) ([]outbound.Run, error) {
	return s.runs(ctx, runColumns+`WHERE state = 'on' AND (sequence > $1 OR sequence = $1 AND (customer > $2 OR customer = $2 AND cause > $3))
		ORDER BY sequence, customer, cause LIMIT $4`, after.Sequence, after.Customer, after.Cause, limit)
}

// DueRuns are those whose next step is due, the longest due first; next is when the one after them will be, zero when there is
// none.
func (s *Store) DueRuns(ctx context.Context, now time.Time, limit int) (due []outbound.Run, next time.Time, err error) {
	due, err = s.runs(ctx, runColumns+"WHERE state = 'on' AND due_at <= $1 ORDER BY due_at LIMIT $2", now.UnixMilli(), limit)
	if err != nil || len(due) == limit {
		return due, now, err
	}
	var at int64
	err = s.query(ctx, func(scan func(...any) error) error { return scan(&at) },
		"SELECT coalesce(min(due_at), 0) FROM runs WHERE state = 'on' AND due_at > $1", now.UnixMilli())
	return due, fromMilli(at), err
}

func (s *Store) runs(ctx context.Context, query string, args ...any) (all []outbound.Run, err error) {
	err = s.query(ctx, func(scan func(...any) error) error {
		r, err := scanRun(scan)
		all = append(all, r)
		return err
	}, query, args...)
	return all, err
}

// MoveRun moves a run on, and adds the message that its step has made, if any; false: somebody else has moved it since it was read.
// What of a run that is stopped or won has not been sent yet is not sent any more.
func (s *Store) MoveRun(ctx context.Context, from, to outbound.Run, m *outbound.Message) (moved bool, err error) {
	err = s.write(ctx, func(b *batch) {
		card := b.standing(from.Customer)
		moved = b.exec(`UPDATE runs SET variant = $1, step = $2, due_at = $3, state = $4, reason = $5, last = $6, moved_at = $7, ended_at = $8
			WHERE sequence = $9 AND customer = $10 AND cause = $11 AND state = 'on' AND step = $12 AND due_at = $13`,
			clean(to.Variant, 100), to.Step, milli(to.Due), string(to.State), clean(to.Reason, 100), to.Last, milli(to.MovedAt), milli(to.EndedAt),
			from.Sequence, card, from.Cause, from.Step, milli(from.Due)) == 1
		if !moved {
			return
		}
		if m != nil {
			own := *m
			own.Customer = card
			b.message(&own)
		}
		if to.State == outbound.RunStopped || to.State == outbound.RunWon {
			b.unsay(card, outbound.CauseOf(from, -1), to.Reason)
		}
	})
	return moved && err == nil, err
}

// unsay drops the messages of a cause that begins so and that no channel has been given.
func (b *batch) unsay(card int64, cause, reason string) {
	var ids []string
	b.each(func(scan func(...any) error) error {
		var id string
		err := scan(&id)
		ids = append(ids, id)
		return err
	}, "SELECT id FROM messages WHERE customer = $1 AND state = 'waiting' AND substr(cause, 1, $2) = $3", card, len([]rune(cause)), cause)
	for _, id := range ids {
		b.exec("UPDATE messages SET state = 'dropped', reason = $2 WHERE id = $1", id, clean(reason, 100))
		b.exec("INSERT INTO rulings (message, at, channel, ruling, reason, until) VALUES ($1, $2, '', 'drop', $3, 0)", id, b.store.now().UnixMilli(), clean(reason, 100))
	}
}

// RunCustomer is Customer for a run; false: there is no such card any more.
func (s *Store) RunCustomer(ctx context.Context, card int64) (outbound.Customer, bool, error) {
	c, err := s.Customer(ctx, card)
	if errors.Is(err, ErrUnknown) {
		return c, false, nil
	}
	return c, err == nil, err
}

// RunMessage is Message for a run; false: there is none.
func (s *Store) RunMessage(ctx context.Context, id string) (outbound.Message, bool, error) {
	m, err := s.Message(ctx, id)
	if errors.Is(err, ErrUnknown) {
		return m, false, nil
	}
	return m, err == nil, err
}

// RunCounts are how the runs of each variant stand, since a time.
func (s *Store) RunCounts(ctx context.Context, since time.Time) (all []outbound.RunCount, err error) {
	err = s.query(ctx, func(scan func(...any) error) error {
		var c outbound.RunCount
		var state string
		err := scan(&c.Sequence, &c.Variant, &state, &c.Reason, &c.Runs, &c.Sent)
		c.State = outbound.RunState(state)
		all = append(all, c)
		return err
	}, `SELECT r.sequence, r.variant, r.state, r.reason, count(*), sum((SELECT count(*) FROM messages m WHERE m.customer = r.customer
			AND substr(m.cause, 1, length(r.sequence) + length(r.cause) + 11) = 'sequence:' || r.sequence || ':' || r.cause || ':'
			AND EXISTS (SELECT 1 FROM steps t WHERE t.message = m.id AND t.sent_at > 0)))
		FROM runs r WHERE r.begun_at >= $1 GROUP BY r.sequence, r.variant, r.state, r.reason ORDER BY r.sequence, r.variant, r.state, r.reason`, milli(since))
	return all, err
}

// TidyRuns forgets runs that ended before the history's own limit.
func (s *Store) TidyRuns(ctx context.Context) error {
	return s.write(ctx, func(b *batch) {
		b.exec("DELETE FROM runs WHERE state <> 'on' AND ended_at < $1", s.now().Add(-s.keep).UnixMilli())
	})
}
