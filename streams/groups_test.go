package streams

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"leadstream/streams/journal"
	"leadstream/streams/streamstest"
)

// Somebody destroys a destination's group while its owner is down, which had a lead in hand. The entry comes anew, as if
// nobody had ever tried it: the next owner, to which nothing else tells that, must look before it sends.
func TestGroupDestroyedUnderAnotherOwner(t *testing.T) {
	t.Parallel()
	for name, destroyed := range map[string]bool{"it is there": false, "it is destroyed": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before, s := shelf(t)
			before.readOne(t, "a", "+79990000011")
			q := before.queues[0]
			if destroyed {
				if err := s.Client.XGroupDestroy(t.Context(), q.keys.Queue(q.name), Group).Err(); err != nil {
					t.Fatal(err)
				}
			}
			s.Client.Del(t.Context(), before.p.Keys.owner()) // its lease has ended
			custody := newCustody(t, t.TempDir(), &clock{t: time.Now()})
			t.Cleanup(func() { custody.Close() })
			custody.Instance = "two"
			p := &Partition{Keys: before.p.Keys, Clients: before.p.Clients, Custody: custody, Boot: "c", moved: make(chan struct{}, 1)}
			if ours, err := p.tick(t.Context(), true); err != nil || !ours {
				t.Fatal(ours, err)
			}
			next := newRunner(p, before.w)
			err := p.open(t.Context(), []*runner{next})
			if errors.Is(err, errEpoch) != destroyed {
				t.Fatalf("opened: %v", err)
			}
			if destroyed { // once more, with the new epoch
				if ours, err := p.tick(t.Context(), false); err != nil || !ours {
					t.Fatal(ours, err)
				}
				next = newRunner(p, before.w)
				if err := next.open(t.Context()); err != nil {
					t.Fatal(err)
				}
				entries, err := next.readOn(t.Context(), 1)
				if err != nil {
					t.Fatal(err)
				}
				next.ready = append(next.ready, entries...)
			}
			if len(next.ready) != 1 {
				t.Fatalf("%d entries in hand, want 1", len(next.ready))
			}
			c := &call{r: next}
			if _, known := c.without(next.ready[0]); known || next.ready[0].Unsure.IsZero() {
				t.Errorf("known %v, unsure since %v; want it to be looked up", known, next.ready[0].Unsure)
			}
		})
	}
}

// A consumer is deleted while the call of its entry is under way. The lead has ended, and its entry must not stand in
// the stream for ever.
func TestConsumerDeletedDuringItsCall(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		deleted string // consumer
		left    int64
	}{
		"ours":      {"one", 0},
		"another's": {"two", 0}, // settled as any other
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := deadShelf(t, Look)
			q := r.queues[0]
			stream := q.keys.Queue(q.name)
			e := r.readOne(t, "a", "+79990000011")
			r.identify(e)
			r.w.Handler = HandlerFunc(func(ctx context.Context, _ []*Entry) []Verdict {
				if err := q.redis.XGroupDelConsumer(ctx, stream, Group, c.deleted).Err(); err != nil {
					t.Error(err)
				}
				return []Verdict{{Remote: "17"}}
			})
			r.handle(t.Context(), []*Entry{e})
			if n := q.redis.XLen(t.Context(), stream).Val(); n != c.left {
				t.Errorf("%d entries are left, want %d", n, c.left)
			}
		})
	}
}

// What is not ours may be another's by now, or not handed out yet: it stays.
func TestNoOrphan(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(context.Context, *streamstest.Server, string, string) error{
		"another has it": func(ctx context.Context, s *streamstest.Server, stream, id string) error {
			return s.Client.Do(ctx, "XCLAIM", stream, Group, "two", 0, id).Err()
		},
		"nobody was given it": func(ctx context.Context, s *streamstest.Server, stream, id string) error {
			s.Client.XAck(ctx, stream, Group, id)
			return s.Client.XGroupSetID(ctx, stream, Group, "0").Err()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, s := shelf(t)
			q := r.queues[0]
			stream := q.keys.Queue(q.name)
			e := r.readOne(t, "a", "+79990000011")
			if err := prepare(t.Context(), s, stream, e.ID); err != nil {
				t.Fatal(err)
			}
			if gone, err := q.removeOrphan(t.Context(), e.ID); err != nil || gone {
				t.Fatal(gone, err)
			}
			if n := s.Client.XLen(t.Context(), stream).Val(); n != 1 {
				t.Errorf("%d entries are left, want 1", n)
			}
		})
	}
}

