package streams

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// call is one Handle call on its way: entries, what became of them, and what that means.
type call struct {
	r        *runner
	entries  []*Entry
	verdicts []Verdict
	outs     []outcome
	events   []event
	away     []away // for other instances, carried by their entries' settling
}

// away is an event for a lead whose home is another instance.
type away struct {
	entry int
	event event
}

// handle tries a batch once, journals what became of it, and settles it.
func (r *runner) handle(ctx context.Context, batch []*Entry) []settled {
	c := &call{r: r, entries: batch, verdicts: make([]Verdict, len(batch)), outs: make([]outcome, len(batch))}
	start := time.Now()
	tried, fault := c.try(ctx)
	if g := r.w.Guard; g != nil {
		g.Finish(min(tried, 1), fault)
	}
	for i, e := range c.entries {
		e.slot = i
		c.decide(ctx, i)
	}
	c.keepOrder()
	c.log(time.Since(start), tried)
	if err := c.journal(); err != nil { // Redis still has the entries; they are settled all the same
		r.log.Error().Err(err).Msg("outcomes not journaled")
	}
	return c.settle(ctx)
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
		if !r.p.owns() {
			return wait(Verdict{Result: Wait, Err: errors.New("the lease has ended")})
		}
		if err := c.intend(ask); err != nil {
			return wait(Verdict{Result: Wait, After: 5 * time.Second, Err: err})
		}
	}
	ctx, cancel := context.WithTimeout(ctx, r.w.timeout())
	defer cancel()
	if r.w.Guard != nil {
		ctx = withTurns(ctx, r.w.Guard)
	}
	for i, v := range r.ask(ctx, ask) {
		c.verdicts[at[i]] = v
		fault = fault || v.Fault
	}
	return len(ask), fault
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
	if known.final {
		return Verdict{Result: Done, Outcome: outcomeKnown}, true
	}
	e.Attempt = e.meta.Attempts + 1
	if e.meta.First != 0 {
		e.First = time.UnixMilli(e.meta.First)
	}
	if e.meta.Unsure != 0 {
		e.Unsure = later(e.Unsure, time.UnixMilli(e.meta.Unsure))
	}
	e.Unsure = later(e.Unsure, known.intent)
	if e.Unsure.IsZero() && (known.forgotten || e.epoch != noEpoch && e.epoch < r.p.foreign.Load()) {
		e.Unsure = time.Unix(0, r.p.openedAt.Load())
	}
	e.Of = r.p.Custody.earlier(e.Lead, dest)
	if !e.Unsure.IsZero() {
		e.meta.Unsure = e.Unsure.UnixMilli()
		switch r.w.OnAmbiguous {
		case HoldIt:
			return Verdict{Result: Permanent, Outcome: string(Held), Err: errors.New("it may have been delivered; the destination cannot be asked")}, true
		case DropIt:
			return Verdict{Result: Drop, Reason: "ambiguous"}, true
		}
	}
	return Verdict{}, false
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
		p.Custody.redriveLost([]string{e.Lead.ID})
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
	now := c.r.p.Custody.Now().UTC()
	events := make([]event, 0, len(entries))
	for _, e := range entries {
		if e.meta.First == 0 {
			e.meta.First = now.UnixMilli()
			e.First = now
		}
		events = append(events, event{Lead: e.Lead.ID, Kind: evIntent, Dest: c.r.w.destination(), At: now})
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

// decide turns a verdict into what is done with the entry, and into events.
func (c *call) decide(ctx context.Context, i int) {
	e, v := c.entries[i], c.verdicts[i]
	switch v.Result {
	case Done:
		c.finish(i, v)
	case Drop:
		c.outs[i] = outcome{entry: e}
		for _, dest := range e.lacking() { // driven again: what it has reached already stays
			c.event(e, event{Kind: evDropped, Dest: dest, Reason: v.Reason})
		}
		if e.only == "" {
			c.event(e, event{Kind: evDropped, Reason: v.Reason})
		}
	case Wait:
		c.unsent(e)
		c.park(i, max(v.After, 100*time.Millisecond))
	case Pause:
		c.unsent(e)
		c.pause(ctx, e, v)
		c.park(i, c.pauseDelay(v))
	case Retry, Ambiguous:
		c.retry(i, v)
	default:
		e.meta.Attempts++
		e.meta.failed(v, c.now())
		c.unsent(e)
		c.fail(i, v)
	}
}

func (c *call) now() time.Time { return c.r.p.Custody.Now() }

func (c *call) park(i int, d time.Duration) {
	c.outs[i] = outcome{entry: c.entries[i], park: true, delay: min(d, Horizon-time.Minute)}
}

// unsent takes the intent back: nothing of this try was executed. After an earlier unsure one, it is unsure since that.
func (c *call) unsent(e *Entry) {
	switch {
	case c.r.w.Guard == nil || e.First.IsZero():
	case e.Unsure.IsZero():
		c.event(e, event{Kind: evUnsent, Attempts: e.meta.Attempts})
	default:
		c.events = append(c.events, event{Lead: e.Lead.ID, Kind: evIntent, Dest: c.r.w.destination(), At: e.Unsure.UTC()})
	}
}

func (c *call) retry(i int, v Verdict) {
	e := c.entries[i]
	e.meta.Attempts++
	e.meta.failed(v, c.now())
	if v.Result == Ambiguous {
		e.meta.Unsure = c.now().UnixMilli()
		switch c.r.w.OnAmbiguous {
		case HoldIt:
			v.Outcome = string(Held)
			c.fail(i, v)
			return
		case DropIt:
			c.event(e, event{Kind: evDropped, Reason: "ambiguous", Attempts: e.meta.Attempts})
			c.outs[i] = outcome{entry: e}
			return
		}
	} else {
		c.unsent(e)
	}
	if e.meta.Attempts >= max(c.r.w.Policy.Attempts, 1) {
		c.fail(i, v)
		return
	}
	c.park(i, c.r.w.Policy.Delay(e.meta.Attempts, v.After))
}

// pauseDelay is short when the whole destination rests: until its guard lets anything through nothing is tried anyway,
// and somebody may resume it long before the pause would have ended.
func (c *call) pauseDelay(v Verdict) time.Duration {
	d := max(v.After, 100*time.Millisecond)
	if c.r.w.Guard != nil && v.Scope == ScopeSink {
		return min(d, time.Second)
	}
	return d
}

func (c *call) pause(ctx context.Context, e *Entry, v Verdict) {
	g := c.r.w.Guard
	if g == nil {
		return
	}
	until := c.now().Add(v.After)
	var err error
	if v.Scope == ScopeSink {
		err = g.PauseFor(ctx, until, errText(v.Err), "sink")
	} else {
		err = g.PauseKey(ctx, v.PauseKey, until)
	}
	if err != nil {
		c.r.log.Warn().Err(err).Msg("pause is not shared with other daemons")
	}
}

// finish is a done entry: its followers, or its delivery.
func (c *call) finish(i int, v Verdict) {
	e := c.entries[i]
	c.outs[i] = outcome{entry: e}
	if v.Outcome == outcomeKnown {
		c.remind(e)
		return
	}
	if dest := c.r.w.destination(); dest != "" {
		kind := evDelivered
		if v.Outcome == string(Merged) {
			kind = evMerged
		}
		c.event(e, event{Kind: kind, Remote: v.Remote, Attempts: e.meta.Attempts + 1})
		c.r.p.Metrics.delivered(dest, e, c.now())
		return
	}
	if len(v.Followers) == 0 && e.only == "" {
		c.event(e, event{Kind: evDropped, Reason: "no destination"})
		return
	}
	lacking := e.lacking()
	var dests []string
	for _, f := range v.Followers {
		dest := destinationOf(f.Queue)
		if dest != "" {
			dests = append(dests, dest)
			if e.only != "" && !slices.Contains(lacking, dest) {
				continue
			}
		} else {
			lacking = nil // not routed yet
		}
		n, err := c.r.p.follower(f, e)
		if err != nil {
			c.outs[i] = outcome{entry: e}
			c.fail(i, Verdict{Result: Permanent, Err: err})
			return
		}
		c.outs[i].next = append(c.outs[i].next, n)
	}
	if len(dests) > 0 {
		c.event(e, event{Kind: evRouted, Dests: dests, RepeatOf: v.Followers[0].Lead.RepeatOf})
	}
	for _, dest := range lacking {
		if !slices.Contains(dests, dest) {
			c.reroute(i, dest, v.Followers)
		}
	}
}

// reroute brings a lead that is driven again to a destination that the rules do not name: another one has failed over to
// it, or the rules were changed meanwhile. When the sink was taken out of the configuration a person decides.
func (c *call) reroute(i int, dest string, like []Follower) {
	e := c.entries[i]
	if c.r.p.serves(dest) && len(like) > 0 {
		if n, err := c.r.p.follower(Follower{Queue: Destined(dest), Lead: like[0].Lead}, e); err == nil {
			c.outs[i].next = append(c.outs[i].next, n)
			return
		}
	}
	why := Try{At: c.now().UTC(), Err: "the lead was on its way to this destination, and is not routed to it any more"}
	letter := *e
	letter.meta.Tries = []Try{why}
	c.event(e, event{Kind: evDead, Dest: dest, Reason: why.Err, Tries: letter.meta.Tries})
	c.outs[i].next = append(c.outs[i].next, c.r.p.deadLetter(&letter, Destined(dest), Dead, false, c.now()))
}

// remind tells a lead's home again how it ended here: an entry that comes after the end says that home may not know.
func (c *call) remind(e *Entry) {
	if home := e.Lead.Home; home == "" || home == c.r.p.Custody.Instance {
		return
	}
	if ev, ok := c.r.p.Custody.outcome(e.Lead.ID, c.r.w.destination()); ok {
		c.away = append(c.away, away{e.slot, ev})
	}
}

// follower is a lead's entry for a further queue.
func (p *Partition) follower(f Follower, from *Entry) (next, error) {
	line, err := encodeLead(f.Lead)
	if err != nil {
		return next{}, fmt.Errorf("lead: %w", err)
	}
	epoch := from.epoch
	if epoch == noEpoch {
		epoch = p.epoch.Load()
	}
	to := f.Queue
	dest := destinationOf(to)
	if dest != "" && slices.ContainsFunc(p.Workers, func(w *Worker) bool { return w.NoHot && w.Queue == Destined(dest) }) {
		to = Destined(dest)
	}
	n := next{stream: p.Keys.Queue(to), words: words(f.Lead.ID, string(line), epoch, from.only)}
	if dest != "" {
		n.queue, n.hot, n.order = Destined(dest), strings.HasSuffix(to, ":hot"), f.Lead.OrderKey()
	}
	return n, nil
}

// fail ends an entry that will not get through: another destination takes over what surely was not sent, or a person.
func (c *call) fail(i int, v Verdict) {
	e, w := c.entries[i], c.r.w
	dest := w.destination()
	c.r.p.Metrics.died(dest, e)
	if dest != "" && e.meta.Unsure == 0 && v.Outcome != string(Held) {
		for _, to := range w.Failover {
			if c.r.p.Custody.at(e.Lead, to).final {
				continue
			}
			n, err := c.r.p.follower(Follower{Queue: Destined(to), Lead: e.Lead}, e)
			if err != nil {
				break
			}
			c.event(e, event{Kind: evRouted, Dests: []string{to}, Dest: ""})
			c.event(e, event{Kind: evDropped, Reason: "failed over to " + to, Attempts: e.meta.Attempts, Tries: e.meta.Tries})
			c.outs[i] = outcome{entry: e, next: []next{n}}
			return
		}
	}
	kind := evDead
	if v.Outcome == string(Held) {
		kind = evHeld
	}
	c.event(e, event{Kind: kind, Reason: errText(v.Err), Attempts: e.meta.Attempts, Tries: e.meta.Tries})
	c.outs[i] = outcome{entry: e, next: []next{c.r.p.deadLetter(e, c.r.w.Queue, finalOf[kind], v.Fault, c.now())}}
}

// keepOrder makes the later entries of a customer in a processor's batch wait when an earlier one has to.
func (c *call) keepOrder() {
	waits := map[string]bool{}
	for i, e := range c.entries {
		if waits[e.meta.Key] && !c.outs[i].park {
			c.events = slices.DeleteFunc(c.events, func(ev event) bool { return ev.Lead == e.Lead.ID })
			c.park(i, waiterDelay)
			e.meta.Waiter = true
		}
		waits[e.meta.Key] = waits[e.meta.Key] || c.outs[i].park
	}
}

// event adds a fact about the entry's lead, for our ledger.
func (c *call) event(e *Entry, ev event) {
	ev.Lead, ev.At = e.Lead.ID, c.now().UTC()
	if ev.Kind != evRouted && ev.Dest == "" {
		ev.Dest = c.r.w.destination()
	}
	if ev.RepeatOf == "" {
		ev.RepeatOf = e.Lead.RepeatOf
	}
	c.events = append(c.events, ev)
	if home := e.Lead.Home; home != "" && home != c.r.p.Custody.Instance && ev.Kind != evUnsent {
		c.away = append(c.away, away{e.slot, ev})
	}
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
	err := c.r.p.Custody.note(c.events)
	if err != nil {
		// What has happened has happened: the ledger knows it as long as this process lives. After that an intent without
		// an end makes the next owner look before it sends.
		c.r.p.Custody.applyAll(c.events)
	}
	return err
}

// settle carries the outcomes out, trying again until Redis has answered or the entries are not ours any more.
func (c *call) settle(ctx context.Context) []settled {
	r := c.r
	result := make([]settled, len(c.entries))
	for i, o := range c.outs {
		result[i] = settled{entry: o.entry, parked: o.park, waits: o.entry.meta.Waiter, delay: o.delay}
	}
	left := c.outs
	for wait := 20 * time.Millisecond; len(left) > 0; wait = min(2*wait, time.Second) {
		_, refused, err := r.queue(left[0].entry.Queue).settle(ctx, r.p.epoch.Load(), r.p.Custody.Instance, left)
		if err == nil {
			var again []outcome
			for i, why := range refused {
				if why != nil {
					again, err = append(again, left[i]), why
				}
			}
			if left = again; len(left) == 0 {
				break
			}
		}
		if errors.Is(err, errEpoch) || isGone(err) { // the entries are gone with the old epoch; open leads are driven again
			r.p.lost()
			return unsettled(result)
		}
		r.p.redisAnswered(err)
		if ctx.Err() != nil {
			return unsettled(result)
		}
		sleep(ctx, wait)
	}
	r.p.redisAnswered(nil)
	return result
}

// unsettled are entries that could not be settled: they are left to the next opening of the partition.
func unsettled(s []settled) []settled {
	for i := range s {
		s[i].parked, s[i].waits = false, false
	}
	return s
}

// log writes one line for each verdict, without anything personal.
func (c *call) log(took time.Duration, tried int) {
	for i, e := range c.entries {
		v := c.verdicts[i]
		c.r.p.Metrics.handled(c.r.w.Queue, v, took)
		ev := c.r.log.Debug()
		switch v.Result {
		case Retry, Wait, Pause, Ambiguous:
			ev = c.r.log.Warn()
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
