//go:build linux

package main

import (
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"leadstream/streams/streamstest"
)

func TestKilledRedisLosesAndDoublesNothing(t *testing.T) {
	t.Parallel()
	i := newInstance(t, setup{})
	misbehaves(i)
	l := i.ledger()
	stop := l.load(80)
	for n := range 8 {
		pause(200*time.Millisecond, 900*time.Millisecond)
		i.eventually("the embedded Redis runs", func() bool { return i.redisPID() != 0 })
		if n%2 == 0 { // the daemon starts it again
			i.killRedis()
			continue
		}
		i.kill() // both at once
		i.killRedis()
		pause(0, 200*time.Millisecond)
		i.start()
	}
	stop()
	i.crm.Clear()
	l.settled()
	t.Logf("acked %d, rejected %d, unknown %d", len(l.with(acked)), len(l.with(rejected)), len(l.with(unknown)))
	if len(l.with(acked)) < 100 {
		t.Errorf("%d leads acked: nothing was tested", len(l.with(acked)))
	}
}

// burst sends n new customers' requests from so many senders at once.
func (l *ledger) burst(n, senders int) {
	var wg sync.WaitGroup
	work := make(chan struct{})
	for range senders {
		wg.Go(func() {
			for range work {
				l.send(l.customer())
			}
		})
	}
	for range n {
		work <- struct{}{}
	}
	close(work)
	wg.Wait()
}

func (l *ledger) p99() time.Duration {
	var took []time.Duration
	for _, r := range l.with(acked) {
		took = append(took, r.took)
	}
	slices.Sort(took)
	return took[len(took)*99/100]
}

func TestBurstWhileRedisIsDown(t *testing.T) {
	t.Parallel()
	server := streamstest.Redis(t)
	i := newInstance(t, setup{Redis: "unix://" + server.Addr})
	l := i.ledger()
	l.one()
	i.quiet()
	server.Kill()
	const each = 400
	l.burst(each, 32)
	i.kill() // the journal alone knows of them now, and takes more without Redis
	i.start()
	l.burst(each, 32)
	if n := len(l.with(acked)); n != 2*each+1 {
		t.Errorf("acked %d of %d: %v", n, 2*each+1, l.with(rejected))
	}
	if p99 := l.p99(); p99 > time.Second { // a few ms on an idle machine; waiting for Redis would be seconds
		t.Errorf("p99 %s", p99)
	}
	t.Logf("p99 %s", l.p99())
	if n := len(i.crm.Ledger()); n > 1 {
		t.Errorf("%d events at the portal: Redis was not down", n)
	}
	server.Restart()
	l.settled()
}

func TestFlushedRedis(t *testing.T) {
	t.Parallel()
	server := streamstest.Redis(t)
	i := newInstance(t, setup{Redis: "unix://" + server.Addr})
	misbehaves(i)
	l := i.ledger()
	stop := l.load(80)
	for range 3 {
		pause(300*time.Millisecond, 900*time.Millisecond)
		if l.inFlight() == 0 {
			t.Error("nothing in flight: nothing was tested")
		}
		server.Flush()
	}
	pause(300*time.Millisecond, 600*time.Millisecond)
	stop()
	i.crm.Clear()
	l.settled()
}

func TestRedisRestoredFromBefore(t *testing.T) {
	t.Parallel()
	server := streamstest.Redis(t)
	i := newInstance(t, setup{Redis: "unix://" + server.Addr})
	misbehaves(i)
	l := i.ledger()
	stop := l.load(80)
	aof, backup := filepath.Join(server.Dir(), "appendonlydir"), filepath.Join(i.dir, "backup")
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
	before := len(l.with(acked))
	server.Restart()
	time.Sleep(700 * time.Millisecond)
	stop()
	i.crm.Clear()
	l.settled()
	if before < 50 {
		t.Errorf("%d leads acked before: nothing was tested", before)
	}
}
