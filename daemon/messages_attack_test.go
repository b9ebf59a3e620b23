package main

import (
	"context"
	"encoding/json"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"leadstream/processors/dialogue"
	"leadstream/processors/messenger"
	"leadstream/sinks/records"
	"leadstream/streams"
	"leadstream/streams/outbound"
)

// TestSaidToWaitIsNotLost has a service put a message off for longer than it may take to deliver: there is no other channel.
func TestSaidToWaitIsNotLost(t *testing.T) {
	var open atomic.Bool
	tg := &wire{answer: func(_ int, w outbound.Words) outbound.Tried {
		if open.Load() {
			return accepted(w)
		}
		return outbound.Tried{Verdict: streams.Verdict{Result: streams.Wait, After: time.Second, Code: "429"}}
	}}
	p := newPost(t, wayOf("telegram", tg))
	id := p.heard(enquiry("telegram"))
	waits := func(after int) {
		p.until(id, "put off", func(m outbound.Message) bool {
			return len(tg.calls()) > after && len(m.Steps) == 1 && m.Steps[0].State != outbound.Calling
		})
	}
	waits(0)
	n := len(tg.calls())
	p.pass(2 * time.Minute)
	waits(n)
	open.Store(true)
	p.pass(2 * time.Second)
	p.until(id, "done", in(outbound.Done))
}

// mute is a wire that tells only when it is asked, and then never.
type mute struct {
	*wire
	begun chan struct{}
}

func (a mute) Ask(ctx context.Context, _, _ string) (outbound.StepState, string, error) {
	select {
	case a.begun <- struct{}{}:
	default:
	}
	<-ctx.Done()
	return "", "", ctx.Err()
}

func TestAQuestionHoldsNobodyUp(t *testing.T) {
	tg, silent := &wire{}, mute{&wire{}, make(chan struct{}, 1)}
	slow := wayOf("sms", silent.wire, tells, func(c *messenger.Channel) {
		c.Main.Carrier, c.Timeout = silent, time.Minute
	})
	p := newPost(t, wayOf("telegram", tg), slow)
	p.heard(enquiry("sms"))
	for end := time.Now().Add(patience); len(silent.calls()) == 0 && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
	}
	p.pass(4 * time.Second)
	for begun := false; !begun; {
		select {
		case <-silent.begun:
			begun = true
		case <-time.After(100 * time.Millisecond):
			p.pass(time.Second)
		}
	}
	other := enquiry("telegram")
	other.UserID, other.Phone = "8", "+79990000012"
	p.until(p.heard(other), "done", in(outbound.Done))
}

// odd is a store that goes wrong as a test says.
type odd struct {
	*records.Sink
	away   atomic.Bool  // what services have taken is not written
	panics atomic.Int64 // of this card nothing is read
}

func (o *odd) Change(ctx context.Context, all []outbound.Change) ([]bool, error) {
	for _, c := range all {
		if o.away.Load() && c.Step != nil && c.Step.State == outbound.Accepted {
			return nil, errors.New("away")
		}
	}
	return o.Sink.Change(ctx, all)
}

func (o *odd) Customer(ctx context.Context, card int64) (outbound.Customer, error) {
	if card == o.panics.Load() {
		panic("a card")
	}
	return o.Sink.Customer(ctx, card)
}

func newOddPost(t *testing.T, channels ...*messenger.Channel) (*post, *odd) {
	p := newPost(t, channels...)
	p.stop()
	store := &odd{Sink: p.store}
	p.m = p.messenger(channels...)
	p.m.Store = store
	p.run()
	return p, store
}

