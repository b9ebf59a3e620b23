package records

import (
	"context"
	"time"

	"leadstream/streams/outbound"
)

// How long customers wait (P-03): a wait begins with an enquiry and ends when a person of the business has answered, or a
// dialogue has finished the matter. What a program says meanwhile is its first answer and does not end it; a conversation
// that begins again is a wait of its own.

// anew is after what silence an enquiry begins a new wait although the last one is still open: a program has answered that one.
const anew = 24 * time.Hour

// asked begins a wait, unless the customer is waiting already: then it may become hot, or dear.
func (b *batch) asked(lead string, card int64, w *outbound.Wait) {
	lead = clean(lead, 64)
	at := min(milli(w.At), b.store.now().UnixMilli())
	wrote := at
	if !w.Wrote.IsZero() {
		wrote = min(milli(w.Wrote), at) // a service's clock may be ahead of ours
	}
	var spoke int64
	b.get([]any{&spoke}, "SELECT at FROM spoke WHERE customer = $1", card)
	if spoke > wrote || b.get([]any{new(int64)}, "SELECT 1 FROM unanswered WHERE lead = $1", lead) {
		return // it comes late and was answered before it was heard, or it comes again
	}
	// What a program has answered is not what this one waits for, when it comes much later or is hot where that was not.
	b.exec("UPDATE unanswered SET ended_at = $2 WHERE customer = $1 AND ended_at = 0 AND first_at > 0 AND (last_at < $3 OR hot < $4)",
		card, at, at-anew.Milliseconds(), bit(w.Hot))
	worth := max(int64(w.Worth), 0)
	if b.exec(`UPDATE unanswered SET last_at = CASE WHEN last_at > $2 THEN last_at ELSE $2 END, last_wrote = CASE WHEN last_wrote > $5 THEN last_wrote ELSE $5 END,
		hot = CASE WHEN hot > $3 THEN hot ELSE $3 END, worth = CASE WHEN worth > $4 THEN worth ELSE $4 END
		WHERE customer = $1 AND ended_at = 0`, card, at, bit(w.Hot), worth, wrote) > 0 {
		return
	}
	b.exec(`INSERT INTO unanswered (lead, customer, channel, hot, worth, asked_at, wrote_at, last_at, last_wrote, since_at, first_at, first_by, by, ended_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $6, $7, $6, 0, '', '', 0)`, lead, card, clean(w.Channel, 100), bit(w.Hot), worth, at, wrote)
}

// answered notes who has answered a customer. Each answer is of what it knows: news of a person's come late, and while a program's
// is on its way the customer may write on.
func (b *batch) answered(card int64, a *outbound.Answered) {
	at, knows, asked, last := milli(a.At), milli(a.At), "asked_at", "last_at"
	switch {
	case a.By == outbound.Person:
		asked, last = "wrote_at", "last_wrote" // both are told by the service
	case !a.Knows.IsZero():
		knows = milli(a.Knows)
	}
	b.each(func(scan func(...any) error) error {
		f := outbound.First{At: fromMilli(at), By: a.By}
		var hot, asked int64
		err := scan(&f.Channel, &hot, &asked)
		f.Hot, f.AskedAt = hot == 1, fromMilli(asked)
		b.firsts = append(b.firsts, f)
		return err
	}, "UPDATE unanswered SET first_at = $2, first_by = $3 WHERE customer = $1 AND ended_at = 0 AND first_at = 0 AND "+asked+` <= $4
		RETURNING channel, hot, asked_at`, card, at, a.By, knows)
	if a.By == outbound.Program {
		return
	}
	b.exec("UPDATE unanswered SET ended_at = $2, by = $3 WHERE customer = $1 AND ended_at = 0 AND "+last+" <= $4", card, at, a.By, knows)
	b.exec("UPDATE unanswered SET since_at = last_at WHERE customer = $1 AND ended_at = 0 AND "+asked+" <= $2", card, knows)
	if a.By == outbound.Person {
		b.exec(`INSERT INTO spoke (customer, at) VALUES ($1, $2) ON CONFLICT (customer) DO UPDATE SET
			at = CASE WHEN excluded.at > spoke.at THEN excluded.at ELSE spoke.at END`, card, at)
	}
}

// Asked begins a customer's wait. The same lead again begins none.
func (s *Store) Asked(ctx context.Context, lead string, card int64, w outbound.Wait) error {
	return s.write(ctx, func(b *batch) { b.asked(lead, b.standing(card), &w) })
}

// Answered notes that a customer was answered.
func (s *Store) Answered(ctx context.Context, card int64, a outbound.Answered) error {
	return s.write(ctx, func(b *batch) { b.answered(b.standing(card), &a) })
}

// Unanswered are the hot enquiries of between from and until that nobody has seen to, of which it names the latest, at most limit.
func (s *Store) Unanswered(ctx context.Context, from, until time.Time, limit int) (u outbound.Unanswered, err error) {
	const open = "FROM unanswered WHERE ended_at = 0 AND hot = 1 AND since_at >= $1 AND since_at <= $2"
	var at int64
	err = s.query(ctx, func(scan func(...any) error) error { return scan(&u.Count, &u.Worth, &at) },
		"SELECT count(*), CAST(coalesce(sum(worth), 0) AS BIGINT), coalesce(min(since_at), 0) "+open, from.UnixMilli(), until.UnixMilli())
	u.Oldest = fromMilli(at)
	if err != nil || u.Count == 0 {
		return u, err
	}
	err = s.query(ctx, func(scan func(...any) error) error {
		var o outbound.Open
		err := scan(&o.Lead, &o.Channel, &o.Worth, &at)
		o.Since = fromMilli(at)
		u.Latest = append(u.Latest, o)
		return err
	}, "SELECT lead, channel, worth, since_at "+open+" ORDER BY since_at DESC, lead LIMIT $3", from.UnixMilli(), until.UnixMilli(), limit)
	return u, err
}

// Firsts gives each the enquiries of between from and until with their first answers, in the order in which they came.
func (s *Store) Firsts(ctx context.Context, from, until time.Time, each func(outbound.First)) error {
	return s.query(ctx, func(scan func(...any) error) error {
		var f outbound.First
		var hot, asked, at int64
		err := scan(&f.Channel, &hot, &asked, &at, &f.By)
		f.Hot, f.AskedAt, f.At = hot == 1, fromMilli(asked), fromMilli(at)
		if err == nil {
			each(f)
		}
		return err
	}, "SELECT channel, hot, asked_at, first_at, first_by FROM unanswered WHERE asked_at >= $1 AND asked_at < $2 ORDER BY asked_at", from.UnixMilli(), until.UnixMilli())
}

// OnFirst is called for every first answer, once it is kept. Set it before the store is used.
func (s *Store) OnFirst(f func(outbound.First)) { s.onFirst = f }

// forgetWaits forgets waits that began longer ago than what was said is kept.
func (s *Store) forgetWaits(b *batch) int {
	return int(b.exec("DELETE FROM unanswered WHERE lead IN (SELECT lead FROM unanswered WHERE asked_at < $1 ORDER BY asked_at LIMIT $2)",
		s.now().Add(-s.keep).UnixMilli(), tidyStep))
}
