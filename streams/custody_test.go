package streams

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"leadstream/streams/journal"
)

// clock is a time that a test sets.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.t }
func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func newCustody(t *testing.T, dir string, clk *clock) *Custody {
	t.Helper()
	c := &Custody{Instance: "one", Now: clk.now}
	if err := c.Open(journal.Options{Dir: dir, Reserve: -1, SegmentSize: 64 << 10, MaxRecord: 16 << 10}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { recounted(t, c) })
	return c
}

// recounted holds the counts that the ledger keeps to what it holds.
func recounted(t testing.TB, c *Custody) {
	t.Helper()
	want := map[State]int{InFlight: 0, Held: 0, Delivered: 0, Merged: 0, Dropped: 0, Dead: 0, Erased: 0}
	c.mu.Lock()
	for _, r := range c.leads {
		if r.home && r.durable() {
			want[r.state()]++
		}
	}
	c.mu.Unlock()
	if diff := cmp.Diff(want, c.Tally().States); diff != "" {
		t.Errorf("leads by state are counted wrong:\n%s", diff)
	}
}

func takeOne(t *testing.T, c *Custody, source, key, body string) (Receipt, *Lead) {
	t.Helper()
	l := &Lead{Source: source, Phone: "+79990000011", Message: body}
	r, err := c.TakeAll(context.Background(), []Taken{{Lead: l, Key: key, Canonical: []byte(body), Raw: []byte(body)}})
	if err != nil {
		t.Fatal(err)
	}
	return r[0], l
}

// A lead that is on the disk is a duplicate also for who has no time left.
func TestDuplicateNeedsNoPatience(t *testing.T) {
	t.Parallel()
	c := newCustody(t, t.TempDir(), &clock{t: time.Now()})
	defer c.Close()
	first, _ := takeOne(t, c, "make", "k", "body")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 64 {
		r, err := c.TakeAll(ctx, []Taken{{Lead: &Lead{Source: "make", Phone: "+79990000011", Message: "body"}, Key: "k", Canonical: []byte("body")}})
		if err != nil || !r[0].Duplicate || r[0].LeadID != first.LeadID {
			t.Fatalf("%+v, %v", r, err)
		}
	}
}

