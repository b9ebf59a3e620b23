package streams

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"

	"github.com/failsafe-go/failsafe-go/bulkhead"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/prometheus/client_golang/prometheus"
)

// DestinationConfig is how hard one sink may be pressed. The zero value of each field takes its default.
type DestinationConfig struct {
	Name        string  `koanf:"-"`
	Concurrency int     `koanf:"concurrency"` // calls at a time; 4
	Batch       int     `koanf:"batch"`       // most entries of one call; 1
	Rate        Rate    `koanf:"rate"`
	Breaker     Breaker `koanf:"breaker"`
}

// Rate is a limit that all daemons on one Redis share: a bucket of Burst calls that refills by PerSecond.
// Zero PerSecond is no limit.
type Rate struct {
	PerSecond float64 `koanf:"per_second"`
	Burst     int     `koanf:"burst"` // at least 1
}

// Breaker says when a destination counts as broken: Failures faults in its last Of calls open it for Delay, which
// doubles up to MaxDelay while probes fail.
type Breaker struct {
	Failures uint          `koanf:"failures"`  // 5
	Of       uint          `koanf:"of"`        // Failures, that is: in a row
	Delay    time.Duration `koanf:"delay"`     // 5 s
	MaxDelay time.Duration `koanf:"max_delay"` // 300 s
}

func (c DestinationConfig) withDefaults() DestinationConfig {
	if c.Concurrency <= 0 {
		c.Concurrency = 4
	}
	c.Batch = max(c.Batch, 1)
	c.Rate.Burst = max(c.Rate.Burst, 1)
	if c.Breaker.Failures == 0 {
		c.Breaker.Failures = 5
	}
	c.Breaker.Of = max(c.Breaker.Of, c.Breaker.Failures)
	if c.Breaker.Delay <= 0 {
		c.Breaker.Delay = 5 * time.Second
	}
	if c.Breaker.MaxDelay <= 0 {
		c.Breaker.MaxDelay = 300 * time.Second
	}
	c.Breaker.MaxDelay = max(c.Breaker.MaxDelay, c.Breaker.Delay)
	return c
}

// Destination guards one sink: it says how much may be taken from its queue, and keeps a broken, paused or slow far
// side from being hammered. The breaker and the places are this daemon's own; rate and pauses are shared through Redis.
type Destination struct {
	cfg    DestinationConfig
	clock  func() time.Time
	places bulkhead.Bulkhead[any]
	rate   limiter
	pauses pauses

	mu        sync.Mutex
	breaker   circuitbreaker.CircuitBreaker[any]
	inFlight  int       // calls
	openedAt  time.Time // of the outage that lasts, or from which we recover
	openUntil time.Time // then a probe is due
	openings  int       // since the destination last was well
	ramp      int       // calls at a time while recovering; 0: all
}

// Why Start refuses.
var (
	ErrOpen   = circuitbreaker.ErrOpen
	ErrFull   = bulkhead.ErrFull
	ErrPaused = errors.New("destination paused")
)

// NewDestination makes the guard of one sink. clients may be nil: then nothing is shared nor survives. keyPrefix begins
// its keys in Redis, which are the same whatever the partition.
func NewDestination(cfg DestinationConfig, clients *Clients, keyPrefix string, clock func() time.Time) *Destination {
	cfg = cfg.withDefaults()
	d := &Destination{cfg: cfg, clock: clock, places: bulkhead.New[any](uint(cfg.Concurrency))}
	d.rate = limiter{rate: cfg.Rate, clients: clients, key: keyPrefix + ":rate:" + cfg.Name, clock: clock}
	d.pauses = pauses{clients: clients, key: keyPrefix + ":pause:" + cfg.Name, clock: clock}
	d.breaker = circuitbreaker.NewBuilder[any]().
		WithFailureThresholdRatio(cfg.Breaker.Failures, cfg.Breaker.Of).
		WithSuccessThreshold(1).      // one probe decides
		WithDelay(math.MaxInt64 / 2). // the delay grows from opening to opening, so this type keeps it
		Build()
	return d
}

// Admit says how many of want entries may be read now: none, and how long to wait, while the destination is paused,
// open, full or out of rate; one as a probe after an outage; few while it recovers. It reserves nothing: each call
// of the sink is begun by Start and ended by Finish.
func (d *Destination) Admit(ctx context.Context, want int) (int, time.Duration) {
	d.pauses.refresh(ctx)
	d.mu.Lock()
	defer d.mu.Unlock()
	if wait := d.wait(); wait > 0 || want <= 0 {
		return 0, max(wait, pollAgain)
	}
	// A call is one unit of the rate, whatever its batch; wait has found room for one.
	calls := min(d.cfg.Concurrency-d.inFlight, max(d.rate.left(), 1))
	n := min(want, calls*d.cfg.Batch)
	switch {
	case d.breaker.IsHalfOpen():
		n = 1
	case d.ramp > 0:
		n = min(n, d.ramp)
	}
	return n, 0
}

// pollAgain is the wait for something whose end nobody announces: a call's.
const pollAgain = 20 * time.Millisecond

