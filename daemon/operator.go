package main

import (
	"context"
	"errors"
	"time"

	"leadstream/processors"
	"leadstream/streams"
)

// Operator is what the admin API asks of the engine, on behalf of a person.
type Operator interface {
	// Life is a lead's life; ErrNotFound when there is no such lead.
	Life(ctx context.Context, id string) (streams.Life, error)
	// Lives are the leads that q selects, newest first.
	Lives(ctx context.Context, q LeadQuery) (LeadPage, error)
	Status(ctx context.Context) (Status, error)

	// DeadLetters are the dead and held entries that q selects, newest first.
	DeadLetters(ctx context.Context, q DeadQuery) (DeadPage, error)
	// DeadLetter is one of them; ErrNotFound when there is none.
	DeadLetter(ctx context.Context, id string) (streams.DeadLetter, error)
	// Replay sends the selected entries to their destinations again, and no others; it answers how many.
	Replay(ctx context.Context, q DeadQuery) (int, error)
	// DropDead ends the selected entries for good, for the reason; it answers how many.
	DropDead(ctx context.Context, q DeadQuery, reason string) (int, error)

	// Pause stops a destination for d, 0: until it is resumed; ErrNotFound when there is no such destination.
	Pause(ctx context.Context, destination string, d time.Duration, reason string) error
	Resume(ctx context.Context, destination string) error
}

// ErrNotFound is an Operator's answer for an id or a name that it does not know.
var ErrNotFound = errors.New("not found")

// LeadQuery selects leads; zero fields select all.
type LeadQuery struct {
	State  streams.State
	Source string
	Since  time.Time // received at or after
	Until  time.Time // received before
	Text   string    // part of an id, a phone, an e-mail or a name
	Limit  int
	Cursor string // LeadPage.Next of the page before
}

// LeadPage is a page of leads.
type LeadPage struct {
	Leads []streams.Life `json:"leads"`
	Next  string         `json:"next,omitempty"` // cursor of the next page; empty: this is the last
}

// DeadQuery selects dead letters; zero fields select all. In JSON it is what replay and drop take.
type DeadQuery struct {
	IDs         []string      `json:"ids,omitempty"`
	State       streams.State `json:"state,omitempty"` // dead or held
	Destination string        `json:"destination,omitempty"`
	Source      string        `json:"source,omitempty"`
	Since       time.Time     `json:"since,omitzero"` // died at or after
	Until       time.Time     `json:"until,omitzero"` // died before
	Text        string        `json:"q,omitempty"`
	Limit       int           `json:"limit,omitempty"`
	Cursor      string        `json:"cursor,omitempty"`
}

// all tells whether the query selects without any condition.
func (q DeadQuery) all() bool {
	return len(q.IDs) == 0 && q.State == "" && q.Destination == "" && q.Source == "" && q.Since.IsZero() && q.Until.IsZero() && q.Text == ""
}

// DeadPage is a page of dead letters.
type DeadPage struct {
	Dead []streams.DeadLetter `json:"dead"` // dead: ended without a delivery; held: wait for a person's decision
	Next string               `json:"next,omitempty"`
}

// Status is the daemon at a glance.
type Status struct {
	Version      string                `json:"version"`
	Instance     string                `json:"instance"`
	Started      time.Time             `json:"started"`
	Problems     []string              `json:"problems,omitempty"`    // what a person should look at, a sentence each
	Leads        map[streams.State]int `json:"leads"`                 // of the ledger, by state
	Unexplained  int                   `json:"unexplained"`           // leads that neither ended nor are anywhere: always 0
	Destinations []DestinationStatus   `json:"destinations"`          // in the order of their names
	Unforwarded  int                   `json:"unforwarded,omitempty"` // in the journal and not yet in Redis

	Scores  processors.Calibration `json:"scores"`            // against what became of the deals
	Answers *FirstAnswers          `json:"answers,omitempty"` // nil: no records are kept
}

// DestinationStatus is one destination at a glance.
type DestinationStatus struct {
	Name    string    `json:"name"`
	Kind    string    `json:"kind"`
	State   string    `json:"state"`   // ok, open or half_open (its breaker), paused
	Waiting int       `json:"waiting"` // entries in its queues
	Parked  int       `json:"parked"`  // of these, waiting for a retry
	Dead    int       `json:"dead"`
	Held    int       `json:"held"`
	Oldest  time.Time `json:"oldest,omitzero"` // when the longest waiting entry came
	Until   time.Time `json:"until,omitzero"`  // of the pause
	Reason  string    `json:"reason,omitempty"`
}
