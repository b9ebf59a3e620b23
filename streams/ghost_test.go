package streams

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
)

// parkOne reads a lead of a customer and parks it for its retry, as a Handle call would.
func (r *runner) parkOne(t *testing.T, id, phone string) *Entry {
	t.Helper()
	e := r.readOne(t, id, phone)
	r.admit(e)
	r.ready = nil
	r.done(r.settleOne(t, e, outcome{entry: e, park: true, delay: time.Hour}))
	return e
}

// settleOne settles one entry that is in hand.
func (r *runner) settleOne(t *testing.T, e *Entry, o outcome) []settled {
	t.Helper()
	c := &call{r: r, entries: []*Entry{e}, verdicts: make([]Verdict, 1), outs: []outcome{o}}
	return c.settle(t.Context())
}

// Somebody deletes the consumer that holds the parked entries. Those behind them in their customers' lines must not wait
// for ever for what never comes.
func TestParkedEntriesThatHaveVanished(t *testing.T) {
	t.Parallel()
	r, s := shelf(t)
	r.p.Metrics = NewMetrics(prometheus.NewRegistry(), nil)
	r.p.missing = make(chan struct{}, 1)
	const phone, other = "+79990000011", "+79990000022"
	gone := r.parkOne(t, "gone", phone)
	q := r.queues[0]
	stream := q.keys.Queue(q.name)
	if err := s.Client.XGroupDelConsumer(t.Context(), stream, Group, parked).Err(); err != nil {
		t.Fatal(err)
	}
	stays := r.parkOne(t, "stays", other)
	r.admit(r.readOne(t, "next", phone))
	if len(r.defers) != 1 {
		t.Fatalf("%d entries wait behind the parked one, want 1", len(r.defers))
	}
	r.park(t.Context())

	r.ghosts = true
	r.exorcise(t.Context())
	r.release(t.Context())
	if len(r.ready) != 1 || r.ready[0].Lead.ID != "next" {
		t.Errorf("in hand %v, want the lead that waited behind the vanished one", r.ready)
	}
	if r.ghosts || len(r.p.missing) != 1 {
		t.Errorf("it looks again: %v; the ledger is compared with the queues: %d, want false, 1", r.ghosts, len(r.p.missing))
	}
	if !r.lines.known(stays.meta.Key, stays.handle()) {
		t.Error("an entry that is still parked was taken out of its line")
	}
	left, err := s.Client.HKeys(t.Context(), q.keys.meta(q.name)).Result()
	if diff := cmp.Diff([]string{stays.ID, r.ready[0].ID}, left); err != nil || diff != "" {
		t.Errorf("kept beside the entries (%v is gone): %v\n%s", gone.ID, err, diff)
	}
}

// An entry that has vanished while it was tried is not parked, whatever was decided for it: it would never come back.
func TestVanishedInHand(t *testing.T) {
	t.Parallel()
	for name, vanish := range map[string]bool{"it is there": false, "its consumer was deleted": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, s := shelf(t)
			e := r.readOne(t, "a", "+79990000011")
			r.identify(e)
			if vanish {
				q := r.queues[0]
				if err := s.Client.XGroupDelConsumer(t.Context(), q.keys.Queue(q.name), Group, r.p.Custody.Instance).Err(); err != nil {
					t.Fatal(err)
				}
			}
			got := r.settleOne(t, e, outcome{entry: e, park: true, delay: time.Hour})
			if got[0].parked == vanish {
				t.Errorf("parked: %v, want %v", got[0].parked, !vanish)
			}
		})
	}
}

