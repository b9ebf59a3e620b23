package streams_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"leadstream/streams"
	"leadstream/streams/streamstest"
)

// searchable is a far side that can be asked: it creates without looking unless the entry is unsure.
type searchable struct {
	mu    sync.Mutex
	cards map[string]int // by lead
	slow  time.Duration
}

func (s *searchable) Handle(_ context.Context, batch []*streams.Entry) []streams.Verdict {
	time.Sleep(s.slow)
	s.mu.Lock()
	defer s.mu.Unlock()
	vs := make([]streams.Verdict, len(batch))
	for i, e := range batch {
		if e.Unsure.IsZero() || s.cards[e.Lead.ID] == 0 {
			s.cards[e.Lead.ID]++
		}
		vs[i].Remote = e.Lead.ID
	}
	return vs
}

func (s *searchable) once(t *testing.T, ids []string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		if s.cards[id] != 1 {
			t.Errorf("lead %s has %d cards, want 1", id, s.cards[id])
		}
	}
}

// TestSameLeadAtTwoDaemons: the sender repeats a request, and the balancer sends it to the other daemon.
func TestSameLeadAtTwoDaemons(t *testing.T) {
	t.Parallel()
	r := streamstest.Redis(t)
	a, b := newRig(t, r, rigOptions{instance: "a"}), newRig(t, r, rigOptions{instance: "b"})
	b.crm = a.crm
	b.engine.Workers[2].Handler = a.crm
	b.engine.Reconcile = 200 * time.Millisecond
	a.run()
	a.until("a owns", func() bool { return a.engine.Partitions()[0].Owned() })
	take := func(g *rig) []string {
		rs, err := g.custody.TakeAll(context.Background(), []streams.Taken{{Lead: &streams.Lead{Source: "make", Phone: "+79990000011"}, Key: "k", Canonical: []byte("x")}})
		if err != nil {
			t.Fatal(err)
		}
		return []string{rs[0].LeadID}
	}
	ids := take(a)
	a.settled(ids)
	b.run()
	b.settled(take(b))
	a.stop()
	b.until("b owns", func() bool { return b.engine.Partitions()[0].Owned() })
	time.Sleep(time.Second)
	b.once(ids)
}

// TestFlushUnderTwoDaemons: whoever takes the emptied Redis, leads of both are driven to their end, and none twice.
func TestFlushUnderTwoDaemons(t *testing.T) {
	t.Parallel()
	r := streamstest.Redis(t)
	far := &searchable{cards: map[string]int{}, slow: 10 * time.Millisecond}
	rigs := map[string]*rig{}
	for _, name := range []string{"a", "b"} {
		g := newRig(t, r, rigOptions{instance: name, tune: func(w *streams.Worker) { w.Handler = far }})
		rigs[name] = g
		g.run()
		if name == "a" {
			g.until("a owns", func() bool { return g.engine.Partitions()[0].Owned() })
		}
	}
	time.Sleep(1200 * time.Millisecond)
	ids := map[string][]string{}
	for round := range 3 {
		for name, g := range rigs {
			ids[name] = append(ids[name], g.takeN2(round*10+int(name[0]), 100)...)
		}
		time.Sleep(100 * time.Millisecond)
		r.Flush()
		time.Sleep(1500 * time.Millisecond)
	}
	for name, g := range rigs {
		g.settled(ids[name])
		far.once(t, ids[name])
	}
}

// TestFlushedAndTakenByTheOther: Redis is emptied while its owner has leads of both daemons at the far side, and the
// other daemon is the first to see it. It does not know what the owner has sent, and must look.
func TestFlushedAndTakenByTheOther(t *testing.T) {
	t.Parallel()
	r := streamstest.Redis(t)
	far := &searchable{cards: map[string]int{}}
	a := newRig(t, r, rigOptions{instance: "a", tune: func(w *streams.Worker) { w.Handler = far }})
	release := make(chan struct{})
	var sent sync.WaitGroup
	sent.Add(2)
	b := newRig(t, r, rigOptions{instance: "b", tune: func(w *streams.Worker) {
		w.Handler = streams.HandlerFunc(func(ctx context.Context, batch []*streams.Entry) []streams.Verdict {
			vs := far.Handle(ctx, batch)
			sent.Done()
			<-release
			return vs
		})
	}})
	b.run()
	b.until("b owns", func() bool { return b.engine.Partitions()[0].Owned() })
	a.run()
	ofA, ofB := a.takeN2(1, 1), b.takeN2(2, 1)
	sent.Wait()
	time.Sleep(1100 * time.Millisecond) // a has seen that b is the owner
	r.Flush()
	a.until("a owns", func() bool { return a.engine.Partitions()[0].Owned() })
	a.settled(ofA)
	close(release)
	b.settled(ofB)
	far.once(t, append(ofA, ofB...))
	more := b.takeN2(3, 20)
	b.settled(more)
	far.once(t, more)
}
