package streams

import (
	"context"
	"time"
)

// Handler judges the entries of one queue: one verdict for each, in the same order.
type Handler interface {
	Handle(ctx context.Context, batch []*Entry) []Verdict
}

// HandlerFunc is a function that is a Handler.
type HandlerFunc func(ctx context.Context, batch []*Entry) []Verdict

// Handle calls f.
func (f HandlerFunc) Handle(ctx context.Context, batch []*Entry) []Verdict { return f(ctx, batch) }

// Guard keeps a destination from being called too often, too much at once, or while it cannot work. Destination is one.
type Guard interface {
	Admit(ctx context.Context, want int) (n int, wait time.Duration) // how many entries may be taken in hand now
	Start(n int) error                                               // before n Handle calls
	Finish(n int, fault bool)                                        // after them
	Call(ctx context.Context, units int) error                       // waits for the rate limit
	PauseFor(ctx context.Context, until time.Time, reason, by string) error
	PauseKey(ctx context.Context, key string, until time.Time) error
}

// OnAmbiguous says what to do with an entry that may have been delivered, where the far side cannot be asked.
type OnAmbiguous string

const (
	Look    OnAmbiguous = ""      // the sink can tell: by looking, or because sending again is harmless
	HoldIt  OnAmbiguous = "hold"  // a person decides: among the dead letters, alerted
	RetryIt OnAmbiguous = "retry" // at least once
	DropIt  OnAmbiguous = "drop"  // at most once
)

// Worker is what serves one queue. The zero values of its numbers are made sensible by the engine.
type Worker struct {
	Queue       string // Intake, Triaged or Destined(name)
	Handler     Handler
	Policy      Policy
	Batch       int // most entries of one Handle call
	Concurrency int // Handle calls at a time: with Batch it bounds what is in hand, for a Guard too
	Timeout     time.Duration

	// For a destination:
	Guard       Guard // nil for a processor
	OnAmbiguous OnAmbiguous
	Failover    []string // destinations that take over what surely was not sent here
	NoHot       bool     // hot leads stand in line with the others
}

// waitersLimit is how many entries of one customer may wait behind one that waits for its retry; further ones overtake.
const waitersLimit = 1000

func (w *Worker) destination() string { return destinationOf(w.Queue) }

// streams are the queues that the worker reads: a destination's hot one first.
func (w *Worker) streams() []string {
	if w.destination() == "" {
		return []string{w.Queue}
	}
	return []string{hotQueue(w.Queue), w.Queue}
}

func (w *Worker) batch() int       { return max(w.Batch, 1) }
func (w *Worker) concurrency() int { return max(w.Concurrency, 1) }
func (w *Worker) timeout() time.Duration {
	if w.Timeout > 0 {
		return w.Timeout
	}
	return 30 * time.Second
}
