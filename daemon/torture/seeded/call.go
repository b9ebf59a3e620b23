//go:build linux

package seeded

import (
	"syscall"
	"time"

	"leadstream/daemon/proof"
	"leadstream/sinks/sim/fault"
	"leadstream/streams"
)

// What happens around the call of a sink.

// killedInCall: the daemon is killed while the portal, which has done nothing yet, is being called.
func killedInCall(r *rig) {
	w, l := r.world(proof.Setup{})
	once(w, fault.Fault{Hang: true})
	r.send(l, l.Customer())
	r.until("the portal is called", func() bool { return w.CRM.Requests() > 0 })
	r.restart(w, nil)
	r.verify(l)
}

// killedAfterCard: the portal has made the card, and the daemon is killed before it knows.
func killedAfterCard(r *rig) {
	w, l := r.world(proof.Setup{CRMKeys: "timeout: 10s"})
	once(w, fault.Fault{Hang: true, After: true})
	r.send(l, l.Customer())
	r.until("the card is made", func() bool { return cards(w) == 1 })
	r.restart(w, nil)
	r.verify(l)
}

// flushedWhileUnsure: the answer is lost, and then the daemon and all that Redis knows.
func flushedWhileUnsure(r *rig) {
	w, l := r.world(proof.Setup{CRMKeys: "far_limit: 2s"})
	once(w, fault.Fault{LoseAnswer: true})
	r.send(l, l.Customer())
	r.until("the try has ended", func() bool { return r.metric(w, `leadstream_handled_total{queue="to:crm",result="ambiguous"}`) == 1 })
	r.restart(w, func() { r.flush(w) })
	r.verify(l)
}

// killedAfterDelivery: what was delivered is known as delivered by the next life.
func killedAfterDelivery(r *rig) {
	w, l := r.world(proof.Setup{})
	l.Burst(r.ctx, 4, 2)
	r.verify(l)
	r.restart(w, nil)
	r.verify(l)
}

// rarely leaves a busy machine the time to bring further leads up to one that waits for its retry.
const rarely = "retry: {attempts: 9, base: 4s, factor: 1, max: 4s, jitter: 0}"

// firstFails: the first of a customer's enquiries waits for its retry when the next ones come.
func firstFails(r *rig) {
	w, l := r.world(proof.Setup{Cards: true, CRMKeys: rarely})
	once(w, down)
	r.send(l, l.Customer())
	r.until("the first is refused", func() bool { return len(events(w, "refuse")) == 1 })
	r.send(l, l.Again())
	r.send(l, l.Again())
	r.verify(l)
}

// anotherFails: one customer's lead waits for its retry when another customer's comes, who must not wait for it.
func anotherFails(r *rig) {
	w, l := r.world(proof.Setup{CRMKeys: rarely})
	once(w, down)
	first := r.send(l, l.Customer())
	r.until("the first is refused", func() bool { return len(events(w, "refuse")) == 1 })
	second := r.send(l, l.Customer())
	r.until("the second arrives", func() bool { return len(w.CRM.Created(second.LeadID)) > 0 })
	if len(w.CRM.Created(first.LeadID)) > 0 {
		r.found("HELD UP: a lead has waited for another customer's retry")
	}
	r.verify(l)
}

// stalledOwner: the daemon that owns the queues is stopped in the middle of its work until another has done it.
func stalledOwner(r *rig) {
	redis, _ := r.redis(r.dir())
	a, l := r.world(proof.Setup{Redis: redis, Instance: "a", CRMKeys: "rate: {per_second: 0.25, burst: 1}"})
	r.send(l, l.Customer())
	r.until("the first arrives", func() bool { return cards(a) == 1 })
	r.send(l, l.Customer()) // it is in hand, and waits for the rate limit
	r.until("the second is in hand", func() bool { inHand, _ := r.pending(a); return inHand == 1 })
	r.must(a.Signal(syscall.SIGSTOP))
	stalled := time.Now()
	r.inRedis(a, func(c *streams.Clients) error { return c.Write.Del(r.ctx, "ls:{0}:owner").Err() }) // its lease has ended
	b, _ := r.world(proof.Setup{Redis: redis, Instance: "b", CRM: a.CRM, Phone: a.Phone})
	r.until("the other daemon does the work", func() bool { return cards(a) == 2 })
	time.Sleep(time.Until(stalled.Add(9 * time.Second))) // the lease ends by the stalled one's own clock too
	r.must(a.Signal(syscall.SIGCONT))
	time.Sleep(500 * time.Millisecond) // whatever it would do
	l.Worlds = append(l.Worlds, b)
	r.verify(l)
}
