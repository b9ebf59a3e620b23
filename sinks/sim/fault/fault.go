// Package fault makes a simulated service misbehave on purpose: refuse, hang, be slow, reset the connection, lose the
// answer of work it has done, finish the work after the caller has gone. It is shared by the simulated portal and the
// simulated phone; what a service's own errors look like is left to them.
package fault

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path"
	"sync"
	"time"
)

// Fault is one way to misbehave. Its zero value matches every request and does nothing.
type Fault struct {
	Method      string  `json:"method,omitempty"`      // which calls: a path.Match pattern; empty is all of them
	Times       int     `json:"times,omitempty"`       // how many calls; 0 is until cleared
	Probability float64 `json:"probability,omitempty"` // of each matching call; 0 is every one

	// After lets the request be executed before the fault happens to its answer.
	After bool `json:"after,omitempty"`

	// A refusal: any of these replaces the answer. A Code alone takes the status that the service gives with it.
	Status      int               `json:"status,omitempty"`
	Code        string            `json:"code,omitempty"`
	Description string            `json:"description,omitempty"`
	Body        string            `json:"body,omitempty"` // sent as it is
	ContentType string            `json:"content_type,omitempty"`
	Header      map[string]string `json:"header,omitempty"`
	RetryAfter  string            `json:"retry_after,omitempty"` // the header, as it is: seconds, a date, garbage
	HTML200     bool              `json:"html200,omitempty"`     // a login page with status 200
	Empty       bool              `json:"empty,omitempty"`       // no body at all; status 200 unless Status says otherwise

	// What happens to the connection.
	Delay      time.Duration `json:"-"`                     // before executing, or with After before answering
	Hang       bool          `json:"hang,omitempty"`        // never answers; ends when the caller goes
	Reset      bool          `json:"reset,omitempty"`       // RST instead of an answer
	LoseAnswer bool          `json:"lose_answer,omitempty"` // executes, then closes without a word
	FinishLate time.Duration `json:"-"`                     // executes this much later, whether the caller waits or not
	CutAfter   int           `json:"cut_after,omitempty"`   // RST after so many bytes of the body
	Trickle    time.Duration `json:"-"`                     // between the single bytes of the answer, headers included
	Fill       int64         `json:"fill,omitempty"`        // the body is padded with spaces to so many bytes
	Gzip       bool          `json:"gzip,omitempty"`        // compressed unasked; with Fill, a bomb
}

// refuses tells whether the answer is replaced.
func (f Fault) refuses() bool {
	return f.Status != 0 || f.Code != "" || f.Body != "" || f.HTML200 || f.Empty
}

// quiet tells whether no answer reaches the caller.
func (f Fault) quiet() bool { return f.Hang || f.Reset || f.LoseAnswer }

type bare Fault // without the methods, or encoding would recurse

type wire struct {
	bare
	Delay      string `json:"delay,omitempty"`
	FinishLate string `json:"finish_late,omitempty"`
	Trickle    string `json:"trickle,omitempty"`
}

// MarshalJSON writes durations as text: "1.5s".
func (f Fault) MarshalJSON() ([]byte, error) {
	text := func(d time.Duration) string {
		if d == 0 {
			return ""
		}
		return d.String()
	}
	return json.Marshal(wire{bare(f), text(f.Delay), text(f.FinishLate), text(f.Trickle)})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (f *Fault) UnmarshalJSON(data []byte) error {
	var in wire
	if err := json.Unmarshal(data, &in); err != nil {
		return fmt.Errorf("reading the fault: %w", err)
	}
	out := Fault(in.bare)
	for _, d := range []struct {
		key, text string
		to        *time.Duration
	}{{"delay", in.Delay, &out.Delay}, {"finish_late", in.FinishLate, &out.FinishLate}, {"trickle", in.Trickle, &out.Trickle}} {
		if d.text == "" {
			continue
		}
		v, err := time.ParseDuration(d.text)
		if err != nil {
			return fmt.Errorf("reading the fault's %s: %w", d.key, err)
		}
		*d.to = v
	}
	if _, err := path.Match(out.Method, ""); err != nil {
		return fmt.Errorf("reading the fault's method %q: %w", out.Method, err)
	}
	*f = out
	return nil
}

// Set is the faults in force. Its zero value has none; it is safe for concurrent use.
type Set struct {
	Rand func() float64 // for Probability; nil is a random one

	after func(time.Duration) <-chan time.Time // time.After when nil; what FinishLate waits for

	mu     sync.Mutex
	faults []Fault
	stop   chan struct{}
	closed bool
	work   sync.WaitGroup // late executions
}

// Inject adds a fault. The oldest one that matches a call wins.
func (s *Set) Inject(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, f)
}

// Clear removes all faults. Calls already hanging go on hanging.
func (s *Set) Clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// List is the faults still in force, Times counted down.
func (s *Set) List() []Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Fault{}, s.faults...)
}

// Refusal takes a fault that only replaces the answer: for a call inside another call, which has no connection.
func (s *Set) Refusal(method string) (Fault, bool) {
	return s.take(method, func(f Fault) bool { return f.refuses() && !f.After && !f.quiet() && f.FinishLate == 0 })
}

func (s *Set) take(method string, fits func(Fault) bool) (Fault, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, f := range s.faults {
		if ok, err := path.Match(f.Method, method); f.Method != "" && (err != nil || !ok) {
			continue
		}
		if !fits(f) || f.Probability > 0 && s.rand() >= f.Probability {
			continue
		}
		if f.Times == 1 {
			s.faults = append(s.faults[:i:i], s.faults[i+1:]...)
		} else if f.Times > 1 {
			s.faults[i].Times--
		}
		return f, true
	}
	return Fault{}, false
}

func (s *Set) rand() float64 {
	if s.Rand != nil {
		return s.Rand()
	}
	return rand.Float64()
}

// Close frees the calls that hang or wait, and returns once late executions have ended; those that had not begun
// are given up.
func (s *Set) Close() {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		if s.stop == nil {
			s.stop = make(chan struct{})
		}
		close(s.stop)
	}
	s.mu.Unlock()
	s.work.Wait()
}

// background runs work that Close waits for. After Close there is none to begin.
func (s *Set) background(work func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.work.Go(work)
	}
}

func (s *Set) stopped() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stop == nil {
		s.stop = make(chan struct{})
	}
	return s.stop
}
