package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"leadstream/streams"
)

// patience is the longest that a world may take to come to rest once nothing fails any more. An owner that died with a
// customer's line in its memory costs ten minutes.
const patience = 25 * time.Minute

// settle waits until nothing moves any more.
func (w *world) settle() {
	w.trace("healed")
	from := w.elapsed()
	for w.elapsed()-from < patience {
		if why := w.unrest(); why == "" {
			w.trace("at rest")
			return
		}
		time.Sleep(250*time.Millisecond + 7*time.Microsecond)
	}
	w.broken("not at rest: %s", w.unrest())
}

// queues are the streams that must be empty in the end.
func (w *world) queues() []string {
	var keys []string
	for _, q := range []string{streams.Intake, streams.Triaged, "to:crm:hot", "to:crm", "to:backup:hot", "to:backup"} {
		keys = append(keys, "ls:{0}:"+q)
	}
	for _, d := range w.daemons {
		keys = append(keys, "ls:{0}:home:"+d.name)
	}
	return keys
}

// unrest says what still has to happen.
func (w *world) unrest() string {
	for _, d := range w.daemons {
		l := d.current()
		if l == nil {
			return d.name + " is down"
		}
		if d.sleepsOn() > 0 { // what it does when it wakes up belongs to this world
			return d.name + " is asleep"
		}
		if t := l.custody.Tally(); t.Unforwarded > 0 || t.Open > 0 {
			return fmt.Sprintf("%s: %d leads open, %d not forwarded", l.boot, t.Open, t.Unforwarded)
		}
		if n := l.engine.Unexplained(); n > 0 {
			return fmt.Sprintf("%s: %d leads unexplained", l.boot, n)
		}
	}
	for _, key := range w.queues() {
		if n, _ := w.redis.Do("XLEN", key).(int64); n > 0 {
			return fmt.Sprintf("%d entries in %s", n, key)
		}
	}
	return ""
}

// check holds what came out against what was promised.
func (w *world) check() {
	for _, s := range w.sent {
		w.checkLead(s)
	}
	w.checkFar(w.crm)
	w.checkFar(w.backup)
	damaged := w.damaged()
	if !damaged && !w.leaseCutShort() {
		w.checkOrder()
	}
	w.checkLetters()
	for _, key := range w.queues() {
		if p, ok := w.redis.Do("XPENDING", key, streams.Group).([]any); ok && p[0] != int64(0) {
			w.broken("%v entries are pending in %s", p[0], key)
		}
		if damaged {
			continue
		}
		for _, beside := range []string{":meta", ":open"} {
			if n := w.redis.Do("HLEN", key+beside); n != int64(0) {
				w.broken("%v fields are left in %s%s", n, key, beside)
			}
		}
	}
}

func (w *world) damaged() bool {
	return slices.ContainsFunc(w.plan.faults, func(f fault) bool { return f.kind.damages() })
}

// leaseCutShort says that a clock of Redis has ended a lease long before its owner could know: for some seconds there
// were two, and each kept an order of its own.
func (w *world) leaseCutShort() bool {
	return len(w.daemons) > 1 && slices.ContainsFunc(w.plan.faults, func(f fault) bool { return f.kind == clock && f.for_ > 0 })
}

func (w *world) daemon(name string) *daemon {
	return w.daemons[slices.IndexFunc(w.daemons, func(d *daemon) bool { return d.name == name })]
}

