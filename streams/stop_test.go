package streams

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"leadstream/streams/streamstest"
)

// shelf is a runner of a destination that owns its partition, and nothing that runs.
func shelf(t *testing.T) (*runner, *streamstest.Server) {
	t.Helper()
	s := streamstest.Redis(t)
	clients, err := OpenRedis(RedisOptions{URL: "unix://" + s.Addr, Timeout: time.Second, Readers: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { clients.Close() })
	custody := newCustody(t, t.TempDir(), &clock{t: time.Now()})
	t.Cleanup(func() { custody.Close() })
	p := &Partition{Keys: Keys{Prefix: "ls"}, Clients: clients, Custody: custody, Boot: "b", moved: make(chan struct{}, 1)}
	if ours, err := p.tick(t.Context(), true); err != nil || !ours {
		t.Fatal(ours, err)
	}
	r := newRunner(p, &Worker{Queue: Destined("crm"), NoHot: true, Guard: free{}})
	if err := p.open(t.Context(), []*runner{r}); err != nil {
		t.Fatal(err)
	}
	return r, s
}

// read adds a lead of a customer to the runner's queue, and reads it.
func (r *runner) readOne(t *testing.T, id, phone string) *Entry {
	t.Helper()
	lead := &Lead{ID: id, Phone: phone}
	line, err := encodeLead(lead)
	if err != nil {
		t.Fatal(err)
	}
	q := r.queues[0]
	if err := q.redis.XAdd(t.Context(), &redis.XAddArgs{Stream: q.keys.Queue(q.name), Values: words(id, line, 1, "")}).Err(); err != nil {
		t.Fatal(err)
	}
	es, err := r.readOn(t.Context(), 1)
	if err != nil || len(es) != 1 {
		t.Fatal(es, err)
	}
	return es[0]
}

// waits says whether what is beside a parked entry in Redis makes it wait behind another.
func (r *runner) waits(t *testing.T, e *Entry) bool {
	t.Helper()
	kept, err := r.queues[0].withMeta(t.Context(), []*Entry{{ID: e.ID}})
	if err != nil {
		t.Fatal(err)
	}
	if kept[0].meta.Key == "" {
		t.Fatalf("entry %s was not parked", e.ID)
	}
	return kept[0].meta.Waiter
}

// At a stop, what is given back waits again for what is before it: a call under way, an entry parked for its retry, one
// given back at the same time.
func TestGivenBackInOrder(t *testing.T) {
	t.Parallel()
	const phone = "+79990000011"
	tests := map[string]struct {
		before func(*runner, *Entry)
		want   bool
	}{
		"nothing is before it":        {func(*runner, *Entry) {}, false},
		"one is in a call":            {func(r *runner, e *Entry) { r.working[e.meta.Key] = true }, true},
		"one is parked for its retry": {func(r *runner, e *Entry) { r.lines.park(e.meta.Key, handle{"to:crm", "1-1"}) }, true},
		"one in hand goes back first": {func(r *runner, e *Entry) { r.ready = []*Entry{e} }, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r, _ := shelf(t)
			older, first, second := r.readOne(t, "o", phone), r.readOne(t, "a", phone), r.readOne(t, "b", phone)
			r.identify(older)
			tt.before(r, older)
			r.reads <- fetched{entries: []*Entry{first, second}} // came after the last look
			r.stop(func() {})
			if got := r.waits(t, first); got != tt.want {
				t.Errorf("the first one waits: %v, want %v", got, tt.want)
			}
			if !r.waits(t, second) {
				t.Error("the second one does not wait for the first")
			}
		})
	}
}

// What an owner before had in hand goes on, unless that one had only just read it behind what waits.
func TestTakenOverInOrder(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		parked, waiting, id string
		waits               bool
	}{
		"nothing is before it":      {id: "5-1"},
		"a younger one waits":       {waiting: "6-1", id: "5-1"},
		"an older one waits":        {waiting: "4-1", id: "5-1", waits: true},
		"one waits for its retry":   {parked: "4-1", id: "5-1", waits: true},
		"one retries and one waits": {parked: "4-1", waiting: "6-1", id: "5-1", waits: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRunner(&Partition{Custody: &Custody{}, Clients: &Clients{}}, &Worker{Queue: Destined("crm")})
			if c.parked != "" {
				r.lines.park("customer", handle{Destined("crm"), c.parked})
			}
			if c.waiting != "" {
				r.lines.wait("customer", handle{Destined("crm"), c.waiting})
			}
			r.readmit(&Entry{ID: c.id, Queue: Destined("crm"), meta: meta{Key: "customer"}})
			if waits := len(r.defers) == 1 && len(r.ready) == 0; waits != c.waits {
				t.Errorf("it waits: %v, want %v", waits, c.waits)
			}
		})
	}
}

