package streams

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
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
			for range 2 { // the entry comes again, and once more
				again := r.readOne(t, "a", "+79990000011")
				again.Lead.Home = "two"
				r.identify(again)
				r.handle(t.Context(), []*Entry{again})
			}
			if diff := cmp.Diff([]string{"a"}, r.letters(t)); diff != "" {
				t.Errorf("letters:\n%s", diff)
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
