package streams

import (
	"context"
	"errors"
	flags "flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"leadstream/streams/journal"
)

var (
	histories    = flags.Int("histories", 6, "random histories over which a start with an index is held to one without")
	firstHistory = flags.Uint64("history", rand.Uint64()%1e6, "number of the first of them")
)

// history is a ledger's random life, over many starts.
type history struct {
	t       testing.TB
	rng     *rand.Rand
	clk     *clock
	dir     string
	c       *Custody
	ids     []string // of all leads that were ever spoken of, ours or others'
	ours    map[string]bool
	keys    [][16]byte
	bodies  [][16]byte
	n       int
	wild    bool // events come in any order, which no lead's do; then nothing is dropped, because the carrying of leads relies on it
	dropped bool
	old     string // a copy of the index as it was earlier
}

func openQuietly(t testing.TB, dir string, clk *clock) *Custody {
	t.Helper()
	c := &Custody{Instance: "one", Partitions: 2, Now: clk.now, Log: zerolog.Nop()}
	if err := c.Open(journal.Options{Dir: dir, Reserve: -1, SegmentSize: 32 << 10, MaxRecord: 8 << 10}); err != nil {
		t.Fatal(err)
	}
	return c
}

func (h *history) check(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *history) take() {
	var taken []Taken
	for range 1 + h.rng.IntN(6) {
		h.n++
		body := fmt.Sprint("body ", h.n)
		if h.rng.IntN(4) == 0 {
			body = fmt.Sprint("body ", h.rng.IntN(h.n))
		}
		key := ""
		if h.rng.IntN(2) == 0 {
			key = fmt.Sprint("key ", h.n-h.rng.IntN(min(h.n, 3)))
		}
		taken = append(taken, Taken{Lead: &Lead{Source: "site", Phone: fmt.Sprintf("+7999%07d", h.n)}, Key: key, Canonical: []byte(body),
			Raw: make([]byte, h.rng.IntN(600))})
		var named taking
		named.name(&taken[len(taken)-1], h.clk.now())
		h.keys, h.bodies = append(h.keys, named.key), append(h.bodies, named.body)
	}
	receipts, err := h.c.TakeAll(context.Background(), taken)
	h.check(err)
	for _, r := range receipts {
		h.ids, h.ours[r.LeadID] = append(h.ids, r.LeadID), true
	}
}

// someone is a lead, mostly one of the last.
func (h *history) someone() string {
	if len(h.ids) == 0 || h.rng.IntN(20) == 0 {
		h.ids = append(h.ids, NewID("others", fmt.Sprint(h.rng.IntN(50))))
		return h.ids[len(h.ids)-1]
	}
	if h.rng.IntN(5) == 0 {
		return h.ids[h.rng.IntN(len(h.ids))]
	}
	return h.ids[len(h.ids)-1-h.rng.IntN(min(len(h.ids), 30))]
}

// happen notes the next step in the lives of some leads.
func (h *history) happen() {
	var events []event
	if !h.wild {
		for range 1 + h.rng.IntN(12) {
			if e, ok := h.next(h.someone()); ok {
				h.check(h.c.note([]event{e}))
			}
		}
		return
	}
	for range 1 + h.rng.IntN(12) {
		id, at := h.someone(), h.clk.now().UTC()
		dest := []string{"crm", "csv"}[h.rng.IntN(2)]
		e := event{Lead: id, Dest: dest, At: at, Attempts: h.rng.IntN(4)}
		switch n := h.rng.IntN(24); {
		case n < 4:
			e = event{Lead: id, Kind: evRouted, Dests: []string{"crm", "csv"}[:1+h.rng.IntN(2)], At: at, RepeatOf: []string{"", h.someone()}[h.rng.IntN(2)]}
		case n < 6:
			e.Kind = evIntent
		case n < 14: // a whole delivery
			events = append(events, event{Lead: id, Kind: evRouted, Dests: []string{dest}, At: at}, event{Lead: id, Kind: evIntent, Dest: dest, At: at})
			e.Kind, e.Remote = evDelivered, fmt.Sprint(h.rng.IntN(1000))
		default:
			e.Kind = eventKinds[h.rng.IntN(len(eventKinds))]
			if e.Kind == evDead || e.Kind == evHeld {
				e.Reason, e.Tries = "no", []Try{{At: at, Code: "503", Err: "no"}}
			}
			if h.rng.IntN(8) == 0 {
				e.Dest = ""
			}
			if e.Kind == evRouted {
				e.Dest, e.Dests = "", []string{dest}
			}
		}
		events = append(events, e)
	}
	h.check(h.c.note(events))
}

