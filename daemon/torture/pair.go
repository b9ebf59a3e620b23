//go:build linux

package main

import (
	"context"
	"math/rand/v2"
	"syscall"
	"time"

	"leadstream/daemon/proof"
	"leadstream/streams/failpoint"
	"leadstream/streams/streamstest"
)

// What goes wrong between two daemons on one Redis. Each customer writes always to the same one.
var between = []harm{
	{what: "one stopped past its lease", do: oneStopped},
	{what: "one killed, started at once", do: oneKilled(0)},
	{what: "one killed, started past its lease", do: oneKilled(lease)},
	{what: "one killed at " + string(failpoint.HomeNoted), do: oneKilledAtHome},
}

var (
	onPair  = harms{perWorld: 10, open: two("one", "another"), list: between}
	onTwins = harms{perWorld: 10, open: two("one", "one"), list: between}
)

// lease is how long a daemon that has died keeps the others from its work.
const lease = 9 * time.Second

// two makes a world of two daemons with such names.
func two(a, b string) func(context.Context, *bench) (*stage, error) {
	return func(ctx context.Context, bench *bench) (*stage, error) {
		p, err := streamstest.Start()
		if err != nil {
			return nil, err
		}
		s := proof.Setup{Redis: "unix://" + p.Addr, Instance: a, Cards: rand.N(2) == 0}
		other := s
		other.Instance = b
		st, err := bench.open(ctx, []proof.Setup{s, other}, badDay, p.Close)
		if err == nil {
			st.redis = p
		}
		return st, err
	}
}

// either is one of the daemons.
func (st *stage) either() *proof.World { return st.ledger.Worlds[rand.IntN(len(st.ledger.Worlds))] }

func oneStopped(ctx context.Context, st *stage) error {
	w := st.either()
	if err := w.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	pause(ctx, lease-time.Second+rand.N(3*time.Second))
	return w.Signal(syscall.SIGCONT)
}

func oneKilled(after time.Duration) func(context.Context, *stage) error {
	return func(ctx context.Context, st *stage) error {
		w := st.either()
		w.Kill()
		pause(ctx, after)
		return w.Start(ctx)
	}
}

// oneKilledAtHome kills the one whose leads the other delivers, as it notes that.
func oneKilledAtHome(ctx context.Context, st *stage) error {
	for tries := 0; ; tries++ {
		w := st.ledger.Worlds[tries%len(st.ledger.Worlds)]
		w.Kill()
		if err := w.Launch("LEADSTREAM_FAILPOINT=" + string(failpoint.HomeNoted)); err != nil {
			return err
		}
		select {
		case <-w.Gone():
			w.Kill()
			return w.Start(ctx)
		case <-time.After(lease):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
