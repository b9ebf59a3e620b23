// Package policy rules whether and when a customer may be written to (L-01 to L-08): by the law, by the services' own
// rules, and by what a customer can bear. It is asked before every try, knows no clock but the one it is given, and
// does nothing: what it rules is carried out by others.
package policy

import (
	"slices"
	"strconv"
	"time"

	"leadstream/streams/outbound"
)

// Past is how far back what a customer got has to be known: the longest limit is 31 days of the calendar, one of which
// may be an hour longer than the others.
const Memory = 32 * 24 * time.Hour

// Ask is a message that is about to be sent.
type Ask struct {
	Message  outbound.Message
	Channel  string
	Window   time.Duration // of the channel: free words only so long after the customer's last word there; 0: at any time
	Approved bool          // it would go as a template that the service has approved
	Content  string        // stands for what it says without its values (L-02)
	Now      time.Time
	Zone     *time.Location // the customer's, or the business's
}

// Past is what is known of the customer and the channel.
type Past struct {
	Consents []Consent
	Sent     []Sent    // what the customer got since Memory
	HeardAt  time.Time // the customer's last word in this channel
	Paused   time.Time // automation keeps silent until then: a person has stepped in (L-05)
	Today    int       // messages of this channel since midnight in Ask.Zone, to all customers, those on their way counted
	OptedIn  bool      // the customer has let the business write here in a way of which the ledger knows nothing
}

// Sent is a message that the customer got, or may have got: whatever is not surely unsent counts, so that what is heard
// of it later breaks no limit.
type Sent struct {
	ID       string // of the message: one that goes by a second channel is not held back by itself
	Purpose  outbound.Purpose
	Channel  string
	Topic    string // as Event says it
	Content  string
	Approved bool
	At       time.Time
}

// Do is what is to be done with a message.
type Do string

// All that can be ruled.
const (
	Send    Do = "send"
	Wait    Do = "wait"    // until Ruling.Until, then ask again
	Drop    Do = "drop"    // for good
	Next    Do = "next"    // another channel; where there is none, it waits until Ruling.Until, unless that is zero
	Approve Do = "approve" // only as an approved template: ask again with one, or take another channel
)

// Ruling is the answer. Reason is one of the words that Explain knows; empty with Send.
type Ruling struct {
	Do     Do
	Reason string
	Until  time.Time
}

const (
	// margin before a deadline: what waits until then comes too late.
	margin = 5 * time.Minute
	// mostWaits bounds how many rules can hold a message back one after the other.
	mostWaits = 64
)

// Event is what a message tells of: a booking that has changed is another event (L-04). Empty: nothing in particular.
func Event(m outbound.Message) string {
	if m.Booking == "" {
		return m.Topic
	}
	return m.Topic + " " + m.Booking + " " + strconv.FormatInt(m.Version, 10)
}

// Judge rules on a message as of Ask.Now. A Wait ends at the first moment at which, as far as is known now, nothing
// holds the message back; where that is behind its deadline, it is dropped at once. Limits hold only if what Judge has let
// go is in Past before it is asked again.
func (s Settings) Judge(a Ask, p Past) Ruling {
	if a.Zone == nil {
		a.Zone = time.UTC
	}
	first := s.rule(a, p)
	then := first
	later, pastThen := a, p
	for range mostWaits {
		if then.Do != Wait {
			break
		}
		if !midnight(then.Until, a.Zone).Equal(midnight(a.Now, a.Zone)) {
			pastThen.Today = 0
		}
		later.Now = then.Until
		then = s.rule(later, pastThen)
	}
	switch {
	case first.Do != Wait:
		return first
	case then.Do == Drop || then.Do == Wait: // too late by then, or never
		return Ruling{Do: Drop, Reason: first.Reason}
	}
	first.Until = later.Now
	return first
}

// rule rules on this very moment.
func (s Settings) rule(a Ask, p Past) Ruling {
	if d := a.Message.Deadline; !d.IsZero() && a.Now.After(d) {
		return Ruling{Do: Drop, Reason: Late}
	}
	if r := permitted(a, p); r.Do != Send {
		return r
	}
	if r := s.held(a, p); r.Do == Wait {
		return r
	}
	return s.channel(a, p)
}

func advertising(m outbound.Message) bool { // of what has no known purpose the worst is supposed
	return m.Purpose != outbound.Answer && m.Purpose != outbound.Notice && m.Purpose != outbound.Reminder
}

// permitted looks at what the customer has agreed to. Advertising needs consent before it is sent (38-FZ, art. 18), and
// STOP ends it on all channels at once. Reminders and notices are no advertising: only who wants no messages at all gets
// none of them. Who asks gets an answer.
func permitted(a Ask, p Past) Ruling {
	if a.Message.Purpose == outbound.Answer {
		return Ruling{Do: Send}
	}
	if said(p.Consents, Service, a.Channel) == no {
		return Ruling{Do: Drop, Reason: Refused}
	}
	if !advertising(a.Message) {
		return Ruling{Do: Send}
	}
	switch said(p.Consents, Marketing, a.Channel) {
	case yes:
		return Ruling{Do: Send}
	case no:
		return Ruling{Do: Drop, Reason: Stopped}
	case elsewhere:
		return next(a, NoConsentHere, time.Time{})
	}
	return Ruling{Do: Drop, Reason: NoConsent}
}

