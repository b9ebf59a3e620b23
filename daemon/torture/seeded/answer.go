//go:build linux

package seeded

import (
	"net/http"
	"time"

	"leadstream/daemon/proof"
	"leadstream/sinks/sim/fault"
)

// How answers are judged, and how a lead's life ends.

// oneFault is a scenario in which one call for a card goes wrong.
func oneFault(f fault.Fault) scenario {
	return func(r *rig) {
		w, l := r.world(proof.Setup{})
		once(w, f)
		r.send(l, l.Customer())
		r.verify(l)
	}
}

// finishedLate: the portal makes the card long after the daemon has given up waiting for it.
func finishedLate(r *rig) {
	w, l := r.world(proof.Setup{CRMKeys: "timeout: 500ms\nfar_limit: 5s"})
	once(w, fault.Fault{FinishLate: 3500 * time.Millisecond})
	before := w.CRM.Requests()
	r.send(l, l.Customer())
	r.until("the portal is called", func() bool { return w.CRM.Requests() > before })
	time.Sleep(4 * time.Second) // until the portal has finished
	r.until("the card is made", func() bool { return cards(w) > 0 })
	r.verify(l)
}

// retryAfter: the portal is asked to be left alone for a second, three times.
func retryAfter(r *rig) {
	w, l := r.world(proof.Setup{CRMKeys: "far_limit: 10ms\nretry: {attempts: 100, base: 20ms, factor: 1, max: 20ms, jitter: 0.9}"})
	w.CRM.Inject(fault.Fault{Method: card, Times: 3, Status: http.StatusServiceUnavailable, RetryAfter: "1"})
	r.send(l, l.Customer())
	r.verify(l)
	leftAlone(r, w, func(refused time.Time) time.Time { return refused.Add(time.Second) })
}

// retryAfterDate: the portal is asked to be left alone until a moment.
func retryAfterDate(r *rig) {
	w, l := r.world(proof.Setup{CRMKeys: "far_limit: 10ms\nretry: {attempts: 100, base: 20ms, factor: 1, max: 20ms, jitter: 0}"})
	r.send(l, l.Customer()) // a daemon that has just started takes its time
	r.until("the first lead is there", func() bool { return cards(w) > 0 })
	moment := time.Now().Add(4 * time.Second)
	once(w, fault.Fault{Status: http.StatusServiceUnavailable, RetryAfter: moment.UTC().Format(http.TimeFormat)})
	r.send(l, l.Customer())
	r.verify(l)
	leftAlone(r, w, func(time.Time) time.Time { return moment.Add(-2 * time.Second) }) // dates are in whole seconds, ours and the portal's
}

// leftAlone holds the portal's requests after each refusal against what it has asked for.
func leftAlone(r *rig, w *proof.World, until func(refused time.Time) time.Time) {
	refusals := 0
	var quiet time.Time
	for _, e := range w.CRM.Ledger() {
		if e.At.Before(quiet) {
			r.found("TOO SOON: the portal was asked %s before the time that it had named", quiet.Sub(e.At).Round(time.Millisecond))
		}
		if e.Kind == "refuse" {
			refusals++
			quiet = until(e.At)
		}
	}
	if refusals == 0 {
		r.found("NOTHING TESTED: the portal has refused nothing")
	}
}

// keyRemoved: the webhook is removed while leads are on their way. They wait for a new one.
func keyRemoved(r *rig) {
	w, l := r.world(proof.Setup{})
	always(w, fault.Fault{Code: "NO_AUTH_FOUND"})
	l.Burst(r.ctx, 5, 5)
	r.until("the destination rests", func() bool {
		dead, err := w.Dead(r.ctx)
		if err == nil && len(dead) > 0 {
			r.found("DEAD: %d leads died of a removed key", len(dead))
		}
		s, err := w.Status(r.ctx)
		for _, d := range s.Destinations {
			if err == nil && d.Name == "crm" && d.State == "paused" {
				return true
			}
		}
		return false
	})
	w.CRM.Clear()
	r.resume(w)
	r.verify(l)
}

// lastAttempt: the portal refuses a lead until the last attempt. It must be in a person's hands then.
func lastAttempt(r *rig) {
	w, l := r.world(proof.Setup{CRMKeys: "retry: {attempts: 2, base: 50ms, factor: 1, max: 50ms}"})
	always(w, down)
	r.send(l, l.Customer())
	r.verify(l)
	r.until("a person is told", func() bool { return len(w.Phone.Messages()) > 0 })
}

// outage: the portal is down for longer than a lead may wait. A person must hear of it before it is over.
func outage(r *rig) {
	w, l := r.world(proof.Setup{CRMKeys: "late_after: 500ms"})
	always(w, down)
	r.send(l, l.Customer())
	r.until("a person is told of the late lead", func() bool { return len(w.Phone.Messages()) > 0 })
	w.CRM.Clear()
	r.verify(l)
}
