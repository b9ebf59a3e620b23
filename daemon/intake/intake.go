// Package intake is the HTTP shim: it takes enquiries from no-code tools, site forms and programs, whatever shape they
// arrive in, and answers 2xx only once a Taker has made them durable. It knows senders, keys, bodies and limits; the
// journal, lead ids and what becomes of a lead are the engine's (IN-01, IN-04, IN-05).
package intake

import (
	"context"
	"errors"
	"fmt"
	"time"

	"leadstream/streams"
)

// Taker makes leads durable. Its methods return nil only once the journal has on disk what they were given, and an
// ErrOverloaded or ErrUnavailable to have the sender come again later.
type Taker interface {
	// Take makes one lead durable and says which id it has.
	Take(ctx context.Context, t Taken) (Receipt, error)

	// TakeAll takes the leads of one request: all of them or none, receipts in the same order.
	TakeAll(ctx context.Context, ts []Taken) ([]Receipt, error)

	// Quarantine keeps a request that could not be read, and has a person told.
	Quarantine(ctx context.Context, q Quarantined) error
}

// Taken is a lead as it was read, with what its id is derived from. The Taker may keep all of it.
type Taken struct {
	Lead      *streams.Lead // ID is empty: the Taker derives it from Lead.Source, Key and Canonical
	Key       string        // the sender's idempotency key or event id; an item of an array adds its index; may be empty
	Canonical []byte        // what makes two bodies the same: members sorted, blanks and volatile fields left out
	Raw       []byte        // the body, or of an array its item; decompressed
}

// Receipt is the Taker's answer for one lead.
type Receipt struct {
	LeadID   string
	Status   string // Accepted or Duplicate
	Conflict bool   // the key was seen with another body: this is a new lead, and the key is a mapping error
}

// The statuses of an answer.
const (
	Accepted  = "accepted"
	Duplicate = "duplicate"
	Ignored   = "ignored" // a probe or a test: nothing was kept
)

// Quarantined is a request, or one item of it, that came by a known source and did not become a lead.
type Quarantined struct {
	Source      string
	Code        string // as in the answer: bad_json, too_large …; or honeypot, too_fast, empty, ignored
	Reason      string // a sentence for a person, in the source's language
	ContentType string
	Raw         []byte // as it arrived, cut at the source's size limit
	ReceivedAt  time.Time
}

// ErrTooLarge says that a lead is too long for the journal, and always will be.
var ErrTooLarge = errors.New("longer than the journal takes")

// ErrOverloaded says that the Taker has too much to do: the answer is 429.
type ErrOverloaded struct {
	RetryAfter time.Duration // 0 is a second
	Err        error
}

func (e ErrOverloaded) Error() string { return fmt.Sprintf("overloaded: %v", e.Err) }
func (e ErrOverloaded) Unwrap() error { return e.Err }

// ErrUnavailable says that nothing can be made durable now, say because the disk is full: the answer is 503.
type ErrUnavailable struct {
	RetryAfter time.Duration // 0 is five seconds
	Err        error
}

func (e ErrUnavailable) Error() string { return fmt.Sprintf("unavailable: %v", e.Err) }
func (e ErrUnavailable) Unwrap() error { return e.Err }
