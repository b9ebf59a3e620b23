package outbound

import "time"

// Open is a hot enquiry that nobody has seen to yet.
type Open struct {
	Lead    string
	Channel string
	Worth   int64     // money at stake; 0: not known
	Since   time.Time // from when on a person is waited for
}

// First is an enquiry with its first answer.
type First struct {
	Channel string
	Hot     bool
	AskedAt time.Time
	At      time.Time // zero: none yet
	By      string    // Program, Dialogue or Person
}

// Unanswered are open enquiries of a time.
type Unanswered struct {
	Count  int
	Worth  int64 // money at stake in all
	Oldest time.Time
	Latest []Open // the latest first
}
