package streams

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"leadstream/streams/failpoint"
)

// call is one Handle call on its way: entries, what became of them, and what that means.
type call struct {
	r        *runner
	entries  []*Entry
	verdicts []Verdict
	asked    []Verdict // of this queue's handler, where the next one has judged as well
	outs     []outcome
	events   []event
	away     []away   // for other instances, carried by their entries' settling
	lost     []*Entry // were not ours any more when they were settled
	run      string   // id of the server under whose lease it began
}

// away is an event for a lead whose home is another instance.
type away struct {
	entry int
	event event
}

// handle tries a batch once, journals what became of it, and settles it.
func (r *runner) handle(ctx context.Context, batch []*Entry) []settled {
	c := &call{r: r, entries: batch, verdicts: make([]Verdict, len(batch)), outs: make([]outcome, len(batch))}
	if l := r.p.lease.Load(); l != nil {
		c.run = l.run
	}
	start := time.Now()
	r.reached(failpoint.JudgeBegun, failpoint.CallBegun)
	next := r.next()
	var empty func() bool
	if next != nil {
		empty = r.p.emptiness(ctx, next.Queue)
	}
	tried, fault := c.try(ctx)
	c.asked = c.verdicts
	took := time.Since(start)
	if next != nil {
		c.onward(ctx, next, empty)
	}
	r.reached(failpoint.JudgeAnswered, failpoint.CallAnswered)
	if g := r.w.Guard; g != nil {
		g.Finish(min(tried, 1), fault)
	}
	for i, e := range c.entries {
		e.slot = i
		c.decide(ctx, i)
	}
	c.keepOrder()
	r.reached(failpoint.JudgeDecided, failpoint.CallDecided)
	c.log(took)
	if err := c.journal(); err != nil { // Redis still has the entries; they are settled all the same
		r.log.Error().Err(err).Msg("outcomes not journaled")
	}
	c.reachedNoted()
	s := c.settle(ctx)
	c.reachedSettled()
	c.removeOrphans(ctx)
	return s
}

// reached is a moment of a processor's work, or of a sink's.
func (r *runner) reached(judge, call failpoint.Point) {
	if r.w.Guard == nil {
		failpoint.Hit(judge)
	} else {
		failpoint.Hit(call)
	}
}

func (c *call) reachedNoted() {
	c.r.reached(failpoint.JudgeNoted, failpoint.CallNoted)
	if failpoint.Enabled && c.dies() {
		failpoint.Hit(failpoint.DeadNoted)
	}
}

func (c *call) reachedSettled() {
	c.r.reached(failpoint.JudgeSettled, failpoint.CallSettled)
	if failpoint.Enabled && c.dies() {
		failpoint.Hit(failpoint.DeadSettled)
	}
	if failpoint.Enabled && slices.ContainsFunc(c.outs, func(o outcome) bool { return o.park }) {
		failpoint.Hit(failpoint.Parked)
	}
}

func (c *call) dies() bool {
	return slices.ContainsFunc(c.events, func(e event) bool { return e.Kind == evDead })
}

// try calls the handler for the entries that need it. fault says that the destination is to blame.
func (c *call) try(ctx context.Context) (tried int, fault bool) {
	r := c.r
	var ask []*Entry
	var at []int
	for i, e := range c.entries {
		if v, ok := c.without(e); ok {
			c.verdicts[i] = v
			continue
		}
		ask, at = append(ask, e), append(at, i)
	}
	if len(ask) == 0 {
		return 0, false
	}
	began := time.Now()
	if g := r.w.Guard; g != nil {
		wait := func(v Verdict) (int, bool) {
			for _, i := range at {
				c.verdicts[i] = v
			}
			return 0, false
		}
		if err := g.Call(ctx, 1); err != nil {
			return wait(Verdict{Result: Wait, After: time.Second, Err: err})
		}
		if err := c.intend(ask); err != nil {
			return wait(Verdict{Result: Wait, After: 5 * time.Second, Err: err})
		}
		failpoint.Hit(failpoint.CallIntended)
		// Last of all: the rate limit and the disk may have taken longer than the lease. The call's time counts from this
		// moment: whoever takes the partition over waits it out before it looks.
		began = time.Now()
		if !r.mayCall(ask) && !failpoint.Seeded(failpoint.LeaseIgnored) {
			return wait(Verdict{Result: Wait, Err: errors.New("the lease has ended")})
		}
	}
	ctx, cancel := context.WithDeadline(ctx, began.Add(r.w.timeout()))
	defer cancel()
	if r.w.Guard != nil {
		ctx = withTurns(ctx, r.w.Guard, func() bool { return r.owns() || failpoint.Seeded(failpoint.LeaseIgnored) })
	}
	for i, v := range r.ask(ctx, ask) {
		c.verdicts[at[i]] = v
		fault = fault || v.Fault
	}
	return len(ask), fault
}