// next is what can happen to a lead as it stands.
func (h *history) next(id string) (event, bool) {
	r, at := h.c.find(id), h.clk.now().UTC()
	if r == nil || !r.home || h.rng.IntN(30) == 0 && r.state() == InFlight {
		return event{Lead: id, Kind: []eventKind{evDropped, evErased}[h.rng.IntN(2)], Reason: "no", At: at}, r != nil && r.home
	}
	if !r.routed {
		return event{Lead: id, Kind: evRouted, Dests: []string{"crm", "csv"}[:1+h.rng.IntN(2)], At: at, RepeatOf: []string{"", h.someone()}[h.rng.IntN(2)]}, true
	}
	s := r.dests[h.rng.IntN(len(r.dests))]
	e := event{Lead: id, Dest: s.name, At: at, Attempts: s.attempts}
	switch {
	case s.state == InFlight && s.intent.IsZero():
		e.Kind = evIntent
	case s.state == InFlight:
		e.Kind, e.Attempts = []eventKind{evUnsent, evUnsure, evDelivered, evDelivered, evDelivered, evMerged, evDropped, evDead, evHeld}[h.rng.IntN(9)], s.attempts+1
		if e.Kind == evDelivered {
			e.Remote = fmt.Sprint(h.rng.IntN(1000))
		}
		if e.Kind == evDead || e.Kind == evHeld {
			e.Reason, e.Tries = "no", []Try{{At: at, Code: "503", Err: "no"}}
		}
	case s.state == Dead || s.state == Held:
		e.Kind, e.Undoes = []eventKind{evTold, evReopened}[h.rng.IntN(2)], s.at.UnixMilli()
	default:
		return e, false
	}
	return e, true
}

func (h *history) step() {
	switch n := h.rng.IntN(100); {
	case n < 40:
		h.take()
	case n < 80:
		h.happen()
	case n < 84:
		h.check(h.c.Quarantine(Quarantined{Source: "make", Reason: "bad", At: h.clk.now().UTC(), Raw: make([]byte, h.rng.IntN(4000))}))
	case n < 87:
		for _, q := range h.c.UntoldQuarantine() {
			h.check(h.c.ToldQuarantine([]string{q.ID}))
		}
	case n < 88:
		h.check(h.c.noteEpoch(epochNote{Partition: h.rng.IntN(2), Epoch: int64(h.n), Run: "r", At: h.clk.now().UTC()}))
	case n < 89:
		h.tidy()
	case n < 92:
		if err := h.c.buildIndex(context.Background()); !errors.Is(err, errArchive) { // it has been spoilt: the next try begins anew
			h.check(err)
		}
	case n < 98:
		h.clk.add(time.Duration(h.rng.IntN(1200)) * time.Second)
	default:
		h.clk.add([]time.Duration{time.Hour, -time.Hour, 24 * time.Hour, -24 * time.Hour}[h.rng.IntN(4)])
	}
}

func (h *history) tidy() {
	if h.wild {
		return
	}
	segments := h.c.journal.Segments()
	first := segments[0].Number
	h.check(h.c.tidyAt(segments[h.rng.IntN(len(segments))].Newest))
	h.dropped = h.dropped || h.c.journal.Segments()[0].Number != first
}

