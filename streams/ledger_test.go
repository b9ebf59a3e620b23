package streams

import (
	"testing"
	"time"
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
