package streams

import (
	"cmp"
	"maps"
	"slices"
	"sort"
	"time"

	"leadstream/streams/failpoint"
)

// standing is what the ledger knows of a lead at one destination.
type standing struct {
	final     bool
	letter    *stop // a copy of what is known of it, when it is dead or held: it stands among the dead letters
	intent    time.Time
	forgotten bool // a lead of ours that ended longer than the retention ago: it comes from an old copy of Redis
}

func (c *Custody) at(lead *Lead, dest string) standing {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.find(lead.ID)
	if r == nil {
		return standing{forgotten: lead.Home == c.Instance}
	}
	if r.whole == Erased {
		return standing{final: true}
	}
	s := r.stop(dest)
	if s == nil {
		return standing{}
	}
	known := standing{final: s.state.Final(), intent: s.intent}
	if s.state == Dead || s.state == Held {
		letter := *s
		known.letter = &letter
	}
	return known
}

// outcome is the event with which a lead has ended at a destination, for a home that may have missed it.
func (c *Custody) outcome(id, dest string) (event, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.find(id)
	if r == nil {
		return event{}, false
	}
	if r.whole == Erased {
		return event{Lead: id, Kind: evErased, At: c.Now().UTC()}, true
	}
	for _, e := range r.history() { // it may have died as a whole before, and have been replayed elsewhere
		if e.Dest == dest && finalOf[e.Kind] != "" {
			return e, true
		}
	}
	return event{}, false
}

