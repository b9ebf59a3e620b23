package streams

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
)

// letters are the leads that have a dead letter in Redis.
func (r *runner) letters(t *testing.T) (leads []string) {
	t.Helper()
	err := r.p.Dead(t.Context(), func(d DeadLetter) bool {
		leads = append(leads, d.Lead.ID)
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return leads
}

// deadShelf is a shelf whose destination has another instance's lead die, or holds it.
func deadShelf(t *testing.T, hold OnAmbiguous) *runner {
	t.Helper()
	r, _ := shelf(t)
	r.p.Metrics = NewMetrics(prometheus.NewRegistry(), []*Worker{r.w})
	r.w.OnAmbiguous = hold
	r.w.Handler = HandlerFunc(func(context.Context, []*Entry) []Verdict {
		if hold == HoldIt {
			return []Verdict{{Result: Ambiguous, Err: errors.New("no answer")}}
		}
		return []Verdict{{Result: Permanent, Err: errors.New("400")}}
	})
	return r
}

// A stop cuts a call short. What became of it is settled all the same, and a lead that is held, or has died, has one
// letter, also when that could not be told to Redis before the entry came again.
func TestOneLetter(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		hold   OnAmbiguous
		settle bool
	}{
		"held, and settled":     {HoldIt, true},
		"held, and not settled": {HoldIt, false},
		"dead, and settled":     {Look, true},
		"dead, and not settled": {Look, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := deadShelf(t, c.hold)
			e := r.readOne(t, "a", "+79990000011")
			e.Lead.Home = "two"
			r.identify(e)
			work, stop := context.WithCancel(t.Context())
			epoch := r.p.epoch.Load()
			if !c.settle {
				r.p.epoch.Store(epoch + 1) // Redis refuses what is of another epoch
			}
			stop()
			r.handle(work, []*Entry{e})
			r.p.epoch.Store(epoch)
			if got := len(r.letters(t)); got != flag(c.settle) {
				t.Fatalf("%d letters after the stop, want %d", got, flag(c.settle))
			}
			ids := map[string]bool{} // a person may be looking at it
			for range 2 {            // the entry comes again, and once more
				again := r.readOne(t, "a", "+79990000011")
				again.Lead.Home = "two"
				r.identify(again)
				r.handle(t.Context(), []*Entry{again})
				_ = r.p.Dead(t.Context(), func(d DeadLetter) bool { ids[d.ID] = true; return true })
			}
			if diff := cmp.Diff([]string{"a"}, r.letters(t)); diff != "" || len(ids) != 1 {
				t.Errorf("letters, under %d ids:\n%s", len(ids), diff)
			}
		})
	}
}

// A dead letter is replayed at its home, while another daemon serves the queues, whose own ledger says that it is dead.
func TestReplayedAtItsHome(t *testing.T) {
	t.Parallel()
	for name, hold := range map[string]OnAmbiguous{"dead": Look, "held": HoldIt} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			owner := deadShelf(t, hold)
			e := owner.readOne(t, "a", "+79990000011")
			e.Lead.Home = "two"
			owner.identify(e)
			owner.handle(t.Context(), []*Entry{e})
			homes := newCustody(t, t.TempDir(), &clock{t: time.Now()})
			t.Cleanup(func() { homes.Close() })
			homes.Instance = "two"
			home := &Partition{Keys: owner.p.Keys, Clients: owner.p.Clients, Custody: homes, Workers: []*Worker{owner.w}, Boot: "c"}
			home.epoch.Store(owner.p.epoch.Load())
			if err := home.readHome(t.Context()); err != nil {
				t.Fatal(err)
			}
			replay := func() {
				var letter string
				_ = home.Dead(t.Context(), func(d DeadLetter) bool { letter = d.ID[len("0/"):]; return true })
				if err := home.Replay(t.Context(), letter); err != nil {
					t.Fatal(err)
				}
			}
			replay()
			asked := 0
			owner.w.Handler = HandlerFunc(func(context.Context, []*Entry) []Verdict { asked++; return []Verdict{{Remote: "17"}} })
			es, err := owner.readOn(t.Context(), 1)
			if err != nil || len(es) != 1 {
				t.Fatal(es, err)
			}
			owner.identify(es[0])
			owner.handle(t.Context(), es)
			if err := home.readHome(t.Context()); err != nil {
				t.Fatal(err)
			}
			l := homes.at(&Lead{ID: "a", Home: "two"}, "crm")
			if asked != 1 || !l.final || len(owner.letters(t)) != 0 {
				t.Errorf("tried %d times, delivered %v, letters %v; want 1, true, none", asked, l.final, owner.letters(t))
			}
		})
	}
}

// The home hears late that its lead was reopened: it has ended again meanwhile.
func TestReopenedLate(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		undoes time.Time
		want   State
	}{
		"this end":     {at, InFlight},
		"one before":   {at.Add(-time.Minute), Dead},
		"whichever":    {time.UnixMilli(0), InFlight},
		"a moment off": {at.Add(2 * time.Millisecond), InFlight},
	} {
		t.Run(name, func(t *testing.T) {
			r := &record{routed: true}
			r.apply(event{Kind: evDead, Dest: "crm", At: at})
			r.apply(event{Kind: evReopened, Dest: "crm", At: at.Add(time.Hour), Undoes: c.undoes.UnixMilli()})
			if got := r.state(); got != c.want {
				t.Errorf("it is %s, want %s", got, c.want)
			}
		})
	}
}

