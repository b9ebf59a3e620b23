package streams

import (
	"context"
	"testing"
	"time"

	"leadstream/streams/journal"
)

// free is a guard that lets everything through.
type free struct{}

func (free) Admit(_ context.Context, want int) (int, time.Duration)    { return want, 0 }
func (free) Start(int) error                                           { return nil }
func (free) Finish(int, bool)                                          {}
func (free) Call(context.Context, int) error                           { return nil }
func (free) PauseFor(context.Context, time.Time, string, string) error { return nil }
func (free) PauseKey(context.Context, string, time.Time) error         { return nil }

// The lease ends while the disk takes its time to note that the sink is about to be called: it must not be called.
func TestLeaseEndsWhileTheDiskIsSlow(t *testing.T) {
	t.Parallel()
	custody := &Custody{Instance: "one"}
	if err := custody.Open(journal.Options{Dir: t.TempDir(), Reserve: -1, SegmentSize: 2 << 20}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { custody.Close() })
	p := &Partition{Custody: custody, Clients: &Clients{}}
	end := time.Now().Add(time.Minute)
	p.lease.Store(&lease{until: end})
	called := 0
	r := newRunner(p, &Worker{Queue: Destined("crm"), Guard: free{}, Handler: HandlerFunc(func(_ context.Context, batch []*Entry) []Verdict {
		called++
		return make([]Verdict, len(batch))
	})})
	slow := false
	custody.Now = func() time.Time { // asked just before the journal is
		if slow {
			p.lease.Store(nil)
		}
		return time.Now()
	}
	try := func() Verdict {
		c := &call{r: r, entries: []*Entry{{ID: "1-1", Queue: Destined("crm"), Lead: &Lead{ID: "a"}}}, verdicts: make([]Verdict, 1)}
		c.try(t.Context())
		return c.verdicts[0]
	}
	if v := try(); v.Result != Done || called != 1 {
		t.Fatalf("%s, called %d times; want done, 1", v.Result, called)
	}
	slow = true
	if v := try(); v.Result != Wait || called != 1 {
		t.Errorf("%s, called %d times; want wait, 1", v.Result, called)
	}
}

// The request that takes the partition from another is executed, and its answer is lost. The next answer still says whose
// it was: what that one had in hand must be looked up, and is known only to its journal.
func TestLeaseWhoseAnswerWasLost(t *testing.T) {
	t.Parallel()
	r, s := shelf(t)
	p, ctx := r.p, t.Context()
	keys := []string{p.Keys.owner(), p.Keys.lastOwner(), p.Keys.epoch(), p.Keys.run()}
	take := func(instance, boot string) {
		t.Helper()
		if err := s.Client.Del(ctx, p.Keys.owner()).Err(); err != nil { // the lease of whoever had it has ended
			t.Fatal(err)
		}
		if err := leaseScript.Run(ctx, s.Client, keys, instance, boot, leaseTTL.Milliseconds(), 0, flag(p.heard)).Err(); err != nil {
			t.Fatal(err)
		}
	}
	tick := func() int64 {
		t.Helper()
		before := p.term.Load()
		if ours, err := p.tick(ctx, false); !ours || err != nil {
			t.Fatal(ours, err)
		}
		return p.term.Load() - before
	}
	tick()
	if !p.Custody.epochOf(0).Others.IsZero() {
		t.Fatal("another owner is known before there was one")
	}
	take("two", "c")
	take(p.Custody.Instance, p.Boot) // and its answer is lost
	p.heard = false
	if tick() != 1 || len(p.moved) != 1 || p.Custody.epochOf(0).Others.IsZero() {
		t.Fatalf("the other owner is not known: opened again %v, noted %v", len(p.moved) == 1, p.Custody.epochOf(0).Others)
	}
	<-p.moved
	if tick() != 0 || len(p.moved) != 0 {
		t.Error("the other owner is told of again")
	}
}