func TestSameLeadByKey(t *testing.T) {
	t.Parallel()
	clk := &clock{t: time.Now()}
	dir := t.TempDir()
	c := newCustody(t, dir, clk)
	first, _ := takeOne(t, c, "make", "k1", "a")
	for _, after := range []time.Duration{0, time.Minute, 47 * time.Hour} {
		clk.add(after)
		if again, _ := takeOne(t, c, "make", "k1", "a"); !again.Duplicate || again.LeadID != first.LeadID {
			t.Errorf("after %s: %+v, want a duplicate of %s", after, again, first.LeadID)
		}
	}
	other, _ := takeOne(t, c, "make", "k1", "b")
	if other.Duplicate || !other.Conflict || other.LeadID == first.LeadID {
		t.Errorf("same key, other body: %+v, want a new lead and a conflict", other)
	}
	if r, _ := takeOne(t, c, "site", "k1", "a"); r.Duplicate || r.Conflict {
		t.Errorf("another source's key: %+v, want a new lead", r)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	c = newCustody(t, dir, clk)
	defer c.Close()
	if again, _ := takeOne(t, c, "make", "k1", "a"); !again.Duplicate || again.LeadID != first.LeadID {
		t.Errorf("after a restart: %+v, want a duplicate", again)
	}
	if again, _ := takeOne(t, c, "make", "k1", "c"); !again.Conflict {
		t.Errorf("after a restart, same key, other body: %+v, want a conflict", again)
	}
}

// A dead lead never takes its customer's next message, whatever still waits elsewhere; what only waits to be written down, or
// cannot be, is no death.
func TestDeadOnTheWayToSomebody(t *testing.T) {
	t.Parallel()
	at := func(dest string, kind eventKind) event { return event{Kind: kind, Dest: dest} }
	for name, c := range map[string]struct {
		dests []string
		ends  []event
		alive bool
	}{
		"on its way":                         {[]string{"crm", "history"}, nil, true},
		"dead, the history waits":            {[]string{"crm", "history"}, []event{at("crm", evDead)}, false},
		"dead, a message waits":              {[]string{"crm", "sms", "history"}, []event{at("crm", evDead)}, false},
		"dead, written down":                 {[]string{"crm", "history"}, []event{at("history", evDelivered), at("crm", evDead)}, false},
		"dead, and replayed":                 {[]string{"crm", "history"}, []event{at("crm", evDead), at("crm", evReopened)}, true},
		"delivered, the history waits":       {[]string{"crm", "history"}, []event{at("crm", evDelivered)}, true},
		"delivered, it cannot be written":    {[]string{"crm", "history"}, []event{at("crm", evDelivered), at("history", evDead)}, true},
		"held":                               {[]string{"crm", "history"}, []event{at("crm", evHeld)}, true},
		"dropped, the history waits":         {[]string{"history"}, []event{{Kind: evDropped, Reason: "spam"}}, false},
		"dropped where it went":              {[]string{"crm", "history"}, []event{at("crm", evDropped)}, false},
		"failed over":                        {[]string{"crm", "csv", "history"}, []event{at("crm", evDropped)}, true},
		"erased":                             {[]string{"crm", "history"}, []event{at("crm", evDelivered), {Kind: evErased}}, false},
		"dead before anybody had it in hand": {nil, []event{{Kind: evDead}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clk := &clock{t: time.Now()}
			custody := newCustody(t, t.TempDir(), clk)
			defer custody.Close()
			custody.Aside = []string{"history"}
			var ended []string
			custody.OnEnded(func(ids []string) { ended = append(ended, ids...) })
			first, _ := takeOne(t, custody, "site", "", "a")
			if c.dests != nil {
				c.ends = append([]event{{Kind: evRouted, Dests: c.dests}}, c.ends...)
			}
			for _, e := range c.ends {
				e.Lead, e.At = first.LeadID, clk.now()
				if err := custody.note([]event{e}); err != nil {
					t.Fatal(err)
				}
			}
			if got := custody.Alive(first.LeadID); got != c.alive {
				t.Errorf("alive %v, want %v", got, c.alive)
			}
			if told := len(ended) > 0; told == c.alive && name != "dead, and replayed" {
				t.Errorf("told of its end: %v", ended)
			}
			clk.add(time.Hour)
			if _, next := takeOne(t, custody, "site", "", "a"); (next.RepeatOf == first.LeadID) != c.alive {
				t.Errorf("the same again repeats %q, want %v of %s", next.RepeatOf, c.alive, first.LeadID)
			}
		})
	}
}

func TestSameLeadByBody(t *testing.T) {
	t.Parallel()
	clk := &clock{t: time.Now()}
	c := newCustody(t, t.TempDir(), clk)
	defer c.Close()
	first, _ := takeOne(t, c, "site", "", "a")
	clk.add(9 * time.Minute)
	if r, _ := takeOne(t, c, "site", "", "a"); !r.Duplicate || r.LeadID != first.LeadID {
		t.Errorf("after 9 min: %+v, want a duplicate", r)
	}
	clk.add(2 * time.Minute)
	second, l := takeOne(t, c, "site", "", "a")
	if second.Duplicate || l.RepeatOf != first.LeadID {
		t.Errorf("after 11 min: %+v repeat of %q, want a repeat of the first", second, l.RepeatOf)
	}
	clk.add(time.Minute)
	if r, _ := takeOne(t, c, "site", "", "a"); !r.Duplicate || r.LeadID != second.LeadID {
		t.Errorf("a minute after the repeat: %+v, want its duplicate", r)
	}
	clk.add(time.Hour)
	third, l := takeOne(t, c, "site", "", "a")
	if l.RepeatOf != first.LeadID {
		t.Errorf("a repeat of a repeat points to %q, want the first", l.RepeatOf)
	}
	if err := c.note([]event{{Lead: third.LeadID, Kind: evRouted, Dests: []string{"crm"}}, {Lead: third.LeadID, Kind: evDead, Dest: "crm"}}); err != nil {
		t.Fatal(err)
	}
	if r, l := takeOne(t, c, "site", "", "a"); r.Duplicate || l.RepeatOf != "" {
		t.Errorf("after a dead lead: %+v repeat of %q, want a lead of its own", r, l.RepeatOf)
	}
	clk.add(49 * time.Hour)
	if r, l := takeOne(t, c, "site", "", "a"); r.Duplicate || l.RepeatOf != "" {
		t.Errorf("after two days: %+v repeat of %q, want a lead of its own", r, l.RepeatOf)
	}
}

func TestTwinsAtOnce(t *testing.T) {
	t.Parallel()
	c := newCustody(t, t.TempDir(), &clock{t: time.Now()})
	defer c.Close()
	var mu sync.Mutex
	ids, fresh := map[string]int{}, 0
	var wg sync.WaitGroup
	for i := range 60 {
		key := ""
		if i%2 == 0 {
			key = "k"
		}
		wg.Go(func() {
			r, _ := takeOne(t, c, "site", key, "a")
			mu.Lock()
			defer mu.Unlock()
			ids[r.LeadID]++
			if !r.Duplicate {
				fresh++
			}
		})
	}
	wg.Wait()
	if fresh != 2 || len(ids) != 2 {
		t.Errorf("%d accepted as %d leads, want one with the key and one without", fresh, len(ids))
	}
}

func TestTwinsInOneRequest(t *testing.T) {
	t.Parallel()
	c := newCustody(t, t.TempDir(), &clock{t: time.Now()})
	defer c.Close()
	var all []Taken
	for range 3 {
		all = append(all, Taken{Lead: &Lead{Source: "s"}, Canonical: []byte("x")})
	}
	rs, err := c.TakeAll(context.Background(), all)
	if err != nil || rs[0].Duplicate || !rs[1].Duplicate || rs[2].LeadID != rs[0].LeadID {
		t.Errorf("%+v %v", rs, err)
	}
}

func TestRefusedLeadLeavesNoTrace(t *testing.T) {
	t.Parallel()
	c := newCustody(t, t.TempDir(), &clock{t: time.Now()})
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		_, err := c.TakeAll(context.Background(), []Taken{{Lead: &Lead{Source: "s"}, Key: "k", Canonical: []byte("x")}})
		if !errors.Is(err, ErrRefused) {
			t.Errorf("%v, want ErrRefused: the lead is nowhere", err)
		}
	}
	if len(c.leads)+len(c.open)+len(c.keyed)+len(c.bodies) != 0 {
		t.Error("a refused lead is remembered: its next try would be answered as a duplicate")
	}
}

