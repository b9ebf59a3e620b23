// Package visits is what a calendar and those who use it speak of: free times and bookings.
package visits

import (
	"context"
	"errors"
	"time"
)

// Slot is a time at which a visit can begin.
type Slot struct {
	Start   time.Time `json:"start"`
	End     time.Time `json:"end"`
	Service string    `json:"service,omitempty"`
	Master  string    `json:"master,omitempty"`
	Branch  string    `json:"branch,omitempty"`
}

// Wish is what a customer would like.
type Wish struct {
	Service  string // by its code; empty: any
	Master   string
	Branch   string
	From, To time.Time // the visit begins within
	Most     int       // slots to offer
}

// Booking is a visit that was agreed upon.
type Booking struct {
	ID        string    `json:"id"` // of whoever makes it: the same one made twice is one
	Customer  int64     `json:"customer"`
	Version   int64     `json:"version"` // goes up with every change
	Status    string    `json:"status"`  // one of the words below
	Service   string    `json:"service,omitempty"`
	Master    string    `json:"master,omitempty"`
	Branch    string    `json:"branch,omitempty"`
	Start     time.Time `json:"start"`
	End       time.Time `json:"end"`
	Lead      string    `json:"lead,omitempty"` // with which it was made or last changed; empty: by a person or in the calendar itself
	MadeAt    time.Time `json:"made_at,omitzero"`
	ChangedAt time.Time `json:"changed_at,omitzero"` // to this version
}

// The states of a booking.
const (
	Booked    = "booked"
	Cancelled = "cancelled"
	Came      = "came"
	Missed    = "missed"
)

// Why a booking is refused.
var (
	ErrTaken   = errors.New("the time is taken")
	ErrClosed  = errors.New("nobody works at this time")
	ErrPast    = errors.New("the time has passed")
	ErrChanged = errors.New("the booking was changed meanwhile")
	ErrUnknown = errors.New("there is no such booking")
)

// Calendar knows who is free when. It is safe for concurrent use, and of two customers for one slot one gets it.
type Calendar interface {
	Free(ctx context.Context, w Wish) ([]Slot, error)                           // the earliest first
	Book(ctx context.Context, b Booking) (Booking, error)                       // ErrTaken, ErrClosed, ErrPast
	Move(ctx context.Context, id string, to Slot, lead string) (Booking, error) // the old time is free at once
	Cancel(ctx context.Context, id, lead string) (Booking, error)
	Of(ctx context.Context, customer int64) ([]Booking, error) // a customer's that are still to come, by start
}
