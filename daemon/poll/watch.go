package poll

import (
	"context"
	"time"
)

// watched is a service whose webhook we look after.
type watched interface {
	service

	// look sees whether the service sends to our address, and has it send there again where it has forgotten us. again says that
	// it had: what came meanwhile may be with nobody. What it is told on the way it gives to keep. pending is how many events wait at
	// the service, if it says so.
	look(ctx context.Context, keep func(events [][]byte) error) (again bool, pending int, err error)
}

// rememberer is a service that can be asked for what was said, whoever has been told of it before.
type rememberer interface {
	// missed gives keep what people said since, older things first within a conversation.
	missed(ctx context.Context, since time.Time, keep func(events [][]byte) error) error
}

// watchEvery is how often a webhook is looked at; one that does not work is looked at each minute.
const (
	watchEvery  = 5 * time.Minute
	watchBroken = time.Minute
)

// Bounds of what is fetched after an outage. Nothing is fetched of which the journal may have forgotten that it knows it
// (its memory is 48 h at least), and beyond what is known to be missing a little more: clocks differ.
const (
	farthest = 40 * time.Hour
	overlap  = 10 * time.Minute
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

// watching is how a webhook stands.
type watching struct {
	service watched
	account string
	fine    time.Time // until then everything has come; zero: nobody knows
	broken  bool      // since then it was not in order
}

// lookAfter looks once. Where it was in order all the time nothing is fetched, nor at the first start ever: what people wrote
// before leadstream was there is not its business.
func (l *line) lookAfter(ctx context.Context, w *watching) error {
	now := time.Now().Round(0) // without the monotonic clock: it is compared with an earlier run's
	if w.account == "" {
		account, err := w.service.account(ctx)
		if err != nil {
			return err
		}
		n, err := l.notes.load()
		if err != nil {
			l.log.Warn().Err(err).Msg("when the webhook last worked is not known")
		}
		if n.Account == account {
			w.fine = n.At
			w.broken = !n.At.IsZero() && (now.Sub(n.At) > 2*watchEvery || now.Before(n.At)) // we were away
		}
		w.account = account
	}
	again, pending, err := w.service.look(ctx, l.kept(ctx))
	l.meter.pending.Set(float64(pending))
	if err != nil {
		return err
	}
	if again {
		l.log.Warn().Msg("the service had forgotten our address; it was told again")
	}
	if again || w.broken {
		if err := l.fetch(ctx, w.service, w.fine); err != nil {
			return err
		}
	}
	w.fine, w.broken = now, false
	if err := l.notes.save(note{Account: w.account, At: now}); err != nil {
		l.log.Warn().Err(err).Msg("that the webhook works could not be noted; after a restart more is fetched than need be")
	}
	return nil
}

// fetch asks for what nobody has brought since, if the service remembers. A zero time fetches nothing.
func (l *line) fetch(ctx context.Context, service service, since time.Time) error {
	r, ok := service.(rememberer)
	if !ok || since.IsZero() {
		return nil
	}
	now := time.Now()
	if since.After(now) { // the clock was set
		since = now
	}
	since = since.Add(-overlap)
	if first := now.Add(-farthest); since.Before(first) {
		l.log.Error().Time("since", since).Time("from", first).Msg("the outage was longer than can be fetched: look for earlier messages at the service itself")
		since = first
	}
	n := 0
	keep := l.kept(ctx)
	err := r.missed(ctx, since, func(events [][]byte) error {
		n += len(events)
		return keep(events)
	})
	if err != nil {
		return err
	}
	l.log.Info().Time("since", since).Int("messages", n).Msg("what was said meanwhile is fetched; what was known is the same lead")
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
