// Package outbound is what is said to customers, as it passes between those who decide what to say, those who keep it, and
// the channels that carry it. It decides nothing itself.
package outbound

import (
	"context"
	"encoding/json"
	"time"

	"leadstream/streams"
)

// Purpose says why a customer is written to, on which it depends whether they may be (L-01 to L-08).
type Purpose string

// The purposes. Only a promotion is advertising: it needs consent, and never takes another channel when one fails.
const (
	Answer    Purpose = "answer"    // to what the customer has written just now
	Notice    Purpose = "notice"    // of what concerns the customer: a visit booked, moved, cancelled; an order's state
	Reminder  Purpose = "reminder"  // of a visit
	Promotion Purpose = "promotion" // advertising
)

// Purposes are all of them.
var Purposes = []Purpose{Answer, Notice, Reminder, Promotion}

// State is where a message stands.
type State string

// The states of a message.
const (
	Waiting State = "waiting" // for Due: its time, the end of a pause, of quiet hours, of a channel's outage
	Sending State = "sending" // a channel has it or may have it; from Due on the next one is tried
	Done    State = "done"    // it got as far as its channel's success asks
	Dropped State = "dropped" // by decision: Reason says which
	Failed  State = "failed"  // no channel is left, or its deadline has passed
)

// Message is something that one customer is to be told, once, whatever the channel.
type Message struct {
	ID       string          `json:"id"` // made of Cause and Template by ID: the same cause never makes a second one
	Customer int64           `json:"customer"`
	Cause    string          `json:"cause"` // what it comes of: a lead, a booking with its version, a step of a sequence
	Purpose  Purpose         `json:"purpose"`
	Template string          `json:"template"`
	Language string          `json:"language"`
	Values   json.RawMessage `json:"values,omitempty"` // what the template is filled with
	Buttons  []Button        `json:"buttons,omitempty"`
	Topic    string          `json:"topic,omitempty"`   // the event that it tells of, such as a booking: not twice within 6 h (L-04)
	About    string          `json:"about,omitempty"`   // the lead that it answers
	Channel  string          `json:"channel,omitempty"` // where the customer has written: tried first
	Booking  string          `json:"booking,omitempty"` // that it speaks of:
	Version  int64           `json:"version,omitempty"` // void once that has another version
	Ends     bool            `json:"ends,omitempty"`    // with it nobody has to answer any more
	MadeAt   time.Time       `json:"made_at"`
	Due      time.Time       `json:"due"`      // nothing is done with it before
	Deadline time.Time       `json:"deadline"` // nothing is sent after
	State    State           `json:"state"`
	Reason   string          `json:"reason,omitempty"` // why it waits, was dropped or has failed: one of the words of the policy
	Steps    []Step          `json:"steps,omitempty"`
}

// ID names the message that a cause makes of a template.
func ID(cause, template string) string { return streams.NewID("message", cause, template) }

// StepState is how far a message got in one channel, as far as is known.
type StepState string

// The states of a step. Those from Accepted to Read follow each other, but what tells of them comes in any order.
const (
	Calling   StepState = "calling"   // the channel is being called, or a crash has ended the call
	Unsure    StepState = "unsure"    // it was called and gave no answer: it may have it
	Accepted  StepState = "accepted"  // by the channel's service
	Sent      StepState = "sent"      // by the service
	Delivered StepState = "delivered" // to the customer's device
	Read      StepState = "read"
	Again     StepState = "again"    // surely not sent, and tried again
	NotSent   StepState = "not_sent" // surely, and given up here
)

// Step is one try at one channel.
type Step struct {
	N        int       `json:"n"` // from 1
	Channel  string    `json:"channel"`
	Address  string    `json:"-"` // of the customer there
	State    StepState `json:"state"`
	Tries    int       `json:"tries"`
	Remote   string    `json:"remote,omitempty"`   // the service's own id of the message
	Code     string    `json:"code,omitempty"`     // the service's own code of its last error
	Approved bool      `json:"approved,omitempty"` // it went as a template that the service has approved
	Content  string    `json:"content,omitempty"`  // hash of what was said, without the customer's own values (L-02)
	At       time.Time `json:"at"`                 // of State
	SentAt   time.Time `json:"sent_at,omitzero"`   // when the channel took it
}

// Button is an answer that the customer can press instead of typing, or a link. Where a channel has no buttons, the texts of
// the answers are written out.
type Button struct {
	Text string `json:"text"`
	Data string `json:"data,omitempty"` // comes back as the customer's answer; empty: Text does
	URL  string `json:"url,omitempty"`
}

// Words are a message as one channel is to carry it.
type Words struct {
	ID       string // the same over tries of a step: services that know a key get it
	Purpose  Purpose
	Text     string // plain text with line breaks; the channel escapes it and keeps to the service's length
	Short    string // for SMS
	Subject  string // for e-mail
	Buttons  []Button
	Approved *Approved // the service's own template, to be sent in place of Text; nil: Text
	Silent   bool      // arrives without a sound where the channel can
	Again    bool      // an earlier try, perhaps of a daemon that was killed in it, may have brought it
}

// Approved names a template that the service has approved (WhatsApp), and what it is filled with.
type Approved struct {
	Name, Language string
	Parameters     []string // of its body, in their order
}

// Means is what a try says of the route beyond this one try.
type Means string

// What a try may mean.
const (
	NothingMore   Means = ""
	NeedsTemplate Means = "needs_template" // the service's window is closed: only an approved template gets through (131047)
	Unreachable   Means = "unreachable"    // not by this channel, this time: the next one (131026)
	RouteDead     Means = "route_dead"     // this customer cannot be reached there until they write again (Telegram 403)
	NotThis       Means = "not_this"       // the service will not bring this one, and nobody else should (131049)
	OptedOut      Means = "opted_out"      // the customer has told the service to stop (131050)
)

// Tried is what became of one try.
type Tried struct {
	streams.Verdict
	Means Means
}

// Channel carries messages to customers. It is safe for concurrent use.
type Channel interface {
	// Send tries once. The verdict is Done (Remote is the service's id), Wait or Pause (not executed; After; scope key: this
	// customer alone; scope method "template": what is Approved alone), Retry (not executed; costs a try), Ambiguous (may have been executed), or Permanent with what it means.
	// It never panics and never shows people's data in an error.
	Send(ctx context.Context, to string, w Words) Tried
	// Check asks whether the service would take messages, quickly, and creates nothing.
	Check(ctx context.Context) error
}

// Asked is a Channel whose service tells what became of a message only when it is asked, by the address that it was sent to and
// the service's id of it. The state is no further than is known; NotSent comes with the service's code.
type Asked interface {
	Ask(ctx context.Context, to, remote string) (state StepState, code string, err error)
}