// owns says whether the lease has stood without a break since the queues were opened.
func (r *runner) owns() bool { return r.p.owns() && r.p.term.Load() == r.term }

// mayCall says whether the destination may be called for entries: they are of the partition that was opened, not of one
// that another has made of an emptied Redis meanwhile.
func (r *runner) mayCall(entries []*Entry) bool {
	epoch := r.p.epoch.Load()
	return r.owns() && !slices.ContainsFunc(entries, func(e *Entry) bool { return e.epoch > epoch })
}

// without settles entries that the handler need not or must not see.
func (c *call) without(e *Entry) (Verdict, bool) {
	r := c.r
	dest := r.w.destination()
	if e.fault != nil {
		return c.unreadable(e), true
	}
	if dest == "" {
		return Verdict{}, false
	}
	known := r.p.Custody.at(e.Lead, dest)
	if e.undoes != 0 && known.letter != nil && known.letter.endedAt(e.undoes) { // replayed by another daemon
		ev := event{Lead: e.Lead.ID, Kind: evReopened, Dest: dest, At: c.now().UTC(), Undoes: e.undoes}
		if err := r.p.Custody.note([]event{ev}); err != nil {
			return Verdict{Result: Wait, After: 5 * time.Second, Err: err}, true
		}
		known = r.p.Custody.at(e.Lead, dest)
	}
	if known.final || known.letter != nil {
		return Verdict{Result: Done, Outcome: outcomeKnown}, true
	}
	e.Attempt = e.meta.Attempts + 1
	if e.meta.First != 0 {
		e.First = time.UnixMilli(e.meta.First)
	}
	if e.meta.Unsure != 0 {
		e.Unsure = later(e.Unsure, c.past(time.UnixMilli(e.meta.Unsure)))
	}
	e.Unsure = later(e.Unsure, known.intent)
	if known.forgotten || e.epoch == unsureEpoch || e.epoch != noEpoch && e.epoch < r.p.foreign.Load() {
		e.Unsure = later(e.Unsure, r.p.opened())
	}
	e.Of = r.p.Custody.earlier(e.Lead, dest, r.p.opened())
	if !e.Unsure.IsZero() {
		e.meta.Unsure = e.Unsure.UnixMilli()
		switch r.w.OnAmbiguous {
		case HoldIt:
			return Verdict{Result: Permanent, Outcome: string(Held), Err: errors.New("it may have been delivered; the destination cannot be asked")}, true
		case DropIt:
			return Verdict{Result: Drop, Reason: reasonAmbiguous}, true
		}
	}
	return Verdict{}, false
}

