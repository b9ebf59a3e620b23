package sim

import (
	"context"
	"sync"
	"time"

	"leadstream/streams"
)

// watched is the real guard of a destination beside what its breaker and its pauses must do.
type watched struct {
	*streams.Destination
	l   *life
	cfg streams.DestinationConfig

	mu         sync.Mutex
	flying     int
	faults     uint // in a row
	open, half bool
	notBefore  time.Time
	paused     time.Time
	clocks     int
	called     int
	probes     int // that have failed in a row
}

func newWatched(l *life, cfg streams.DestinationConfig) *watched {
	return &watched{Destination: streams.NewDestination(cfg, l.clients, "ls", time.Now), l: l, cfg: cfg}
}

func (g *watched) Start(n int) error {
	err := g.Destination.Start(n)
	g.mu.Lock()
	defer g.mu.Unlock()
	w := g.l.d.w
	now := time.Now()
	if err != nil || g.l.dead.Load() {
		return err
	}
	if g.open && now.Before(g.notBefore) && g.clocks == w.clocks() {
		w.broken("%s: a call of %s begins %v before the breaker's delay is over", g.l.boot, g.cfg.Name, g.notBefore.Sub(now))
	}
	if g.open {
		if g.flying > 0 {
			w.broken("%s: a probe of %s begins beside %d calls", g.l.boot, g.cfg.Name, g.flying)
		}
		g.open, g.half = false, true
	} else if g.half {
		w.broken("%s: a second call of %s while a probe is under way", g.l.boot, g.cfg.Name)
	}
	if now.Before(g.paused) && g.clocks == w.clocks() && !w.lostMemory() {
		w.broken("%s: a call of %s begins %v before its pause is over", g.l.boot, g.cfg.Name, g.paused.Sub(now))
	}
	if g.flying++; g.flying > g.cfg.Concurrency {
		w.broken("%s: %d calls of %s at once", g.l.boot, g.flying, g.cfg.Name)
	}
	return nil
}

// Call is the last that a daemon does before it notes that the far side is about to be called: it may fall asleep over it.
func (g *watched) Call(ctx context.Context, units int) error {
	err := g.Destination.Call(ctx, units)
	d := g.l.d
	g.mu.Lock()
	g.called++
	for _, f := range d.w.plan.faults {
		if f.kind == asleep && f.nth == g.called && d.w.daemons[f.daemon] == d && d.w.elapsed() < healing {
			d.w.trace("%s falls asleep for %v", g.l.boot, f.for_)
			d.w.disturbed()
			d.asleepUntil.Store(time.Now().Add(f.for_).UnixNano())
		}
	}
	g.mu.Unlock()
	if left := d.sleepsOn(); left > 0 {
		time.Sleep(left)
		d.w.disturbed()
	}
	return err
}

func (g *watched) Finish(n int, fault bool) {
	g.Destination.Finish(n, fault)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.flying--
	if n == 0 {
		if g.half {
			g.half, g.open = false, true // it said nothing: another probe may follow at once
		}
		return
	}
	if g.open {
		return
	}
	switch {
	case fault && (g.half || g.faults+1 >= g.cfg.Breaker.Failures):
		g.opens()
	case fault:
		g.faults++
	default:
		g.faults = 0
	}
	g.half = false
}

// opens is the shortest that an outage keeps calls away: its delay doubles with each probe that fails.
func (g *watched) opens() {
	if g.probes++; !g.half {
		g.probes = 0
	}
	g.open, g.faults = true, 0
	b := g.cfg.Breaker
	g.notBefore = time.Now().Add(min(b.Delay<<g.probes, max(b.MaxDelay, b.Delay)) * 8 / 10)
	g.clocks = g.l.d.w.clocks()
	g.l.d.w.trace("%s: the breaker of %s opens", g.l.boot, g.cfg.Name)
}

func (g *watched) PauseFor(ctx context.Context, until time.Time, reason, by string) error {
	g.mu.Lock()
	if at := time.Now().Add(until.Sub(g.l.d.w.now())); at.After(g.paused) {
		g.paused, g.clocks = at.Truncate(time.Millisecond), g.l.d.w.clocks()
	}
	g.mu.Unlock()
	return g.Destination.PauseFor(ctx, until, reason, by)
}
