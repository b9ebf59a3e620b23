package processors

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"leadstream/streams"
	"leadstream/streams/failpoint"
)

// Trouble is why a person must hear of a lead.
type Trouble string

const (
	Dead       Trouble = "dead"       // the last attempt has failed
	Late       Trouble = "late"       // it waits for longer than late_after, and is still queued
	Held       Trouble = "held"       // it may have been delivered; a person decides
	Quarantine Trouble = "quarantine" // a request that could not be read
)

// Case is one lead in trouble at one destination.
type Case struct {
	LeadID      string        // empty: a request that holds none
	Lead        *streams.Lead // only where the case is written down or told of: thousands may wait for that in an outage
	Destination string        // of quarantine: the request's id
	Trouble     Trouble
	Since       time.Time
	Attempts    int
	Err         string // the last error, without secrets or people's data
}

// key is the same for as long as nobody was told. A late lead may reach one destination and still lack the next.
func (c Case) key() string {
	id := c.LeadID
	if id == "" {
		id = c.Since.UTC().Format(time.RFC3339Nano)
	}
	if c.Trouble == Late {
		return id + "\x00" + string(Late)
	}
	return id + "\x00" + c.Destination + "\x00" + string(c.Trouble)
}

// attempts spaces the tries at something that fails.
type attempts struct {
	failures int
	next     time.Time
}

func (a *attempts) due(now time.Time) bool { return !now.Before(a.next) }

// note takes the outcome of a try and answers it.
func (a *attempts) note(err error, now time.Time) error {
	if err == nil {
		*a = attempts{}
		return nil
	}
	a.next = now.Add(Backoff(a.failures))
	a.failures++
	return err
}

// Ledger knows which cases nobody was told of, over restarts too.
type Ledger interface {
	Untold(now time.Time) []Case // oldest first
	// Lead reads a lead; when it cannot be read, its id is all there is.
	Lead(id string) *streams.Lead
	// Told records that a person knows; how is the name of the notifier.
	Told(ctx context.Context, cases []Case, how string) error
}

// Teller sees to it that every dead, late and held lead is written down for manual handling and told to a person, and
// that an outage is one message and not five hundred. First the rows, on the disk; then the message; and
// only then it counts as told. Whatever fails is tried again, with growing pauses.
type Teller struct {
	Ledger   Ledger
	Rows     func(ctx context.Context, cases []Case) error // writes them durably; a crash may bring a case twice; nil: no file
	People   []Person                                      // tried in order
	Language string                                        // "ru" or "en"
	Zone     *time.Location                                // of the business; nil is UTC
	Wait     time.Duration                                 // first cases wait for company; 0 is 2 s
	Interval time.Duration                                 // between two messages, at least; 0 is 5 min
	Log      zerolog.Logger

	written map[string]bool   // cases with a row
	sent    map[string]string // cases in a message that was taken, and by whom, still to be recorded
	first   time.Time         // the oldest case that waits for a message came
	last    time.Time         // last message

	rows, messages, records attempts
}

// Run tells until ctx ends.
func (t *Teller) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			if err := t.Step(ctx, now); err != nil && ctx.Err() == nil {
				t.Log.Error().Err(err).Msg("telling of leads in trouble")
			}
		}
	}
}

// Step does what is due at now. Its errors are for the log: everything is tried again.
func (t *Teller) Step(ctx context.Context, now time.Time) error {
	cases := t.Ledger.Untold(now)
	t.forget(cases)
	if len(cases) == 0 {
		t.first = time.Time{}
		return nil
	}
	err := errors.Join(t.write(ctx, cases, now), t.record(ctx, cases, now))
	open := t.unsent(cases)
	if len(open) > 0 && t.first.IsZero() {
		t.first = now
	}
	if len(open) == 0 || !t.due(now) {
		return err
	}
	noRows := t.rows.failures > 0
	by, refused := Tell(ctx, t.People, t.compose(t.read(open), noRows), t.Language)
	failpoint.Hit(failpoint.ToldSent)
	if by == "" {
		return errors.Join(err, t.messages.note(refused, now))
	}
	t.first, t.last, t.messages = time.Time{}, now, attempts{}
	if noRows {
		// The message names ten customers, the others would be nowhere: the cases stay open.
		return errors.Join(err, refused)
	}
	for _, c := range open {
		t.sent[c.key()] = by
	}
	return errors.Join(err, refused, t.record(ctx, open, now))
}

// due says whether a message may go now.
func (t *Teller) due(now time.Time) bool {
	wait, interval := t.Wait, t.Interval
	if wait == 0 {
		wait = 2 * time.Second
	}
	if interval == 0 {
		interval = 5 * time.Minute
	}
	return now.Sub(t.first) >= wait && (t.last.IsZero() || now.Sub(t.last) >= interval) && t.messages.due(now)
}

// forget drops what is remembered of cases that the ledger no longer asks for.
func (t *Teller) forget(cases []Case) {
	written, sent := map[string]bool{}, map[string]string{}
	for _, c := range cases {
		k := c.key()
		if t.written[k] {
			written[k] = true
		}
		if by, ok := t.sent[k]; ok {
			sent[k] = by
		}
	}
	t.written, t.sent = written, sent
}

// write gives each case its row, once.
func (t *Teller) write(ctx context.Context, cases []Case, now time.Time) error {
	var fresh []Case
	for _, c := range cases {
		if !t.written[c.key()] {
			fresh = append(fresh, c)
		}
	}
	if len(fresh) == 0 || t.Rows == nil || !t.rows.due(now) {
		return nil
	}
	for part := range slices.Chunk(fresh, rowsAtOnce) {
		if ctx.Err() != nil { // a stop does not wait for all of them
			return ctx.Err()
		}
		if err := t.rows.note(t.Rows(ctx, t.read(part)), now); err != nil {
			return fmt.Errorf("write leads in trouble to the file: %w", err)
		}
		for _, c := range part {
			t.written[c.key()] = true
		}
		failpoint.Hit(failpoint.ToldRow)
	}
	return nil
}

// rowsAtOnce bounds what of an outage is in memory.
const rowsAtOnce = 500

// read answers the cases with their leads.
func (t *Teller) read(cases []Case) []Case {
	cases = slices.Clone(cases)
	for i := range cases {
		if c := &cases[i]; c.LeadID != "" {
			c.Lead = t.Ledger.Lead(c.LeadID)
		}
	}
	return cases
}

// record tells the ledger of the cases whose message was taken; when it cannot be told, no second message goes out.
func (t *Teller) record(ctx context.Context, cases []Case, now time.Time) error {
	byWhom := map[string][]Case{}
	for _, c := range cases {
		if by, ok := t.sent[c.key()]; ok {
			byWhom[by] = append(byWhom[by], c)
		}
	}
	if len(byWhom) == 0 || !t.records.due(now) {
		return nil
	}
	var errs []error
	for by, told := range byWhom {
		if err := t.Ledger.Told(ctx, told, by); err != nil {
			errs = append(errs, err)
		}
	}
	failpoint.Hit(failpoint.ToldNoted)
	if err := t.records.note(errors.Join(errs...), now); err != nil {
		return fmt.Errorf("record that a person was told: %w", err)
	}
	return nil
}

func (t *Teller) unsent(cases []Case) (open []Case) {
	for _, c := range cases {
		if _, ok := t.sent[c.key()]; !ok {
			open = append(open, c)
		}
	}
	return open
}
