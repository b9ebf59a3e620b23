// Package hook is a simulated program that takes leads as JSON at a webhook: it keeps what arrived, takes one
// Idempotency-Key once when it is told to, and on request misbehaves as package fault describes.
//
// It leaves out what the program would do with a lead.
package hook

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"leadstream/sinks/sim/fault"
)

// Fault is one way for the program to misbehave; its Method is post.
type Fault = fault.Fault

// Call is a request that was executed.
type Call struct {
	Seq    int       `json:"seq"`
	At     time.Time `json:"at"`
	LeadID string    `json:"lead_id"`
	Body   any       `json:"body,omitempty"`   // its JSON
	Repeat bool      `json:"repeat,omitempty"` // its key was known: nothing was done
	Answer string    `json:"answer"`           // delivered, or lost on its way back
}

// Options are a hook's settings.
type Options struct {
	Addr  string // 127.0.0.1:0 when empty
	Keyed bool   // takes one Idempotency-Key once
}

// Hook is a simulated program. It is an http.Handler; Start gives it an address of its own.
type Hook struct {
	o      Options
	faults fault.Set

	server   *http.Server
	listener net.Listener
	serving  sync.WaitGroup

	mu       sync.Mutex
	calls    []Call
	keys     map[string]bool
	requests int
}

// New makes a hook. It does no I/O.
func New(o Options) *Hook {
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	return &Hook{o: o, keys: map[string]bool{}}
}

// Start opens the address and serves until Close.
func (h *Hook) Start() error {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", h.o.Addr)
	if err != nil {
		return fmt.Errorf("simulated webhook: %w", err)
	}
	h.listener = l
	h.server = &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	h.serving.Go(func() { _ = h.server.Serve(l) })
	return nil
}

// Close ends the calls in flight.
func (h *Hook) Close() error {
	h.faults.Close()
	if h.server != nil {
		_ = h.server.Close() // its error is the listener's, closed here on purpose
		h.serving.Wait()
	}
	return nil
}

// URL is where leads are posted. Start comes first.
func (h *Hook) URL() string { return "http://" + h.listener.Addr().String() + "/leads" }

// Inject adds a fault; Clear removes all.
func (h *Hook) Inject(f Fault) { h.faults.Inject(f) }

// Clear removes all faults.
func (h *Hook) Clear() { h.faults.Clear() }

// Calls is what was executed, oldest first.
func (h *Hook) Calls() []Call {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.calls)
}

// Requests is how many requests have come in, executed or not.
func (h *Hook) Requests() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.requests
}

const maxBody = 1 << 20

// ServeHTTP takes a lead.
func (h *Hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	h.mu.Lock()
	h.requests++
	h.mu.Unlock()
	seq := 0
	h.faults.Serve(w, r, fault.Exchange{
		Method: "post",
		Run: func() fault.Answer {
			seq = h.take(r.Header, body)
			return fault.Answer{Status: http.StatusOK, ContentType: "application/json", Body: []byte(`{"ok":true}`)}
		},
		Refuse: func(f Fault) fault.Answer { return fault.FrontPage(max(f.Status, http.StatusBadRequest)) },
		Fate: func(delivered bool) {
			h.mu.Lock()
			defer h.mu.Unlock()
			if seq > 0 {
				h.calls[seq-1].Answer = map[bool]string{true: "delivered", false: "lost"}[delivered]
			}
		},
	})
}

// take executes a request.
func (h *Hook) take(header http.Header, body []byte) (seq int) {
	var lead struct{ ID string }
	var all any
	_, _ = json.Unmarshal(body, &lead), json.Unmarshal(body, &all) // what is no lead arrives all the same, without an id
	key := header.Get("Idempotency-Key")
	h.mu.Lock()
	defer h.mu.Unlock()
	c := Call{Seq: len(h.calls) + 1, At: time.Now(), LeadID: lead.ID, Body: all, Answer: "pending"}
	if h.o.Keyed && key != "" {
		c.Repeat = h.keys[key]
		h.keys[key] = true
	}
	h.calls = append(h.calls, c)
	return c.Seq
}