// restart ends the ledger in order or as a crash does, holds what a start makes of its journal with the index to what it
// makes of it without, and goes on with the index.
func (h *history) restart() {
	h.t.Helper()
	if files, _ := os.ReadDir(filepath.Join(h.dir, indexFolder)); len(files) > 0 && h.rng.IntN(3) == 0 {
		h.old = copyOf(h.t, filepath.Join(h.dir, indexFolder))
	}
	next := ""
	if h.rng.IntN(2) == 0 { // a crash
		next = copyOf(h.t, h.dir)
		if h.rng.IntN(2) == 0 {
			last := h.c.journal.Segments()
			h.tear(next, last[len(last)-1])
		}
		h.check(h.c.Close())
	} else {
		h.check(h.c.Close())
		next = copyOf(h.t, h.dir)
	}
	h.harm(filepath.Join(next, indexFolder))
	plain := copyOf(h.t, next)
	h.check(os.RemoveAll(filepath.Join(plain, indexFolder)))
	want, got := openQuietly(h.t, plain, h.clk), openQuietly(h.t, next, h.clk)
	defer want.Close()
	if diff := cmp.Diff(h.answers(want, want), h.answers(got, want), cmp.AllowUnexported(Quarantined{})); diff != "" {
		h.t.Fatalf("a start with an index (-: without):\n%s", diff)
	}
	h.dir, h.c = next, got
}

// tear leaves the beginning of a record behind the last one, as a crash does.
func (h *history) tear(dir string, last journal.SegmentInfo) {
	names, err := filepath.Glob(filepath.Join(dir, fmt.Sprintf("%016x-*.seg", last.Number)))
	h.check(err)
	f, err := os.OpenFile(names[0], os.O_RDWR, 0)
	h.check(err)
	_, err = f.WriteAt([]byte("\xf5LSJ torn"), last.Size)
	h.check(err)
	h.check(f.Close())
}

// harm spoils the index in one of the ways in which a file can be spoilt, or not at all.
func (h *history) harm(dir string) {
	files, _ := os.ReadDir(dir)
	if len(files) == 0 {
		return
	}
	path := filepath.Join(dir, files[h.rng.IntN(len(files))].Name())
	b, err := os.ReadFile(path)
	h.check(err)
	at := 0
	if len(b) > 0 {
		at = h.rng.IntN(len(b))
	}
	switch h.rng.IntN(16) {
	case 0, 1, 2:
		if len(b) > 0 {
			b[at] ^= 1 << h.rng.IntN(8)
		}
	case 3:
		b = b[:at]
	case 4, 5:
		clear(b[at:min(at+512, len(b))])
	case 6:
		b = append(b, b[at:]...)
	case 7:
		h.check(os.Remove(path))
		return
	case 8: // the index of an earlier time
		if h.old != "" {
			h.check(os.RemoveAll(dir))
			h.check(os.CopyFS(dir, os.DirFS(h.old)))
		}
		return
	case 9: // some files of it
		if h.old != "" {
			olds, _ := os.ReadDir(h.old)
			for _, f := range olds {
				if h.rng.IntN(2) == 0 {
					b, err := os.ReadFile(filepath.Join(h.old, f.Name()))
					h.check(err)
					h.check(os.WriteFile(filepath.Join(dir, f.Name()), b, 0o600))
				}
			}
		}
		return
	case 10: // what a crash leaves of a file that is being written
		h.check(os.WriteFile(path+tmpSuffix, b[:at], 0o600))
		return
	default:
		return
	}
	h.check(os.WriteFile(path, b, 0o600))
}

