// Package records keeps what must outlive Redis: customers, what was said with them, what they agreed to and what they
// booked, in SQL. SQLite in the data folder by default, PostgreSQL by URL; one schema and one set of queries for both.
//
// It is a sink: every lead and all news of a customer come through a queue of its own, and a batch is one transaction.
// The lead's id is the key, so that writing it again changes nothing.
package records

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"leadstream/sinks"
	"leadstream/streams"
)

// Kind is the sink. The daemon adds it by itself: see `records` in config.yaml.
var Kind = sinks.Kind{
	Settings: func() any { d := Defaults(); return &d },
	Open: func(settings any, env sinks.Env) (sinks.Sink, error) {
		return open(*settings.(*Settings), env)
	},
	Class:  sinks.Keyed,
	Batch:  most,
	Policy: streams.CRMPolicy,
}

// most is how many leads are written in one transaction.
const most = 256

// Embedded is the URL that means SQLite in the data folder, Off the one that keeps no records.
const (
	Embedded = "embedded"
	Off      = "off"
)

// Least is the shortest time for which what was said is kept (L-07).
const Least = 180 * 24 * time.Hour

// Settings are the keys of `records` in config.yaml.
type Settings struct {
	URL     string        `koanf:"url"`     // embedded, off, or postgres://…
	History time.Duration `koanf:"history"` // what was said is kept at least so long (C-03)
}

// Defaults are the settings of a config that says nothing.
func Defaults() Settings { return Settings{URL: Embedded, History: Least} }

// Sink writes leads to the records.
type Sink struct {
	*Store
	zone *time.Location
	log  zerolog.Logger
	fits atomic.Int64 // most leads for which the time of a transaction is enough, as far as is known
}

func open(s Settings, env sinks.Env) (*Sink, error) {
	if s.History < Least {
		return nil, fmt.Errorf("history: is shorter than 180 days; write 180d or more, disputes and reports go back so far (L-07)")
	}
	store, err := newStore(s, env.DataDir)
	if err != nil {
		return nil, err
	}
	store.region = env.Region
	if env.Timeout > 0 {
		store.timeout = env.Timeout
	}
	sink := &Sink{Store: store, zone: env.Zone, log: env.Log}
	sink.fits.Store(int64(most))
	if sink.zone == nil {
		sink.zone = time.UTC
	}
	return sink, nil
}

// again is how long leads wait while the records cannot be written.
const again = 2 * time.Second

// Deliver writes the batch in one transaction: all of it is kept, or nothing. Records that cannot be written cost no
// attempt: the leads wait, the breaker opens, and an alert tells of it. Nothing is ever given up because of an outage.
func (s *Sink) Deliver(ctx context.Context, batch []sinks.Delivery) []streams.Verdict {
	limited, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	n := min(max(int(s.fits.Load()), 1), len(batch))
	verdicts := make([]streams.Verdict, n)
	var ready []sinks.Delivery
	var at []int // place of each of ready
	for i, d := range batch[:n] {
		if orphan(d) {
			verdicts[i] = streams.Verdict{Result: streams.Wait, After: again, Err: errors.New("the lead that this one belongs to is not written yet")}
			continue
		}
		ready, at = append(ready, d), append(at, i)
	}
	for k, v := range s.deliver(limited, ready) {
		verdicts[at[k]] = v
	}
	switch {
	case limited.Err() != nil && ctx.Err() == nil: // as much as this does not get there in the time that there is
		s.fits.Store(int64(n / 2))
	default:
		s.fits.Store(min(2*s.fits.Load()+2, int64(most)))
	}
	for range batch[n:] {
		verdicts = append(verdicts, streams.Verdict{Result: streams.Wait})
	}
	return verdicts
}

func (s *Sink) deliver(ctx context.Context, batch []sinks.Delivery) []streams.Verdict {
	if len(batch) == 0 {
		return nil
	}
	leads := make([]*streams.Lead, len(batch))
	for i, d := range batch {
		leads[i] = d.Lead
	}
	ids, err := s.Write(ctx, s.zone, leads)
	if half := len(batch) / 2; half > 0 && isData(err) { // one of them is refused for what it holds: not the others
		return append(s.deliver(ctx, batch[:half]), s.deliver(ctx, batch[half:])...)
	}
	verdicts := make([]streams.Verdict, len(batch))
	for i := range verdicts {
		switch {
		case err == nil:
			verdicts[i].Remote = fmt.Sprint(ids[i])
		case isData(err):
			verdicts[i] = streams.Verdict{Result: streams.Permanent, Err: err}
		default:
			verdicts[i] = streams.Verdict{Result: streams.Wait, After: again, Fault: true, Err: err}
		}
	}
	return verdicts
}

// orphan says that a lead names nobody and belongs to one that is still on its way here.
func orphan(d sinks.Delivery) bool {
	return d.Of != nil && d.Of.Pending && d.Lead != nil && len(identitiesOf(d.Lead)) == 0
}

// Check says whether the records can be written, and creates nothing.
func (s *Sink) Check(ctx context.Context) error { return s.check(ctx) }

// Run tidies up until ctx ends: it compresses what nobody adds to any more and forgets what is older than History.
func (s *Sink) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := s.Tidy(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn().Err(err).Msg("records are tidied later")
		}
	}
}