// past is a moment that another clock has told, or ours before it was set: it cannot lie ahead, and a lead that waited
// until it comes would wait for as long as that clock was wrong.
func (c *call) past(at time.Time) time.Time {
	if now := c.now(); at.After(now) {
		return now
	}
	return at
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// outcomeKnown marks an entry whose end is in the ledger already: it is only settled.
const outcomeKnown = "known"

// unreadable decides about an entry whose bytes are not a lead: damaged in Redis, or garbage from a program.
func (c *call) unreadable(e *Entry) Verdict {
	p := c.r.p
	if errors.Is(e.fault, errDamaged) && p.Custody.isOpen(e.Lead.ID) {
		p.Metrics.Damaged.Inc()
		p.Custody.redriveLost(p.Keys.Partition, []string{e.Lead.ID})
		return Verdict{Result: Done, Outcome: outcomeKnown}
	}
	err := p.Custody.Quarantine(Quarantined{Source: "xadd", Reason: e.fault.Error(), ContentType: "redis stream entry", Raw: []byte(e.raw[:min(len(e.raw), mostAdded)])})
	if err != nil {
		return Verdict{Result: Wait, After: 5 * time.Second, Err: err}
	}
	return Verdict{Result: Done, Outcome: outcomeKnown}
}

// intend journals that the destination is about to be called.
func (c *call) intend(entries []*Entry) error {
	now := c.now() // in no zone: what the ledger keeps of it goes by the monotonic clock, whatever the other is set to
	events := make([]event, 0, len(entries))
	kind := evIntent
	if failpoint.Seeded(failpoint.DoneBeforeCall) {
		kind = evDelivered
	}
	for _, e := range entries {
		if e.meta.First == 0 {
			e.meta.First = now.UnixMilli()
			e.First = now
		}
		events = append(events, event{Lead: e.Lead.ID, Kind: kind, Dest: c.r.w.destination(), At: now})
	}
	if failpoint.Seeded(failpoint.IntentUnwritten) {
		return nil
	}
	return c.r.p.Custody.note(events)
}

// ask calls the handler. A panic costs only the entry that causes it: the others are asked again one by one, unless
// they may have been sent.
func (r *runner) ask(ctx context.Context, entries []*Entry) (verdicts []Verdict) {
	verdicts, err := r.askOnce(ctx, entries)
	if err == nil {
		return verdicts
	}
	if len(entries) > 1 && r.w.Guard == nil {
		for _, e := range entries {
			verdicts = append(verdicts, r.ask(ctx, []*Entry{e})...)
		}
		return verdicts
	}
	result := Permanent
	if r.w.Guard != nil {
		result = Ambiguous
	}
	for range entries {
		verdicts = append(verdicts, Verdict{Result: result, Code: "panic", Err: err})
	}
	return verdicts
}

func (r *runner) askOnce(ctx context.Context, entries []*Entry) (verdicts []Verdict, err error) {
	defer func() {
		if x := recover(); x != nil {
			r.log.Error().Str("err", fmt.Sprint(x)).Bytes("stack", debug.Stack()).Msg("handler panicked")
			verdicts, err = nil, errors.New("the handler panicked; the log has the place")
		}
	}()
	var outside []*Entry
	for _, e := range entries {
		if e.external() {
			outside = append(outside, e)
		}
	}
	if len(outside) > 0 {
		if err := r.p.Custody.takeExternal(outside, r.p.Keys.Partition); err != nil {
			return slices.Repeat([]Verdict{{Result: Wait, After: time.Second, Err: err}}, len(entries)), nil
		}
	}
	verdicts = r.w.Handler.Handle(ctx, entries)
	if len(verdicts) != len(entries) {
		return nil, fmt.Errorf("the handler answered %d verdicts for %d entries", len(verdicts), len(entries))
	}
	return verdicts, nil
}

// journal notes the events here, and adds those of leads whose home is elsewhere to what their entries carry.
func (c *call) journal() error {
	for _, a := range c.away {
		if c.outs[a.entry].park {
			continue
		}
		b, err := json.Marshal(a.event)
		if err != nil {
			return err
		}
		n := next{stream: c.r.p.Keys.home(c.entries[a.entry].Lead.Home), words: []any{"event", string(b)}}
		c.outs[a.entry].next = append(c.outs[a.entry].next, n)
	}
	if c.r.w.Guard != nil && failpoint.Seeded(failpoint.DoneUnwritten) {
		c.r.p.Custody.applyAll(c.events)
		return nil
	}
	if c.onlyRouted() {
		return c.r.p.Custody.noteSoon(c.events)
	}
	err := c.r.p.Custody.note(c.events)
	if err != nil {
		// What has happened has happened: the ledger knows it as long as this process lives. After that an intent without
		// an end makes the next owner look before it sends.
		c.r.p.Custody.applyAll(c.events)
	}
	return err
}

// onlyRouted says that all there is to note is where leads go. A crash that forgets it leaves their entries in their
// queues: they are delivered all the same, and a lead that then seems to stand nowhere is judged once more, which finds
// it delivered.
func (c *call) onlyRouted() bool {
	return len(c.events) > 0 && !slices.ContainsFunc(c.events, func(e event) bool { return e.Kind != evRouted })
}

// settle carries the outcomes out, trying again until Redis has answered or the entries are not ours any more.
func (c *call) settle(ctx context.Context) []settled {
	r := c.r
	result := make([]settled, len(c.entries))
	for i, o := range c.outs {
		result[i] = settled{entry: o.entry, parked: o.park, waits: o.entry.meta.Waiter, delay: o.delay}
	}
	left := c.outs
	heard := true // no answer was lost so far
	for wait := 20 * time.Millisecond; len(left) > 0; wait = min(2*wait, time.Second) {
		last := ctx.Err() != nil
		took, refused, err := c.settleOnce(ctx, left)
		if err == nil {
			var again []outcome
			for i, why := range refused {
				switch {
				case why != nil:
					again, err = append(again, left[i]), why
				case !took[i] && c.run != "" && !r.p.Clients.servers.same(c.run):
					// Not ours, says a server that came with an older copy. It has not settled it before, and what the one before
					// has done is gone with it.
					r.p.lost()
					return unsettled(result)
				case heard && !took[i]: // gone, or another's: it will not come back to us
					c.lost = append(c.lost, left[i].entry)
					result[left[i].entry.slot].parked, result[left[i].entry.slot].waits = false, false
				}
			}
			if left = again; len(left) == 0 {
				break
			}
		} else {
			heard = false
		}
		if errors.Is(err, errEpoch) || isGone(err) { // the entries are gone with the old epoch; open leads are driven again
			r.p.lost()
			return unsettled(result)
		}
		r.p.redisAnswered(err)
		if last {
			return unsettled(result)
		}
		sleep(ctx, wait)
	}
	r.p.redisAnswered(nil)
	return result
}

// settleOnce asks Redis once. After a stop has cut the call short, too, what became of it is told, if Redis answers soon:
// the next owner need not find out again, and the try counts.
func (c *call) settleOnce(ctx context.Context, outs []outcome) ([]bool, []error, error) {
	if ctx.Err() != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
	}
	return c.r.queue(outs[0].entry.Queue).settle(ctx, c.r.p.epoch.Load(), c.r.p.Custody.Instance, outs)
}

