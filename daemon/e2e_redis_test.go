//go:build linux

package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"leadstream/daemon/proof"
	"leadstream/streams/streamstest"
)

func TestKilledRedisLosesAndDoublesNothing(t *testing.T) {
	t.Parallel()
	i := newInstance(t, proof.Setup{})
	misbehaves(i)
	l := i.ledger()
	stop := l.load(80)
	for n := range 8 {
		pause(200*time.Millisecond, 900*time.Millisecond)
		i.eventually("the embedded Redis runs", func() bool { return i.RedisPID() != 0 })
		if n%2 == 0 { // the daemon starts it again
			i.KillRedis()
			continue
		}
		i.Kill() // both at once
		i.KillRedis()
		pause(0, 200*time.Millisecond)
		i.start()
	}
	stop()
	i.CRM.Clear()
	l.settled()
	t.Logf("acked %d, rejected %d, unknown %d", len(l.With(proof.Acked)), len(l.With(proof.Rejected)), len(l.With(proof.Unknown)))
	if len(l.With(proof.Acked)) < 100 {
		t.Errorf("%d leads acked: nothing was tested", len(l.With(proof.Acked)))
	}
}

func (l *ledger) p99() time.Duration {
	var took []time.Duration
	for _, r := range l.With(proof.Acked) {
		took = append(took, r.Took())
	}
	slices.Sort(took)
	return took[len(took)*99/100]
}

func TestBurstWhileRedisIsDown(t *testing.T) {
	t.Parallel()
	server := streamstest.Redis(t)
	i := newInstance(t, proof.Setup{Redis: "unix://" + server.Addr})
	l := i.ledger()
	l.one()
	i.quiet()
	server.Kill()
	const each = 400
	l.burst(each, 32)
	i.Kill() // the journal alone knows of them now, and takes more without Redis
	i.start()
	l.burst(each, 32)
	if n := len(l.With(proof.Acked)); n != 2*each+1 {
		t.Errorf("acked %d of %d: %v", n, 2*each+1, l.With(proof.Rejected))
	}
	if p99 := l.p99(); p99 > time.Second { // a few ms on an idle machine; waiting for Redis would be seconds
		t.Errorf("p99 %s", p99)
	}
	t.Logf("p99 %s", l.p99())
	if n := len(i.CRM.Ledger()); n > 1 {
		t.Errorf("%d events at the portal: Redis was not down", n)
	}
	server.Restart()
	l.settled()
}

func TestFlushedRedis(t *testing.T) {
	t.Parallel()
	server := streamstest.Redis(t)
	i := newInstance(t, proof.Setup{Redis: "unix://" + server.Addr})
	misbehaves(i)
	l := i.ledger()
	stop := l.load(80)
	for range 3 {
		pause(300*time.Millisecond, 900*time.Millisecond)
		if l.InFlight() == 0 {
			t.Error("nothing in flight: nothing was tested")
		}
		server.Flush()
	}
	pause(300*time.Millisecond, 600*time.Millisecond)
	stop()
	i.CRM.Clear()
	l.settled()
}

func TestRedisRestoredFromBefore(t *testing.T) {
	t.Parallel()
	server := streamstest.Redis(t)
	i := newInstance(t, proof.Setup{Redis: "unix://" + server.Addr})
	misbehaves(i)
	l := i.ledger()
	stop := l.load(80)
	aof, backup := filepath.Join(server.Dir(), "appendonlydir"), filepath.Join(i.Dir, "backup")
	time.Sleep(700 * time.Millisecond)
	server.Kill()
	if err := os.CopyFS(backup, os.DirFS(aof)); err != nil {
		t.Fatal(err)
	}
	server.Restart()
	time.Sleep(1500 * time.Millisecond)
	server.Kill()
	if err := os.RemoveAll(aof); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(aof, os.DirFS(backup)); err != nil {
		t.Fatal(err)
	}
	before := len(l.With(proof.Acked))
	server.Restart()
	time.Sleep(700 * time.Millisecond)
	stop()
	i.CRM.Clear()
	l.settled()
	if before < 50 {
		t.Errorf("%d leads acked before: nothing was tested", before)
	}
}