// Whoever ends a lead at a destination that has a letter there already, brought back by its home meanwhile, leaves one.
func TestOneLetterOfTwoOwners(t *testing.T) {
	t.Parallel()
	r := deadShelf(t, Look)
	e := r.readOne(t, "a", "+79990000011")
	r.identify(e)
	at := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	other := DeadLetter{Lead: &Lead{ID: "a"}, Queue: Destined("crm"), Destination: "crm", State: Held, At: at}
	elsewhere := DeadLetter{Lead: &Lead{ID: "a"}, Queue: Destined("backup"), Destination: "backup", State: Held, At: at}
	for _, d := range []DeadLetter{other, elsewhere, other} {
		if err := r.p.addLetter(t.Context(), r.p.deadEntry(d)); err != nil {
			t.Fatal(err)
		}
	}
	r.handle(t.Context(), []*Entry{e})
	got := map[string]State{}
	if err := r.p.Dead(t.Context(), func(d DeadLetter) bool { got[d.Destination] += d.State; return true }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]State{"crm": Dead, "backup": Held}, got); diff != "" {
		t.Errorf("letters:\n%s", diff)
	}
	if n := len(r.p.Clients.Write.HGetAll(t.Context(), r.p.Keys.letters()).Val()); n != 2 {
		t.Errorf("%d letters are named, want 2", n)
	}
}

// An old copy of Redis brings back a lead that was delivered, to an owner that cannot know it. That one gives it up; its
// home, which knows, takes the letter away, and no other. So it does when one that has died is delivered by such an owner.
func TestLetterOfADeliveredLead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		known event
		then  eventKind
		left  int
	}{
		"delivered":                {event{Kind: evDelivered}, "", 0},
		"merged":                   {event{Kind: evMerged}, "", 0},
		"open":                     {event{Kind: evRouted, Dests: []string{"crm"}}, "", 1},
		"dead":                     {event{Kind: evDead, At: time.Now()}, "", 1},
		"dead, and then delivered": {event{Kind: evDead, At: time.Now()}, evDelivered, 0},
		"open, and then delivered": {event{Kind: evRouted, Dests: []string{"crm"}}, evDelivered, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			owner := deadShelf(t, Look)
			homes := newCustody(t, t.TempDir(), &clock{t: time.Now()})
			t.Cleanup(func() { homes.Close() })
			homes.Instance = "two"
			c.known.Lead = "a"
			if c.known.Kind != evRouted {
				c.known.Dest = "crm"
			}
			if err := homes.note([]event{c.known}); err != nil {
				t.Fatal(err)
			}
			e := owner.readOne(t, "a", "+79990000011")
			e.Lead.Home = "two"
			owner.identify(e)
			owner.handle(t.Context(), []*Entry{e})
			if got := owner.letters(t); len(got) != 1 {
				t.Fatalf("letters %v, want one", got)
			}
			if c.then != "" {
				b, _ := json.Marshal(event{Lead: "a", Kind: c.then, Dest: "crm"})
				owner.command(t, "XADD", owner.p.Keys.home("two"), "*", "event", string(b))
			}
			home := &Partition{Keys: owner.p.Keys, Clients: owner.p.Clients, Custody: homes, Workers: []*Worker{owner.w}, Boot: "c"}
			home.epoch.Store(owner.p.epoch.Load())
			if err := home.readHome(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := owner.letters(t); len(got) != c.left {
				t.Errorf("letters %v, want %d", got, c.left)
			}
		})
	}
}

// An earlier version did not note which letter a lead has, and somebody removes one by hand: the opening mends that.
func TestLettersAreNamedAtTheOpening(t *testing.T) {
	t.Parallel()
	r := deadShelf(t, Look)
	p, ctx := r.p, t.Context()
	letter := func(id string) DeadLetter {
		return DeadLetter{Lead: &Lead{ID: id}, Queue: Destined("crm"), Destination: "crm", State: Dead}
	}
	old := p.deadEntry(letter("old"))
	id, err := p.Clients.Write.XAdd(ctx, &redis.XAddArgs{Stream: p.Keys.dead(), Values: old.words}).Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, gone := range []string{"gone", "gone too"} {
		if err := p.addLetter(ctx, p.deadEntry(letter(gone))); err != nil {
			t.Fatal(err)
		}
	}
	for _, field := range []string{letter("gone").field(), letter("gone too").field()} {
		p.Clients.Write.XDel(ctx, p.Keys.dead(), p.Clients.Write.HGet(ctx, p.Keys.letters(), field).Val())
	}
	if err := p.restoreDead(ctx); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"old crm": id}, p.Clients.Write.HGetAll(ctx, p.Keys.letters()).Val()); diff != "" {
		t.Errorf("named:\n%s", diff)
	}
	if err := p.addLetter(ctx, old); err != nil || len(r.letters(t)) != 1 {
		t.Errorf("letters %v, want one (%v)", r.letters(t), err)
	}
	if err := p.Discard(ctx, id, "test"); err != nil {
		t.Fatal(err)
	}
	if left := p.Clients.Write.HGetAll(ctx, p.Keys.letters()).Val(); len(left) != 0 {
		t.Errorf("still named: %v", left)
	}
}
