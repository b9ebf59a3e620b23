// Package push is where a simulated messenger keeps what has happened until a bot has it: it posts the events to the bot's
// webhook, in order, again and again with growing delays, or hands them out to whoever asks. How a service asks, what its
// requests look like and what it takes for "kept" is left to the simulators.
package push

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Event is one thing that a service tells.
type Event struct {
	ID   int64  // one more than that of the event before
	Line string // events of one line go one after the other, others at the same time
	Body []byte
	At   time.Time

	fails int
	next  time.Time // of the real clock
	busy  bool
}

// Hook is where events are posted, and how.
type Hook struct {
	URL    string
	Header http.Header
	Most   int // requests at one time; 0: 40

	// Repeated, if not nil, makes the header of a further try.
	Repeated func(h http.Header, fails int)

	// Sign, if not nil, adds to the header what proves that the body is the service's.
	Sign func(h http.Header, body []byte)

	// Taken says whether an answer means "kept": nil, or what is wrong with it.
	Taken func(status int, body []byte) error

	// Delay is how long to wait after so many failures.
	Delay func(fails int) time.Duration

	// Insecure lets a certificate be anybody's: tests have no other.
	Insecure bool
}

// Watch is for whoever holds what a service was told against what became of it.
type Watch struct {
	// Tried, if not nil, is told of each handing over, before the event is forgotten. It must not ask the service anything.
	Tried func(Try)

	// Deaf, if not nil, is asked after each answer that means "kept": where it says so, the service has not heard it, as when
	// its patience was over, and tells the event again.
	Deaf func() bool
}

// Try is one handing over of an event.
type Try struct {
	Body           []byte // as posted: some services put several events into one
	Sent, Answered time.Time
	Status         int   // of the answer; 0: none was heard
	Err            error // nil: it is taken
}

// ErrUnheard is why an answer did not count although it came.
var ErrUnheard = errors.New("no answer in time")

// Hears tells who watches of a try, and whether its answer counts.
func (w Watch) Hears(t Try) error {
	if t.Err == nil && w.Deaf != nil && w.Deaf() {
		t.Status, t.Err = 0, ErrUnheard
	}
	if w.Tried != nil {
		w.Tried(t)
	}
	return t.Err
}

// Options are the settings of a Queue.
type Options struct {
	Watch
	Keep  time.Duration    // how long an event is remembered; 24 h
	Clock func() time.Time // of an event's age; time.Now
	Hurry float64          // how many times faster than the service delays pass; 1
	First int64            // number of the first event; 1
}

// Queue holds events. Close ends its posting.
type Queue struct {
	o      Options
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu        sync.Mutex
	events    []*Event
	last      int64
	hook      *Hook
	changed   chan struct{} // closed when something has come, or the hook is another
	sending   int
	lastError string
	errorAt   time.Time
	okAt      time.Time
	delivered int
	client    *http.Client
}

// patience is how long a service waits for an answer (Telegram: 60 s); simulated ones have less time.
const patience = 10 * time.Second

// New makes a queue; posting begins with SetHook.
func New(o Options) *Queue {
	if o.Keep == 0 {
		o.Keep = 24 * time.Hour
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Hurry == 0 {
		o.Hurry = 1
	}
	q := &Queue{o: o, last: max(o.First, 1) - 1, changed: make(chan struct{})}
	q.ctx, q.cancel = context.WithCancel(context.Background())
	return q
}

// Close ends posting and waits for it.
func (q *Queue) Close() {
	q.cancel()
	q.work.Wait()
}

// Add keeps an event; body makes it, given its number.
func (q *Queue) Add(line string, body func(id int64) []byte) int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.last++
	q.events = append(q.events, &Event{ID: q.last, Line: line, Body: body(q.last), At: q.o.Clock()})
	q.notify()
	return q.last
}

// Restart lets numbers go on from another one, smaller or larger.
func (q *Queue) Restart(next int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.last = next - 1
}

func (q *Queue) notify() {
	close(q.changed)
	q.changed = make(chan struct{})
}

// Changed is closed at the next change.
func (q *Queue) Changed() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.changed
}

// expire forgets what is too old. The caller holds q.mu.
func (q *Queue) expire() {
	now := q.o.Clock()
	q.events = slices.DeleteFunc(q.events, func(e *Event) bool { return !e.busy && now.Sub(e.At) >= q.o.Keep })
}

