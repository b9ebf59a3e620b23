//go:build linux

package main

import (
	"context"
	"time"

	"leadstream/sinks/sim/fault"
)

// portalDay is one way for the portal to fail, half of its calls.
type portalDay struct {
	what string
	fault.Fault
}

var portalDays = []portalDay{
	{"503", fault.Fault{Status: 503}},
	{"503, Retry-After: 1", fault.Fault{Status: 503, RetryAfter: "1"}},
	{"429, Retry-After: 1", fault.Fault{Status: 429, RetryAfter: "1"}},
	{"503 QUERY_LIMIT_EXCEEDED", fault.Fault{Code: "QUERY_LIMIT_EXCEEDED"}},
	{"500", fault.Fault{Code: "INTERNAL_SERVER_ERROR"}},
	{"502, the work done", fault.Fault{Status: 502, After: true}},
	{"the answer lost", fault.Fault{LoseAnswer: true}},
	{"reset", fault.Fault{Reset: true}},
	{"reset, the work done", fault.Fault{Reset: true, After: true}},
	{"cut off within the answer", fault.Fault{CutAfter: 20}},
	{"slow", fault.Fault{Delay: 300 * time.Millisecond}},
	{"slow, the work done", fault.Fault{Delay: 300 * time.Millisecond, After: true}},
	{"finished late", fault.Fault{FinishLate: 850 * time.Millisecond}},
	{"a login page", fault.Fault{HTML200: true}},
	{"200 without a body", fault.Fault{Empty: true}},
}

// faults is what becomes of the portal's calls.
func (d portalDay) faults() []fault.Fault {
	d.Probability = 0.5
	return []fault.Fault{d.Fault}
}

// deliveries are the moments from which on the portal has a say.
var deliveries = []string{"call.", "bitrix24.", "retry.", "order."}

// portalFaults kills the daemon so many times, at every moment of a delivery, in turn on every kind of bad day.
func portalFaults(ctx context.Context, b *bench, t *table, rounds int) error {
	ms := at(at(moments(), deliveries...), b.point)
	var names []string
	for _, m := range ms {
		names = append(names, string(m.point))
	}
	var jobs []func(context.Context) error
	for _, d := range portalDays {
		t.want(d.what, names...)
		for n := max(rounds/len(portalDays), len(ms)); n > 0; n -= perWorld {
			tr := trial{what: d.what, day: d.faults(), moments: ms, kills: min(n, perWorld)}
			jobs = append(jobs, func(ctx context.Context) error { return b.try(ctx, t, tr) })
		}
	}
	return b.each(ctx, jobs)
}