// checkLead holds one lead's end in the ledger against what the far side has.
func (w *world) checkLead(s *sent) {
	l := w.daemon(s.home).current()
	if l == nil {
		return
	}
	life, ok := l.custody.Life(s.id)
	if !ok {
		w.broken("lead %.6s of %s is not in its ledger", s.id, s.home)
		return
	}
	for _, stop := range life.Destinations {
		far := w.crm
		if stop.Name == "backup" {
			far = w.backup
		}
		n := far.cards[s.id]
		switch stop.State {
		case streams.Delivered:
			if n == 0 {
				w.broken("lead %.6s is delivered, and %s does not have it", s.id, far.name)
			}
		case streams.Dead, streams.Dropped, streams.Held:
			if n > 0 && !far.unsure(s.id) && !w.wordLost() {
				w.broken("lead %.6s is %s, and %s has it", s.id, stop.State, far.name)
			}
		}
	}
	if len(life.Destinations) == 0 && life.State != streams.Merged {
		w.broken("lead %.6s is %s and was never routed", s.id, life.State)
	}
	if life.State == streams.Merged && !w.crm.known(s.id) && !w.elsewhere(s) {
		w.broken("lead %.6s is merged and nobody has it", s.id)
	}
}

// elsewhere says whether another daemon has taken the same lead.
func (w *world) elsewhere(s *sent) bool {
	return slices.ContainsFunc(w.daemons, func(d *daemon) bool {
		l := d.current()
		if l == nil || d.name == s.home {
			return false
		}
		life, ok := l.custody.Life(s.id)
		return ok && life.State != streams.Merged
	})
}

func (f *far) known(id string) bool { return f.cards[id] > 0 || len(f.calls[id]) > 0 }

// unsure says whether an answer about a lead was lost, maybe with the daemon that had it, or came to one that could not tell.
func (f *far) unsure(id string) bool {
	return slices.ContainsFunc(f.calls[id], func(t try) bool {
		return t.end.IsZero() || t.verdict.Result == streams.Ambiguous || t.panicked || t.untold || t.life.dead.Load()
	})
}

// wordLost says that what one daemon has done for another may have been told by nothing but a Redis that has lost it.
func (w *world) wordLost() bool { return len(w.daemons) > 1 && (w.lostMemory() || w.leaseCutShort()) }

// checkFar looks for leads that were created twice, or that nobody has sent, and for tries that came too early.
func (w *world) checkFar(f *far) {
	ids := map[string]bool{}
	for _, s := range w.sent {
		ids[s.id] = true
	}
	for id, n := range f.cards {
		if n > 1 && w.plan.onAmbiguous != streams.RetryIt && !f.blind[id] && !(w.forgetsTwins() && w.twin(id)) {
			w.broken("%s has lead %.6s %d times", f.name, id, n)
		}
		if !ids[id] && !w.unanswered(id) {
			w.broken("%s has lead %.6s, which was never taken", f.name, id)
		}
	}
	for id, tries := range f.calls {
		for i := 1; i < len(tries); i++ {
			w.checkDelay(f, id, tries[i-1], tries[i])
		}
	}
}

// forgetsTwins says that Redis comes back from an old copy, which cannot be told from what it was: that it had a lead of
// another daemon, it may have forgotten.
func (w *world) forgetsTwins() bool {
	return len(w.daemons) > 1 && slices.ContainsFunc(w.plan.faults, func(f fault) bool { return f.kind == restored })
}

// twin says whether two daemons have taken a lead.
func (w *world) twin(id string) bool {
	return slices.ContainsFunc(w.sent, func(s *sent) bool { return s.id == id && s.twice })
}

// unanswered says whether a lead was taken by a daemon whose answer its sender never had.
func (w *world) unanswered(id string) bool {
	return slices.ContainsFunc(w.daemons, func(d *daemon) bool {
		l := d.current()
		if l == nil {
			return true
		}
		_, ok := l.custody.Life(id)
		return ok
	})
}

