package sim

import (
	"context"
	"fmt"
	"time"

	"leadstream/streams"
)

// sent is a lead as its sender knows it.
type sent struct {
	customer, number int
	id               string // once a daemon has answered for it
	home             string // the daemon that has
	acked            time.Time
	twice            bool // another daemon has taken it, too
}

// customer sends a customer's leads one by one: the next one after the answer to the one before.
func (w *world) customer(c int) {
	n := (w.plan.leads + c) / w.plan.customers
	d := w.dice("customer", c)
	home := w.daemons[d.IntN(len(w.daemons))]
	for i := range n {
		time.Sleep(d.time(time.Microsecond, sending/time.Duration(n)))
		if d.percent(w.plan.elsewhere) {
			home = w.daemons[d.IntN(len(w.daemons))]
		}
		s := &sent{customer: c, number: i}
		keyed := d.percent(w.plan.keyed)
		w.send(d, home, s, keyed)
		if d.percent(w.plan.resent) {
			time.Sleep(d.time(time.Microsecond, 2*time.Second))
			w.resend(d, s, keyed)
		}
	}
}

func (s *sent) taken(w *world, keyed bool) streams.Taken {
	text := fmt.Sprintf("%d/%d", s.customer, s.number)
	t := streams.Taken{Canonical: []byte(text), Raw: []byte(text), Lead: &streams.Lead{Source: "site", Message: text,
		Phone: fmt.Sprintf("+7999000%04d", s.customer), Hot: w.dice("hot", text).percent(w.plan.hot)}}
	if keyed {
		t.Key = "key " + text
	}
	return t
}

// send sends a lead until a daemon has answered for it.
func (w *world) send(d dice, home *daemon, s *sent, keyed bool) {
	for {
		l := home.current()
		if l == nil || home.sleepsOn() > 0 {
			pause := d.time(50*time.Millisecond, 400*time.Millisecond)
			if w.elapsed() > time.Minute { // of a long outage
				pause *= 1000
			}
			time.Sleep(pause)
			continue
		}
		r, err := l.custody.TakeAll(context.Background(), []streams.Taken{s.taken(w, keyed)})
		if err == nil && !l.dead.Load() {
			s.id, s.home, s.acked = r[0].LeadID, home.name, time.Now()
			w.mu.Lock()
			w.sent = append(w.sent, s)
			w.mu.Unlock()
			w.trace("%s takes %d/%d as %.6s, duplicate %v, hot %v", l.boot, s.customer, s.number, s.id, r[0].Duplicate, s.taken(w, keyed).Lead.Hot)
			return
		}
		time.Sleep(d.time(time.Millisecond, 100*time.Millisecond))
	}
}

// resend repeats a request whose answer the sender did not like: the same daemon must know it, and one that does not
// must give it the same id when it has a key.
func (w *world) resend(d dice, s *sent, keyed bool) {
	home := w.daemons[d.IntN(len(w.daemons))]
	if !keyed {
		for _, h := range w.daemons {
			if h.name == s.home {
				home = h
			}
		}
	}
	l := home.current()
	if l == nil || home.sleepsOn() > 0 {
		return
	}
	since, before := time.Since(s.acked), w.clocks()
	life, known := l.custody.Life(s.id)
	r, err := l.custody.TakeAll(context.Background(), []streams.Taken{s.taken(w, keyed)})
	if err != nil || l.dead.Load() {
		return
	}
	if home.name != s.home {
		w.mu.Lock()
		s.twice = true
		w.mu.Unlock()
	}
	w.trace("%s takes %d/%d again as %.6s, duplicate %v", l.boot, s.customer, s.number, r[0].LeadID, r[0].Duplicate)
	if home.name == s.home && !known {
		w.broken("%s: lead %.6s was forgotten %v after it was taken", l.boot, s.id, since)
	}
	again := r[0].LeadID == s.id && (r[0].Duplicate || home.name != s.home)
	dead := life.State == streams.Dead || life.State == streams.Dropped
	switch {
	case keyed && !again:
		w.broken("%s: the same request with a key is taken as %.6s, was %.6s", l.boot, r[0].LeadID, s.id)
	case !keyed && !again && !dead && since < 9*time.Minute && before == 0:
		w.broken("%s: the same body %v later is taken as %.6s, was %.6s", l.boot, since, r[0].LeadID, s.id)
	case !again: // a lead of its own
		w.mu.Lock()
		w.sent = append(w.sent, &sent{customer: s.customer, number: -1, id: r[0].LeadID, home: home.name, acked: time.Now()})
		w.mu.Unlock()
	}
}