// Waiting are the events that nobody has taken, oldest first.
func (q *Queue) Waiting() []Event {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.expire()
	out := make([]Event, len(q.events))
	for i, e := range q.events {
		out[i] = *e
	}
	return out
}

// Forget drops the events that have is true of.
func (q *Queue) Forget(has func(Event) bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.events = slices.DeleteFunc(q.events, func(e *Event) bool { return has(*e) })
}

// Confirm drops the events that have is true of: whoever asks for them has said that they are kept.
func (q *Queue) Confirm(has func(Event) bool) {
	if q.o.Tried != nil {
		for _, e := range q.Waiting() {
			if has(e) {
				q.o.Tried(Try{Body: e.Body, Sent: e.At, Answered: time.Now(), Status: http.StatusOK})
			}
		}
	}
	q.Forget(has)
}

// State is what a service says of its webhook.
type State struct {
	Hook      *Hook // nil: there is none
	Waiting   int
	Delivered int // by the webhook
	Error     string
	ErrorAt   time.Time // zero: none
	OKAt      time.Time // of the last delivery, or of SetHook
}

// State says how posting goes.
func (q *Queue) State() State {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.expire()
	return State{q.hook, len(q.events), q.delivered, q.lastError, q.errorAt, q.okAt}
}

// SetHook begins posting there; nil ends it.
func (q *Queue) SetHook(h *Hook) {
	q.mu.Lock()
	defer q.mu.Unlock()
	begun := q.client != nil
	q.hook, q.lastError, q.errorAt, q.okAt = h, "", time.Time{}, q.o.Clock()
	for _, e := range q.events {
		e.fails, e.next = 0, time.Time{}
	}
	if h != nil && !begun {
		q.client = &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: 40,
			TLSClientConfig: &tls.Config{InsecureSkipVerify: h.Insecure}},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		q.work.Go(q.run)
	}
	q.notify()
}

// run posts what is due until Close.
func (q *Queue) run() {
	defer q.client.CloseIdleConnections()
	for {
		q.mu.Lock()
		q.expire()
		changed := q.changed
		wait := time.Hour
		now := time.Now()
		lines, hook := map[string]bool{}, q.hook
		for _, e := range q.events {
			if hook == nil || q.sending >= max(hook.Most, 1) {
				break
			}
			if lines[e.Line] {
				continue
			}
			lines[e.Line] = true // the head alone
			switch {
			case e.busy:
			case e.next.After(now):
				wait = min(wait, e.next.Sub(now))
			default:
				e.busy = true
				q.sending++
				q.work.Go(func() { q.post(hook, e) })
			}
		}
		q.mu.Unlock()
		timer := time.NewTimer(wait)
		select {
		case <-q.ctx.Done():
			timer.Stop()
			return
		case <-changed:
		case <-timer.C:
		}
		timer.Stop()
	}
}

func (q *Queue) post(h *Hook, e *Event) {
	try := Try{Body: e.Body, Sent: time.Now()}
	try.Status, try.Err = q.send(h, e)
	try.Answered = time.Now()
	err := q.o.Hears(try)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.sending--
	e.busy = false
	switch {
	case err == nil:
		q.events = slices.DeleteFunc(q.events, func(o *Event) bool { return o == e })
		q.delivered++
		q.okAt = q.o.Clock()
	case q.hook == h:
		e.fails++
		e.next = time.Now().Add(time.Duration(float64(h.Delay(e.fails)) / q.o.Hurry))
		q.lastError, q.errorAt = err.Error(), q.o.Clock()
	}
	q.notify()
}

func (q *Queue) send(h *Hook, e *Event) (status int, err error) {
	req, err := http.NewRequestWithContext(q.ctx, http.MethodPost, h.URL, bytes.NewReader(e.Body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	for k, v := range h.Header {
		req.Header[k] = v
	}
	if h.Sign != nil {
		h.Sign(req.Header, e.Body)
	}
	if h.Repeated != nil && e.fails > 0 {
		h.Repeated(req.Header, e.fails)
	}
	res, err := q.client.Do(req)
	if err != nil {
		return 0, errors.New("connection refused or timed out")
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return 0, fmt.Errorf("the answer broke off: %w", err)
	}
	return res.StatusCode, h.Taken(res.StatusCode, body)
}
