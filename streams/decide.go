package streams

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"leadstream/streams/failpoint"
)

// decide turns a verdict into what is done with the entry, and into events.
func (c *call) decide(ctx context.Context, i int) {
	e, v := c.entries[i], c.verdicts[i]
	switch v.Result {
	case Done:
		c.finish(i, v)
	case Drop:
		c.outs[i] = outcome{entry: e}
		lacking, ok := c.follow(i, v)
		if !ok {
			return
		}
		for _, dest := range lacking { // driven again: what it has reached already stays
			c.event(e, event{Kind: evDropped, Dest: dest, Reason: v.Reason})
		}
		if e.only == "" || c.r.w.destination() != "" {
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
		c.unsure(e, e.Unsure)
	}
}

// unsure notes until when a call that is over may have got through.
func (c *call) unsure(e *Entry, at time.Time) {
	c.events = append(c.events, event{Lead: e.Lead.ID, Kind: evUnsure, Dest: c.r.w.destination(), At: at})
}

func (c *call) retry(i int, v Verdict) {
	e := c.entries[i]
	e.meta.Attempts++
	e.meta.failed(v, c.now())
	if v.Result == Ambiguous {
		e.meta.Unsure = c.now().UnixMilli()
		if c.r.w.Guard != nil { // Redis may lose what its entry says of it
			c.unsure(e, c.now())
		}
		switch c.r.w.OnAmbiguous {
		case HoldIt:
			v.Outcome = string(Held)
			c.fail(i, v)
			return
		case DropIt:
			c.event(e, event{Kind: evDropped, Reason: reasonAmbiguous, Attempts: e.meta.Attempts})
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
		c.keepLetter(i)
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
	lacking, ok := c.follow(i, v)
	if !ok {
		return
	}
	for _, dest := range lacking {
		c.reroute(i, dest, v.Followers)
	}
}

// follow adds the entries for the next queues, and answers where else a lead that is driven again has still to go. It is
// false when the lead cannot go on.
func (c *call) follow(i int, v Verdict) (lacking []string, ok bool) {
	e := c.entries[i]
	lacking = e.lacking()
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
			return nil, false
		}
		c.outs[i].next = append(c.outs[i].next, n)
	}
	if len(dests) > 0 {
		c.event(e, event{Kind: evRouted, Dests: dests, RepeatOf: v.Followers[0].Lead.RepeatOf})
	}
	return slices.DeleteFunc(lacking, func(dest string) bool { return slices.Contains(dests, dest) }), true
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
	at := c.now().UTC()
	why := Try{At: at, Err: "the lead was on its way to this destination, and is not routed to it any more"}
	letter := *e
	letter.meta.Tries = []Try{why}
	c.event(e, event{Kind: evDead, Dest: dest, Reason: why.Err, Tries: letter.meta.Tries, At: at})
	c.outs[i].next = append(c.outs[i].next, c.r.p.deadLetter(&letter, Destined(dest), Dead, false, at))
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

// keepLetter adds the dead letter of an entry that has ended as one here, and of which Redis has no letter: the end was
// journaled and not settled, or Redis has lost it, and its home, which would bring it back, has not heard of it.
func (c *call) keepLetter(i int) {
	e, p := c.entries[i], c.r.p
	dest := c.r.w.destination()
	if e.fault != nil || dest == "" {
		return
	}
	if end := p.Custody.at(e.Lead, dest).letter; end != nil {
		n := p.deadEntry(end.asLetter(e.Lead))
		n.keep = true
		c.outs[i].next = append(c.outs[i].next, n)
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
	n := next{stream: p.Keys.Queue(to), words: words(f.Lead.ID, line, epoch, from.only)}
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
	if failpoint.Seeded(failpoint.GivesUpSilently) {
		c.event(e, event{Kind: evDropped, Reason: errText(v.Err)})
		c.outs[i] = outcome{entry: e}
		return
	}
	kind := evDead
	if v.Outcome == string(Held) {
		kind = evHeld
	}
	at := c.now().UTC() // the same in both: by it a replay names the end that it undoes
	c.event(e, event{Kind: kind, Reason: errText(v.Err), Attempts: e.meta.Attempts, Tries: e.meta.Tries, At: at})
	c.outs[i] = outcome{entry: e, next: []next{c.r.p.deadLetter(e, c.r.w.Queue, finalOf[kind], v.Fault, at)}}
}

// keepOrder makes the later entries of a customer in a processor's batch wait when an earlier one has to.
func (c *call) keepOrder() {
	waits := map[string]bool{}
	for i, e := range c.entries {
		if waits[e.meta.Key] {
			if !c.outs[i].park {
				c.events = slices.DeleteFunc(c.events, func(ev event) bool { return ev.Lead == e.Lead.ID })
				c.park(i, waiterDelay)
			}
			e.meta.Waiter = true // its own delay may be shorter than that of the one before
		}
		waits[e.meta.Key] = waits[e.meta.Key] || c.outs[i].park
	}
}

// event adds a fact about the entry's lead, for our ledger.
func (c *call) event(e *Entry, ev event) {
	ev.Lead = e.Lead.ID
	if ev.At.IsZero() {
		ev.At = c.now().UTC()
	}
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
