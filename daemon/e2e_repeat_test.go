//go:build linux

package main

import (
	"strings"
	"sync"
	"testing"

	"leadstream/sinks/sim/fault"
	"leadstream/sinks/sim/portal"
	"leadstream/streams"
	"leadstream/streams/streamstest"
)

// events is what of a kind the portal did.
func (i *instance) events(kind string) []portal.Event {
	var found []portal.Event
	for _, e := range i.crm.Ledger() {
		if e.Kind == kind {
			found = append(found, e)
		}
	}
	return found
}

func TestSameRequestIsOneLead(t *testing.T) {
	t.Parallel()
	server := streamstest.Redis(t)
	i := newInstance(t, setup{Redis: "unix://" + server.Addr})
	l := i.ledger()
	first := l.one()
	bare := l.must(&request{phone: "+79998880001", body: bodyOf("+79998880001", "no key")})
	again := func(when string) {
		t.Helper()
		for _, r := range []*request{first, bare} {
			if got := l.must(&request{key: r.key, phone: r.phone, body: r.body}); got.id != r.id || !got.duplicate {
				t.Errorf("%s: the same request is lead %s, duplicate %v; want %s, true", when, got.id, got.duplicate, r.id)
			}
		}
	}
	again("at once")
	i.quiet()
	again("after its delivery")
	i.kill()
	i.start()
	again("after kill -9")
	i.quiet()
	server.Flush()
	again("after FLUSHALL")
	if code, _ := i.terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	server.Flush()
	i.start()
	again("after a restart and FLUSHALL")
	i.quiet()

	other := l.must(&request{key: first.key, phone: "+79998880002", body: bodyOf("+79998880002", "same key, other body")})
	if other.id == first.id || other.duplicate {
		t.Error("another body under a known key has swallowed a lead")
	}
	if n := i.metric(`leadstream_intake_mapping_errors_total{source="site"}`); n != 1 {
		t.Errorf("%v conflicting keys counted, want 1", n)
	}
	l.settled()
}

func TestSameRequestAtTheSameTimeIsOneLead(t *testing.T) {
	t.Parallel()
	i := newInstance(t, setup{})
	misbehaves(i)
	l := i.ledger()
	const customers, copies = 60, 8
	var wg sync.WaitGroup
	sent := make([][copies]*request, customers)
	for c := range sent {
		first := l.customer()
		if c%2 == 0 {
			first.key = "" // the body alone tells
		}
		for n := range copies {
			wg.Go(func() { sent[c][n] = l.send(&request{key: first.key, phone: first.phone, body: first.body}) })
		}
	}
	wg.Wait()
	i.crm.Clear()
	for _, same := range sent {
		fresh := 0
		for _, r := range same {
			if r.fate != acked || r.id != same[0].id {
				t.Errorf("%s %s: %v; want acked %s", r.fate, r.id, r.err, same[0].id)
			}
			if !r.duplicate {
				fresh++
			}
		}
		if fresh != 1 {
			t.Errorf("%d of %d copies were told to be new, want 1", fresh, copies)
		}
	}
	l.settled()
}

func TestRepeatedCustomerIsOneCard(t *testing.T) {
	t.Parallel()
	i := newInstance(t, setup{})
	l := i.ledger()
	first := l.one()
	i.quiet()
	repeat := l.must(&request{key: "other", phone: first.phone, body: bodyOf(first.phone, "and one more thing")})
	i.quiet()
	if life := i.life(repeat.id); life.State != streams.Merged || life.RepeatOf != first.id {
		t.Errorf("a repeat is %s of %q, want merged of %q", life.State, life.RepeatOf, first.id)
	}
	comments := i.events("comment")
	if len(comments) != 1 || !strings.Contains(asText(comments[0].Payload), "and one more thing") {
		t.Errorf("comments %v, want one with what the repeat says", comments)
	}
	l.verify(i.cards(), i.crm.Duplicates())

	// A dead lead must not swallow its customer's next message.
	i.crm.Inject(fault.Fault{Code: "CRM_FIELD_ERROR_VALUE_NOT_VALID", Description: "Invalid value"})
	dead := l.one()
	i.eventually("the lead is dead", func() bool { return i.life(dead.id).State == streams.Dead })
	i.crm.Clear()
	fresh := l.must(&request{key: "fresh", phone: dead.phone, body: bodyOf(dead.phone, "are you there?")})
	i.quiet()
	if life := i.life(fresh.id); life.State != streams.Delivered || len(i.crm.Created(fresh.id)) != 1 {
		t.Errorf("a dead lead's repeat is %s and has the cards %v, want a card of its own", life.State, i.crm.Created(fresh.id))
	}
}
