package streams

import "time"

// Result is what became of one try at an entry.
type Result int

const (
	Done      Result = iota // delivered or judged: goes on to its followers and leaves the queue
	Drop                    // ends here by decision, Reason says why
	Retry                   // try again by the queue's policy; costs an attempt
	Wait                    // try again after After; costs no attempt (429, a pause, a lead that waits for another)
	Permanent               // will never work: dead letter now
	Pause                   // the destination (or a part, Scope) cannot work: wait for After, costs no attempt
	Ambiguous               // sent, no answer: may have worked; look before the next try
)

var resultNames = [...]string{"done", "drop", "retry", "wait", "permanent", "pause", "ambiguous"}

// String is the result as logs and metrics name it.
func (r Result) String() string { return resultNames[r] }

// Scope says how much a Pause stops.
type Scope string

const (
	ScopeSink   Scope = ""       // the whole destination
	ScopeMethod Scope = "method" // one method of it, named in PauseKey: only entries that need it
	ScopeKey    Scope = "key"    // one recipient, named in PauseKey
)

// Verdict is the answer of a handler or a sink for one entry. The zero value is: done, nothing follows.
type Verdict struct {
	Result    Result
	Remote    string        // Done: the id that the far side gave
	Outcome   string        // Done: "" is delivered; "merged" when it was attached to an earlier lead
	Reason    string        // Drop: why, in one word or two
	After     time.Duration // Wait, Pause: not before; Retry: a floor under the policy's delay
	Scope     Scope         // Pause
	PauseKey  string        // Pause: the method or recipient
	Fault     bool          // Retry, Ambiguous: the destination's fault (5xx, time-out, refused), counts for its breaker
	Err       error         // why; never with secrets or people's data
	Code      string        // the far side's own error code, for the record
	Followers []Follower    // entries for the next queues; Drop: who is to hear of the lead all the same
}

// Follower is a lead's entry for a further queue.
type Follower struct {
	Queue string
	Lead  *Lead
}
