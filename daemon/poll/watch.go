package poll

import (
	"context"
	"time"
)

// watched is a service whose webhook we look after.
type watched interface {
	service

	// look sees whether the service sends to our address, and has it send there again where it has forgotten us. What it is told
	// on the way it gives to keep.
	look(ctx context.Context, before past, keep func(events [][]byte) error) (sight, error)
}

// past is how a webhook stood.
type past struct {
	cursor string    // of the sight before
	fine   time.Time // until then everything has come; zero: nobody knows
	broken bool      // since then it was not in order, or nobody has looked
}

// sight is how a webhook stands.
type sight struct {
	again   bool   // the service had forgotten us: what came meanwhile may be with nobody
	pending int    // events that wait at the service, if it says so
	cursor  string // to be shown at the next look
	lost    string // what nobody will bring any more, in a sentence for the log; empty: nothing
}

// watchEvery is how often a webhook is looked at; one that does not work is looked at each minute.
const (
	watchEvery  = 5 * time.Minute
	watchBroken = time.Minute
)

// watch looks after a webhook. Only a stop ends it.
func (l *line) watch(ctx context.Context, service watched) {
	w := watching{service: service}
	for ctx.Err() == nil {
		err := l.lookAfter(ctx, &w)
		if ctx.Err() != nil {
			return
		}
		pause := watchEvery
		if err != nil {
			t := asTrouble(err)
			w.broken = true
			pause = max(watchBroken, t.wait)
			l.meter.down(t.why)
			l.log.Warn().Str("why", t.why).Err(t.err).Dur("again_in", pause).Msg("the service does not send as it should")
		} else {
			l.meter.up()
		}
		l.meter.asked(err == nil)
		if !sleep(ctx, l.shorter(pause)) {
			return
		}
	}
}

// watching is what is known of a webhook.
type watching struct {
	service watched
	account string
	past
}

// lookAfter looks once. Where it was in order all the time nothing is owed, nor at the first start ever: what people wrote
// before leadstream was there is not its business.
func (l *line) lookAfter(ctx context.Context, w *watching) error {
	now := time.Now().Round(0) // without the monotonic clock: it is compared with an earlier run's
	if w.account == "" {
		account, err := w.service.account(ctx)
		if err != nil {
			return err
		}
		n := l.remember(account)
		w.account, w.fine, w.cursor = account, n.At, n.Cursor
		w.broken = !n.At.IsZero() && (now.Sub(n.At) > 2*watchEvery || now.Before(n.At)) // we were away
	}
	got, err := w.service.look(ctx, w.past, l.kept(ctx))
	l.meter.pending.Set(float64(got.pending))
	if got.lost != "" {
		l.lose(lostForgotten).Time("since", w.fine).Msg(got.lost)
	}
	if err != nil {
		if got.cursor != "" { // what was told on the way is kept
			w.cursor = got.cursor
			l.note(func(n *note) { n.Cursor = got.cursor })
		}
		return err
	}
	if got.again {
		l.log.Warn().Msg("the service had forgotten our address; it was told again")
	}
	l.note(func(n *note) {
		n.At, n.Cursor = now, got.cursor
		since := w.fine
		if l.kind.checks > 0 && !n.Checked.IsZero() && n.Checked.Before(since) {
			since = n.Checked
		}
		if got.again || w.broken || l.kind.checks > 0 && now.Sub(n.Checked).Abs() >= l.shorter(l.kind.checks) {
			l.owe(n, since)
			n.Checked = now
		}
	})
	w.fine, w.broken, w.cursor = now, false, got.cursor
	return nil
}

// kept keeps events of the line's source.
func (l *line) kept(ctx context.Context) func([][]byte) error {
	return func(events [][]byte) error {
		if err := l.keep(ctx, l.name, events); err != nil {
			return &trouble{why: whyJournal, err: err}
		}
		return nil
	}
}