func copyOf(t testing.TB, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if errors.Is(err, os.ErrNotExist) { // the journal's spare
			return nil
		} else if err != nil {
			return err
		}
		name := filepath.Join(to, strings.TrimPrefix(path, dir))
		switch {
		case info.IsDir():
			return os.MkdirAll(name, 0o700)
		case !strings.HasSuffix(name, ".tmp") || strings.Contains(name, indexFolder):
			from, err := os.Open(path)
			if errors.Is(err, os.ErrNotExist) {
				return nil
			} else if err != nil {
				return err
			}
			defer from.Close()
			f, err := os.Create(name)
			if err != nil {
				return err
			}
			if _, err := io.Copy(f, from); err != nil {
				return err
			}
			return f.Close()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// answers is everything that anybody can ask a ledger. plain is the one without an index: where segments were dropped, it
// knows less of leads that were delivered for others, takes ours for theirs when their record is gone, and has forgotten
// tries that failed.
func (h *history) answers(c, plain *Custody) map[string]any {
	all := map[string]any{}
	add := func(name string, v any) { all[name] = v }
	now := h.clk.now()
	for _, id := range h.ids {
		r := plain.find(id)
		if h.dropped && r != nil && !r.home {
			continue
		}
		life, ok := c.Life(id)
		add("life "+id, []any{h.tame(life), ok})
		for _, dest := range []string{"crm", "csv"} {
			s := c.at(&Lead{ID: id, Home: "one"}, dest)
			if s.letter != nil {
				add("letter "+id+dest, s.letter.asLetter(nil))
			}
			add("at "+id+dest, []any{s.final, s.intent, s.forgotten, s.letter != nil})
			e, ok := c.outcome(id, dest)
			if e.Kind == evErased {
				e.At = time.Time{} // that is now
			}
			add("outcome "+id+dest, []any{e, ok})
			add("earlier "+id+dest, c.earlier(&Lead{ID: "x", RepeatOf: id}, dest, now))
		}
		l, ok := c.Lead(id)
		add("lead "+id, []any{l, ok, c.Alive(id), c.isOpen(id)})
	}
	for i, key := range h.keys {
		add(fmt.Sprint("key ", i), c.keyKnown(key))
		id := ""
		if r := c.latest(h.bodies[i]); r != nil {
			id = r.id
		}
		add(fmt.Sprint("body ", i), id)
	}
	add("tally", c.Tally())
	late := func(string) time.Duration { return 10 * time.Minute }
	by, day := c.Standings(late)
	maps := map[string]Standing{}
	for dest, s := range by {
		if s != (Standing{}) {
			maps[dest] = s
		}
	}
	add("standings", []any{maps, day})
	for _, q := range []Query{{Limit: 7}, {Limit: 3, After: h.anyone()}, {State: Delivered, Limit: 20}, {State: Dropped, Since: now.Add(-3 * time.Hour), Limit: 1000}, {Limit: 100_000}} {
		lives := c.Lives(q)
		for i := range lives {
			lives[i] = h.tame(lives[i])
		}
		add(fmt.Sprintf("lives %+v", q), lives)
	}
	for p := range 2 {
		letters := c.deadIn(p)
		add(fmt.Sprint("letters ", p), letters)
		n := c.epochOf(p)
		n.segment = 0
		add(fmt.Sprint("epoch ", p), fmt.Sprintf("%+v", n))
		var waiting []string
		for _, l := range c.forward[p].head(1 << 20) {
			only := strings.Split(l.only, ",")
			slices.Sort(only) // their order is lost with the segment that says it
			waiting = append(waiting, fmt.Sprint(l.record.id, only, l.force, l.unsure, l.at))
		}
		add(fmt.Sprint("waiting ", p), waiting)
	}
	untold := c.Untold(now, late)
	slices.SortFunc(untold, func(a, b Untold) int { return strings.Compare(a.LeadID+a.Destination, b.LeadID+b.Destination) })
	for i := range untold {
		if untold[i].Attempts = 0; h.dropped && untold[i].State == InFlight {
			untold[i].Destination = ""
		}
	}
	add("untold", untold)
	unread := c.UntoldQuarantine()
	slices.SortFunc(unread, func(a, b Quarantined) int { return strings.Compare(a.ID, b.ID) })
	add("quarantine", unread)
	return all
}

// anyone is one lead, the same for both.
func (h *history) anyone() string {
	if len(h.ids) == 0 {
		return ""
	}
	return h.ids[len(h.ids)/2]
}

func (h *history) tame(l Life) Life {
	for i, d := range l.Destinations {
		if h.dropped && !d.State.Final() {
			l.Destinations[i].Attempts, l.Destinations[i].At = 0, time.Time{}
		}
	}
	if h.dropped {
		slices.SortFunc(l.Destinations, func(a, b Stop) int { return strings.Compare(a.Name, b.Name) })
	}
	return l
}

// A start with an index answers everything as one that reads the whole journal, whatever has happened to the leads, the
// journal and the index.
func TestIndexAnswersLikeTheJournal(t *testing.T) {
	t.Parallel()
	for i := range *histories {
		seed := *firstHistory + uint64(i)
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			t.Logf("the same again: go test ./streams -run TestIndexAnswers -history %d -histories 1", seed)
			h := &history{t: t, rng: rand.New(rand.NewPCG(seed, 0)), wild: seed%2 == 0, clk: &clock{t: time.Now().Truncate(time.Millisecond)}, dir: t.TempDir(), ours: map[string]bool{}}
			h.c = openQuietly(t, h.dir, h.clk)
			for range 8 {
				for range 40 + h.rng.IntN(60) {
					h.step()
				}
				h.restart()
			}
			h.check(h.c.Close())
		})
	}
}

