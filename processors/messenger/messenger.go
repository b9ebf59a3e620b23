// Package messenger brings messages to customers: it draws the conclusions from what comes of them, decides at the moment of
// sending whether and by which channel a message goes, and goes on to the next channel when one has not delivered it. What
// there is to do stands in the records alone: a start finds everything as the stop left it.
package messenger

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"leadstream/processors/policy"
	"leadstream/processors/templates"
	"leadstream/streams"
	"leadstream/streams/outbound"
	"leadstream/streams/visits"
)

// Store keeps messages, and what is known of customers.
type Store interface {
	Heard(ctx context.Context, leads []string) (map[string]bool, error)
	Conclude(ctx context.Context, all []outbound.Conclusion) error
	Customer(ctx context.Context, card int64) (outbound.Customer, error)
	DueMessages(ctx context.Context, now time.Time, limit int) (due []outbound.Message, next time.Time, err error)
	Change(ctx context.Context, all []outbound.Change) ([]bool, error)
	MessageOf(ctx context.Context, channel, remote, words string) (outbound.Message, int, error)
	Calling(ctx context.Context, channel, address string, since time.Time) (bool, error)
	SentSince(ctx context.Context, channel string, since time.Time) (int, error)
	Booking(ctx context.Context, id string) (visits.Booking, error)
	TidyOutbox(ctx context.Context) error
}

// Messenger sends what is due. Set its fields before Run; it is safe for concurrent use.
type Messenger struct {
	Store    Store
	Channels []*Channel // in the order of the config
	Texts    *templates.Set
	Policy   policy.Settings
	Talk     Dialogue  // nil: nothing is answered by itself
	Sequence Sequences // nil: there are none

	// Tell keeps the news that a customer was written to, and what: the history, the CRM and the counters hear of it as of
	// all other news. The same news again is no second one.
	Tell func(ctx context.Context, news *streams.Lead) error

	Unknown  error // what Store answers for what is not there
	Language string
	Zone     *time.Location
	Answer   time.Duration             // an answer that could not be given for so long is not given by a program any more
	Names    []string                  // of services and branches: a message that is nothing but one of them is an answer
	Worth    func(l *streams.Lead) int // money at stake with an enquiry; nil: not known
	Metrics  *Metrics
	Clock    func() time.Time
	Log      zerolog.Logger

	wake     chan struct{}
	failures atomic.Int64
}

// Channel is one way to customers.
type Channel struct {
	Name    string // in the config
	Leads   string // in leads: whatsapp
	Address string // user, phone or email
	Main    *Server
	Backup  *Server // nil: there is no other one

	Pair    time.Duration // least time between two messages to one customer
	Window  time.Duration // free words only so long after the customer's last word; 0: always
	First   bool          // may write to who has never written there
	Keyed   bool          // sending twice under one id is one message
	Short   bool          // carries the short form of a text
	ByPhone bool          // takes a phone too, of somebody who has never written there

	// Template says that an approved template gets through where free words do not: outside Window, and to somebody who has never
	// written there.
	Template bool

	Sure  bool                             // the service tells of each message that it has delivered
	Later func(code string) outbound.Means // what a code means that comes later; nil: the next channel

	Success  outbound.StepState // a message that got so far needs no other channel
	Fallback time.Duration      // and is given so long to get there
	Cost     float64
	Purposes []outbound.Purpose  // empty: all
	Approved map[string]Approved // by template and language, "confirmed.ru"
	Timeout  time.Duration       // of one call

	health health
	asking atomic.Int32 // questions that are not answered yet
}

// Approved is a template that the service has approved for one of ours.
type Approved struct {
	Name       string   `koanf:"name"`
	Language   string   `koanf:"language"`   // as the service writes it; empty: that of the text
	Parameters []string `koanf:"parameters"` // values of the text, in the order of the approved one's places
}

// tries is how often a message is offered to one channel: once, and two times more.
const tries = 3

// lease is how long after its own limit a call may take to be kept before it counts as one that nobody knows of.
const lease = 10 * time.Second

// look is how long a message of which nobody knows whether it was taken is waited for before it counts as it then must.
const look = 2 * time.Minute

// Init makes the messenger ready. Call it once, before anything else.
func (m *Messenger) Init() { m.wake = make(chan struct{}, 1) }

// Wake has due messages looked for at once.
func (m *Messenger) Wake() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

func (m *Messenger) now() time.Time {
	if m.Clock != nil {
		return m.Clock()
	}
	return time.Now()
}

func (m *Messenger) channel(name string) *Channel {
	for _, c := range m.Channels {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// carries says whether the channel may carry a message of this purpose.
func (c *Channel) carries(p outbound.Purpose) bool {
	for _, q := range c.Purposes {
		if p == q {
			return true
		}
	}
	return len(c.Purposes) == 0
}

// rank orders how far a message got.
func rank(s outbound.StepState) int {
	switch s {
	case outbound.Accepted:
		return 1
	case outbound.Sent:
		return 2
	case outbound.Delivered:
		return 3
	case outbound.Read:
		return 4
	}
	return 0
}
