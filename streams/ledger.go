package streams

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"leadstream/streams/journal"
)

// record is what the ledger knows of one lead.
type record struct {
	id, source string
	home       bool        // custody is ours; else we only delivered it for another instance
	pos        journal.Pos // of its accept record
	first      place       // where that stood when the lead came, if it was carried since
	accepted   time.Time
	partition  int
	repeatOf   string
	whole      State  // final state of the whole lead: it was dropped or died before it was routed, or was erased
	reason     string // of whole
	routed     bool
	dests      []stop
	toldLate   bool
	toldWhole  bool
	body, key  [16]byte      // index entries to forget with it
	ready      chan struct{} // closed when it is durable, or was refused
	refused    bool
	queued     bool  // waits for the forwarder
	redriven   bool  // queued, and not for the first time
	unsure     bool  // queued, and found meanwhile to have perhaps been delivered by an owner that is lost
	forwarded  bool  // Redis had it once
	counted    State // under which it is counted; empty: it is not
}

// stop is a lead at one destination.
type stop struct {
	name     string
	state    State
	attempts int
	remote   string
	reason   string
	tries    []Try
	at       time.Time
	intent   time.Time // the sink may have been called then; zero: surely not, or its answer is known
	calling  bool      // and nothing was heard of the end of that call
	told     bool
}

// endedAt says whether it ended at a moment in unix ms. A dead letter may be dated a moment after its event.
func (s *stop) endedAt(ms int64) bool {
	const moment = 1000
	d := s.at.UnixMilli() - ms
	return -moment < d && d < moment
}

func (r *record) stop(name string) *stop {
	if i := slices.IndexFunc(r.dests, func(s stop) bool { return s.name == name }); i >= 0 {
		return &r.dests[i]
	}
	return nil
}

func (r *record) stopOrNew(name string) *stop {
	if s := r.stop(name); s != nil {
		return s
	}
	r.dests = append(r.dests, stop{name: name, state: InFlight})
	return &r.dests[len(r.dests)-1]
}

// state sums the destinations up: what needs somebody comes before what went well.
func (r *record) state() State {
	if r.whole == Dropped && len(r.lacking()) > 0 { // there are still those who hear of what is dropped, too
		return InFlight
	}
	if r.whole != "" {
		return r.whole
	}
	if !r.routed {
		return InFlight
	}
	for _, s := range []State{InFlight, Held, Dead, Delivered, Merged} {
		if slices.ContainsFunc(r.dests, func(d stop) bool { return d.state == s }) {
			return s
		}
	}
	return Dropped
}

// place orders leads as they came.
type place struct {
	segment uint64
	offset  int64
}

func (p place) compare(o place) int {
	return cmp.Or(cmp.Compare(p.segment, o.segment), cmp.Compare(p.offset, o.offset))
}

func (p place) String() string { return fmt.Sprintf("%d/%d", p.segment, p.offset) }

// came is where the lead stands in the order in which leads came: its record may have been carried behind later ones.
func (r *record) came() place {
	if r.first.segment != 0 {
		return r.first
	}
	return place{r.pos.Segment, r.pos.Offset}
}

// adopt takes over what an accept record says. Its events came first when the lead was carried into a newer segment.
func (r *record) adopt(a *record) {
	r.source, r.accepted, r.partition, r.body, r.key = a.source, a.accepted, a.partition, a.body, a.key
	if r.repeatOf == "" {
		r.repeatOf = a.repeatOf
	}
}

// troubled says that the lead is dead or held, as a whole or somewhere, and no person was told.
func (r *record) troubled() bool {
	return r.whole == Dead && !r.toldWhole || r.whole != Erased && slices.ContainsFunc(r.dests, func(d stop) bool {
		return (d.state == Dead || d.state == Held) && !d.told
	})
}

// lacking names the destinations that a routed lead has not ended at yet.
func (r *record) lacking() []string {
	var names []string
	for _, d := range r.dests {
		if d.state == InFlight {
			names = append(names, d.name)
		}
	}
	return names
}