// TestLedgerCode: a lead comes back from the index with all that the ledger keeps of it, also what it will keep one day.
func TestLedgerCode(t *testing.T) {
	running := []string{"ready", "refused", "queued", "redriven", "unsure", "forwarded", "counted"} // of this process alone
	var want record
	fill(t, reflect.ValueOf(&want).Elem(), running)
	var w ledgerWriter
	w.record(&want)
	r := ledgerReader{b: w.b}
	got := r.record(map[string]string{})
	if r.bad || len(r.b) > 0 || got.ready != closed {
		t.Fatalf("read %+v, %d bytes are left", got, len(r.b))
	}
	got.ready = nil
	if diff := cmp.Diff(want, *got, cmp.AllowUnexported(record{}, stop{}, place{})); diff != "" {
		t.Error(diff)
	}
	for n := range w.b {
		if r := (ledgerReader{b: w.b[:n]}); r.record(map[string]string{}) != nil && !r.bad {
			t.Errorf("the first %d bytes of %d pass for a lead", n, len(w.b))
		}
	}
}

// fill sets every field of a struct but some.
func fill(t *testing.T, v reflect.Value, but []string) {
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		if slices.Contains(but, name) {
			continue
		}
		field := reflect.NewAt(v.Field(i).Type(), v.Field(i).Addr().UnsafePointer()).Interface()
		switch f := field.(type) {
		case *string:
			*f = "text " + name
		case *bool:
			*f = true
		case *int:
			*f = 40 + i
		case *State:
			*f = Held
		case *[16]byte:
			*f = [16]byte{byte(i)}
		case *journal.Pos:
			*f = journal.Pos{Segment: 7, Offset: 1 << 30, Len: 9}
		case *place:
			*f = place{segment: 3, offset: 1 << 31}
		case *time.Time:
			*f = time.Date(2026, 3, i+1, 10, 0, 0, 120_000_001, time.UTC)
		case *[]Try:
			*f = []Try{{At: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), Code: "503", Err: "no"}}
		case *[]stop:
			*f = make([]stop, 2)
			for k := range *f {
				fill(t, reflect.ValueOf(&(*f)[k]).Elem(), nil)
			}
		default:
			t.Fatalf("a lead of the ledger has a field %s of type %T: teach ledgerWriter, ledgerReader and this test", name, f)
		}
	}
}

