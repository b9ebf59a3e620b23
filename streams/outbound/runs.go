package outbound

import (
	"encoding/json"
	"strconv"
	"time"
)

// RunState is where a customer stands in a sequence of messages.
type RunState string

// The states of a run.
const (
	RunOn      RunState = "on"      // at Due its next step is taken, or behind the last one its result is no longer waited for
	RunDone    RunState = "done"    // all was said, and nothing came of it
	RunStopped RunState = "stopped" // Reason says by what
	RunWon     RunState = "won"     // the customer has ordered, bought or come: Reason says which
)

// Run is a customer on the way through a sequence.
type Run struct {
	Sequence string          `json:"sequence"`
	Customer int64           `json:"customer"`
	Cause    string          `json:"cause"` // the lead that began it: one lead begins a sequence once
	Variant  string          `json:"variant,omitempty"`
	Step     int             `json:"step"` // that comes next, from 0
	Due      time.Time       `json:"due"`
	State    RunState        `json:"state"`
	Reason   string          `json:"reason,omitempty"`
	Values   json.RawMessage `json:"values,omitempty"` // for its texts, of what began it
	Last     string          `json:"last,omitempty"`   // id of its latest message
	BegunAt  time.Time       `json:"begun_at"`
	MovedAt  time.Time       `json:"moved_at"` // when its latest step was taken
	EndedAt  time.Time       `json:"ended_at,omitzero"`
}

// RunCount is how many runs of a variant stand so.
type RunCount struct {
	Sequence string   `json:"sequence"`
	Variant  string   `json:"variant,omitempty"`
	State    RunState `json:"state"`
	Reason   string   `json:"reason,omitempty"`
	Runs     int      `json:"runs"`
	Sent     int      `json:"sent"` // messages of theirs that a channel took
}

// CauseOf is the Cause of the message that a step of a run makes; of no step (-1), what those of all its steps begin with.
func CauseOf(r Run, step int) string {
	cause := "sequence:" + r.Sequence + ":" + r.Cause + ":"
	if step < 0 {
		return cause
	}
	return cause + strconv.Itoa(step)
}
