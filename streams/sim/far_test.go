package sim

import (
	"context"
	"errors"
	"sync"
	"time"

	"leadstream/streams"
)

// far is the other side of a destination: it can be asked whether it has a lead, unless the plan says that it is blind.
// A call may be executed up to farLimit after it was made.
type far struct {
	w    *world
	name string

	mu    sync.Mutex
	cards map[string]int // by lead
	order []string       // leads as they were created
	calls map[string][]try
	blind map[string]bool // leads at which a clock stepped while the far side was at work: how long it has been is unknown
}

// try is one call for one lead.
type try struct {
	at, end   time.Time
	life      *life
	attempt   int
	verdict   streams.Verdict
	disturbed int
	looked    bool
	panicked  bool
	untold    bool   // its daemon slept when the answer came, had no Redis to tell, or lost it in a panic
	entry     string // its id in Redis
}

const (
	farLimit    = 1500 * time.Millisecond
	callTimeout = time.Second
)

func newFar(w *world, name string) *far {
	return &far{w: w, name: name, cards: map[string]int{}, calls: map[string][]try{}, blind: map[string]bool{}}
}

func (f *far) has(lead string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.cards[lead] > 0
}

func (f *far) create(lead string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.cards[lead]++; f.cards[lead] == 1 {
		f.order = append(f.order, lead)
	}
	f.w.trace("%s creates %.6s", f.name, lead)
}

// sink is the handler of a destination in one life of a daemon.
func (f *far) sink(l *life) streams.Handler {
	return streams.HandlerFunc(func(ctx context.Context, batch []*streams.Entry) []streams.Verdict {
		l.mu.Lock()
		l.calls++
		n := l.calls
		l.mu.Unlock()
		verdicts := make([]streams.Verdict, len(batch))
		told := false
		defer func() {
			if !told { // the answers to a batch go with the call that panics
				f.untold(l, batch)
			}
		}()
		for i, e := range batch {
			verdicts[i] = f.try(ctx, l, n, e)
		}
		told = true
		look := func() {
			if l.d.outOfTouch() {
				f.untold(l, batch)
			}
		}
		look()
		time.AfterFunc(time.Second, look)
		return verdicts
	})
}

// untold marks the calls of a daemon whose ends nobody may hear of.
func (f *far) untold(l *life, batch []*streams.Entry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range batch {
		for i := range f.calls[e.Lead.ID] {
			if t := &f.calls[e.Lead.ID][i]; t.life == l {
				t.untold = true
			}
		}
	}
}

func (f *far) try(ctx context.Context, l *life, call int, e *streams.Entry) streams.Verdict {
	if l.dead.Load() {
		<-ctx.Done()
		return streams.Verdict{Result: streams.Ambiguous, Err: errDown}
	}
	f.mu.Lock()
	n := len(f.calls[e.Lead.ID])
	t := try{at: time.Now(), life: l, attempt: e.Attempt, disturbed: f.w.disturbances(), looked: !e.Unsure.IsZero(), entry: e.ID}
	f.calls[e.Lead.ID] = append(f.calls[e.Lead.ID], t)
	f.mu.Unlock()
	f.w.trace("%s: call %d of %s: %.6s, attempt %d, unsure %v", f.name, call, l.boot, e.Lead.ID, e.Attempt, t.looked)
	defer func() {
		if l.dead.Load() {
			return
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		f.calls[e.Lead.ID][n] = t
	}()
	t.panicked = true
	t.verdict = f.answer(ctx, l, call, n, e)
	t.panicked = false
	t.end = time.Now()
	f.w.trace("%s: %.6s of %s: %v", f.name, e.Lead.ID, l.boot, t.verdict.Result)
	return t.verdict
}

// answer is one call: what the far side does with it, and what comes back.
func (f *far) answer(ctx context.Context, l *life, call, n int, e *streams.Entry) streams.Verdict {
	w, id := f.w, e.Lead.ID
	d := w.dice("call", f.name, id, n)
	if !e.Unsure.IsZero() && w.plan.onAmbiguous == streams.Look {
		if wait := e.Unsure.Add(farLimit).Sub(w.now()); wait > 0 && wait < time.Hour {
			return streams.Verdict{Result: streams.Wait, After: wait, Err: errors.New("the last call may still be at work")}
		}
		if f.has(id) {
			return streams.Verdict{Remote: "found"}
		}
	}
	l.crashCall(call, crashCall)
	took := d.time(time.Millisecond, w.plan.far.slow)
	failed := errors.New("503")
	if p, x := w.plan.far, d.IntN(100); w.elapsed() < healing {
		for _, o := range []struct {
			percent int
			do      func() streams.Verdict
		}{
			{p.retry, func() streams.Verdict {
				pause(ctx, took)
				v := streams.Verdict{Result: streams.Retry, Fault: true, Err: failed}
				if d.percent(30) {
					v.After = d.time(0, 4*time.Second)
				}
				return v
			}},
			{p.later, func() streams.Verdict {
				pause(ctx, took)
				return streams.Verdict{Result: streams.Wait, After: d.time(100*time.Millisecond, 3*time.Second), Err: errors.New("429")}
			}},
			{p.permanent, func() streams.Verdict {
				pause(ctx, took)
				return streams.Verdict{Result: streams.Permanent, Err: errors.New("400")}
			}},
			{p.pause, func() streams.Verdict {
				pause(ctx, took)
				return streams.Verdict{Result: streams.Pause, After: d.time(100*time.Millisecond, 3*time.Second), Err: errors.New("401")}
			}},
			{p.lost, func() streams.Verdict {
				if d.percent(60) {
					f.executes(l, call, id, took)
				}
				pause(ctx, took+time.Millisecond)
				return streams.Verdict{Result: streams.Ambiguous, Fault: true, Err: errors.New("connection reset")}
			}},
			{p.hang, func() streams.Verdict {
				if d.percent(60) {
					f.executes(l, call, id, d.time(0, farLimit-time.Millisecond))
				}
				<-ctx.Done()
				return streams.Verdict{Result: streams.Ambiguous, Fault: true, Err: ctx.Err()}
			}},
			{p.panics, func() streams.Verdict {
				if d.percent(50) {
					f.executes(l, call, id, took)
				}
				pause(ctx, took+time.Millisecond)
				panic("a bug in the sink")
			}},
		} {
			if x < o.percent {
				return o.do()
			}
			x -= o.percent
		}
	}
	f.executes(l, call, id, took)
	if pause(ctx, took+time.Millisecond) != nil {
		return streams.Verdict{Result: streams.Ambiguous, Fault: true, Err: ctx.Err()}
	}
	return streams.Verdict{Remote: "card of " + id}
}

// executes lets the far side create a lead after a while, whatever becomes of the daemon meanwhile.
func (f *far) executes(l *life, call int, id string, after time.Duration) {
	clocks := f.w.clocks()
	time.AfterFunc(after, func() {
		f.create(id)
		if clocks != f.w.clocks() {
			f.mu.Lock()
			f.blind[id] = true
			f.mu.Unlock()
		}
		l.crashCall(call, crashCalled)
	})
}

// pause waits, and says whether ctx has ended before.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// crashCall carries out the crashes that wait for a call.
func (l *life) crashCall(n int, kind faultKind) {
	w := l.d.w
	for _, f := range w.plan.faults {
		if f.kind == kind && f.nth == n && w.daemons[f.daemon] == l.d && w.elapsed() < healing {
			l.crashFor(f)
		}
	}
}
