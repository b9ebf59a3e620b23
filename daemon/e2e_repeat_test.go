//go:build linux

package main

import (
	"strings"
	"sync"
	"testing"

	"leadstream/daemon/proof"
	"leadstream/sinks/sim/fault"
	"leadstream/streams"
	"leadstream/streams/streamstest"
)

func TestSameRequestIsOneLead(t *testing.T) {
	t.Parallel()
	server := streamstest.Redis(t)
	i := newInstance(t, proof.Setup{Redis: "unix://" + server.Addr})
	l := i.ledger()
	first := l.one()
	bare := l.must(l.says("", "+79998880001"))
	again := func(when string) {
		t.Helper()
		for _, r := range []*proof.Request{first, bare} {
			if got := l.must(repeat(r)); got.LeadID != r.LeadID || !got.Duplicate {
				t.Errorf("%s: the same request is lead %s, duplicate %v; want %s, true", when, got.LeadID, got.Duplicate, r.LeadID)
			}
		}
	}
	again("at once")
	i.quiet()
	again("after its delivery")
	i.Kill()
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

	other := l.must(l.says(first.Key, "+79998880002"))
	if other.LeadID == first.LeadID || other.Duplicate {
		t.Error("another body under a known key has swallowed a lead")
	}
	if n := i.metric(`leadstream_intake_mapping_errors_total{source="site"}`); n != 1 {
		t.Errorf("%v conflicting keys counted, want 1", n)
	}
	l.settled()
}

func TestSameRequestAtTheSameTimeIsOneLead(t *testing.T) {
	t.Parallel()
	i := newInstance(t, proof.Setup{})
	misbehaves(i)
	l := i.ledger()
	const customers, copies = 60, 8
	var wg sync.WaitGroup
	sent := make([][copies]*proof.Request, customers)
	for c := range sent {
		first := l.Customer()
		if c%2 == 0 {
			first.Key = "" // the body alone tells
		}
		for n := range copies {
			wg.Go(func() { sent[c][n] = l.send(repeat(first)) })
		}
	}
	wg.Wait()
	i.CRM.Clear()
	for _, same := range sent {
		fresh := 0
		for _, r := range same {
			if r.Fate != proof.Acked || r.LeadID != same[0].LeadID {
				t.Errorf("%s %s: %v; want acked %s", r.Fate, r.LeadID, r.Err, same[0].LeadID)
			}
			if !r.Duplicate {
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
	i := newInstance(t, proof.Setup{})
	l := i.ledger()
	first := l.one()
	i.quiet()
	further := l.must(l.says("other", first.Phone))
	i.quiet()
	if life := i.life(further.LeadID); life.State != streams.Merged || life.RepeatOf != first.LeadID {
		t.Errorf("a repeat is %s of %q, want merged of %q", life.State, life.RepeatOf, first.LeadID)
	}
	comments := i.events("comment")
	wish, _, _ := strings.Cut(further.Text, ":")
	if len(comments) != 1 || !strings.Contains(asText(comments[0].Payload), wish) {
		t.Errorf("comments %v, want one with what the repeat says", comments)
	}
	l.verify()

	// A dead lead must not swallow its customer's next message.
	i.CRM.Inject(fault.Fault{Code: "CRM_FIELD_ERROR_VALUE_NOT_VALID", Description: "Invalid value"})
	dead := l.one()
	i.eventually("the lead is dead", func() bool { return i.life(dead.LeadID).State == streams.Dead })
	i.CRM.Clear()
	fresh := l.must(l.says("fresh", dead.Phone))
	i.quiet()
	if life := i.life(fresh.LeadID); life.State != streams.Delivered || len(i.CRM.Created(fresh.LeadID)) != 1 {
		t.Errorf("a dead lead's repeat is %s and has the cards %v, want a card of its own", life.State, i.CRM.Created(fresh.LeadID))
	}
}
