package main

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Probe is one thing that the daemon needs, by name. Ask must be quick; its error says what is wrong, without secrets.
type Probe struct {
	Name string
	Ask  func(ctx context.Context) error
}

// Health answers whether the daemon is alive (its own loops turn) and ready (a lead that is sent now will be kept).
// What only delays deliveries, Redis or a sink, makes it neither dead nor unready: leads are taken all the same.
type Health struct {
	Alive []Probe
	Ready []Probe
	Notes []Probe // told in /readyz, change nothing

	Within time.Duration // what one probe may take; 0 is 2 s: systemd and load balancers ask every few seconds
}

// Report is the body of /healthz and /readyz.
type Report struct {
	OK     bool              `json:"ok"`
	Checks map[string]string `json:"checks"` // "ok", or what is wrong
}

// Check is nil when the daemon is alive: what the watchdog asks.
func (h *Health) Check(ctx context.Context) error {
	if r := h.ask(ctx, h.Alive); !r.OK {
		for name, state := range r.Checks {
			if state != "ok" {
				return errors.New(name + ": " + state)
			}
		}
	}
	return nil
}

func (h *Health) ask(ctx context.Context, probes []Probe) Report {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(h.Within, 2*time.Second))
	defer cancel()
	r := Report{OK: true, Checks: map[string]string{}}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, p := range probes {
		wg.Go(func() {
			err := within(ctx, p.Ask)
			mu.Lock()
			defer mu.Unlock()
			r.Checks[p.Name] = "ok"
			if err != nil {
				r.OK, r.Checks[p.Name] = false, err.Error()
			}
		})
	}
	wg.Wait()
	return r
}

// within gives up on a probe that hangs in a lock: that is what the watchdog is for.
func within(ctx context.Context, do func(context.Context) error) error {
	done := make(chan error, 1)
	go func() { done <- do(ctx) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return errors.New("no answer in time")
	}
}

// Live serves /healthz.
func (h *Health) Live(w http.ResponseWriter, r *http.Request) {
	answerReport(w, h.ask(r.Context(), h.Alive))
}

// Readiness serves /readyz.
func (h *Health) Readiness(w http.ResponseWriter, r *http.Request) {
	report := h.ask(r.Context(), append(append([]Probe{}, h.Alive...), h.Ready...))
	for name, state := range h.ask(r.Context(), h.Notes).Checks {
		report.Checks[name] = state
	}
	answerReport(w, report)
}

func answerReport(w http.ResponseWriter, r Report) {
	status := http.StatusOK
	if !r.OK {
		status = http.StatusServiceUnavailable
		w.Header().Set("Retry-After", "5")
	}
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, status, r)
}

// metricsHandler serves /metrics.
func metricsHandler(g prometheus.Gatherer) http.Handler {
	return promhttp.HandlerFor(g, promhttp.HandlerOpts{EnableOpenMetrics: true, Timeout: 10 * time.Second})
}