// held looks at what holds a message back in whatever channel.
func (s Settings) held(a Ask, p Past) Ruling {
	m, ad := a.Message, advertising(a.Message)
	r := Ruling{Do: Send}
	hold := func(reason string, until time.Time) {
		if until.After(a.Now) && until.After(r.Until) {
			r = Ruling{Do: Wait, Reason: reason, Until: until}
		}
	}
	if m.Purpose == outbound.Answer || ad {
		hold(Person, p.Paused)
	}
	others := slices.DeleteFunc(slices.Clone(p.Sent), func(x Sent) bool { return x.ID != "" && x.ID == m.ID })
	if ad {
		hold(Weekly, fewer(others, 1, days(a.Zone, s.PromotionDays), func(x Sent) bool { return advertising(outbound.Message{Purpose: x.Purpose}) }))
		if s.Touches > 0 {
			hold(Touches, fewer(others, s.Touches, days(a.Zone, 7), func(x Sent) bool { return x.Purpose != outbound.Answer }))
		}
	}
	if event := Event(m); s.SameContent > 0 && a.Content != "" && m.Purpose != outbound.Answer {
		hold(SameContent, fewer(others, s.SameContent, days(a.Zone, month), func(x Sent) bool {
			return x.Content == a.Content && (ad || x.Topic == event) && x.Purpose != outbound.Answer
		}))
	}
	if event := Event(m); event != "" && !ad && m.Purpose != outbound.Answer {
		hold(SameEvent, fewer(others, 1, hours(s.SameEvent), func(x Sent) bool { return x.Topic == event && x.Purpose == m.Purpose }))
	}
	if ad && p.Today >= s.most(m) {
		hold(DayLimit, midnight(a.Now, a.Zone).AddDate(0, 0, 1))
	}
	if ad {
		hold(PromotionHours, s.opens(a.Now.In(a.Zone)))
	}
	if end := s.quietEnds(a.Now.In(a.Zone)); ad || !s.awake(a, p) && (m.Deadline.IsZero() || !end.Add(margin).After(m.Deadline)) {
		hold(Quiet, end)
	}
	return r
}

// awake says that the customer has written a moment ago.
func (s Settings) awake(a Ask, p Past) bool {
	since := p.HeardAt
	if a.Message.Purpose == outbound.Answer && a.Message.MadeAt.After(since) { // it may answer what came by another channel
		since = a.Message.MadeAt
	}
	return !since.IsZero() && a.Now.Sub(since) < s.Awake
}

// channel looks at what the channel lets through.
func (s Settings) channel(a Ask, p Past) Ruling {
	if p.Today >= s.most(a.Message) {
		return next(a, DayLimit, midnight(a.Now, a.Zone).AddDate(0, 0, 1))
	}
	if !a.Approved {
		if a.Window > 0 && !p.HeardAt.Add(a.Window).After(a.Now) {
			return Ruling{Do: Approve, Reason: WindowClosed}
		}
		return Ruling{Do: Send}
	}
	if p.OptedIn || said(p.Consents, Service, a.Channel) == yes || said(p.Consents, Marketing, a.Channel) == yes {
		return Ruling{Do: Send}
	}
	until := fewer(p.Sent, max(s.Templates, 1), hours(24*time.Hour), func(x Sent) bool { return x.Approved && (x.ID == "" || x.ID != a.Message.ID) })
	if until.After(a.Now) {
		return next(a, TemplateLimit, until)
	}
	return Ruling{Do: Send}
}

// next sends a message to another channel. Advertising that was tried in one goes no further.
func next(a Ask, reason string, until time.Time) Ruling {
	if advertising(a.Message) && len(a.Message.Steps) > 0 {
		return Ruling{Do: Drop, Reason: NoFailover}
	}
	if d := a.Message.Deadline; !d.IsZero() && until.Add(margin).After(d) {
		until = time.Time{}
	}
	return Ruling{Do: Next, Reason: reason, Until: until}
}

// fewer is when less than n of those that count are younger than window: the earliest moment at which one more makes n at
// most. Zero: at any time. Exactly a window apart is far enough, so that n are in no window, wherever it begins.
func fewer(sent []Sent, n int, window func(time.Time) time.Time, counts func(Sent) bool) time.Time {
	var ends []time.Time
	for _, x := range sent {
		if counts(x) {
			ends = append(ends, window(x.At))
		}
	}
	if len(ends) < n {
		return time.Time{}
	}
	slices.SortFunc(ends, time.Time.Compare)
	return ends[len(ends)-n]
}

func hours(d time.Duration) func(time.Time) time.Time {
	return func(t time.Time) time.Time { return t.Add(d) }
}

// days of the calendar: a week after Wednesday 14:00 is Wednesday 14:00, whatever the clock did meanwhile.
func days(zone *time.Location, n int) func(time.Time) time.Time {
	return func(t time.Time) time.Time { return t.In(zone).AddDate(0, 0, n) }
}

// month is 31 days: no month of the calendar is longer.
const month = 31

func midnight(t time.Time, zone *time.Location) time.Time {
	y, m, d := t.In(zone).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, zone)
}
