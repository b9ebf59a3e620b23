//go:build linux

package proof

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"leadstream/sinks/sim/phone"
	"leadstream/sinks/sim/portal"
	"leadstream/streams"
)

// Facts is everything that is known when all is quiet.
type Facts struct {
	Sent        []Request               // ledger A: what the senders know
	Portal      []portal.Event          // ledger B: what the portals did, each in its order
	Dead        map[string]bool         // ledger C: leads that wait for a person, by id
	Told        []phone.Message         // ledger D: what arrived on the manager's phone
	Outages     []Outage                // of which D must speak
	Lives       map[string]streams.Life // what the daemon says of each lead
	Left        map[string]int64        // entries that Redis still holds, by key
	Open        int                     // leads that the daemon's ledger holds open
	Forgets     bool                    // the daemon need not remember leads that have ended
	OneCard     bool                    // what a customer of a service writes is one card and comments in it
	Unordered   bool                    // single entries were taken out of Redis: those behind them cannot know
	Unexplained int                     // leads of which the daemon says that it does not know where they are
	Log         []byte                  // what the daemon wrote
	Secrets     []string                // what must not be in it; phones and the customers' name are looked for anyway
}

// Outage is a fault that lasted long enough for a person to be told: once of its beginning, once of its end.
type Outage struct {
	Alert    string // what only the message of its beginning says
	Recovery string // what only the message of its end says
}

// Verdict is what the three ledgers say when they are held against each other. All but the first three must be 0.
type Verdict struct {
	Accepted  int // enquiries that a sender was told are taken
	Unknown   int // enquiries of which no sender was told anything
	Delivered int // enquiries that are at the portal

	Lost        int // I1: accepted, and neither at the portal nor in a person's hands
	Doubled     int // I2, I3: more than once at the portal
	Invented    int // I4: at the portal although nobody sent it, or although its sender was told that it was not taken
	Damaged     int // I5: at the portal with other bytes than were sent
	OutOfOrder  int // I6: at the portal before an earlier one of the same customer
	LeftOpen    int // I7: entries still in Redis, leads still open
	Unexplained int // I8: leads that are taken and neither at an end nor open
	Alerts      int // I9: outages not told exactly once, ends of outages the same
	Leaks       int // I10: secrets and people's data in the log

	By     map[string]*Verdict // what there is to say of one source's enquiries alone, where requests name theirs
	Faults []string            // a sentence for each
}

// of is the part of a source, nil where there are none.
func (v *Verdict) of(source string) *Verdict {
	if source == "" {
		return nil
	}
	if v.By == nil {
		v.By = map[string]*Verdict{}
	}
	if v.By[source] == nil {
		v.By[source] = &Verdict{}
	}
	return v.By[source]
}

// tell adds what was found of one source's enquiries.
func (v *Verdict) tell(source string, found Verdict) {
	if part := v.of(source); part != nil {
		part.Add(found)
	}
	v.Add(found)
}

// OK says that every invariant holds.
func (v Verdict) OK() bool { return len(v.Faults) == 0 }

// Err is nil, or says what does not hold.
func (v Verdict) Err() error {
	if v.OK() {
		return nil
	}
	const most = 12
	text := strings.Join(v.Faults[:min(len(v.Faults), most)], "\n")
	if n := len(v.Faults) - most; n > 0 {
		text += fmt.Sprintf("\nand %d more", n)
	}
	return errors.New(text)
}

// Add sums verdicts up.
func (v *Verdict) Add(o Verdict) {
	for _, p := range [][2]*int{{&v.Accepted, &o.Accepted}, {&v.Unknown, &o.Unknown}, {&v.Delivered, &o.Delivered}, {&v.Lost, &o.Lost},
		{&v.Doubled, &o.Doubled}, {&v.Invented, &o.Invented}, {&v.Damaged, &o.Damaged}, {&v.OutOfOrder, &o.OutOfOrder},
		{&v.LeftOpen, &o.LeftOpen}, {&v.Unexplained, &o.Unexplained}, {&v.Alerts, &o.Alerts}, {&v.Leaks, &o.Leaks}} {
		*p[0] += *p[1]
	}
	v.Faults = append(v.Faults, o.Faults...)
	for source, part := range o.By {
		v.of(source).Add(*part)
	}
}

func (v *Verdict) fault(count *int, format string, a ...any) {
	*count++
	v.Faults = append(v.Faults, fmt.Sprintf(format, a...))
}

// enquiry is what a customer wanted once, however often it was sent.
type enquiry struct {
	Request
	ids map[string]bool // that senders were told
}