// TestResultAfterAnOutage has the records come back when a call counts as one that was never heard of again: what it has brought is
// kept, so that the service's news of it are understood.
func TestResultAfterAnOutage(t *testing.T) {
	wa, sms := &wire{wait: make(chan struct{})}, &wire{}
	p, store := newOddPost(t, wayOf("whatsapp", wa, tells), wayOf("sms", sms, byPhone))
	store.away.Store(true)
	id := p.heard(enquiry("whatsapp"))
	p.until(id, "in the call", func(m outbound.Message) bool { return len(m.Steps) == 1 })
	p.pass(time.Minute)
	p.until(id, "unsure", func(m outbound.Message) bool { return m.Steps[0].State == outbound.Unsure })
	close(wa.wait)
	store.away.Store(false)
	m := p.until(id, "accepted", func(m outbound.Message) bool { return m.Steps[0].State == outbound.Accepted })
	if err := p.status("whatsapp", m.Steps[0].Remote, "delivered", ""); err != nil {
		t.Fatal(err)
	}
	p.until(id, "done", in(outbound.Done))
	p.pass(time.Hour)
	p.stop()
	if len(wa.calls()) != 1 || len(sms.calls()) != 0 {
		t.Errorf("%d by WhatsApp, %d by SMS", len(wa.calls()), len(sms.calls()))
	}
}

// TestUnsureUnderAKeyStays has a channel that knows keys give no answer and then not work: no other one brings the message.
func TestUnsureUnderAKeyStays(t *testing.T) {
	vk, sms := &wire{answer: func(int, outbound.Words) outbound.Tried {
		return outbound.Tried{Verdict: streams.Verdict{Result: streams.Ambiguous, Code: "timeout", Fault: true}}
	}}, &wire{}
	p := newPost(t, wayOf("vk", vk, func(c *messenger.Channel) {
		c.Keyed = true
		c.Main.Guard = streams.NewDestination(streams.DestinationConfig{Name: "vk", Breaker: streams.Breaker{Failures: 1, Delay: 30 * time.Minute, MaxDelay: 30 * time.Minute}}, nil, "test", time.Now)
	}), wayOf("sms", sms, byPhone))
	id := p.heard(enquiry("vk"))
	p.until(id, "unsure", func(m outbound.Message) bool { return len(m.Steps) == 1 && m.Steps[0].Tries == 1 })
	p.pass(2 * time.Minute)
	p.until(id, "held", func(m outbound.Message) bool { return m.State == outbound.Waiting && m.Reason == "channel_down" })
	p.stop()
	if n := len(sms.calls()); n != 0 {
		t.Errorf("%d by SMS", n)
	}
}

func (p *post) due(card int64, about, template string, purpose outbound.Purpose) outbound.Message {
	p.t.Helper()
	now := p.m.Clock()
	m := outbound.Message{ID: outbound.ID(about, template), Customer: card, Cause: about, Purpose: purpose, Template: template, Language: "ru", About: about,
		Values: json.RawMessage(`{"Coupon":"A10"}`), MadeAt: now, Due: now, Deadline: now.Add(24 * time.Hour), State: outbound.Waiting}
	if err := p.store.AddMessages(p.t.Context(), []outbound.Message{m}); err != nil {
		p.t.Fatal(err)
	}
	return m
}

func TestOneMessageStopsNoOther(t *testing.T) {
	tg := &wire{}
	p, store := newOddPost(t, wayOf("telegram", tg))
	store.panics.Store(998)
	p.due(998, "panics", "person", outbound.Answer)
	p.due(999, "unknown", "person", outbound.Answer)
	p.until(p.heard(enquiry("telegram")), "done", in(outbound.Done))
	for _, about := range []string{"panics", "unknown"} {
		p.until(about, "failed", in(outbound.Failed))
	}
}

func (p *post) card() int64 {
	p.t.Helper()
	cards, err := p.store.Find(p.t.Context(), "+79990000011", 2)
	if err != nil || len(cards) != 1 {
		p.t.Fatal(cards, err)
	}
	return cards[0].ID
}

