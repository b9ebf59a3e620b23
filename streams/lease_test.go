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
