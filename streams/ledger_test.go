package streams

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"leadstream/streams/journal"
)

// TestCarriedLeadStaysOurs: what was noted of a lead after its own segment was filled stands before the lead in the
// journal once it was carried forward. It is our lead all the same.
func TestCarriedLeadStaysOurs(t *testing.T) {
	t.Parallel()
	clk := &clock{t: time.Now()}
	dir := t.TempDir()
	c := newCustody(t, dir, clk)
	open, _ := takeOne(t, c, "make", "open", "open")
	dead, _ := takeOne(t, c, "make", "dead", "dead")
	filler := func() {
		for range 8 {
			if _, _, err := c.journal.Append(recEvents, append([]byte(`[]`), make([]byte, 12<<10)...)[:2]); err != nil {
				t.Fatal(err)
			}
			if err := c.Quarantine(Quarantined{Source: "x", Raw: make([]byte, 10<<10)}); err != nil {
				t.Fatal(err)
			}
		}
		for id := range c.unread {
			if err := c.ToldQuarantine([]string{id}); err != nil {
				t.Fatal(err)
			}
		}
	}
	filler()
	cutoff := time.Now()
	time.Sleep(2 * time.Millisecond)
	for _, id := range []string{open.LeadID, dead.LeadID} {
		if err := c.note([]event{{Lead: id, Kind: evRouted, Dests: []string{"crm"}, At: clk.now()}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.note([]event{{Lead: dead.LeadID, Kind: evDead, Dest: "crm", Attempts: 5, At: clk.now()}}); err != nil {
		t.Fatal(err)
	}
	filler()
	if err := c.tidyAt(cutoff); err != nil {
		t.Fatal(err)
	}
	if n := c.journal.Segments()[0].Number; n == 1 {
		t.Fatal("no segment was dropped")
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	c = newCustody(t, dir, clk)
	defer c.Close()
	if l, ok := c.Life(open.LeadID); !ok || l.State != InFlight || !c.isOpen(open.LeadID) || l.Source != "make" {
		t.Errorf("open lead: %+v, %v", l, ok)
	}
	if l, ok := c.Life(dead.LeadID); !ok || l.State != Dead || len(c.deadIn(0)) != 1 {
		t.Errorf("dead lead: %+v, %v", l, ok)
	}
	if again, _ := takeOne(t, c, "make", "open", "open"); !again.Duplicate {
		t.Error("a carried lead's key is forgotten")
	}
}

// Leads that stay open for longer than the journal is kept are carried to its end in the order in which they came: in that
// order they are driven again.
func TestCarriedInOrder(t *testing.T) {
	t.Parallel()
	c := newCustody(t, t.TempDir(), &clock{t: time.Now()})
	t.Cleanup(func() { c.Close() })
	at := map[string]journal.Pos{}
	var ids []string
	for i := range 400 {
		r, _ := takeOne(t, c, "site", fmt.Sprint("k", i), strings.Repeat("x", 400))
		ids = append(ids, r.LeadID)
		at[r.LeadID] = c.leads[r.LeadID].pos
	}
	if err := c.tidyAt(time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	ids = slices.DeleteFunc(ids, func(id string) bool { return c.leads[id].pos == at[id] })
	if len(ids) < 50 {
		t.Fatalf("%d leads were carried, want many", len(ids))
	}
	inOrder := func(a, b string) int { return pending{at: c.leads[a].pos}.compare(pending{at: c.leads[b].pos}) }
	if !slices.IsSortedFunc(ids, inOrder) {
		t.Error("they stand in another order than the one in which they came")
	}
}

// A foreign lead died as a whole, was replayed elsewhere and has ended at a destination here. Its home, which has not heard
// of that end, drives it again until it is told.
func TestEndAfterAReplayElsewhereIsToldAgain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		events []event
		want   eventKind
	}{
		"delivered":               {[]event{{Kind: evDelivered, Dest: "crm"}}, evDelivered},
		"died before as a whole":  {[]event{{Kind: evDead}, {Kind: evDelivered, Dest: "crm"}}, evDelivered},
		"under way":               {[]event{{Kind: evDead}, {Kind: evIntent, Dest: "crm", At: time.Now()}}, ""},
		"ended elsewhere":         {[]event{{Kind: evDelivered, Dest: "csv"}}, ""},
		"erased after it was out": {[]event{{Kind: evDelivered, Dest: "crm"}, {Kind: evErased}}, evErased},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			custody := newCustody(t, t.TempDir(), &clock{t: time.Now()})
			defer custody.Close()
			for _, e := range c.events {
				e.Lead = "a"
				if err := custody.note([]event{e}); err != nil {
					t.Fatal(err)
				}
			}
			got, ok := custody.outcome("a", "crm")
			if got.Kind != c.want || ok != (c.want != "") {
				t.Errorf("told %q, %v; want %q", got.Kind, ok, c.want)
			}
		})
	}
}

// An owner that cannot know drops what may have been delivered. Where the lead is known to have died, it stays dead, with
// its letter; once that was replayed the next end counts, whatever it is.
func TestDroppedByWhoDidNotKnow(t *testing.T) {
	t.Parallel()
	at := time.Now()
	dead := event{Kind: evDead, Dest: "crm", At: at}
	unknowing := event{Kind: evDropped, Dest: "crm", Reason: reasonAmbiguous, At: at.Add(time.Second)}
	for name, c := range map[string]struct {
		events []event
		want   State
	}{
		"alone":                {[]event{unknowing}, Dropped},
		"after it has died":    {[]event{dead, unknowing}, Dead},
		"after a replay":       {[]event{dead, {Kind: evReopened, Dest: "crm"}, unknowing}, Dropped},
		"a person has decided": {[]event{dead, {Kind: evDropped, Dest: "crm", Reason: "paid already", At: at}}, Dropped},
	} {
		r := &record{}
		for _, e := range c.events {
			r.apply(e)
		}
		if got := r.stop("crm").state; got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}