// filled is a closed ledger of 300 delivered leads and an open one, without an index.
func filled(t *testing.T) (*history, []string) {
	t.Helper()
	h := &history{t: t, rng: rand.New(rand.NewPCG(1, 1)), clk: &clock{t: time.Now().Truncate(time.Millisecond)}, dir: t.TempDir(), ours: map[string]bool{}}
	h.c = openQuietly(t, h.dir, h.clk)
	takeOne(t, h.c, "site", "open", "open")
	var ids []string
	for i := range 300 {
		r, _ := takeOne(t, h.c, "site", fmt.Sprint("k", i), fmt.Sprint("body ", i))
		ids = append(ids, r.LeadID)
		h.check(h.c.note([]event{{Lead: r.LeadID, Kind: evRouted, Dests: []string{"crm"}, At: h.clk.now().UTC()},
			{Lead: r.LeadID, Kind: evDelivered, Dest: "crm", Remote: fmt.Sprint(i), Attempts: 1, At: h.clk.now().UTC()}}))
	}
	h.check(h.c.Close())
	h.c = openQuietly(t, h.dir, h.clk)
	return h, ids
}

func (h *history) reopen() {
	h.t.Helper()
	h.check(h.c.Close())
	h.c = openQuietly(h.t, h.dir, h.clk)
}

// What has ended is not in memory after a start with an index, and is known all the same.
func TestStartLeavesWhatHasEndedOnTheDisk(t *testing.T) {
	t.Parallel()
	h, ids := filled(t)
	h.check(h.c.buildIndex(t.Context()))
	h.reopen()
	if n := len(h.c.leads); n != 1 || h.c.indexed == 0 {
		t.Errorf("%d leads in memory, indexed up to segment %d; want the open one alone", n, h.c.indexed)
	}
	for i, id := range ids {
		l, ok := h.c.Life(id)
		if !ok || l.State != Delivered || l.Destinations[0].RemoteID != fmt.Sprint(i) {
			t.Fatalf("lead %d: %+v, %v", i, l, ok)
		}
	}
	if again, _ := takeOne(t, h.c, "site", "k7", "body 7"); !again.Duplicate || again.LeadID != ids[7] {
		t.Errorf("its request once more: %+v, want a duplicate", again)
	}
	if other, _ := takeOne(t, h.c, "site", "k7", "body of another"); !other.Conflict {
		t.Errorf("its key with another body: %+v, want a conflict", other)
	}
	h.check(h.c.note([]event{{Lead: ids[3], Kind: evErased, At: h.clk.now()}}))
	if n := h.c.Tally().States; n[Delivered] != 299 || n[Erased] != 1 || len(h.c.Lives(Query{Limit: 1000})) != 302 {
		t.Errorf("after one was erased: %v", n)
	}
	h.check(h.c.Close())
}

// A damaged archive is noticed when it is asked, the journal answers in its place, and the next index is a new one.
func TestDamagedArchive(t *testing.T) {
	t.Parallel()
	h, ids := filled(t)
	h.check(h.c.buildIndex(t.Context()))
	h.check(h.c.Close())
	archives, err := filepath.Glob(filepath.Join(h.dir, indexFolder, archivePrefix+"*"))
	if err != nil || len(archives) == 0 {
		t.Fatalf("archives: %v, %v", archives, err)
	}
	for _, path := range archives {
		b, err := os.ReadFile(path)
		h.check(err)
		for at := 0; at < len(b)/2; at += 64 { // its blocks; the foot is whole
			b[at] ^= 1
		}
		h.check(os.WriteFile(path, b, 0o600))
	}
	h.c = openQuietly(t, h.dir, h.clk)
	if len(h.c.archives) == 0 {
		t.Fatal("the archives are not used")
	}
	for _, id := range ids {
		if l, ok := h.c.Life(id); !ok || l.State != Delivered {
			t.Fatalf("lead %s: %+v, %v", id, l, ok)
		}
	}
	if n := h.c.Tally().States; n[Delivered] != 300 || n[InFlight] != 1 {
		t.Errorf("counted %v", n)
	}
	h.check(h.c.buildIndex(t.Context()))
	h.reopen()
	if n := len(h.c.leads); n != 1 {
		t.Errorf("%d leads in memory behind a new index, want 1", n)
	}
	h.check(h.c.Close())
}