// removeOrphans takes out of the stream what was in our hands and is pending nowhere any more: nobody would ever get it
// again. If its lead is still open, the look at the queues will miss it there. If it has just ended as a dead letter, which
// could not be settled, nobody would: the letter is added without it.
func (c *call) removeOrphans(ctx context.Context) {
	for _, e := range c.lost {
		gone, err := c.r.queue(e.Queue).removeOrphan(ctx, e.ID)
		letter := slices.IndexFunc(c.outs[e.slot].next, func(n next) bool { return n.letter != "" })
		if err == nil && gone && letter >= 0 && c.r.owns() { // else another may have had it, and its letter is there
			err = c.r.p.addLetter(ctx, c.outs[e.slot].next[letter])
		}
		if err != nil {
			c.r.log.Debug().Err(err).Msg("an entry whose consumer was deleted stays in its stream")
		}
		if err != nil && letter >= 0 { // the opening adds what is missing
			c.r.p.lost()
		}
	}
}

// unsettled are entries that could not be settled: they are left to the next opening of the partition, and with them all
// that is behind them.
func unsettled(s []settled) []settled {
	for i := range s {
		s[i].parked, s[i].waits, s[i].left = false, false, true
	}
	return s
}

// log writes one line for each verdict, without anything personal.
func (c *call) log(took time.Duration) {
	for i, e := range c.entries {
		v := c.asked[i]
		c.r.p.Metrics.handled(c.r.w.Queue, v, took)
		ev := c.r.log.Debug()
		switch v.Result {
		case Retry, Wait, Pause, Ambiguous:
			if v.Result != Wait || v.Err != nil { // else it is as it should be
				ev = c.r.log.Warn()
			}
		case Permanent:
			ev = c.r.log.Error()
		}
		if c.r.w.Guard != nil && v.Result == Done {
			ev = c.r.log.Info()
		}
		ev.Str("lead", e.Lead.ID).Int("attempt", e.meta.Attempts).Dur("took", took).Str("result", v.Result.String()).
			AnErr("err", v.Err).Msg("handled")
	}
}
