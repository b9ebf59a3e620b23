//go:build linux

package main

import (
	"context"
	"math/rand/v2"
	"time"

	"leadstream/daemon/proof"
)

// onClock is what a time server, an operator or an empty battery do to a clock.
var onClock = harms{perWorld: 25, open: clocked, list: []harm{
	{what: "an hour forward, and back", do: step(time.Hour)},
	{what: "an hour back, and forward", do: step(-time.Hour)},
	{what: "a day forward, and back", do: step(24 * time.Hour)},
	{what: "a day back, and forward", do: step(-24 * time.Hour)},
	{what: "killed, started an hour later", do: startedAt(time.Hour)},
	{what: "killed, started an hour earlier", do: startedAt(-time.Hour)},
}}

// clocked is a world whose daemon has a wall clock of its own. Its portal and its Redis go by the machine's.
func clocked(ctx context.Context, b *bench) (*stage, error) {
	return b.open(ctx, []proof.Setup{{Clock: true, Cards: rand.N(2) == 0}}, badDay)
}

// step sets the clock while the daemon runs, and sets it right.
func step(off time.Duration) func(context.Context, *stage) error {
	return func(ctx context.Context, st *stage) error {
		if err := st.SetClock(off); err != nil {
			return err
		}
		pause(ctx, rand.N(600*time.Millisecond))
		return st.SetClock(0)
	}
}

// startedAt kills the daemon, which finds another time when it starts, and then the right one.
func startedAt(off time.Duration) func(context.Context, *stage) error {
	return func(ctx context.Context, st *stage) error {
		st.Kill()
		if err := st.SetClock(off); err != nil {
			return err
		}
		if err := st.Start(ctx); err != nil {
			return err
		}
		pause(ctx, rand.N(600*time.Millisecond))
		st.Kill()
		if err := st.SetClock(0); err != nil {
			return err
		}
		return st.Start(ctx)
	}
}