// Two wait behind one that has ended. Redis dies as the first is taken up: the answer is lost. When it is back the second
// is due before the first has been asked for again, and must not overtake it.
func TestDueBeforeItsTurn(t *testing.T) {
	t.Parallel()
	r, s := shelf(t)
	r.w.Guard = nil
	const phone = "+79990000011"
	var ids []string
	for _, id := range []string{"first", "second"} {
		e := r.readOne(t, id, phone)
		r.identify(e)
		e.meta.Waiter = true
		r.settleOne(t, e, outcome{entry: e, park: true})
		r.lines.wait(e.meta.Key, e.handle())
		ids = append(ids, e.ID)
	}
	if err := s.Client.XClaim(t.Context(), &redis.XClaimArgs{Stream: r.p.Keys.Queue(r.queues[0].name), Group: Group,
		Consumer: r.p.Custody.Instance, Messages: ids[:1]}).Err(); err != nil {
		t.Fatal(err) // the first was taken, and nobody heard of it
	}
	r.beginPass()
	r.reclaim(t.Context(), 10)
	if len(r.ready) > 0 {
		t.Fatalf("lead %s is in hand before the one that came first", r.ready[0].Lead.ID)
	}
	r.park(t.Context())
	r.release(t.Context())
	var got []string
	for _, e := range r.ready {
		got = append(got, e.Lead.ID)
	}
	if diff := cmp.Diff([]string{"first", "second"}, got); diff != "" {
		t.Error(diff)
	}
}

// An owner whose lease is another's takes nothing up any more: neither what is due, nor what an answer lost.
func TestNothingIsTakenWithoutTheLease(t *testing.T) {
	t.Parallel()
	r, s := shelf(t)
	e := r.readOne(t, "a", "+79990000011")
	r.ready = []*Entry{e}
	r.identify(e)
	r.handBack(r.ready, map[string]bool{})
	r.ready, r.unheard = nil, true
	ctx := context.Background()
	key := r.p.Keys.owner()
	mine := s.Client.Get(ctx, key).Val()
	s.Client.Set(ctx, key, "two|b2", 0)

	r.sweep(ctx)
	if !r.unheard {
		t.Error("it would read on, though another is the owner")
	}
	if len(r.p.moved) != 1 {
		t.Error("it does not ask who is the owner")
	}
	if got, _, _, err := r.queues[0].due(ctx, "one", firstID, 10); err == nil || len(got) > 0 {
		t.Errorf("took %v, %v; want an error", got, err)
	}
	s.Client.Set(ctx, key, mine, 0)
	if got, _, _, err := r.queues[0].due(ctx, "one", firstID, 10); err != nil || len(got) != 1 {
		t.Errorf("took %v, %v; want the entry", got, err)
	}
	if r.sweep(ctx); r.unheard {
		t.Error("it reads no more, though it is the owner")
	}
}

// A lead that was driven again, and whose destination drops it, has ended.
func TestDrivenAgainAndDropped(t *testing.T) {
	t.Parallel()
	custody := newCustody(t, t.TempDir(), &clock{t: time.Now()})
	t.Cleanup(func() { custody.Close() })
	r := newRunner(&Partition{Clients: &Clients{}, Custody: custody}, &Worker{Queue: Destined("crm"), Guard: free{}})
	e := &Entry{ID: "1-1", Queue: Destined("crm"), only: "crm", Lead: &Lead{ID: "a"}}
	c := &call{r: r, entries: []*Entry{e}, verdicts: []Verdict{{Result: Drop, Reason: "ambiguous"}}, outs: make([]outcome, 1)}
	c.decide(t.Context(), 0)
	if len(c.events) != 1 || c.events[0].Kind != evDropped || c.events[0].Dest != "crm" {
		t.Errorf("events %+v, want one: dropped at crm", c.events)
	}
}

// A customer's later entry in a processor's batch waits for an earlier one, whatever its own delay.
func TestLaterOnesOfABatchWait(t *testing.T) {
	t.Parallel()
	one := func(id, key string) *Entry {
		return &Entry{ID: id, Queue: Intake, Lead: &Lead{ID: id}, meta: meta{Key: key}}
	}
	c := &call{entries: []*Entry{one("1-1", "x"), one("1-2", "y"), one("1-3", "x"), one("1-4", "x")}, outs: make([]outcome, 4)}
	c.outs[0] = outcome{entry: c.entries[0], park: true, delay: time.Minute}
	c.outs[2] = outcome{entry: c.entries[2], park: true, delay: time.Second}
	c.keepOrder()
	for i, want := range []bool{false, false, true, true} {
		if e := c.entries[i]; e.meta.Waiter != want || want && !c.outs[i].park {
			t.Errorf("entry %s waits: %v, parked: %v; want %v", e.ID, e.meta.Waiter, c.outs[i].park, want)
		}
	}
}
