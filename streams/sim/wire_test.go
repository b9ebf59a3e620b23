package sim

import (
	"hash/fnv"
	"time"

	"leadstream/streams/streamstest/model"
)

// wire decides what becomes of one request to Redis. Each has a delay of its own, so that hardly ever two things happen
// at one moment, and the same in every run of a seed.
func (l *life) wire(request [][]string) model.Passage {
	w := l.d.w
	h := fnv.New64a()
	for _, command := range request {
		for _, word := range command {
			h.Write([]byte(word))
			h.Write([]byte{0})
		}
	}
	l.mu.Lock()
	said := l.said[h.Sum64()]
	l.said[h.Sum64()]++
	answer := request[0][0] == "answer"
	if !answer {
		l.requests++
	}
	n := l.requests
	l.mu.Unlock()

	d := w.dice("wire", l.boot, int(h.Sum64()), said)
	p := model.Passage{Delay: d.time(20*time.Microsecond, 900*time.Microsecond)}
	at := w.elapsed()
	if bad := w.plan.wire; at >= bad.from && at < bad.to {
		switch n := d.IntN(100); {
		case n < bad.request:
			p.Lost = model.Request
		case n < bad.request+bad.answer:
			p.Lost = model.TheAnswer
		}
		if bad.slow > 0 {
			p.Delay += d.time(0, bad.slow)
		}
	}
	if left := time.Until(time.Unix(0, w.stalledUntil.Load())); left > 0 {
		p.Delay += left
	}
	p.Delay += max(l.d.sleepsOn(), 0)
	if p.Lost != model.Nothing {
		w.disturbed()
	}
	if !answer {
		l.crashAt(n, &p)
	}
	return p
}

// crashAt carries out the crashes that wait for a request.
func (l *life) crashAt(n int, p *model.Passage) {
	for _, f := range l.d.w.plan.faults {
		if f.nth != n || l.d.w.daemons[f.daemon] != l.d || l.d.w.elapsed() > healing {
			continue
		}
		switch f.kind {
		case crashRequest:
			time.AfterFunc(p.Delay-10*time.Microsecond, func() { l.crashFor(f) })
		case crashAnswer:
			p.Answer = 20 * time.Microsecond
			time.AfterFunc(p.Delay+10*time.Microsecond, func() { l.crashFor(f) })
		}
	}
}

// crashFor crashes, and has the daemon started again when the fault is over.
func (l *life) crashFor(f fault) {
	if l.crash(string(f.kind)) {
		l.d.w.startLater(l.d, f.for_)
	}
}