// A repeat whose turn has come waits for its first lead only where that one stands in another line. In its own it would
// stand behind the repeat, driven again or replayed, and each would wait for the other.
func TestRepeatDoesNotWaitForALeadBehindIt(t *testing.T) {
	t.Parallel()
	c := newCustody(t, t.TempDir(), &clock{t: time.Now()})
	defer c.Close()
	first, _ := takeOne(t, c, "site", "k", "body") // in no queue yet: pending
	for name, want := range map[string]struct {
		repeat  Lead
		pending bool
	}{
		"same customer":             {Lead{Phone: "+79990000011"}, false},
		"known by the e-mail alone": {Lead{Phone: "+79990000012", Email: "anna@example.test"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			for _, events := range [][]event{nil, {{Lead: first.LeadID, Kind: evRouted, Dests: []string{"crm"}}}} {
				if err := c.note(events); err != nil {
					t.Fatal(err)
				}
				want.repeat.RepeatOf = first.LeadID
				if got := c.earlier(&want.repeat, "crm", time.Now()); got.Pending != want.pending {
					t.Errorf("pending %v, want %v", got.Pending, want.pending)
				}
			}
		})
	}
}

// A call of an earlier process may have sent its request in that one's last moment, long after its intent, and by whatever
// clock: the far side's time to finish counts from the start.
func TestCallOfAnEarlierProcessIsUnsureUntilTheStart(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		events []event       // after the intent, at its second 1
		ahead  time.Duration // by which the clock was wrong at the last of them
		want   time.Duration
		none   bool
	}{
		"interrupted":             {want: 10 * time.Second},
		"ended, unsure":           {events: []event{{Kind: evUnsure}}, want: 10 * time.Second},
		"ended in the future":     {events: []event{{Kind: evUnsure}}, ahead: time.Hour, want: 10 * time.Second},
		"ended, then once more":   {events: []event{{Kind: evUnsure}, {Kind: evIntent}}, want: 10 * time.Second},
		"surely not sent":         {events: []event{{Kind: evUnsent}}, none: true},
		"dead after its last one": {events: []event{{Kind: evUnsure}, {Kind: evDead}}, want: 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clk := &clock{t: time.Now()}
			dir := t.TempDir()
			began := clk.now()
			k := newCustody(t, dir, clk)
			r, _ := takeOne(t, k, "site", "k", "body")
			clk.add(time.Second)
			events := []event{{Lead: r.LeadID, Kind: evRouted, Dests: []string{"crm"}}, {Lead: r.LeadID, Kind: evIntent, Dest: "crm", At: clk.now()}}
			for _, e := range c.events {
				e.Lead, e.Dest, e.At = r.LeadID, "crm", began.Add(2*time.Second+c.ahead)
				events = append(events, e)
			}
			if err := k.note(events); err != nil {
				t.Fatal(err)
			}
			if err := k.Close(); err != nil {
				t.Fatal(err)
			}
			clk.t = began.Add(10 * time.Second)
			k = newCustody(t, dir, clk)
			defer k.Close()
			got := k.at(&Lead{ID: r.LeadID}, "crm").intent
			if c.none != got.IsZero() || !c.none && got.Sub(began).Round(time.Second) != c.want {
				t.Errorf("unsure at second %s (%v), want %s", got.Sub(began), got.IsZero(), c.want)
			}
		})
	}
}

