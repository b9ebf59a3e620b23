// Package sinks delivers leads, and messages to people, to outside systems: a file a kind, a folder where the protocol
// is large. A sink says what became of one try; retries, breaker, rate limit, order and dead letters are the engine's.
package sinks

import (
	"context"
	"time"

	"github.com/rs/zerolog"

	"leadstream/streams"
	"leadstream/streams/media"
)

// Sink delivers leads to one outside system. It must be safe for concurrent use.
type Sink interface {
	// Deliver tries each delivery once and answers a verdict for each, in the same order. It never panics on bad data,
	// never retries what may have been executed, and gives up when ctx ends (the verdict is then Ambiguous, or
	// Retry when surely nothing was sent).
	Deliver(ctx context.Context, batch []Delivery) []streams.Verdict

	// Check asks the far side whether deliveries can work (address, key, rights), and creates nothing. Its errors say
	// the cure.
	Check(ctx context.Context) error
}

// Messenger tells a person something: an alert, a dead letter. Sinks that reach people are Messengers too.
type Messenger interface {
	Send(ctx context.Context, m Message) streams.Verdict
}

// Message is a text for a person, composed by whoever sends it in the configured language.
type Message struct {
	ID      string // stable over retries; sinks that can, use it to avoid a second copy
	Subject string // e-mail's subject; the first line elsewhere
	Text    string // the whole, plain text with line breaks
	Short   string // for SMS: one segment, says what to do; empty: Text, cut
	Urgent  bool   // false: may arrive without a sound
}

// Delivery is one lead on its way to one destination.
type Delivery struct {
	Lead    *streams.Lead
	Attempt int // from 1

	// Unsure is zero when the lead surely was not sent to this destination before. Else it is the last moment at which
	// it may have been: a searchable sink looks before it creates, once its far side must have finished (Wait until
	// then); a keyed one just sends again; the engine decides for blind ones (on_ambiguous) and never asks them.
	Unsure time.Time

	// Of is what is known at this destination of the lead that Lead.RepeatOf names; nil when this is no repeat.
	Of *Earlier
}

// Earlier is the state, at one destination, of an earlier lead that a repeat is to be attached to. Pending: answer Wait.
// Neither delivered nor pending (dead, dropped, erased or unknown): look it up where possible, else deliver the repeat as
// a lead of its own.
type Earlier = streams.Earlier

// Class says how a sink can promise exactly once in effect (reliability: three classes).
type Class int

const (
	Blind      Class = iota // neither key nor search: an ambiguous try is held, retried or dropped, by on_ambiguous
	Searchable              // finds by lead id what it may have created
	Keyed                   // the far side itself refuses a second one by key; sending again is safe
)

// Kind is one sort of sink: what config.yaml's `kind` selects.
type Kind struct {
	// Settings returns a pointer to a fresh settings struct with defaults, `koanf` tags for its keys in the sink's block.
	Settings func() any
	// Open makes the sink. settings is what Settings returned, filled from config. It does no I/O. Its error names the
	// key and the cure.
	Open func(settings any, env Env) (Sink, error)

	Class       Class
	OnAmbiguous string         // Blind: the default of on_ambiguous, "hold", "retry" or "drop"; empty is hold
	Batch       int            // most deliveries in one Deliver call; 0 is 1
	Policy      streams.Policy // default retry policy
	Human       bool           // reaches a person: also a Messenger
}

// Env is what the daemon gives every sink.
type Env struct {
	Name     string         // the destination's configured name
	Instance string         // this daemon's identity
	Language string         // "ru" or "en": of texts for people
	Zone     *time.Location // the business's own time zone
	Region   string         // default country for phone numbers, "RU"
	DataDir  string         // for files
	Timeout  time.Duration  // of one outside call; 0: the kind's own default
	Version  string         // for User-Agent
	Files    *media.Store   // what customers have sent; nil: nothing is stored
	Log      zerolog.Logger // keys: lead, queue, attempt, took, err; never people's data
}