// An answer is lost while older entries are in hand: what was in it goes behind them.
func TestSweptInOrder(t *testing.T) {
	t.Parallel()
	r, _ := shelf(t)
	const phone = "+79990000011"
	first := r.readOne(t, "first", phone)
	r.admit(first)
	r.readOne(t, "second", phone) // its answer never came
	third := r.readOne(t, "third", phone)
	r.admit(third)
	r.unheard = true
	r.sweep(t.Context())
	var got []string
	for _, e := range r.ready {
		got = append(got, e.Lead.ID)
	}
	if want := []string{"first", "second", "third"}; !slices.Equal(got, want) {
		t.Errorf("in hand %v, want %v", got, want)
	}
}

// Redis is emptied, and its new owner has not set an epoch yet when leads are taken from the backlog. What is driven
// again meanwhile goes before them.
func TestDrivenAgainBeforeWhatWaits(t *testing.T) {
	t.Parallel()
	row := func(offset int64) *record { return &record{pos: journal.Pos{Offset: offset}} }
	b := newBacklog()
	b.push(pending{record: row(2)}, pending{record: row(3)})
	b.head(2) // nothing can be sent yet
	b.merge([]pending{{record: row(1)}})
	var got []int64
	for _, p := range b.head(3) {
		got = append(got, p.record.pos.Offset)
	}
	if want := []int64{1, 2, 3}; !slices.Equal(got, want) {
		t.Errorf("taken in the order %v, want %v", got, want)
	}
}

// That another owns the partition may be seen before it has set an epoch, and never again: Redis loses its memory. What
// a sender with a key has sent here, it may have sent there, too.
func TestOtherSeenOnce(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		other, key string
		want       bool
	}{
		"another was seen":           {"two|b", "k", true},
		"another, a lead without":    {"two|b", "", false},
		"nobody else has been there": {"", "k", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, s := shelf(t)
			s.Flush()
			custody := newCustody(t, t.TempDir(), &clock{t: time.Now()})
			t.Cleanup(func() { custody.Close() })
			p := &Partition{Keys: r.p.Keys, Clients: r.p.Clients, Custody: custody, Boot: "c", moved: make(chan struct{}, 1)}
			if c.other != "" {
				s.Client.Set(t.Context(), p.Keys.owner(), c.other, 0)
				if ours, err := p.tick(t.Context(), true); err != nil || ours {
					t.Fatal(ours, err)
				}
				s.Flush()
			}
			if _, err := custody.TakeAll(t.Context(), []Taken{{Lead: &Lead{Source: "site", Phone: "+79990000011"}, Key: c.key, Canonical: []byte("x")}}); err != nil {
				t.Fatal(err)
			}
			if ours, err := p.tick(t.Context(), false); err != nil || !ours {
				t.Fatal(ours, err)
			}
			for _, waiting := range custody.forward[0].head(1) {
				if _, unsure := custody.sending(waiting.record); unsure != c.want {
					t.Errorf("unsure: %v, want %v", unsure, c.want)
				}
			}
		})
	}
}

// Redis was started again from an old copy, in which the epoch is the one that was left. Until its owner has seen that,
// no lead is added: those of its customer that the copy lacks go before it.
func TestNothingIsAddedToAnotherRun(t *testing.T) {
	t.Parallel()
	r, s := shelf(t)
	p := r.p
	p.Metrics = NewMetrics(prometheus.NewRegistry(), nil)
	row := &record{id: "a", pos: journal.Pos{Offset: 1}}
	line, err := encodeLead(&Lead{ID: "a", Phone: "+79990000011"})
	if err != nil {
		t.Fatal(err)
	}
	p.Custody.open["a"] = row
	defer delete(p.Custody.open, "a")
	batch := []pending{{record: row, line: line}}
	run := s.Client.Get(t.Context(), p.Keys.run()).Val()
	s.Client.Set(t.Context(), p.Keys.run(), "another", 0)
	if n, err := p.forwardBatch(t.Context(), batch); !errors.Is(err, errEpoch) || n != 0 {
		t.Errorf("added %d, %v; want 0 and that the partition has changed", n, err)
	}
	s.Client.Set(t.Context(), p.Keys.run(), run, 0)
	if n, err := p.forwardBatch(t.Context(), batch); err != nil || n != 1 {
		t.Errorf("added %d, %v; want 1", n, err)
	}
}

