package sim

import (
	"time"

	"leadstream/streams"
	"leadstream/streams/streamstest/model"
)

// happen lets a fault happen when its time has come, and end. Those that wait for a request or a call happen there.
func (w *world) happen(n int, f fault) {
	var copied *model.Copy
	if f.kind == restored {
		time.Sleep(w.dice("copy", n).time(0, f.at))
		copied = w.redis.Save()
	}
	time.Sleep(f.at - min(w.elapsed(), f.at))
	d := w.daemons[f.daemon]
	switch f.kind {
	case crashRequest, crashAnswer, crashCall, crashCalled, asleep:
		return
	case crash:
		if l := d.current(); l != nil {
			l.crashFor(f)
		}
		return
	}
	w.trace("fault: %s of %s for %v", f.kind, d.name, f.for_)
	w.disturbed()
	defer w.disturbed()
	if f.kind.losesMemory() {
		w.forgot.Store(true)
	}
	switch f.kind {
	case stop:
		if d.stop() {
			w.startLater(d, f.for_)
		}
	case cutOff:
		d.cutUntil.Store(time.Now().Add(f.for_).UnixNano())
		if l := d.current(); l != nil {
			l.cut(w.dice("cut", n).percent(50))
		}
		time.Sleep(f.for_)
	case down, emptied, restored:
		w.killRedis(f, copied)
	case flushed:
		w.redis.Flush()
	case stalled:
		w.stalledUntil.Store(time.Now().Add(f.for_).UnixNano())
		time.Sleep(f.for_)
	case full:
		w.redis.SetFull(true)
		time.Sleep(f.for_)
		w.redis.SetFull(false)
	case scripts:
		w.redis.FlushScripts()
	case clock:
		w.steps.Add(1)
		w.skew.Add(int64(f.for_))
	default:
		w.damage(n, f)
	}
}

// killRedis ends it, and starts it again with all that it had, with a copy, or with nothing.
func (w *world) killRedis(f fault, held *model.Copy) {
	if !w.redisDown.CompareAndSwap(false, true) {
		return
	}
	if f.kind == down {
		held = w.redis.Save()
	}
	for _, d := range w.daemons {
		if l := d.current(); l != nil {
			l.cut(true)
		}
	}
	time.Sleep(f.for_)
	w.redis.Restart(w.runID(), held)
	w.redisDown.Store(false)
}

// damage is what a person at redis-cli could do to a queue.
func (w *world) damage(n int, f fault) {
	d := w.dice("damage", n)
	key := "ls:{0}:" + one(d, streams.Intake, streams.Triaged, streams.Destined("crm"), streams.Destined("crm"))
	switch f.kind {
	case deleted:
		w.redis.Do("XTRIM", key, "MAXLEN", one(d, "0", "1", "2"))
	case unconsumed:
		w.redis.Do("XGROUP", "DELCONSUMER", key, streams.Group, one(d, "parked", "a", "b"))
	case ungrouped:
		w.redis.Do("XGROUP", "DESTROY", key, streams.Group)
	}
}