// Check holds the ledgers against each other. Where nothing was accepted it is an error: nothing was tested.
func Check(f Facts) (Verdict, error) {
	var v Verdict
	sent := enquiries(f.Sent)
	arrived := map[string][]delivery{}
	for _, d := range deliveries(f.Portal) {
		arrived[d.Mark] = append(arrived[d.Mark], d)
	}
	for _, mark := range slices.Sorted(maps.Keys(sent)) {
		var found Verdict
		found.enquiry(f, sent[mark], arrived[mark])
		v.tell(sent[mark].Source, found)
	}
	if v.Accepted == 0 {
		return v, errors.New("no lead was accepted: nothing was tested")
	}
	for mark, ds := range arrived {
		if sent[mark] == nil {
			v.fault(&v.Invented, "INVENTED: nobody sent %q, and it is at the portal: %v", mark, places(ds))
		}
	}
	v.twice(f.Portal)
	if !f.Unordered {
		v.order(sent, arrived)
	}
	if f.OneCard {
		v.split(sent, arrived)
	}
	v.ends(f, sent)
	v.alerts(f)
	v.leaks(f)
	return v, nil
}

// enquiries sums requests up by what they say: the best that is known of each.
func enquiries(requests []Request) map[string]*enquiry {
	sent := map[string]*enquiry{}
	rank := map[Fate]int{Rejected: 1, Waiting: 2, Unknown: 3, Acked: 4}
	for _, r := range requests {
		mark := Mark(r.Text)
		e := sent[mark]
		if e == nil {
			e = &enquiry{Request: r, ids: map[string]bool{}}
			sent[mark] = e
		} else if rank[r.Fate] > rank[e.Fate] || r.Fate == e.Fate && r.Answered.Before(e.Answered) {
			began := e.Sent
			e.Request = r
			if began.Before(r.Sent) { // an earlier try may be the one that got through
				e.Sent = began
			}
		} else if r.Sent.Before(e.Sent) {
			e.Sent = r.Sent
		}
		if r.Fate == Acked {
			e.ids[r.LeadID] = true
		}
	}
	return sent
}

// enquiry judges one: is it there, once, and whole?
func (v *Verdict) enquiry(f Facts, e *enquiry, ds []delivery) {
	mark := Mark(e.Text)
	switch e.Fate {
	case Acked:
		v.Accepted++
	case Unknown:
		v.Unknown++
	}
	if len(ds) > 0 {
		v.Delivered++
	}
	if e.Fate == Acked && len(ds) == 0 {
		for id := range e.ids {
			if !f.Dead[id] {
				v.fault(&v.Lost, "LOST: %q was acked as lead %s and is nowhere", mark, id)
			}
		}
	}
	if e.Fate == Rejected && len(ds) > 0 {
		v.fault(&v.Invented, "INVENTED: %q was rejected and is at the portal: %v", mark, places(ds))
	}
	if len(ds) > 1 {
		v.fault(&v.Doubled, "DOUBLED: %q (%s) is at the portal %d times: %v", mark, e.Fate, len(ds), places(ds))
	}
	if len(e.ids) > 1 {
		v.fault(&v.Doubled, "DOUBLED: %q became several leads: %v", mark, slices.Sorted(maps.Keys(e.ids)))
	}
	for _, d := range ds {
		// A deal has its phone and its customer's name in the contact.
		if d.Sum != sha256.Sum256([]byte(e.Text)) || d.Entity != "deal" && (d.Phone != e.Phone || !d.Named && !e.Nameless) {
			v.fault(&v.Damaged, "DAMAGED: %q is at the portal with another text, phone or name (%s %d)", mark, d.Kind, d.ID)
		}
	}
}

// twice looks for several cards under one lead's id, whatever is written on them.
func (v *Verdict) twice(events []portal.Event) {
	type key struct{ entity, origin string }
	made := map[key][]int{}
	for _, e := range events {
		if e.Kind == "create" && e.Origin != "" {
			k := key{e.Entity, e.Origin}
			made[k] = append(made[k], e.ID)
		}
	}
	for k, ids := range made {
		if len(ids) > 1 {
			v.fault(&v.Doubled, "DOUBLED: lead %s has the %ss %v", k.origin, k.entity, ids)
		}
	}
}

// order compares what each customer was told to be taken, one after the other, with the order at the portal.
func (v *Verdict) order(sent map[string]*enquiry, arrived map[string][]delivery) {
	by := map[string][]*enquiry{}
	for mark, e := range sent {
		if e.Fate == Acked && len(arrived[mark]) > 0 {
			who := or(e.Who, e.Phone)
			by[who] = append(by[who], e)
		}
	}
	for _, es := range by {
		slices.SortFunc(es, func(a, b *enquiry) int { return cmp.Or(cmp.Compare(a.Turn, b.Turn), a.Answered.Compare(b.Answered)) })
		for i, later := range es {
			for _, earlier := range es[:i] {
				if earlier.Turn == later.Turn && !earlier.Answered.Before(later.Sent) { // under way at the same time: any order is right
					continue
				}
				a, b := arrived[Mark(earlier.Text)][0], arrived[Mark(later.Text)][0]
				if a.Seq > b.Seq {
					var found Verdict
					found.fault(&found.OutOfOrder, "OUT OF ORDER: %q was taken before %q of the same customer, and is behind it at the portal",
						Mark(earlier.Text), Mark(later.Text))
					v.tell(later.Source, found)
				}
			}
		}
	}
}