// apply changes the record by one event. Events may come twice, and out of order after a crash: a delivery is never
// taken back by an earlier fact.
func (r *record) apply(e event) {
	switch e.Kind {
	case evRouted:
		r.routed = true
		if e.RepeatOf != "" {
			r.repeatOf = e.RepeatOf
		}
		for _, d := range e.Dests {
			r.stopOrNew(d)
		}
		return
	case evErased:
		r.whole = Erased
		return
	case evCarried:
		if _, err := fmt.Sscanf(e.First, "%d/%d", &r.first.segment, &r.first.offset); err != nil {
			r.first = place{} // it counts by where it stands
		}
		return
	}
	if e.Dest == "" {
		r.applyWhole(e)
		return
	}
	s := r.stopOrNew(e.Dest)
	switch e.Kind {
	case evIntent, evUnsure:
		s.intent, s.calling = e.At, e.Kind == evIntent
	case evUnsent:
		s.intent, s.calling = time.Time{}, false
		s.attempts = max(s.attempts, e.Attempts)
	case evReopened:
		if e.Undoes != 0 && !s.endedAt(e.Undoes) { // it has ended again since
			return
		}
		if s.state == Held { // a person has decided that it may be sent (again)
			s.intent = time.Time{}
		}
		if s.state == Dead || s.state == Held {
			s.state, s.told, s.reason, s.tries = InFlight, false, "", nil
		}
	case evTold:
		s.told = true
	default:
		if s.state == Delivered || s.state == Merged {
			return
		}
		if s.state == Dead && e.Kind == evDropped && e.Reason == reasonAmbiguous { // by an owner that did not know; its letter is kept
			return
		}
		s.state, s.at, s.remote, s.reason = finalOf[e.Kind], e.At, e.Remote, e.Reason
		if s.state != Dead && s.state != Held { // a replay of those must know that they may have been sent
			s.intent = time.Time{}
		}
		s.calling = false
		s.attempts, s.tries = max(s.attempts, e.Attempts), e.Tries
	}
}

func (r *record) applyWhole(e event) {
	switch e.Kind {
	case evTold:
		r.toldLate = true
		if r.whole != "" && e.Reason != reasonLate {
			r.toldWhole = true
		}
	case evReopened:
		r.whole, r.reason, r.toldWhole = "", "", false
	default:
		r.whole, r.reason = finalOf[e.Kind], e.Reason
	}
}

// interrupted dates what an earlier process may have sent: it may have sent it in its last moment. The far side's time to
// finish counts from now. An intent can be much older than the call's last request, and what that process noted of a
// call's end went by a clock that may have been set since: an hour behind, it would have us look at once.
func (r *record) interrupted(now time.Time) {
	for i := range r.dests {
		if s := &r.dests[i]; !s.intent.IsZero() {
			s.intent = now
		}
	}
}

// Life is a lead's life, as `GET /v1/leads/{id}` shows it.
type Life struct {
	ID           string    `json:"id"`
	Source       string    `json:"source,omitempty"`
	State        State     `json:"state"`
	Reason       string    `json:"reason,omitempty"`
	RepeatOf     string    `json:"repeat_of,omitempty"`
	ReceivedAt   time.Time `json:"received_at"`
	Destinations []Stop    `json:"destinations"`
}

// Stop is one destination in a lead's life.
type Stop struct {
	Name     string    `json:"name"`
	State    State     `json:"state"`
	Attempts int       `json:"attempts"`
	RemoteID string    `json:"remote_id,omitempty"`
	At       time.Time `json:"at,omitzero"`
	Reason   string    `json:"reason,omitempty"`
	Error    string    `json:"error,omitempty"`
}

func (r *record) life() Life {
	l := Life{ID: r.id, Source: r.source, State: r.state(), Reason: r.reason, RepeatOf: r.repeatOf, ReceivedAt: r.accepted, Destinations: []Stop{}}
	for _, d := range r.dests {
		s := Stop{Name: d.name, State: d.state, Attempts: d.attempts, RemoteID: d.remote, At: d.at, Reason: d.reason}
		if n := len(d.tries); n > 0 {
			s.Error = d.tries[n-1].Err
		}
		l.Destinations = append(l.Destinations, s)
	}
	return l
}