// wait is zero when a call could begin. It turns an open breaker half-open when its probe is due, and the calls from
// before the outage have ended: what they say must not be taken for the probe's word.
func (d *Destination) wait() time.Duration {
	if wait := d.pauses.wait(); wait > 0 {
		return wait
	}
	if d.breaker.IsOpen() {
		if wait := d.openUntil.Sub(d.clock()); wait > 0 {
			return wait
		}
		if d.inFlight > 0 {
			return pollAgain
		}
		d.breaker.HalfOpen()
	}
	if d.refused() != nil {
		return pollAgain
	}
	return d.rate.wait()
}

// refused tells why no further call may begin, apart from pause and rate.
func (d *Destination) refused() error {
	switch {
	case d.breaker.IsOpen():
		return ErrOpen
	case d.breaker.IsHalfOpen() && d.inFlight > 0: // the probe
		return ErrOpen
	case d.inFlight >= d.cfg.Concurrency, d.ramp > 0 && d.inFlight >= d.ramp:
		return ErrFull
	}
	return nil
}

// Start begins one call with n entries, or says why it must not begin; then the entries wait, which costs no attempt.
func (d *Destination) Start(n int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.pauses.wait() > 0 {
		return ErrPaused
	}
	if err := d.refused(); err != nil {
		return err
	}
	if !d.places.TryAcquirePermit() {
		return ErrFull
	}
	d.inFlight++
	return nil
}

// Finish ends a call that Start began. fault says that the destination is to blame. n is how many entries were really
// tried: with 0 the call says nothing about the destination.
func (d *Destination) Finish(n int, fault bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.inFlight--
	d.places.ReleasePermit()
	if n == 0 || d.breaker.IsOpen() { // a call from before the outage changes nothing
		return
	}
	probe := d.breaker.IsHalfOpen()
	if fault {
		d.breaker.RecordFailure()
	} else {
		d.breaker.RecordSuccess()
	}
	switch {
	case d.breaker.IsOpen():
		d.opened()
	case probe:
		d.ramp = 1
	case d.ramp > 0 && fault:
		d.ramp = 1
	case d.ramp > 0:
		if d.ramp *= 2; d.ramp >= d.cfg.Concurrency*d.cfg.Batch {
			d.ramp, d.openings = 0, 0
		}
	}
}

func (d *Destination) opened() {
	if d.openings == 0 {
		d.openedAt = d.clock()
	}
	d.openings++
	d.ramp = 0
	back := Policy{Base: d.cfg.Breaker.Delay, Factor: 2, Max: d.cfg.Breaker.MaxDelay, Jitter: 0.2}
	d.openUntil = d.clock().Add(back.Delay(d.openings, 0))
}

// Call waits until the far side's rate limit permits units further requests, and takes them. The limit is shared by all
// daemons; while Redis is away, this daemon keeps to it alone.
func (d *Destination) Call(ctx context.Context, units int) error { return d.rate.take(ctx, units) }

// DestinationState is what an operator sees of a destination.
type DestinationState struct {
	Breaker     string        `json:"breaker"` // closed, open or half_open
	OpenSince   time.Time     `json:"open_since,omitzero"`
	Paused      bool          `json:"paused"`
	PausedUntil time.Time     `json:"paused_until,omitzero"` // zero while Paused: until somebody resumes it
	PauseReason string        `json:"pause_reason,omitempty"`
	PausedBy    string        `json:"paused_by,omitempty"`
	ResumedBy   string        `json:"resumed_by,omitempty"` // within the last day
	InFlight    int           `json:"in_flight"`            // calls
	Wait        time.Duration `json:"wait"`                 // until the next entry may be taken; 0: now
}

// State tells how the destination is.
func (d *Destination) State(ctx context.Context) DestinationState {
	d.pauses.refresh(ctx)
	d.mu.Lock()
	defer d.mu.Unlock()
	s := DestinationState{Wait: d.wait(), InFlight: d.inFlight, Breaker: "closed"}
	switch d.breaker.State() {
	case circuitbreaker.OpenState:
		s.Breaker, s.OpenSince = "open", d.openedAt
	case circuitbreaker.HalfOpenState:
		s.Breaker, s.OpenSince = "half_open", d.openedAt
	}
	d.pauses.describe(&s)
	return s
}

// Register adds the destination's gauges, which read its state when they are scraped.
func (d *Destination) Register(reg prometheus.Registerer) error {
	gauge := func(name, help string, value func() int) error {
		return reg.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "leadstream_destination_" + name, Help: help, ConstLabels: prometheus.Labels{"destination": d.cfg.Name},
		}, func() float64 {
			d.mu.Lock()
			defer d.mu.Unlock()
			return float64(value())
		}))
	}
	one := func(yes bool) int {
		if yes {
			return 1
		}
		return 0
	}
	return errors.Join(
		gauge("open", "1 while the destination's breaker is open or probing.", func() int { return one(!d.breaker.IsClosed()) }),
		gauge("paused", "1 while the destination is paused.", func() int { return one(d.pauses.wait() > 0) }),
		gauge("in_flight", "Calls of the destination that have not ended.", func() int { return d.inFlight }),
	)
}