// TestPromotionStaysInItsChannel has the customer block the channel in which a promotion waits.
func TestPromotionStaysInItsChannel(t *testing.T) {
	tg, sms := &wire{answer: func(int, outbound.Words) outbound.Tried {
		return outbound.Tried{Verdict: streams.Verdict{Result: streams.Wait, After: 20 * time.Second, Code: "429"}}
	}}, &wire{}
	p := newPost(t, wayOf("telegram", tg), wayOf("sms", sms, byPhone))
	p.m.Talk = nil
	p.heard(enquiry("telegram"))
	card := p.card()
	if err := p.store.AddConsent(t.Context(), card, records.Consent{Key: "k", At: p.m.Clock().Add(-time.Hour), Purpose: "marketing", Given: true, How: "form"}); err != nil {
		t.Fatal(err)
	}
	p.due(card, "promo", "coupon", outbound.Promotion)
	p.m.Wake()
	p.until("promo", "put off", func(m outbound.Message) bool { return len(m.Steps) == 1 && m.Steps[0].State == outbound.Again })
	p.pass(time.Second)
	p.heard(streams.Lead{Channel: "telegram", UserID: "7", Event: "blocked"})
	p.pass(30 * time.Second)
	p.until("promo", "failed", in(outbound.Failed))
	p.stop()
	if n := len(sms.calls()); n != 0 {
		t.Errorf("%d by SMS", n)
	}
}

// TestTwoDaemonsOneCustomer has two daemons decide upon two messages to one customer at a time: neither has known of the other's.
func TestTwoDaemonsOneCustomer(t *testing.T) {
	p := newPost(t, wayOf("telegram", &wire{}))
	p.m.Talk = nil
	p.heard(enquiry("telegram"))
	p.stop()
	card, now := p.card(), p.m.Clock()
	claim := func(m outbound.Message, s outbound.StepState) bool {
		t.Helper()
		c := outbound.Change{Message: m, State: outbound.Sending, Due: now.Add(time.Minute), Step: &outbound.Step{N: 1, Channel: "telegram", Address: "7", State: outbound.Calling, At: now}}
		if s != outbound.Calling {
			c.Message.State, c.Message.Due, c.State, c.Due, c.Step.State, c.Step.SentAt = c.State, c.Due, outbound.Done, now, s, now
		}
		done, err := p.store.Change(t.Context(), []outbound.Change{c})
		if err != nil {
			t.Fatal(err)
		}
		return done[0]
	}
	one, other := p.due(card, "one", "person", outbound.Answer), p.due(card, "other", "person", outbound.Answer)
	if !claim(one, outbound.Calling) || claim(other, outbound.Calling) {
		t.Error("both daemons call")
	}
	if !claim(one, outbound.Accepted) || claim(other, outbound.Calling) {
		t.Error("the second decision does not know of the message that was sent")
	}
	now = now.Add(time.Second)
	if !claim(other, outbound.Calling) {
		t.Error("the second one is held for ever")
	}
}

func TestAnswersGoFirst(t *testing.T) {
	p := newPost(t, wayOf("telegram", &wire{}))
	p.stop()
	p.due(1, "promo", "coupon", outbound.Promotion)
	p.due(1, "notice", "person", outbound.Notice)
	p.due(1, "answer", "person", outbound.Answer)
	due, _, err := p.store.DueMessages(t.Context(), p.m.Clock().Add(time.Second), 2)
	if err != nil || len(due) != 2 || due[0].About != "answer" || due[1].About != "notice" {
		t.Errorf("%+v %v", due, err)
	}
}

// dumb has no answer, ever.
type dumb struct{}

func (dumb) Answer(context.Context, dialogue.Turn) (dialogue.Reply, error) {
	return dialogue.Reply{}, errors.New("the calendar does not answer")
}

// TestNoAnswerHoldsNoLead has a dialogue fail: what the customer writes next waits for it, but not for ever.
func TestNoAnswerHoldsNoLead(t *testing.T) {
	p := newPost(t, wayOf("telegram", &wire{}))
	p.m.Talk = dumb{}
	l := enquiry("telegram")
	l.ID, l.ReceivedAt = streams.NewID("held"), p.m.Clock().UTC()
	if _, err := p.hear(l); err == nil {
		t.Fatal("nothing was answered, and nothing says so")
	}
	p.pass(4 * time.Minute)
	if _, err := p.hear(l); err != nil {
		t.Errorf("the lead waits still: %v", err)
	}
	now := p.m.Clock()
	if open, err := p.store.Unanswered(t.Context(), now.Add(-time.Hour), now, 5); err != nil || open.Count != 1 {
		t.Errorf("no person is told: %+v %v", open, err)
	}
}