// A stop does not wait for an index that is being made, and the next run makes it.
func TestStopEndsIndexing(t *testing.T) {
	t.Parallel()
	h, _ := filled(t)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := h.c.buildIndex(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want that it was stopped", err)
	}
	if files, _ := os.ReadDir(filepath.Join(h.dir, indexFolder)); len(files) != 0 {
		t.Errorf("it has written %v", files)
	}
	h.check(h.c.buildIndex(t.Context()))
	h.reopen()
	if len(h.c.archives) == 0 {
		t.Error("there is no index")
	}
	h.check(h.c.Close())
}

// What is known of a partition outlives the segment in which it was noted.
func TestEpochOutlivesItsSegment(t *testing.T) {
	t.Parallel()
	h, _ := filled(t)
	want := epochNote{Partition: 1, Epoch: 7, Run: "r", Others: h.clk.now().UTC(), At: h.clk.now().UTC()}
	h.check(h.c.noteEpoch(want))
	noted := h.c.epochs[1].segment
	h.reopen()
	h.check(h.c.tidyAt(time.Now().Add(time.Hour)))
	if h.c.journal.Segments()[0].Number <= noted {
		t.Fatal("its segment was not dropped")
	}
	h.reopen()
	got := h.c.epochOf(1)
	got.segment = 0
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	h.check(h.c.Close())
}

// What could not be read while the index was made is not taken for what is not there.
func TestUnreadableSegmentIsNotIndexed(t *testing.T) {
	t.Parallel()
	h, ids := filled(t)
	path := h.segment(2)
	whole, err := os.ReadFile(path)
	h.check(err)
	harmed := slices.Clone(whole)
	harmed[len(harmed)/2] ^= 1
	h.check(os.WriteFile(path, harmed, 0o600))
	if err := h.c.buildIndex(t.Context()); !errors.Is(err, journal.ErrDamaged) {
		t.Errorf("%v, want that a segment is damaged", err)
	}
	if s := h.c.journal.Segments(); s[0].Damaged || !s[1].Damaged {
		t.Errorf("segments: %+v", s)
	}
	h.check(h.c.buildIndex(t.Context()))
	h.check(h.c.Close())
	h.check(os.WriteFile(path, whole, 0o600)) // it was the cable
	h.c = openQuietly(t, h.dir, h.clk)
	if h.c.indexed != 1 {
		t.Errorf("indexed up to segment %d, want the one before", h.c.indexed)
	}
	for _, id := range ids {
		if l, ok := h.c.Life(id); !ok || l.State != Delivered {
			t.Fatalf("lead %s: %+v, %v", id, l, ok)
		}
	}
	h.check(h.c.Close())
}

// segment is the path of the segment with a number.
func (h *history) segment(number uint64) string {
	h.t.Helper()
	paths, err := filepath.Glob(filepath.Join(h.dir, fmt.Sprintf("%016x-*.seg", number)))
	if err != nil || len(paths) != 1 {
		h.t.Fatalf("segment %d: %v, %v", number, paths, err)
	}
	return paths[0]
}

