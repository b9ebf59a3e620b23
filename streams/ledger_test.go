package streams

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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
	inOrder := func(a, b string) int { return c.leads[a].pos.Compare(c.leads[b].pos) }
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

// A lead that was carried behind others stands where it came, in the order in which leads are driven again: in this process,
// and after a restart with the index and without it. Older versions wrote a copy without saying where the lead came.
func TestCarriedStandsWhereItCame(t *testing.T) {
	t.Parallel()
	clk := &clock{t: time.Now()}
	dir := t.TempDir()
	c := newCustody(t, dir, clk)
	early, _ := takeOne(t, c, "make", "early", "early")
	for i := range 400 {
		takeOne(t, c, "site", fmt.Sprint("k", i), strings.Repeat("x", 400))
	}
	late, _ := takeOne(t, c, "make", "late", "late")
	stood := c.leads[early.LeadID].came()
	if err := c.tidyAt(time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	check := func(when string) {
		t.Helper()
		c.mu.Lock()
		defer c.mu.Unlock()
		a, b := c.find(early.LeadID), c.find(late.LeadID)
		if a.pos.Compare(b.pos) < 0 {
			t.Fatalf("%s: it was not carried", when)
		}
		if a.came() != stood || stood.compare(b.came()) > 0 {
			t.Errorf("%s: it counts as at %v, came at %v, and the later one at %v", when, a.came(), stood, b.came())
		}
	}
	check("carried")
	for _, index := range []bool{false, true, true} {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if !index {
			if err := os.RemoveAll(filepath.Join(dir, indexFolder)); err != nil {
				t.Fatal(err)
			}
		}
		c = newCustody(t, dir, clk)
		check(fmt.Sprint("after a restart, with an index: ", index))
	}
	r := c.leads[late.LeadID]
	was, came := r.pos, r.came()
	rec, err := c.journal.Read(was)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.journal.Append(recAccept, slices.Clone(rec.Payload)); err != nil { // its copy alone
		t.Fatal(err)
	}
	c.Close()
	c = newCustody(t, dir, clk)
	defer c.Close()
	if r := c.leads[late.LeadID]; r.pos == was || r.came() != came {
		t.Errorf("carried by an older version, it counts as at %v, and came at %v", r.came(), came)
	}
}

// A crash while a lead is carried keeps none of its copy, or what is said of the lead alone, or all: never the copy alone, which the
// next tidying would leave as the only one, and a lead that was delivered at one destination and waits for another would start anew.
func TestCarryCutShort(t *testing.T) {
	t.Parallel()
	clk := &clock{t: time.Now()}
	dir := t.TempDir()
	c := newCustody(t, dir, clk)
	lead, _ := takeOne(t, c, "make", "early", "early")
	at := clk.now()
	if err := c.note([]event{
		{Lead: lead.LeadID, Kind: evRouted, Dests: []string{"crm", "hook"}, At: at},
		{Lead: lead.LeadID, Kind: evDelivered, Dest: "crm", Remote: "7", At: at},
	}); err != nil {
		t.Fatal(err)
	}
	for i := range 400 {
		takeOne(t, c, "site", fmt.Sprint("k", i), strings.Repeat("x", 400))
	}
	stood, cutoff := c.leads[lead.LeadID].came(), time.Now()
	if err := c.carryOne(c.leads[lead.LeadID]); err != nil {
		t.Fatal(err)
	}
	crashed := filepath.Join(t.TempDir(), "journal") // as a power cut leaves it, in the middle of the last write
	if err := os.CopyFS(crashed, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	c.Close()
	var before, last journal.Pos
	if _, err := journal.Scan(crashed, func(r journal.Record) error { before, last = last, r.Pos; return nil }); err != nil {
		t.Fatal(err)
	}
	if before.Segment != last.Segment {
		t.Fatal("the carried lead's records stand in two segments")
	}
	files, err := filepath.Glob(filepath.Join(crashed, "*.seg"))
	if err != nil || len(files) == 0 {
		t.Fatalf("segments %v, %v", files, err)
	}
	f, err := os.OpenFile(files[len(files)-1], os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	end := before.Offset + int64(before.Len)
	if _, err := f.WriteAt(make([]byte, last.Offset+int64(last.Len)-end), end); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}

	c = newCustody(t, crashed, clk)
	if err := c.tidyAt(cutoff); err != nil {
		t.Fatal(err)
	}
	if n := c.journal.Segments()[0].Number; n == 1 {
		t.Fatal("no segment was dropped")
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(crashed, indexFolder)); err != nil {
		t.Fatal(err)
	}
	c = newCustody(t, crashed, clk)
	defer c.Close()
	r := c.leads[lead.LeadID]
	if r == nil || !r.home || !c.isOpen(lead.LeadID) || r.came() != stood {
		t.Fatalf("the lead stands as %+v, came at %v", r, stood)
	}
	if got := r.lacking(); !slices.Equal(got, []string{"hook"}) || r.stop("crm").remote != "7" {
		t.Errorf("it is driven again to %v; the CRM has it already", got)
	}
}

// A record that its disk has spoilt since the start cannot be carried. Its segment and those behind it stay, and a person is told;
// what came before it is carried and dropped as ever.
func TestCarryDamaged(t *testing.T) {
	t.Parallel()
	var faults []error
	dir := t.TempDir()
	c := &Custody{Instance: "one", Now: time.Now}
	if err := c.Open(journal.Options{Dir: dir, Reserve: -1, SegmentSize: 64 << 10, MaxRecord: 16 << 10, OnFault: func(err error) { faults = append(faults, err) }}); err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var leads []Receipt
	for i := range 400 {
		r, _ := takeOne(t, c, "site", fmt.Sprint("k", i), strings.Repeat("x", 400))
		leads = append(leads, r)
	}
	pos := c.leads[leads[200].LeadID].pos
	files, err := filepath.Glob(filepath.Join(dir, "*.seg"))
	if err != nil || uint64(len(files)) <= pos.Segment || pos.Segment < 2 {
		t.Fatalf("segments %v, %v, and the record is in %d", files, err, pos.Segment)
	}
	slices.Sort(files)
	f, err := os.OpenFile(files[pos.Segment-1], os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("spoilt"), pos.Offset+10); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(time.Hour)
	if err := c.tidyAt(later); !errors.Is(err, journal.ErrDamaged) {
		t.Errorf("carrying it: %v", err)
	}
	if err := c.tidyAt(later); err != nil {
		t.Errorf("once it is known: %v", err)
	}
	var damage journal.Damage
	if len(faults) != 1 || !errors.As(faults[0], &damage) || damage.Segment != pos.Segment {
		t.Errorf("told: %v", faults)
	}
	if n := c.journal.Segments()[0].Number; n != pos.Segment {
		t.Errorf("the first segment is %d, want %d", n, pos.Segment)
	}
}

// What was noted of a lead is known again from what a carry writes, whatever it is.
func TestHistory(t *testing.T) {
	at := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	for name, events := range map[string][]event{
		"nothing":                          nil,
		"late":                             {{Kind: evTold, At: at}},
		"dead, not told":                   {{Kind: evDead, At: at}},
		"dead, told":                       {{Kind: evDead, At: at}, {Kind: evTold, At: at}},
		"late and told, then dead":         {{Kind: evTold, At: at}, {Kind: evDead, At: at}},
		"late and told, then dead, told":   {{Kind: evTold, At: at}, {Kind: evDead, At: at}, {Kind: evTold, At: at}},
		"replayed":                         {{Kind: evDead, At: at}, {Kind: evTold, At: at}, {Kind: evReopened, At: at}},
		"dropped, and heard of":            {{Kind: evDropped, Reason: "spam", At: at}, {Kind: evRouted, Dests: []string{"csv"}, At: at}},
		"under way":                        {{Kind: evRouted, Dests: []string{"crm", "csv"}, At: at, RepeatOf: "b"}, {Kind: evIntent, Dest: "crm", At: at}},
		"in doubt":                         {{Kind: evRouted, Dests: []string{"crm"}, At: at}, {Kind: evUnsure, Dest: "crm", At: at}},
		"held":                             {{Kind: evRouted, Dests: []string{"crm"}, At: at}, {Kind: evUnsure, Dest: "crm", At: at}, {Kind: evHeld, Dest: "crm", Reason: reasonAmbiguous, At: at}},
		"dead at one, delivered at others": {{Kind: evRouted, Dests: []string{"a", "b", "c"}, At: at}, {Kind: evDead, Dest: "a", Attempts: 5, Tries: []Try{{Err: "500"}}, At: at}, {Kind: evTold, Dest: "a", At: at}, {Kind: evDelivered, Dest: "b", Remote: "7", Attempts: 2, At: at}, {Kind: evMerged, Dest: "c", At: at}},
	} {
		r := &record{id: "a", accepted: at}
		for _, e := range events {
			r.apply(e)
		}
		again := &record{id: "a", accepted: at}
		for _, e := range r.history() {
			again.apply(e)
		}
		if diff := cmp.Diff(r, again, cmp.AllowUnexported(record{}, stop{}, place{})); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		for _, e := range r.history() { // and once more: a crash may leave the old copy as well
			r.apply(e)
		}
		if diff := cmp.Diff(again, r, cmp.AllowUnexported(record{}, stop{}, place{})); diff != "" {
			t.Errorf("%s, twice: %s", name, diff)
		}
	}
}