// A consumer is deleted while the call of its entry is under way, and the lead dies of that call. Its letter must be among
// the dead ones all the same, once: nobody else would miss a lead that has ended.
func TestConsumerDeletedWhileItsLeadDies(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(t *testing.T, r *runner, id string)
		want  int
	}{
		"it is ours": {func(*testing.T, *runner, string) {}, 1},
		"its consumer is gone": {func(t *testing.T, r *runner, _ string) {
			r.command(t, "XGROUP", "DELCONSUMER", "$stream", Group, "one")
		}, 1},
		"another has taken it": {func(t *testing.T, r *runner, id string) { r.command(t, "XCLAIM", "$stream", Group, "two", "0", id) }, 0},
		"another has ended it": {func(t *testing.T, r *runner, id string) {
			r.p.lease.Store(nil)
			r.command(t, "XACK", "$stream", Group, id)
		}, 0},
		"the entry was deleted": {func(t *testing.T, r *runner, id string) { r.command(t, "XDEL", "$stream", id) }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := deadShelf(t, Look)
			e := r.readOne(t, "a", "+79990000011")
			r.identify(e)
			r.w.Handler = HandlerFunc(func(context.Context, []*Entry) []Verdict {
				c.spoil(t, r, e.ID)
				return []Verdict{{Result: Permanent}}
			})
			r.handle(t.Context(), []*Entry{e})
			n := 0
			if err := r.p.Dead(t.Context(), func(DeadLetter) bool { n++; return true }); err != nil || n != c.want {
				t.Errorf("%d dead letters, want %d (%v)", n, c.want, err)
			}
		})
	}
}

// command runs a command, with the runner's queue for $stream.
func (r *runner) command(t *testing.T, words ...string) {
	t.Helper()
	var args []any
	for _, w := range words {
		if w == "$stream" {
			w = r.queues[0].keys.Queue(r.queues[0].name)
		}
		args = append(args, w)
	}
	if err := r.p.Clients.Write.Do(t.Context(), args...).Err(); err != nil {
		t.Error(err)
	}
}

// An owner before reads once more after another has taken over: its request was long on its way. What it has taken, or
// given back already, goes before what is read after it.
func TestReadByTheOwnerBefore(t *testing.T) {
	t.Parallel()
	for name, givenBack := range map[string]bool{"it has it": false, "it has given it back": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := deadShelf(t, Look)
			if err := r.p.noteOther(); err != nil {
				t.Fatal(err)
			}
			const phone = "+79990000011"
			instance := r.p.Custody.Instance
			r.p.Custody.Instance = "two"
			early := r.readOne(t, "early", phone)
			r.identify(early)
			if givenBack {
				r.handBack([]*Entry{early}, map[string]bool{})
			}
			r.p.Custody.Instance = instance
			q := r.queues[0]
			line, _ := encodeLead(&Lead{ID: "late", Phone: phone})
			r.p.Clients.Write.XAdd(t.Context(), &redis.XAddArgs{Stream: q.keys.Queue(q.name), Values: words("late", line, 1, "")})
			ctx, cancel := context.WithCancel(t.Context())
			var got []string
			r.w.Handler = HandlerFunc(func(_ context.Context, batch []*Entry) []Verdict {
				if got = append(got, batch[0].Lead.ID); len(got) == 2 {
					cancel()
				}
				return make([]Verdict, len(batch))
			})
			r.run(ctx)
			if want := []string{"early", "late"}; !slices.Equal(got, want) {
				t.Errorf("tried %v, want %v", got, want)
			}
		})
	}
}

// All groups are destroyed: one look finds them all missing, and the next one finds them all.
func TestAllGroupsDestroyed(t *testing.T) {
	t.Parallel()
	r, s := shelf(t)
	p, ctx := r.p, t.Context()
	runners := []*runner{r, newRunner(p, &Worker{Queue: Destined("history"), Guard: free{}})}
	if err := p.open(ctx, runners); err != nil {
		t.Fatal(err)
	}
	for _, w := range runners {
		for _, q := range w.queues {
			s.Client.XAdd(ctx, &redis.XAddArgs{Stream: q.keys.Queue(q.name), Values: []string{"lead", "{}"}}) // an empty one has lost nothing
			if err := s.Client.XGroupDestroy(ctx, q.keys.Queue(q.name), Group).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := p.open(ctx, runners); !errors.Is(err, errEpoch) {
		t.Errorf("opened: %v, want a new epoch", err)
	}
	if err := p.open(ctx, runners); err != nil {
		t.Errorf("opened again: %v", err)
	}
}