// checkDelay holds the time between two tries against the policy, where nothing came in between.
func (w *world) checkDelay(f *far, id string, a, b try) {
	if errors.Is(a.verdict.Err, context.Canceled) { // the partition was opened again meanwhile: taken over, and looked up
		return
	}
	if a.end.IsZero() || b.disturbed != a.disturbed || a.life != b.life {
		return
	}
	if w.damaged() && b.attempt <= a.attempt { // that there was a try has gone with its consumer
		return
	}
	if w.lostMemory() && a.entry != b.entry { // driven again: how long it was to wait has gone with its entry
		return
	}
	least := a.verdict.After
	if r := a.verdict.Result; r == streams.Retry || r == streams.Ambiguous {
		p := w.plan.policy
		d := float64(p.Base)
		for range a.attempt - 1 {
			d *= p.Factor
		}
		least = max(least, time.Duration(min(d, float64(p.Max))*(1-p.Jitter)))
	} else if r == streams.Pause {
		least = min(least, time.Second)
	}
	if got := b.at.Sub(a.end); got < least-2*time.Millisecond {
		w.broken("%s: lead %.6s is tried again after %v, not before %v was allowed (%s)", f.name, id, got, least, a.verdict.Result)
	}
	if b.attempt < a.attempt {
		w.broken("%s: lead %.6s: attempt %d comes after attempt %d", f.name, id, b.attempt, a.attempt)
	}
}

// checkOrder: the leads of a customer that one daemon alone has taken reach the far side in that order.
func (w *world) checkOrder() {
	place := map[string]int{}
	for i, id := range w.crm.order {
		place[id] = i + 1
	}
	last := map[string]*sent{}
	for _, s := range w.sent {
		if s.number < 0 || s.twice || place[s.id] == 0 || !w.delivered(s) { // what was given up may still be created, late
			continue
		}
		if w.wordLost() && w.givenUp(s.id) { // nobody waits for it; then its end was forgotten, and it was driven again
			continue
		}
		key := fmt.Sprint(s.customer, s.home)
		if before := last[key]; before != nil && before.number < s.number && place[before.id] > place[s.id] {
			w.broken("order: customer %d: lead %.6s (%d) came before %.6s (%d)", s.customer, s.id, s.number, before.id, before.number)
		}
		last[key] = s
	}
}

// givenUp says whether the crm had a try of a lead that was its last one.
func (w *world) givenUp(id string) bool {
	return slices.ContainsFunc(w.crm.calls[id], func(t try) bool {
		switch t.verdict.Result {
		case streams.Permanent:
			return true
		case streams.Retry, streams.Ambiguous:
			return t.attempt >= w.plan.policy.Attempts
		}
		return false
	})
}

func (w *world) delivered(s *sent) bool {
	l := w.daemon(s.home).current()
	if l == nil {
		return false
	}
	life, _ := l.custody.Life(s.id)
	return slices.ContainsFunc(life.Destinations, func(d streams.Stop) bool { return d.Name == "crm" && d.State == streams.Delivered })
}

// checkLetters: every lead that is dead or held somewhere has one dead letter there, and no other has any.
func (w *world) checkLetters() {
	letters, wanted := map[string]int{}, map[string]bool{} // two daemons may both have taken a lead
	l := w.daemons[0].current()
	if l == nil {
		return
	}
	err := l.engine.Partitions()[0].Dead(context.Background(), func(d streams.DeadLetter) bool {
		letters[d.Lead.ID+" "+d.Destination]++
		return true
	})
	if err != nil {
		w.broken("dead letters: %v", err)
	}
	for _, d := range w.daemons {
		l := d.current()
		if l == nil {
			continue
		}
		for _, life := range l.custody.Lives(streams.Query{Limit: 1000}) {
			for _, stop := range life.Destinations {
				if stop.State == streams.Dead || stop.State == streams.Held {
					wanted[life.ID+" "+stop.Name] = true
				}
			}
		}
	}
	for what := range wanted {
		letters[what]--
	}
	for what, n := range letters {
		if n > 0 && w.leaseCutShort() { // one of two owners has delivered what the other has given up
			continue
		}
		if n != 0 {
			id, dest, _ := strings.Cut(what, " ")
			w.broken("dead letters of %.6s at %s: %d too many", id, dest, n)
		}
	}
}