// split looks for customers of a service who have more than one card. Where a message of theirs is not at the portal, there
// may be a reason.
func (v *Verdict) split(sent map[string]*enquiry, arrived map[string][]delivery) {
	cards, away, of := map[string][]string{}, map[string]bool{}, map[string]string{}
	for _, mark := range slices.Sorted(maps.Keys(sent)) {
		e, ds := sent[mark], arrived[mark]
		of[e.Who] = e.Source
		away[e.Who] = away[e.Who] || e.Fate == Acked && len(ds) == 0
		if len(ds) > 0 && ds[0].Kind == "create" {
			cards[e.Who] = append(cards[e.Who], mark)
		}
	}
	for who, marks := range cards {
		if len(marks) > 1 && who != "" && !away[who] {
			var found Verdict
			found.fault(&found.Doubled, "DOUBLED: one customer's %q have each a card, and should be one card with comments", marks)
			v.tell(of[who], found)
		}
	}
}

// ends looks for what has not ended, and for leads of which the daemon cannot say how.
func (v *Verdict) ends(f Facts, sent map[string]*enquiry) {
	for key, n := range f.Left {
		if f.Unordered && isNote(key) {
			continue // notes of entries that were deleted alone go once their queue is opened empty
		}
		v.fault(&v.LeftOpen, "LEFT OPEN: %d in %s", n, key)
	}
	if f.Open > 0 {
		v.fault(&v.LeftOpen, "LEFT OPEN: %d leads", f.Open)
	}
	if f.Unexplained > 0 {
		v.fault(&v.Unexplained, "UNEXPLAINED: %d by the daemon's own count", f.Unexplained)
	}
	for mark, e := range sent {
		for id := range e.ids {
			if l, ok := f.Lives[id]; !ok && !f.Forgets || ok && !l.State.Final() && l.State != streams.Held {
				v.fault(&v.Unexplained, "UNEXPLAINED: %q was acked as lead %s, and the daemon says %q of it", mark, id, cmp.Or(string(l.State), "nothing"))
			}
		}
	}
	taken := 0
	for _, e := range sent {
		if e.Fate != Rejected {
			taken++
		}
	}
	if len(f.Lives) > taken {
		v.fault(&v.Unexplained, "UNEXPLAINED: the daemon holds %d leads, of %d that may have been taken", len(f.Lives), taken)
	}
}

// alerts counts the messages of each outage.
func (v *Verdict) alerts(f Facts) {
	for _, o := range f.Outages {
		for what, text := range map[string]string{"beginning": o.Alert, "end": o.Recovery} {
			n := 0
			for _, m := range f.Told {
				if strings.Contains(m.Text, text) {
					n++
				}
			}
			if n != 1 {
				v.fault(&v.Alerts, "ALERTS: the %s of an outage (%q) was told %d times, want once", what, text, n)
			}
		}
	}
}

var phonePattern = regexp.MustCompile(`(^|[^0-9])\+?` + strings.TrimPrefix(PhonePrefix, "+") + `[0-9]{7}([^0-9]|$)`)

// leaks looks for secrets and people's data in the log.
func (v *Verdict) leaks(f Facts) {
	if len(f.Log) == 0 {
		v.fault(&v.Leaks, "LEAKS: the log is empty: nothing was tested")
	}
	for _, s := range append([]string{CRMSecret, BotToken, PersonName}, f.Secrets...) {
		if at := bytes.Index(f.Log, []byte(s)); at >= 0 && s != "" {
			v.fault(&v.Leaks, "LEAKS: the log tells %q: %s", s, around(f.Log, at))
		}
	}
	if at := phonePattern.FindIndex(f.Log); at != nil {
		v.fault(&v.Leaks, "LEAKS: the log tells a phone: %s", around(f.Log, at[0]))
	}
}

func around(log []byte, at int) []byte { return log[max(0, at-200):min(len(log), at+200)] }

// places shows deliveries to a person who looks for what went wrong.
func places(ds []delivery) []string {
	var s []string
	for _, d := range ds {
		s = append(s, fmt.Sprintf("%s %d of lead %s at %s by %s, answer %s", d.Kind, d.ID, d.Origin, d.At.Format(time.StampMilli), d.Method, d.Answer))
	}
	return s
}
