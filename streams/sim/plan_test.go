package sim

import (
	"slices"
	"time"

	"leadstream/streams"
)

// plan is what a seed decides before anything runs.
type plan struct {
	daemons, customers, leads int
	policy                    streams.Policy
	onAmbiguous               streams.OnAmbiguous
	batch, concurrency        int
	processorBatch            int
	guard                     streams.DestinationConfig
	failover                  bool
	hot, keyed, resent        int // per cent of the leads
	elsewhere                 int // per cent of the leads that go to another daemon than the customer's last one
	far                       farPlan
	wire                      wirePlan
	faults                    []fault
}

// farPlan says how often the far side does what, per cent of the calls before it heals.
type farPlan struct {
	retry, later, permanent, pause, lost, hang, panics int
	processors                                         int // per cent of the calls of triage and tagging that fail
	slow                                               time.Duration
}

// wirePlan says how often a request or its answer is lost, per cent, while the network is bad.
type wirePlan struct {
	from, to        time.Duration
	request, answer int
	slow            time.Duration
}

type fault struct {
	at     time.Duration
	kind   faultKind
	daemon int
	for_   time.Duration // how long it lasts
	nth    int           // of requests or calls, for crashes that wait for one
}

type faultKind string

const (
	crash        faultKind = "crash"          // at a moment
	crashRequest faultKind = "crash-request"  // before Redis has executed a request
	crashAnswer  faultKind = "crash-answer"   // after Redis has executed a request, before its answer is there
	crashCall    faultKind = "crash-call"     // before the far side has executed a call
	crashCalled  faultKind = "crash-called"   // after it has, before its answer is there
	stop         faultKind = "stop"           // in order
	asleep       faultKind = "asleep"         // falls asleep over a call, as on a machine that is moved, and wakes up not knowing it
	cutOff       faultKind = "cut-off"        // one daemon does not reach Redis
	down         faultKind = "redis-down"     // Redis is killed and comes back as it was
	emptied      faultKind = "redis-emptied"  // … comes back without its memory
	restored     faultKind = "redis-restored" // … comes back from a copy that is some time old
	flushed      faultKind = "redis-flushed"
	stalled      faultKind = "redis-stalled" // answers nothing for a while, and then executes what was sent
	full         faultKind = "redis-full"
	scripts      faultKind = "scripts-flushed"
	deleted      faultKind = "entry-deleted" // somebody deletes the oldest entry of a queue
	unconsumed   faultKind = "consumer-deleted"
	ungrouped    faultKind = "group-destroyed"
	clock        faultKind = "clock" // all wall clocks step
)

// faultKinds are those that a seed chooses from; what is more likely stands there more often.
var faultKinds = []faultKind{crash, crash, crashRequest, crashRequest, crashAnswer, crashAnswer, crashCall, crashCalled, crashCalled,
	stop, cutOff, asleep, down, emptied, restored, flushed, stalled, stalled, full, scripts, deleted, unconsumed, ungrouped, clock, clock}

// losesMemory says that what Redis held may be gone after it.
func (k faultKind) losesMemory() bool {
	switch k {
	case emptied, restored, flushed:
		return true
	}
	return k.damages()
}

// damages says that somebody takes entries out of a queue behind the engine's back. They are found missing and driven
// again, behind those of the customer that were not missing.
func (k faultKind) damages() bool { return k == deleted || k == unconsumed || k == ungrouped }

const (
	sending = 4 * time.Second // leads come in this time
	healing = 7 * time.Second // nothing fails any more from then on
)

func newPlan(w *world) plan {
	d := w.dice("plan")
	p := plan{daemons: 1, customers: d.between(1, 4), leads: d.between(2, 12), processorBatch: one(d, 1, 2, 8),
		batch: one(d, 1, 1, 1, 3), concurrency: d.between(1, 4), failover: d.percent(15),
		hot: one(d, 0, 0, 30), keyed: one(d, 0, 50, 100), resent: one(d, 0, 20), elsewhere: one(d, 0, 0, 40)}
	if d.percent(30) {
		p.daemons = 2
	}
	p.policy = streams.Policy{Attempts: d.between(2, 6), Base: d.time(100*time.Millisecond, 2*time.Second),
		Factor: one(d, 1, 1.5, 2.0), Max: d.time(2*time.Second, 5*time.Second), Jitter: one(d, 0, 0.2)}
	p.onAmbiguous = one(d, streams.Look, streams.Look, streams.Look, streams.Look, streams.Look, streams.HoldIt, streams.RetryIt, streams.DropIt)
	p.guard = streams.DestinationConfig{Name: "crm", Concurrency: p.concurrency, Batch: p.batch,
		Breaker: streams.Breaker{Failures: uint(d.between(2, 5)), Delay: d.time(200*time.Millisecond, 2*time.Second), MaxDelay: 4 * time.Second}}
	if d.percent(30) {
		p.guard.Rate = streams.Rate{PerSecond: float64(d.between(2, 20)), Burst: d.between(1, 4)}
	}
	p.far = newFarPlan(d)
	if d.percent(40) {
		from := d.time(0, sending)
		p.wire = wirePlan{from: from, to: from + d.time(100*time.Millisecond, 3*time.Second), request: one(d, 0, 3, 15), answer: one(d, 0, 3, 15),
			slow: one(d, 0, 50*time.Millisecond, 700*time.Millisecond)}
	}
	for range one(d, 0, 1, 1, 2, 3) {
		p.faults = append(p.faults, newFault(d, p.daemons, one(d, faultKinds...)))
	}
	if p.daemons > 1 && d.percent(15) { // what a lease is for
		p.faults = append(p.faults, newFault(d, p.daemons, asleep))
	}
	if slices.ContainsFunc(p.faults, func(f fault) bool { return f.kind == clock }) {
		p.far.pause = 0 // the guard's clock does not step here, as a monotonic one does not; a pause is told by the wall's
	}
	return p
}

func newFarPlan(d dice) farPlan {
	p := farPlan{slow: one(d, 5*time.Millisecond, 50*time.Millisecond, 500*time.Millisecond)}
	switch d.IntN(5) {
	case 0: // well
	case 1, 2:
		p.retry, p.later, p.permanent, p.lost, p.hang, p.pause, p.panics = 15, 8, 3, 10, 5, 3, 2
	case 3:
		p.retry, p.lost = 70, 20
	case 4:
		p.lost, p.hang = 40, 20
	}
	p.processors = one(d, 0, 0, 10)
	return p
}

func newFault(d dice, daemons int, kind faultKind) fault {
	f := fault{at: d.time(10*time.Millisecond, sending+2*time.Second), kind: kind, daemon: d.IntN(daemons), nth: d.between(1, 120)}
	f.for_ = one(d, d.time(10*time.Millisecond, 300*time.Millisecond), d.time(time.Second, 4*time.Second), d.time(9*time.Second, 14*time.Second))
	switch f.kind {
	case crashCall, crashCalled:
		f.nth = d.between(1, 8)
	case asleep:
		f.nth = d.between(1, 8)
		f.for_ = one(d, time.Second, 10*time.Second, 12*time.Second) + d.time(0, 2*time.Second)
	case clock:
		f.for_ = one(d, time.Hour, 26*time.Hour, 3*time.Second, -3*time.Second, -20*time.Second)
	case stalled, full:
		f.for_ = min(f.for_, 4*time.Second)
	case crash, stop:
		if daemons == 1 && d.percent(10) { // a world without daemons costs no time here, however long
			f.for_ = one(d, 11*time.Minute, 47*time.Hour, 49*time.Hour)
		}
	}
	return f
}
