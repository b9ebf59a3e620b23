package streams

import (
	"container/heap"
	"slices"
	"time"
)

// line is what of one customer cannot move now: entries that wait for their retry, and those behind them.
type line struct {
	parked  map[handle]bool
	waiters []handle
}

// handle names an entry of a worker's queues.
type handle struct{ queue, id string }

func (e *Entry) handle() handle { return handle{e.Queue, e.ID} }

// lines keep order per customer, by order key. One goroutine uses it.
type lines struct {
	byKey map[string]*line
	busy  map[string]int // entries of a key in a Handle call, or about to be
}

func newLines() *lines { return &lines{byKey: map[string]*line{}, busy: map[string]int{}} }

// mustWait says whether a newly read entry of a key has to wait behind others in Redis.
func (l *lines) mustWait(key string) bool {
	ln := l.byKey[key]
	return ln != nil && len(ln.parked)+len(ln.waiters) > 0 && len(ln.waiters) < waitersLimit
}

func (l *lines) park(key string, h handle) {
	ln := l.of(key)
	ln.parked[h] = true
}

func (l *lines) wait(key string, h handle) {
	if ln := l.of(key); !slices.Contains(ln.waiters, h) {
		ln.waiters = append(ln.waiters, h)
	}
}

// waitInOrder lets an entry wait before those that came after it.
func (l *lines) waitInOrder(key string, h handle) {
	ln := l.of(key)
	i := slices.IndexFunc(ln.waiters, func(w handle) bool { return idLess(h.id, w.id) })
	if i < 0 {
		i = len(ln.waiters)
	}
	ln.waiters = slices.Insert(ln.waiters, i, h)
}

// behind says whether an older entry of a key waits.
func (l *lines) behind(key string, h handle) bool {
	ln := l.byKey[key]
	return ln != nil && slices.ContainsFunc(ln.waiters, func(w handle) bool { return idLess(w.id, h.id) })
}

// retrying says whether an entry of a key waits for its retry.
func (l *lines) retrying(key string) bool {
	ln := l.byKey[key]
	return ln != nil && len(ln.parked) > 0
}

// idle names the keys whose entries wait behind nothing.
func (l *lines) idle() (keys []string) {
	for key, ln := range l.byKey {
		if len(ln.parked) == 0 && l.busy[key] == 0 {
			keys = append(keys, key)
		}
	}
	return keys
}

func (l *lines) of(key string) *line {
	ln := l.byKey[key]
	if ln == nil {
		ln = &line{parked: map[handle]bool{}}
		l.byKey[key] = ln
	}
	return ln
}

// known says whether an entry stands in a line: it was parked or waits, and has come back by itself.
func (l *lines) known(key string, h handle) bool {
	ln := l.byKey[key]
	return ln != nil && (ln.parked[h] || slices.Contains(ln.waiters, h))
}

// due says that an entry of a line (known) is back in hand. It answers false for a waiter whose turn it is not: something of
// its customer is in hand or parked, or waits before it.
func (l *lines) due(key string, h handle) bool {
	ln := l.byKey[key]
	if ln.parked[h] {
		delete(ln.parked, h)
		return true
	}
	if ln.waiters[0] != h || len(ln.parked) > 0 || l.busy[key] > 0 {
		return false
	}
	l.drop(key, h)
	return true
}

// gone takes out an entry that has vanished from Redis, and answers the key that it stood in the way of.
func (l *lines) gone(h handle) (key string, ok bool) {
	for key, ln := range l.byKey {
		if ln.parked[h] || slices.Contains(ln.waiters, h) {
			delete(ln.parked, h)
			l.drop(key, h)
			return key, true
		}
	}
	return "", false
}

// all are the entries of a queue that stand in the lines.
func (l *lines) all(queue string) map[string]bool {
	ids := map[string]bool{}
	for _, ln := range l.byKey {
		for h := range ln.parked {
			if h.queue == queue {
				ids[h.id] = true
			}
		}
		for _, h := range ln.waiters {
			if h.queue == queue {
				ids[h.id] = true
			}
		}
	}
	return ids
}

func (l *lines) drop(key string, h handle) {
	ln := l.byKey[key]
	ln.waiters = slices.DeleteFunc(ln.waiters, func(w handle) bool { return w == h })
	l.tidy(key)
}

// release takes the waiters of a key whose turn has come: nothing of it is parked or in hand.
func (l *lines) release(key string, n int) []handle {
	ln := l.byKey[key]
	if ln == nil || len(ln.parked) > 0 || l.busy[key] > 0 {
		return nil
	}
	free := ln.waiters[:min(n, len(ln.waiters))]
	ln.waiters = ln.waiters[len(free):]
	l.tidy(key)
	return free
}

// again puts released entries back to the front of their line.
func (l *lines) again(key string, hs []handle) {
	ln := l.of(key)
	ln.waiters = append(slices.Clone(hs), ln.waiters...)
}

func (l *lines) tidy(key string) {
	if ln := l.byKey[key]; ln != nil && len(ln.parked)+len(ln.waiters) == 0 {
		delete(l.byKey, key)
	}
}

func (l *lines) start(key string) { l.busy[key]++ }

func (l *lines) finish(key string) {
	if l.busy[key]--; l.busy[key] <= 0 {
		delete(l.busy, key)
	}
	l.tidy(key)
}

// alarm is a heap of the moments at which parked entries are due.
type alarm []time.Time

func (a alarm) Len() int           { return len(a) }
func (a alarm) Less(i, j int) bool { return a[i].Before(a[j]) }
func (a alarm) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }
func (a *alarm) Push(x any)        { *a = append(*a, x.(time.Time)) }
func (a *alarm) Pop() any {
	old := *a
	x := old[len(old)-1]
	*a = old[:len(old)-1]
	return x
}

func (a *alarm) set(t time.Time) { heap.Push(a, t) }

// rang takes out what is due, and says whether anything was.
func (a *alarm) rang(now time.Time) bool {
	rang := false
	for len(*a) > 0 && !(*a)[0].After(now) {
		heap.Pop(a)
		rang = true
	}
	return rang
}

// next is when the first one is due; at the latest after d.
func (a alarm) next(now time.Time, d time.Duration) time.Duration {
	if len(a) > 0 {
		return max(min(a[0].Sub(now), d), 0)
	}
	return d
}