// Redis comes back with an older copy while an answer is waited for. That the copy does not know an entry as ours does not
// mean that it was settled: what is behind it waits until the partition is opened again.
func TestSettledAtAnotherServer(t *testing.T) {
	t.Parallel()
	for name, other := range map[string]bool{"the same server": false, "another one": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, s := shelf(t)
			e := r.readOne(t, "a", "+79990000011")
			r.identify(e)
			q := r.queues[0]
			if err := s.Client.XGroupDelConsumer(t.Context(), q.keys.Queue(q.name), Group, r.p.Custody.Instance).Err(); err != nil {
				t.Fatal(err)
			}
			c := &call{r: r, entries: []*Entry{e}, verdicts: make([]Verdict, 1), outs: []outcome{{entry: e}}, run: redisRun(t, s.Client)}
			if other {
				c.run = "the one before"
			}
			if got := c.settle(t.Context()); got[0].left != other || (len(r.p.moved) == 1) != other {
				t.Errorf("left to the next opening: %v, which is asked for: %v; want %v", got[0].left, len(r.p.moved) == 1, other)
			}
		})
	}
}

// Somebody empties a queue while nobody serves it. What was parked is taken off the pending list at the opening: nothing
// would be heard of it until it is due.
func TestEmptiedWhileParked(t *testing.T) {
	t.Parallel()
	r, s := shelf(t)
	r.p.Metrics = NewMetrics(prometheus.NewRegistry(), nil)
	r.p.missing = make(chan struct{}, 1)
	r.parkOne(t, "a", "+79990000011")
	stream := r.queues[0].keys.Queue(r.queues[0].name)
	if err := s.Client.XTrimMaxLen(t.Context(), stream, 0).Err(); err != nil {
		t.Fatal(err)
	}
	next := newRunner(r.p, r.w)
	if err := r.p.open(t.Context(), []*runner{next}); err != nil {
		t.Fatal(err)
	}
	if p := s.Client.XPending(t.Context(), stream, Group).Val(); p.Count != 0 || len(r.p.missing) != 1 {
		t.Errorf("%d entries are pending, want none; the queues are looked through: %v", p.Count, len(r.p.missing) == 1)
	}
}

// What is kept beside a parked entry is gone, and the entry is there: it waits out its delay.
func TestParkedWithoutNotes(t *testing.T) {
	t.Parallel()
	r, s := shelf(t)
	e := r.parkOne(t, "a", "+79990000011")
	q := r.queues[0]
	if err := s.Client.Del(t.Context(), q.keys.meta(q.name)).Err(); err != nil {
		t.Fatal(err)
	}
	next := newRunner(r.p, r.w)
	if err := next.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p := s.Client.XPending(t.Context(), q.keys.Queue(q.name), Group).Val(); p.Consumers[parked] != 1 || len(next.ready) != 0 {
		t.Errorf("parked %d, in hand %d, want 1, 0", p.Consumers[parked], len(next.ready))
	}
	if err := q.redis.Do(t.Context(), "XCLAIM", q.keys.Queue(q.name), Group, parked, 0, e.ID, "IDLE", Horizon.Milliseconds(), "JUSTID").Err(); err != nil {
		t.Fatal(err)
	}
	next.beginPass()
	next.reclaim(t.Context(), 1)
	if len(next.ready) != 1 || len(next.lines.all(q.name)) != 0 {
		t.Errorf("in hand %d, in lines %v, want 1, none", len(next.ready), next.lines.all(q.name))
	}
}

// Redis has lost what a call was about: what is behind it in hand must not begin before all is driven again in order.
func TestBehindWhatRedisHasLost(t *testing.T) {
	t.Parallel()
	for name, lost := range map[string]bool{"settled": false, "Redis was flushed": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, s := shelf(t)
			const phone = "+79990000011"
			first, second := r.readOne(t, "first", phone), r.readOne(t, "second", phone)
			r.admit(first)
			r.admit(second)
			batch := r.pick()
			r.working[first.meta.Key], r.inHand[first.handle()], r.ready = true, true, r.ready[1:]
			if lost {
				s.Flush()
			}
			r.done(r.settleOne(t, batch[0], outcome{entry: first}))
			if got := len(r.pick()); got == 1 == lost {
				t.Errorf("%d entries begin, lost %v", got, lost)
			}
		})
	}
}