// A delivery that we began for another daemon, and that another has ended since, is not waited for.
func TestRepeatOfAnothersLead(t *testing.T) {
	t.Parallel()
	clk := &clock{t: time.Now()}
	k := newCustody(t, t.TempDir(), clk)
	defer k.Close()
	if err := k.note([]event{{Lead: "first", Kind: evIntent, Dest: "crm", At: clk.now()}}); err != nil {
		t.Fatal(err)
	}
	repeat := &Lead{ID: "second", RepeatOf: "first"}
	for opened, want := range map[time.Duration]bool{-time.Second: true, time.Second: false} {
		if got := k.earlier(repeat, "crm", clk.now().Add(opened)).Pending; got != want {
			t.Errorf("queues opened %s after its call: waited for: %v, want %v", opened, got, want)
		}
	}
}

// A lead that was taken by a clock an hour ahead is missed as soon as any other, once the clock is right.
func TestTakenByAWrongClock(t *testing.T) {
	t.Parallel()
	right := time.Now()
	clk := &clock{t: right.Add(time.Hour)}
	dir := t.TempDir()
	k := newCustody(t, dir, clk)
	r, _ := takeOne(t, k, "site", "k", "body")
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	clk.t = right
	k = newCustody(t, dir, clk)
	defer k.Close()
	k.leads[r.LeadID].queued = false // Redis has it
	if got := k.staleIn(0, clk.now().Add(time.Second)); len(got) != 1 {
		t.Errorf("missed after a second: %v, want the lead", got)
	}
}

