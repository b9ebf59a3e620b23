// Package dialogue says what is answered to a customer who has written: it collects what a visit needs, offers times that
// are free, books, moves and cancels, answers what the business has written down or can look up, and hands over to a
// person when it is not sure (A-02, A-12, A-13, A-15 to A-17, O-05, O-06). It sends nothing: what it says, the messenger
// puts into the outbox.
package dialogue

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"leadstream/processors/lookup"
	"leadstream/processors/slots"
	"leadstream/processors/templates"
	"leadstream/streams"
	"leadstream/streams/outbound"
	"leadstream/streams/visits"
)

// Dialogue knows the business. It is safe for concurrent use, and keeps nothing of a customer itself.
type Dialogue struct {
	Calendar visits.Calendar // nil: times are for a person to confirm
	Reader   slots.Reader    // of wished times, in the business's own zone, services and branches
	Services []slots.Item    // with their prices; none: a service is whatever a customer calls so
	Products []slots.Item
	Currency string             // of prices: RUB
	Business templates.Business // what texts know of it

	Branches              []lookup.Branch
	Order, Courier, Place *lookup.Lookup // nil: there is none

	SMS bool // a confirmation can go by SMS too

	Answers *prometheus.CounterVec // of NewAnswers; nil: nobody counts
}

// NewAnswers makes what counts how enquiries were answered: answered, nothing to say, left to a person, or with one already.
func NewAnswers() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "leadstream_dialogue_total", Help: "Enquiries in a conversation, by what was made of them."}, []string{"result"})
}

// count counts an enquiry; handed: a person had the conversation already.
func (d *Dialogue) count(handed string, r Reply) {
	if d.Answers == nil {
		return
	}
	result := "answered"
	switch {
	case handed != "":
		result = "with_person"
	case r.Person != "":
		result = "person"
	case len(r.Say) == 0:
		result = "nothing"
	}
	d.Answers.WithLabelValues(result).Inc()
}

// Turn is one enquiry with what is known of its customer.
type Turn struct {
	Lead      *streams.Lead // as triage and tagging left it
	Customer  int64
	Name      string
	Phone     bool   // is known
	Number    string // the phone, for look-ups; empty: the lead's
	LastVisit time.Time
	State     json.RawMessage // Reply.State of the last answer; nil at first
	Now       time.Time
	Bookings  []visits.Booking  // still to come, and, if they are at hand, those that this lead has cancelled
	Reminder  *outbound.Message // the last one to this customer within 48 h, if any
}

// Reply is what to do with an enquiry.
type Reply struct {
	Say      []Say // two at most; none: there is nothing to say
	State    json.RawMessage
	Language string   // of the conversation
	Person   string   // why a person is to answer; empty: nobody needs to
	Finished bool     // nothing is left to do for a person: booked, cancelled, answered
	Tags     []string // that the enquiry earns
}

// Say is one message.
type Say struct {
	Template string
	Values   templates.Values
	Buttons  []outbound.Button
	Topic    string // the event that it tells of
	Booking  string // that it speaks of,
	Version  int64  // in this version
	Channel  string // kind of address that it goes to instead of where the customer has written: "sms"
}

// pause is how long a conversation may rest, and how long a person has it: what is written later begins another one.
const pause = 24 * time.Hour

// Answer says what is answered to a customer's message. It may be called again for a lead whose Reply was lost: what was
// booked then is found again. Its error says that the calendar cannot be asked just now: later it may.
func (d *Dialogue) Answer(ctx context.Context, turn Turn) (Reply, error) {
	t := &talk{Dialogue: d, ctx: ctx, Turn: turn, state: stateOf(turn)}
	if t.Lead.Event != "" || t.Lead.BringsFiles() {
		return Reply{State: turn.State, Language: t.Language, Person: t.Handed, Finished: t.Handed == ""}, nil
	}
	t.Bookings = slices.DeleteFunc(slices.Clone(turn.Bookings), func(b visits.Booking) bool {
		if b.Status == visits.Cancelled && b.Lead == t.Lead.ID {
			t.undone = &b
		}
		return b.Status != visits.Booked || !b.End.After(turn.Now)
	})
	t.hear()
	handed := t.Handed
	if handed == "" {
		if err := t.respond(); err != nil {
			return Reply{}, err
		}
	}
	t.state.At = turn.Now
	if turn.Reminder != nil {
		t.Reminded = turn.Reminder.ID
	}
	t.reply.State, _ = json.Marshal(t.state)
	t.reply.Language, t.reply.Person = t.Language, cmp.Or(t.Handed, t.besides)
	t.reply.Finished = t.reply.Person == "" && (t.Asked == "" || t.Asked == aVisit || t.Asked == aSMS || t.Asked == aPhone || t.Asked == aPlace) // what needs no answer
	d.count(handed, t.reply)
	return t.reply, nil
}