// earlier is what is known at a destination of the lead that this one repeats; nil when it is no repeat.
// Of a lead whose home is elsewhere we know only what happened in our hands: what we began before since, another may have
// ended, and nobody tells us.
func (c *Custody) earlier(lead *Lead, dest string, since time.Time) *Earlier {
	if lead.RepeatOf == "" {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e := &Earlier{}
	r := c.find(lead.RepeatOf)
	if r == nil {
		return e
	}
	if s := r.stop(dest); s != nil {
		e.Remote, e.Pending = s.remote, s.state == InFlight && (r.home || s.intent.After(since))
	} else if r.whole == "" && !r.routed && r.home {
		e.Pending = true
	}
	if e.Pending && r.home && r.durable() {
		pos := r.pos
		c.mu.Unlock()
		first, _, err := c.leadAt(pos)
		c.mu.Lock()
		// Of the same customer it would stand before this one. That this one's turn has come says that it has fallen
		// behind, vanished from Redis or replayed by a person, and would wait for this one in its turn.
		if err == nil && first.OrderKey() == lead.OrderKey() {
			e.Pending = false
		}
	}
	return e
}

func (c *Custody) isOpen(id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open[id] != nil
}

// Alive says whether repeats of a lead are to be attached to it: it is not dead, dropped or erased.
func (c *Custody) Alive(id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.find(id)
	return r == nil || c.alive(r)
}

// OnEnded has f told of leads that died, were dropped or erased. Set it before anything runs.
func (c *Custody) OnEnded(f func(ids []string)) { c.ended = f }

// Lead reads a lead of ours as it was accepted.
func (c *Custody) Lead(id string) (*Lead, bool) {
	c.mu.Lock()
	r := c.find(id)
	c.mu.Unlock()
	if r == nil || !r.home {
		return nil, false
	}
	l, _, err := c.lead(r)
	return l, err == nil
}

// Life tells a lead's life, if its home is here.
func (c *Custody) Life(id string) (Life, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.find(id)
	if r == nil || !r.home {
		return Life{}, false
	}
	return r.life(), true
}

// Query chooses leads of the ledger. Zero values choose all.
type Query struct {
	State        State
	Source       string
	Since, Until time.Time
	After        string // id of the last lead of the page before
	Limit        int    // 0 is 100
}

func (q Query) wants(r *record) bool {
	return r.home && (q.State == "" || r.state() == q.State) && (q.Source == "" || r.source == q.Source) &&
		(q.Since.IsZero() || !r.accepted.Before(q.Since)) && (q.Until.IsZero() || r.accepted.Before(q.Until))
}

// newestFirst orders leads as they are listed.
func newestFirst(a, b *record) int {
	return cmp.Or(b.accepted.Compare(a.accepted), cmp.Compare(a.id, b.id))
}

// Lives lists leads, newest first.
func (c *Custody) Lives(q Query) []Life {
	if q.Limit <= 0 {
		q.Limit = 100
	}
	page := page{q: q, limit: q.Limit}
	c.mu.Lock()
	if q.After != "" {
		if r := c.find(q.After); r != nil && q.wants(r) {
			page.after = r
		}
	}
	archives := slices.Clone(c.archives)
	c.mu.Unlock()
	for i, a := range slices.Backward(archives) { // without mu: it takes a while, and they do not change
		if !page.full(a.note.Newest) {
			c.listArchive(a, archives[i+1:], &page)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	page.rows = slices.DeleteFunc(page.rows, func(r *record) bool { return c.leads[r.id] != nil })
	for _, r := range c.leads {
		page.add(r)
	}
	page.cut()
	lives := make([]Life, 0, len(page.rows))
	for _, r := range page.rows {
		lives = append(lives, r.life())
	}
	return lives
}

// listArchive adds the leads of an archive that are in none that is newer, nor in memory.
func (c *Custody) listArchive(a *archive, newer []*archive, page *page) {
	err := a.each(func(k archiveKey, b []byte) error {
		if k[0] != byID {
			return nil
		}
		r, err := unpack(b)
		if err != nil {
			return err
		}
		for _, n := range newer {
			if b, err := n.get(k); err != nil || b != nil {
				return err
			}
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.mend(r)
		if r.pos.Segment >= c.floor && c.leads[r.id] == nil {
			page.add(r)
		}
		return nil
	})
	if err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		if slices.Contains(c.archives, a) {
			c.unarchive(err) // now all of them are in memory
		}
	}
}

// page is the beginning of a list of leads, behind one of them.
type page struct {
	q     Query
	after *record // nil: from the first
	limit int
	rows  []*record
}

func (p *page) add(r *record) {
	if !p.q.wants(r) || p.after != nil && newestFirst(p.after, r) >= 0 {
		return
	}
	if p.rows = append(p.rows, r); len(p.rows) >= 2*p.limit+1000 {
		p.cut()
	}
}

// full says that nothing accepted up to newest, in unix ms, has a place on the page.
func (p *page) full(newest int64) bool {
	p.cut()
	return len(p.rows) == p.limit && p.rows[p.limit-1].accepted.UnixMilli() > newest
}

func (p *page) cut() {
	slices.SortFunc(p.rows, newestFirst)
	p.rows = p.rows[:min(p.limit, len(p.rows))]
}

// Unforwarded is how many leads are in the journal and not yet in Redis.
func (c *Custody) Unforwarded() (n int) {
	for _, b := range c.forward {
		n += b.len()
	}
	return n
}

// Tally counts leads by where they stand. Unexplained is the number that must be 0: leads that neither ended nor are
// where they could still move.
type Tally struct {
	States      map[State]int `json:"states"`
	Open        int           `json:"open"`
	Unforwarded int           `json:"unforwarded"` // in the journal, not yet in Redis
	Oldest      time.Time     `json:"oldest,omitzero"`
	Counts      Counts        `json:"counts"`
}

// Tally sums the ledger up.
func (c *Custody) Tally() Tally {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := Tally{States: map[State]int{}, Open: len(c.open), Counts: c.counts}
	for _, s := range []State{InFlight, Held, Delivered, Merged, Dropped, Dead, Erased} {
		t.States[s] = c.states[s]
		for _, p := range c.past {
			t.States[s] += p.states[s]
		}
	}
	for _, r := range c.open {
		if t.Oldest.IsZero() || r.accepted.Before(t.Oldest) {
			t.Oldest = r.accepted
		}
	}
	t.Unforwarded = c.Unforwarded()
	return t
}

// Untold is a lead that a person has to be told of, once.
type Untold struct {
	LeadID      string
	Destination string
	State       State // dead, held; in_flight: it is late
	Since       time.Time
	Attempts    int
	Error       string
}

// Untold lists what no person was told of yet, oldest first: dead, held and late leads. lateAfter says from when on a lead on its way
// to a destination ("" before it is routed) is late.
func (c *Custody) Untold(now time.Time, lateAfter func(dest string) time.Duration) []Untold {
	c.mu.Lock()
	var list []Untold
	add := func(r *record, u Untold) {
		u.LeadID = r.id
		list = append(list, u)
	}
	for _, r := range c.trouble {
		if r.whole == Dead && !r.toldWhole {
			add(r, Untold{State: Dead, Since: r.accepted, Error: r.reason})
		}
		for _, d := range r.dests {
			if (d.state == Dead || d.state == Held) && !d.told {
				add(r, Untold{Destination: d.name, State: d.state, Since: d.at, Attempts: d.attempts, Error: d.reason})
			}
		}
	}
	for _, r := range c.open {
		late := !r.routed && now.Sub(r.accepted) > lateAfter("")
		for _, d := range r.dests {
			late = late || d.state == InFlight && now.Sub(r.accepted) > lateAfter(d.name)
		}
		if late && !r.toldLate && !failpoint.Seeded(failpoint.LateUntold) {
			add(r, Untold{Destination: firstOf(r.lacking()), State: InFlight, Since: r.accepted})
		}
	}
	c.mu.Unlock()
	sort.Slice(list, func(i, j int) bool { return list[i].Since.Before(list[j].Since) })
	return list
}

func firstOf(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return names[0]
}

// Told notes that a person was told.
func (c *Custody) Told(list []Untold) error {
	events := make([]event, 0, len(list))
	for _, u := range list {
		e := event{Lead: u.LeadID, Kind: evTold, Dest: u.Destination, At: c.Now().UTC()}
		if u.State == InFlight {
			e.Dest = ""
		}
		events = append(events, e)
	}
	return c.note(events)
}

// UntoldQuarantine lists quarantined requests that no person was told of, without their bodies.
func (c *Custody) UntoldQuarantine() []Quarantined {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := slices.Collect(maps.Values(c.unread))
	sort.Slice(list, func(i, j int) bool { return list[i].At.Before(list[j].At) })
	return list
}

// ToldQuarantine notes that a person was told of quarantined requests.
func (c *Custody) ToldQuarantine(ids []string) error {
	var events []event
	for _, id := range ids {
		events = append(events, event{Lead: id, Kind: evTold, At: c.Now().UTC()})
	}
	return c.note(events)
}

// Standing counts the leads of one destination.
type Standing struct{ InFlight, Late, Dead, Held int }

// Standings counts by destination ("" for leads that are not routed yet), and the leads of the last day.
func (c *Custody) Standings(lateAfter func(dest string) time.Duration) (by map[string]Standing, day int) {
	now := c.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	by = map[string]Standing{}
	count := func(dest string, s State, since time.Time) {
		n := by[dest]
		switch s {
		case InFlight:
			n.InFlight++
			if now.Sub(since) > lateAfter(dest) {
				n.Late++
			}
		case Dead:
			n.Dead++
		case Held:
			n.Held++
		}
		by[dest] = n
	}
	since := now.Add(-24 * time.Hour).UnixMilli()
	for _, p := range c.past {
		i, _ := slices.BinarySearch(p.times, since+1)
		day += len(p.times) - i
	}
	for _, r := range c.leads {
		if !r.home {
			continue
		}
		if now.Sub(r.accepted) < 24*time.Hour {
			day++
		}
		if !r.routed || r.whole != "" && r.whole == r.state() {
			count("", r.state(), r.accepted)
			continue
		}
		for _, d := range r.dests {
			count(d.name, d.state, r.accepted)
		}
	}
	return by, day
}

// Conflicts counts requests with a known key and another body since the start, by source.
func (c *Custody) Conflicts() map[string]uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.clashes)
}