// The journal reads one segment after another into the same memory.
func TestReplayKeepsNothingOfTheJournals(t *testing.T) {
	t.Parallel()
	c := newCustody(t, t.TempDir(), &clock{t: time.Now()})
	defer c.Close()
	payload, _, err := appendAccept(nil, &Lead{ID: "lead", Source: "site", RepeatOf: "first", Phone: "+79990000011"}, &record{accepted: time.UnixMilli(1)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.replay(journal.Record{Type: recAccept, Payload: payload}); err != nil {
		t.Fatal(err)
	}
	for i := range payload {
		payload[i] = '#'
	}
	want := Life{ID: "lead", Source: "site", State: InFlight, RepeatOf: "first", ReceivedAt: time.UnixMilli(1), Destinations: []Stop{}}
	if diff := cmp.Diff(want, c.leads["lead"].life()); diff != "" {
		t.Error(diff)
	}
}

// TestLedgerSurvives: what the ledger knows after a restart is what it knew before, also with segments dropped and
// open leads carried forward.
func TestLedgerSurvives(t *testing.T) {
	t.Parallel()
	clk := &clock{t: time.Now()}
	dir := t.TempDir()
	c := newCustody(t, dir, clk)
	var stays []string
	for i := range 400 {
		r, _ := takeOne(t, c, "site", fmt.Sprint("k", i), fmt.Sprint("body ", i))
		id := r.LeadID
		events := []event{{Lead: id, Kind: evRouted, Dests: []string{"crm", "csv"}}, {Lead: id, Kind: evIntent, Dest: "crm", At: clk.now()}}
		switch i % 40 {
		case 0: // open
			stays = append(stays, id)
		case 1: // one destination done, the other dead
			events = append(events, event{Lead: id, Kind: evDelivered, Dest: "csv", Remote: "7", Attempts: 1, At: clk.now()},
				event{Lead: id, Kind: evDead, Dest: "crm", Reason: "no", Attempts: 5, Tries: []Try{{Err: "no"}}, At: clk.now()},
				event{Lead: id, Kind: evTold, Dest: "crm"})
			stays = append(stays, id)
		case 2: // held
			events = append(events, event{Lead: id, Kind: evHeld, Dest: "crm", At: clk.now()}, event{Lead: id, Kind: evDelivered, Dest: "csv", At: clk.now()})
			stays = append(stays, id)
		default:
			for _, d := range []string{"crm", "csv"} {
				events = append(events, event{Lead: id, Kind: evDelivered, Dest: d, Remote: fmt.Sprint(i), Attempts: 1, At: clk.now()})
			}
		}
		if err := c.note(events); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]Life{}
	for _, l := range c.Lives(Query{Limit: 1000}) {
		want[l.ID] = l
	}
	before := len(c.journal.Segments())
	clk.add(8 * 24 * time.Hour)
	takeOne(t, c, "site", "newest", "newest")
	for range 2 { // twice: what was carried is carried no more
		if err := c.tidyAt(time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	if after := len(c.journal.Segments()); after >= before {
		t.Errorf("%d segments after tidying, %d before", after, before)
	}
	for range 2 {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		c = newCustody(t, dir, clk)
		for _, id := range stays {
			got, ok := c.Life(id)
			w := want[id]
			w.ReceivedAt, got.ReceivedAt = time.Time{}, time.Time{}
			if diff := cmp.Diff(w, got); !ok || diff != "" {
				t.Errorf("lead %s after a restart: %v %s", id, ok, diff)
			}
			if _, ok := c.Lead(id); !ok {
				t.Errorf("lead %s cannot be read back", id)
			}
		}
		if open := c.Tally().Open; open != len(stays)/3+1 {
			t.Errorf("%d leads open, want %d", open, len(stays)/3+1)
		}
		for _, u := range c.Untold(clk.now(), func(string) time.Duration { return time.Hour }) {
			if u.State == Dead {
				t.Errorf("dead lead %s would be told again", u.LeadID)
			}
		}
	}
	c.Close()
}

func TestLateIsToldOnce(t *testing.T) {
	t.Parallel()
	clk := &clock{t: time.Now()}
	dir := t.TempDir()
	c := newCustody(t, dir, clk)
	r, _ := takeOne(t, c, "site", "", "a")
	late := func(string) time.Duration { return 10 * time.Minute }
	if u := c.Untold(clk.now(), late); len(u) != 0 {
		t.Errorf("late at once: %+v", u)
	}
	clk.add(11 * time.Minute)
	u := c.Untold(clk.now(), late)
	if len(u) != 1 || u[0].LeadID != r.LeadID || u[0].State != InFlight {
		t.Fatalf("after 11 min: %+v", u)
	}
	if err := c.Told(u); err != nil {
		t.Fatal(err)
	}
	c.Close()
	c = newCustody(t, dir, clk)
	defer c.Close()
	if u := c.Untold(clk.now(), late); len(u) != 0 {
		t.Errorf("told twice: %+v", u)
	}
	if err := c.note([]event{{Lead: r.LeadID, Kind: evRouted, Dests: []string{"crm"}}, {Lead: r.LeadID, Kind: evDead, Dest: "crm"}}); err != nil {
		t.Fatal(err)
	}
	if u := c.Untold(clk.now(), late); len(u) != 1 || u[0].State != Dead {
		t.Errorf("a late lead that dies is told of again: %+v", u)
	}
}

func TestQuarantineIsToldOnce(t *testing.T) {
	t.Parallel()
	clk := &clock{t: time.Now()}
	dir := t.TempDir()
	c := newCustody(t, dir, clk)
	if err := c.Quarantine(Quarantined{Source: "make", Reason: "bad JSON", Raw: []byte("{")}); err != nil {
		t.Fatal(err)
	}
	c.Close()
	c = newCustody(t, dir, clk)
	q := c.UntoldQuarantine()
	if len(q) != 1 || q[0].Source != "make" {
		t.Fatalf("after a restart: %+v", q)
	}
	if err := c.ToldQuarantine([]string{q[0].ID}); err != nil {
		t.Fatal(err)
	}
	c.Close()
	c = newCustody(t, dir, clk)
	defer c.Close()
	if q := c.UntoldQuarantine(); len(q) != 0 {
		t.Errorf("told twice: %+v", q)
	}
}

// A request that is longer than a record of the journal is kept as far as it fits: refused, it would come again for ever.
func TestQuarantineOfALongRequest(t *testing.T) {
	c := newCustody(t, t.TempDir(), &clock{t: time.Now()})
	if err := c.Quarantine(Quarantined{Source: "tg", Reason: "too large", Raw: make([]byte, 4<<20)}); err != nil {
		t.Fatal(err)
	}
	if n := c.Tally().Counts.Quarantined; n != 1 {
		t.Errorf("%d in quarantine", n)
	}
}