// state is what is remembered between two messages of a customer.
type state struct {
	At       time.Time        `json:"at"` // of the last one
	Language string           `json:"language,omitempty"`
	Greeted  bool             `json:"greeted,omitempty"`
	Handed   string           `json:"handed,omitempty"` // why a person took over; nothing is said any more
	HandedAt time.Time        `json:"handed_at,omitzero"`
	Reminded string           `json:"reminded,omitempty"` // the reminder after which something was said already
	Asked    question         `json:"asked,omitempty"`    // the question that is open
	Last     *Say             `json:"last,omitempty"`     // in these words
	Service  string           `json:"service,omitempty"`
	Branch   string           `json:"branch,omitempty"`
	Wish     *streams.When    `json:"wish,omitempty"`
	Offered  []visits.Slot    `json:"offered,omitempty"`
	Refused  []int64          `json:"refused,omitempty"` // beginnings that were offered in vain
	Booking  string           `json:"booking,omitempty"` // that is moved, or was confirmed last
	Moving   bool             `json:"moving,omitempty"`
	Choices  []visits.Booking `json:"choices,omitempty"` // of which one is to be named
	Phoned   bool             `json:"phoned,omitempty"`  // was asked for a phone: never again
	Counts   map[string]int   `json:"counts,omitempty"`  // how often each question was asked
	Misses   int              `json:"misses,omitempty"`  // in a row
}

// question is what a customer was asked last.
type question string

const (
	aDetail  question = "details" // service, time
	aSlot    question = "slot"    // one of those offered
	aVisit   question = "visit"   // whether they would like one
	aSMS     question = "sms"     // whether to send one
	aNumber  question = "number"  // where to
	aPhone   question = "phone"
	aService question = "service" // whose price
	anOrder  question = "order"   // its number
	aPlace   question = "place"   // where they are
	whether  question = "cancel"  // which visit is cancelled
	whither  question = "move"    // which visit is moved
)

func stateOf(turn Turn) (s state) {
	if len(turn.State) > 0 && json.Unmarshal(turn.State, &s) != nil {
		s = state{}
	}
	if turn.Now.Sub(s.At) > pause || s.Handed != "" && turn.Now.Sub(s.HandedAt) > pause {
		s = state{Phoned: s.Phoned, Reminded: s.Reminded}
	}
	if s.Asked == aSlot && len(s.Offered) == 0 {
		s.Asked = ""
	}
	return s
}

// talk is one turn of a conversation.
type talk struct {
	*Dialogue
	Turn
	state
	heard
	ctx     context.Context
	reply   Reply
	besides string          // why a person is to answer too, while the conversation goes on
	undone  *visits.Booking // by this lead, when it is answered a second time
}

// values are what every text may use.
func (t *talk) values() templates.Values {
	v := templates.Values{FirstName: t.Name, Again: t.Greeted}
	if v.FirstName == "" {
		v.FirstName = t.Lead.Name
	}
	if !t.LastVisit.IsZero() {
		v.LastVisit = templates.Ago(t.Language, t.LastVisit, t.Now, t.zone())
	}
	return v
}

// most is how many messages a customer gets at once.
const most = 2

func (t *talk) say(s Say) {
	if len(t.reply.Say) < most {
		t.reply.Say = append(t.reply.Say, s)
		t.Greeted = true
	}
}

// The same question is asked twice, and so many in all before something comes of them.
const (
	sameQuestion = 2
	allQuestions = 12
)

// ask says what wants an answer. A question that was asked too often is a person's.
func (t *talk) ask(q question, s Say) {
	if len(t.reply.Say) == most {
		return // there is no room: the customer will come back to it
	}
	plain := s.Values
	plain.FirstName, plain.LastVisit, plain.Again = "", "", false
	key, _ := json.Marshal(plain)
	id := s.Template + ":" + streams.NewID(string(key))[:8]
	all := 0
	for _, n := range t.Counts {
		all += n
	}
	if t.Counts[id] >= sameQuestion || all >= allQuestions {
		t.hand("no answer")
		return
	}
	if t.Counts == nil {
		t.Counts = map[string]int{}
	}
	t.Counts[id]++
	t.Asked = q
	t.say(s)
	s.Values.Again = true
	t.Last = &s
}

// hand leaves the rest to a person, and says so.
func (t *talk) hand(reason string) { t.handWith(reason, Say{Template: "person", Values: t.values()}) }

// handWith says it in other words.
func (t *talk) handWith(reason string, s Say) {
	t.say(s)
	t.Handed, t.HandedAt, t.Asked, t.Last = reason, t.Now, "", nil
}

// done forgets what led to an end: another visit may be asked for as patiently.
func (t *talk) done() {
	t.forget()
	t.Counts, t.Misses = nil, 0
}

// forget begins anew with what is wanted.
func (t *talk) forget() {
	t.Asked, t.Last, t.Wish, t.Offered, t.Refused, t.Choices, t.Moving, t.Service = "", nil, nil, nil, nil, nil, false, ""
}

func (t *talk) zone() *time.Location {
	if t.Reader.Zone == nil {
		return time.UTC
	}
	return t.Reader.Zone
}

// in chooses by the language of the conversation.
func (t *talk) in(ru, en string) string {
	if t.Language == "en" {
		return en
	}
	return ru
}