// The index leaves the space on the disk to the leads.
func TestIndexLeavesSpaceToTheJournal(t *testing.T) {
	t.Parallel()
	h, _ := filled(t)
	h.check(h.c.Close())
	var st unix.Statfs_t
	h.check(unix.Statfs(h.dir, &st))
	free := int64(st.Bavail) * st.Bsize
	h.c = &Custody{Instance: "one", Partitions: 2, Now: h.clk.now, Log: zerolog.Nop()}
	h.check(h.c.Open(journal.Options{Dir: h.dir, Reserve: free * 2 / 3, SegmentSize: 32 << 10, MaxRecord: 8 << 10}))
	h.check(h.c.Healthy())
	if err := h.c.buildIndex(t.Context()); !errors.Is(err, journal.ErrFull) {
		t.Errorf("%v, want that there is no room for it", err)
	}
	if files, _ := os.ReadDir(filepath.Join(h.dir, indexFolder)); len(files) != 0 {
		t.Errorf("it has written %v", files)
	}
	takeOne(t, h.c, "site", "one more", "one more")
	h.check(h.c.Close())
}

// An archive that is forgotten while somebody lists it is no damage.
func TestListWhileArchivesAreForgotten(t *testing.T) {
	t.Parallel()
	h, _ := filled(t)
	h.check(h.c.buildIndex(t.Context()))
	h.reopen()
	archives := slices.Clone(h.c.archives)
	if len(archives) < 2 {
		t.Fatalf("%d archives", len(archives))
	}
	archives[1].note.Last = 0 // as if its leads had come before those of the first
	for i := range archives[1].foot.filter {
		archives[1].foot.filter[i] = 0xff // it is read for every lead
	}
	h.c.forget(0, time.Time{})
	if slices.Contains(h.c.archives, archives[1]) {
		t.Fatal("it is not forgotten")
	}
	page := page{limit: 1000}
	h.c.listArchive(archives[0], archives[1:], &page)
	if len(page.rows) == 0 || len(h.c.archives) != len(archives)-1 {
		t.Errorf("%d leads listed, %d archives left of %d", len(page.rows), len(h.c.archives), len(archives))
	}
	h.check(h.c.Close())
}

// A dead lead that is carried to a newer segment does not hide what came with the same body since.
func TestCarriedLeadHidesNoLaterOne(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		indexed bool
		ago     time.Duration // its age by the disk's clock, which tests cannot set: what a start goes by
		starts  int           // behind the carrying
	}{
		"replayed":         {ago: 72 * time.Hour, starts: 1},
		"with an index":    {indexed: true, ago: 72 * time.Hour, starts: 1},
		"before any start": {indexed: true},
	} {
		t.Run(name, func(t *testing.T) {
			h := &history{t: t, clk: &clock{t: time.Now().Add(-tc.ago).Truncate(time.Millisecond)}, dir: t.TempDir()}
			h.c = openQuietly(t, h.dir, h.clk)
			end := func(id string, kind eventKind) {
				at := h.clk.now().UTC()
				h.check(h.c.note([]event{{Lead: id, Kind: evRouted, Dests: []string{"crm"}, At: at}, {Lead: id, Kind: kind, Dest: "crm", At: at}}))
			}
			first, _ := takeOne(t, h.c, "site", "", "the same")
			end(first.LeadID, evDead)
			h.reopen()
			h.clk.add(72 * time.Hour)
			second, _ := takeOne(t, h.c, "site", "", "the same")
			end(second.LeadID, evDelivered)
			h.reopen()
			if tc.indexed {
				h.check(h.c.buildIndex(t.Context()))
				h.reopen()
			}
			h.check(h.c.tidyAt(h.c.journal.Segments()[0].Newest))
			if at := h.c.find(first.LeadID).pos.Segment; at < 3 {
				t.Fatalf("the first one is in segment %d: it was not carried", at)
			}
			for start := range tc.starts + 1 {
				if start > 0 {
					h.reopen()
				}
				h.clk.add(time.Minute)
				if again, _ := takeOne(t, h.c, "site", "", "the same"); !again.Duplicate || again.LeadID != second.LeadID {
					t.Errorf("the second request once more: %+v, want a duplicate of %s", again, second.LeadID)
				}
			}
			h.check(h.c.Close())
		})
	}
}
