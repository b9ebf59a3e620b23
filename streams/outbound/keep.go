package outbound

import (
	"encoding/json"
	"time"

	"leadstream/streams/visits"
)

// Customer is what is known of one when a message is to be sent: read anew each time, since all of it may change until then.
type Customer struct {
	ID        int64
	Name      string
	Language  string // in which they write; empty: not known
	LastVisit time.Time
	Routes    []Route
	Prefers   string // channel that they have asked for, or else write in most
	Consents  []Consent
	Sent      []Past           // of the last 31 days, and what is on its way
	Paused    time.Time        // automation keeps silent until then: a person has stepped in (L-05)
	Talk      json.RawMessage  // where the conversation stands
	Bookings  []visits.Booking // still to come
}

// Route is an address of a customer.
type Route struct {
	Channel string // whatsapp, telegram …; empty for a phone or an e-mail, which serve several
	Kind    string // user, phone, email
	Address string
	HeardAt time.Time // the customer's last word there; zero: none
	DeadAt  time.Time // zero: it works
	Code    string    // why it does not
}

// Dead says that nobody is reached there, unless they have written since.
func (r *Route) Dead() bool { return !r.DeadAt.IsZero() && !r.HeardAt.After(r.DeadAt) }

// Consent is a line of the ledger of consents, as far as sending needs it.
type Consent struct {
	Purpose string // marketing, service
	Channel string // empty: every channel
	Given   bool
	At      time.Time
}

// Past is a message that a customer has got, or may get still.
type Past struct {
	Message  string
	Purpose  Purpose
	Channel  string
	Template string
	Topic    string
	Content  string
	Approved bool
	Booking  string
	Version  int64
	State    StepState
	At       time.Time
}

// Word is a line of the ledger of consents that is to be added.
type Word struct {
	Key     string
	At      time.Time
	Purpose string
	Channel string
	Given   bool
	How     string
	Wording string
	Lead    string
}

// Conclusion is what follows from one lead: all of it is kept, once, or nothing.
type Conclusion struct {
	Lead     string
	Customer int64
	Route    *Route          // on which the customer was heard
	Words    []Word          // consents given and taken back
	Pause    time.Time       // until when automation keeps silent; zero: no change
	Talk     json.RawMessage // nil: no change
	Messages []Message
	Asked    *Wait     // an enquiry that wants its first answer
	Answered *Answered // who has seen to the customer
}

// Wait is an enquiry that somebody has to answer.
type Wait struct {
	Channel string
	Hot     bool
	Worth   int       // money at stake; 0: not known
	At      time.Time // when it was taken
	Wrote   time.Time // when the customer wrote it, by the clock of the service; zero: At
}

// Answered says who has answered a customer: a program, a dialogue that has finished the matter, a person.
type Answered struct {
	By    string
	At    time.Time
	Knows time.Time // of a dialogue: what was taken later it has not answered; zero: At
}

// Who answers.
const (
	Program  = "program"
	Dialogue = "dialogue"
	Person   = "person"
)

// Ruling is why a message was held back, sent another way, or dropped: what `leadstream why` shows.
type Ruling struct {
	Message string    `json:"message"`
	At      time.Time `json:"at"`
	Channel string    `json:"channel,omitempty"`
	Ruling  string    `json:"ruling"` // wait, drop, next, fail, or a step's state
	Reason  string    `json:"reason,omitempty"`
	Until   time.Time `json:"until,omitzero"`
}

// Change is what becomes of a message: its new state, and its step's.
type Change struct {
	Message Message // as it was read
	State   State   // from now on
	Reason  string
	Due     time.Time
	Step    *Step  // added or changed; nil: none
	Route   *Route // whose death was found out; nil: none
	Ruling  *Ruling
	Words   []Word // the service says that the customer has said stop
}

// Status is what a service tells of a message later.
type Status struct {
	Channel string
	Remote  string // the service's id; empty: Words
	Words   string // Words.ID of the step
	State   StepState
	Code    string
	At      time.Time
}
