package main

import (
	"context"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"leadstream/streams"
)

// replayAfterOutage watches the destination, and once it has recovered sends the dead letters of the outage again, to it
// alone. Those that somebody has to decide about (held) stay.
func (d *destination) replayAfterOutage(ctx context.Context, engine *streams.Engine, log zerolog.Logger) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var since time.Time // of the outage; zero: none
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		st := d.guard.State(ctx)
		switch {
		case st.Breaker != "closed":
			if since.IsZero() || st.OpenSince.Before(since) {
				since = st.OpenSince
			}
		case !since.IsZero():
			n, err := d.replaySince(ctx, engine, since.Add(-lookBack))
			if err != nil {
				log.Warn().Err(err).Str("queue", streams.Destined(d.name)).Msg("dead letters of the outage not replayed; trying again")
				continue
			}
			log.Info().Int("count", n).Str("queue", streams.Destined(d.name)).Msg("dead letters of the outage replayed")
			since = time.Time{}
		}
	}
}

// lookBack is how long before its breaker opened a destination may have failed already.
const lookBack = 10 * time.Minute

func (d *destination) replaySince(ctx context.Context, engine *streams.Engine, since time.Time) (int, error) {
	n := 0
	for _, p := range engine.Partitions() {
		var ids []string
		err := p.Dead(ctx, func(l streams.DeadLetter) bool {
			if l.Destination == d.name && l.State == streams.Dead && l.At.After(since) && l.Faulty {
				_, id, _ := strings.Cut(l.ID, "/")
				ids = append(ids, id)
			}
			return true
		})
		if err != nil {
			return n, err
		}
		for _, id := range ids {
			if err := p.Replay(ctx, id); err != nil {
				return n, err
			}
			n++
		}
	}
	return n, nil
}
