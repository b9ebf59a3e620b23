//go:build linux

package main

import (
	"math/rand/v2"
	"testing"
	"time"

	"leadstream/daemon/proof"
	"leadstream/sinks/sim/fault"
)

// misbehaves is a portal on a bad day: some calls are slow, some answers are lost, some work is done after the caller
// has given up, some calls are rejected.
func misbehaves(i *instance) {
	for _, f := range []fault.Fault{
		{Probability: 0.1, LoseAnswer: true},
		{Probability: 0.05, Reset: true},
		{Probability: 0.05, FinishLate: 850 * time.Millisecond},
		{Method: "batch", Probability: 0.05, Code: "QUERY_LIMIT_EXCEEDED"},
		{Probability: 0.05, Code: "INTERNAL_SERVER_ERROR"},
		{Probability: 0.7, Delay: 100 * time.Millisecond},
	} {
		i.CRM.Inject(f)
	}
}

// pause waits for a random time up to most.
func pause(least, most time.Duration) { time.Sleep(least + rand.N(most-least)) }

func TestKilledDaemonLosesAndDoublesNothing(t *testing.T) {
	t.Parallel()
	i := newInstance(t, proof.Setup{Level: "debug"})
	misbehaves(i)
	l := i.ledger()
	stop := l.load(100)
	const kills = 12
	busy := 0
	for n := range kills {
		pause(100*time.Millisecond, 900*time.Millisecond)
		flying := l.InFlight()
		i.Kill()
		if flying > 0 {
			busy++
		}
		t.Logf("kill %d: %d leads in flight", n+1, flying)
		pause(0, 200*time.Millisecond)
		i.start()
	}
	stop()
	i.CRM.Clear()
	l.settled()
	t.Logf("acked %d, rejected %d, unknown %d", len(l.With(proof.Acked)), len(l.With(proof.Rejected)), len(l.With(proof.Unknown)))
	if busy < kills*3/4 {
		t.Errorf("leads were in flight at %d of %d kills only: nothing was tested", busy, kills)
	}
	if left := l.Resend(t.Context()); left > 0 {
		t.Errorf("%d requests are still not taken", left)
	}
	l.settled()
}
