package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"leadstream/processors/dialogue"
	"leadstream/processors/messenger"
	"leadstream/processors/policy"
	"leadstream/processors/templates"
	"leadstream/sinks"
	"leadstream/sinks/records"
	"leadstream/streams"
	"leadstream/streams/outbound"
	"leadstream/streams/visits"
)

// wire is a channel whose service answers as a test says.
type wire struct {
	mu     sync.Mutex
	sent   []call
	answer func(n int, w outbound.Words) outbound.Tried // of the n-th call, from 1
	wait   chan struct{}                                // nil: the call does not wait
	ill    atomic.Bool                                  // its check fails
}

type call struct {
	to string
	w  outbound.Words
}

func (c *wire) Send(ctx context.Context, to string, w outbound.Words) outbound.Tried {
	c.mu.Lock()
	c.sent = append(c.sent, call{to, w})
	n, wait := len(c.sent), c.wait
	c.mu.Unlock()
	if wait != nil {
		select {
		case <-wait:
		case <-ctx.Done():
			return outbound.Tried{Verdict: streams.Verdict{Result: streams.Ambiguous, Err: ctx.Err()}}
		}
	}
	if c.answer == nil {
		return accepted(w)
	}
	return c.answer(n, w)
}

func accepted(w outbound.Words) outbound.Tried {
	return outbound.Tried{Verdict: streams.Verdict{Remote: "remote-" + w.ID}}
}

func refuse(r streams.Result, code string, means outbound.Means) func(int, outbound.Words) outbound.Tried {
	return func(int, outbound.Words) outbound.Tried {
		return outbound.Tried{Verdict: streams.Verdict{Result: r, Code: code}, Means: means}
	}
}

func (c *wire) Check(context.Context) error {
	if c.ill.Load() {
		return errors.New("the service does not answer")
	}
	return nil
}

func (c *wire) calls() []call {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.sent)
}

// patience is for what is waited for on a busy machine.
const patience = time.Minute

// says answers every enquiry with one text.
type says struct{ template string }

func (s says) Answer(_ context.Context, t dialogue.Turn) (dialogue.Reply, error) {
	return dialogue.Reply{Say: []dialogue.Say{{Template: s.template}}, State: json.RawMessage(`{"n":1}`)}, nil
}

// post is a messenger on real records, with its clock in the test's hand.
type post struct {
	t     *testing.T
	store *records.Sink
	m     *messenger.Messenger
	ahead atomic.Int64
	stop  func()
	mu    sync.Mutex
	news  []*streams.Lead

	checks time.Duration // of the servers
}

func newPost(t *testing.T, channels ...*messenger.Channel) *post {
	t.Helper()
	settings := records.Defaults()
	sink, err := records.Kind.Open(&settings, sinks.Env{DataDir: t.TempDir(), Zone: time.UTC, Region: "RU", Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	p := &post{t: t, store: sink.(*records.Sink), checks: 20 * time.Millisecond}
	t.Cleanup(func() { p.store.Close() })
	p.m = p.messenger(channels...)
	p.run()
	return p
}

func (p *post) messenger(channels ...*messenger.Channel) *messenger.Messenger {
	texts, err := templates.Load(templates.Settings{}, time.UTC)
	if err != nil {
		p.t.Fatal(err)
	}
	set := policy.Defaults()
	set.QuietFrom, set.QuietUntil, set.PromotionAt = "", "", nil // tests run at night, too
	m := &messenger.Messenger{Store: p.store, Channels: channels, Texts: texts, Policy: set, Talk: says{"person"}, Unknown: records.ErrUnknown,
		Language: "ru", Zone: time.UTC, Answer: time.Hour, Log: zerolog.New(zerolog.NewTestWriter(p.t)),
		Clock: func() time.Time { return time.Now().Add(time.Duration(p.ahead.Load())) },
		Tell: func(_ context.Context, l *streams.Lead) error {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.news = append(p.news, l)
			return nil
		}}
	m.Init()
	return m
}

func (p *post) run() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	m := p.m
	go func() { done <- m.Run(ctx, p.checks) }()
	var once sync.Once
	stop := func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				p.t.Error(err)
			}
		})
	}
	p.stop = stop
	p.t.Cleanup(stop)
}

func (p *post) pass(d time.Duration) {
	p.ahead.Add(int64(d))
	p.m.Wake()
}

// wayOf is a channel that a test can do with.
func wayOf(name string, w *wire, change ...func(*messenger.Channel)) *messenger.Channel {
	c := &messenger.Channel{Name: name, Leads: name, Address: "user", Success: outbound.Accepted, Fallback: time.Minute,
		Timeout: 10 * time.Second, Main: &messenger.Server{Carrier: w, Guard: streams.NewDestination(streams.DestinationConfig{Name: name, Concurrency: 8,
			Breaker: streams.Breaker{Failures: 1000}}, nil, "test", time.Now)}}
	for _, f := range change {
		f(c)
	}
	return c
}

func tells(c *messenger.Channel) { c.Sure, c.Success = true, outbound.Delivered }
func byPhone(c *messenger.Channel) {
	c.Address, c.First, c.Short = "phone", true, true
}

var leads atomic.Int64

// hear is a lead that has come, on the records and in the messenger.
func (p *post) hear(l streams.Lead) (id string, err error) {
	p.t.Helper()
	if l.ID == "" {
		l.ID = streams.NewID("test", fmt.Sprint(leads.Add(1)))
	}
	if l.ReceivedAt.IsZero() {
		l.ReceivedAt = p.m.Clock().UTC()
	}
	cards, err := p.store.Write(p.t.Context(), time.UTC, []*streams.Lead{&l})
	if err != nil {
		p.t.Fatal(err)
	}
	return l.ID, p.m.Hear(p.t.Context(), []messenger.Letter{{Lead: &l, Card: cards[0]}})[0]
}

func (p *post) heard(l streams.Lead) string {
	p.t.Helper()
	id, err := p.hear(l)
	if err != nil {
		p.t.Fatal(err)
	}
	return id
}

// until waits for the one message that answers a lead to be as the test wants it.
func (p *post) until(lead, what string, ok func(outbound.Message) bool) outbound.Message {
	p.t.Helper()
	var last []outbound.Message
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		var err error
		if last, err = p.store.MessagesAbout(p.t.Context(), lead); err != nil {
			p.t.Fatal(err)
		}
		if len(last) == 1 && ok(last[0]) {
			return last[0]
		}
	}
	p.t.Fatalf("no message that is %s: %+v", what, last)
	return outbound.Message{}
}

func in(s outbound.State) func(outbound.Message) bool {
	return func(m outbound.Message) bool { return m.State == s }
}

func (p *post) status(channel, remote, event, code string) error {
	fields := map[string]json.RawMessage{"message_id": json.RawMessage(fmt.Sprintf("%q", remote))}
	if code != "" {
		fields["code"] = json.RawMessage(fmt.Sprintf("%q", code))
	}
	_, err := p.hear(streams.Lead{Channel: channel, UserID: "7", Event: event, Fields: fields, Key: remote + event})
	return err
}

func enquiry(channel string) streams.Lead {
	return streams.Lead{Channel: channel, UserID: "7", Phone: "+79990000011", Name: "Анна", Message: "Здравствуйте", Language: "ru"}
}

func TestAnsweredWhereTheyWrote(t *testing.T) {
	tg, sms := &wire{}, &wire{}
	p := newPost(t, wayOf("sms", sms, byPhone), wayOf("telegram", tg))
	id := p.heard(enquiry("telegram"))
	m := p.until(id, "done", in(outbound.Done))
	if n := len(tg.calls()); n != 1 || len(sms.calls()) != 0 {
		t.Fatalf("%d by Telegram, %d by SMS", n, len(sms.calls()))
	}
	if m.Steps[0].Channel != "telegram" || m.Steps[0].Address != "7" || m.Steps[0].Remote == "" {
		t.Errorf("%+v", m.Steps)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.news) != 1 || p.news[0].Event != "sent" || p.news[0].UserID != "7" || p.news[0].Message == "" || p.news[0].About != id {
		t.Errorf("the history hears %+v", p.news)
	}
}

func TestNextChannelWhenNothingIsDelivered(t *testing.T) {
	wa, sms := &wire{}, &wire{}
	p := newPost(t, wayOf("whatsapp", wa, tells), wayOf("sms", sms, byPhone))
	id := p.heard(enquiry("whatsapp"))
	m := p.until(id, "on its way", in(outbound.Sending))
	p.pass(50 * time.Second)
	if n := len(sms.calls()); n != 0 {
		t.Fatalf("%d by SMS before its time", n)
	}
	p.pass(time.Minute)
	m = p.until(id, "done", in(outbound.Done))
	if len(wa.calls()) != 1 || len(sms.calls()) != 1 || len(m.Steps) != 2 {
		t.Fatalf("%d by WhatsApp, %d by SMS: %+v", len(wa.calls()), len(sms.calls()), m.Steps)
	}
	if to := sms.calls()[0].to; to != "+79990000011" {
		t.Errorf("to %q", to)
	}
}

func TestDeliveredInTimeNeedsNoOther(t *testing.T) {
	wa, sms := &wire{}, &wire{}
	p := newPost(t, wayOf("whatsapp", wa, tells), wayOf("sms", sms, byPhone))
	id := p.heard(enquiry("whatsapp"))
	m := p.until(id, "on its way", func(m outbound.Message) bool { return len(m.Steps) == 1 && m.Steps[0].State == outbound.Accepted })
	for _, event := range []string{"read", "sent", "read", "delivered"} { // out of their order, and twice
		if err := p.status("whatsapp", m.Steps[0].Remote, event, ""); err != nil {
			t.Fatal(err)
		}
	}
	m = p.until(id, "done", in(outbound.Done))
	if m.Steps[0].State != outbound.Read {
		t.Errorf("%+v", m.Steps)
	}
	p.pass(time.Hour)
	if err := p.status("whatsapp", "nobody-knows-it", "delivered", ""); err != nil {
		t.Errorf("a status of an unknown message: %v", err)
	}
	p.stop()
	if len(wa.calls()) != 1 || len(sms.calls()) != 0 {
		t.Errorf("%d by WhatsApp, %d by SMS", len(wa.calls()), len(sms.calls()))
	}
}

func TestLateDeliveryEndsIt(t *testing.T) {
	wa, max, sms := &wire{}, &wire{}, &wire{}
	p := newPost(t, wayOf("whatsapp", wa, tells), wayOf("max", max, tells, byPhone), wayOf("sms", sms, byPhone, func(c *messenger.Channel) { c.Cost = 3 }))
	id := p.heard(enquiry("whatsapp"))
	first := p.until(id, "on its way", func(m outbound.Message) bool { return len(m.Steps) == 1 && m.Steps[0].State == outbound.Accepted })
	p.pass(2 * time.Minute)
	p.until(id, "by the second", func(m outbound.Message) bool { return len(m.Steps) == 2 && m.Steps[1].State == outbound.Accepted })
	if err := p.status("whatsapp", first.Steps[0].Remote, "delivered", ""); err != nil {
		t.Fatal(err)
	}
	p.until(id, "done", in(outbound.Done))
	p.pass(time.Hour)
	p.stop()
	if n := len(sms.calls()); n != 0 {
		t.Errorf("%d by SMS after it was delivered", n)
	}
}

func TestDeadRoute(t *testing.T) {
	tg, sms := &wire{answer: refuse(streams.Permanent, "403", outbound.RouteDead)}, &wire{}
	p := newPost(t, wayOf("telegram", tg), wayOf("sms", sms, byPhone))
	p.until(p.heard(enquiry("telegram")), "done", in(outbound.Done))
	if len(tg.calls()) != 1 || len(sms.calls()) != 1 {
		t.Fatalf("%d by Telegram, %d by SMS", len(tg.calls()), len(sms.calls()))
	}
	// A form with the same phone: nobody tries the dead route again.
	p.until(p.heard(streams.Lead{Source: "site", Phone: "+79990000011", Message: "Ещё раз", Language: "ru"}), "done", in(outbound.Done))
	if n := len(tg.calls()); n != 1 {
		t.Errorf("the dead route was tried: %d", n)
	}
	p.pass(time.Second)
	tg.mu.Lock()
	tg.answer = nil
	tg.mu.Unlock()
	p.until(p.heard(enquiry("telegram")), "done", in(outbound.Done)) // the customer has come back
	if n := len(tg.calls()); n != 2 {
		t.Errorf("the route is not alive again: %d", n)
	}
}

func TestTriedThreeTimes(t *testing.T) {
	tg, sms := &wire{answer: refuse(streams.Retry, "500", "")}, &wire{}
	p := newPost(t, wayOf("telegram", tg), wayOf("sms", sms, byPhone))
	id := p.heard(enquiry("telegram"))
	for range 3 {
		p.pass(10 * time.Second)
	}
	m := p.until(id, "done", in(outbound.Done))
	if len(tg.calls()) != 3 || len(sms.calls()) != 1 || m.Steps[0].Code != "500" || m.Steps[0].Tries != 3 {
		t.Errorf("%d by Telegram, %d by SMS: %+v", len(tg.calls()), len(sms.calls()), m.Steps)
	}
}

func TestUnsureIsNotSentTwice(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*messenger.Channel)
		calls  int // of the channel
		sms    int
	}{
		"no key, no word of delivery": {func(*messenger.Channel) {}, 1, 0},
		"a key":                       {func(c *messenger.Channel) { c.Keyed = true }, 3, 0},
		"the service would have told": {tells, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			tg, sms := &wire{answer: refuse(streams.Ambiguous, "timeout", "")}, &wire{}
			p := newPost(t, wayOf("telegram", tg, tc.change), wayOf("sms", sms, byPhone))
			id := p.heard(enquiry("telegram"))
			stop := make(chan struct{})
			go func() {
				for {
					select {
					case <-stop:
						return
					case <-time.After(50 * time.Millisecond):
						p.pass(5 * time.Second)
					}
				}
			}()
			m := p.until(id, "done", in(outbound.Done))
			close(stop)
			p.stop()
			calls := tg.calls()
			if len(calls) != tc.calls || len(sms.calls()) != tc.sms {
				t.Fatalf("%d calls, %d by SMS: %+v", len(calls), len(sms.calls()), m)
			}
			if told := m.Reason == "unsure"; told != (p.m.Failures() == 1) {
				t.Errorf("%d messages are said to have been lost: %+v", p.m.Failures(), m)
			}
			for _, c := range calls {
				if c.w.ID != calls[0].w.ID {
					t.Errorf("another key: %q, %q", c.w.ID, calls[0].w.ID)
				}
			}
		})
	}
}

func TestKilledInTheCall(t *testing.T) {
	tg, sms := &wire{wait: make(chan struct{})}, &wire{}
	p := newPost(t, wayOf("telegram", tg), wayOf("sms", sms, byPhone))
	id := p.heard(enquiry("telegram"))
	p.until(id, "in the call", func(m outbound.Message) bool { return len(m.Steps) == 1 && m.Steps[0].State == outbound.Calling })
	// The daemon is no more, as far as the records know: another one comes to them.
	next := &wire{}
	other := p.messenger(wayOf("telegram", next), wayOf("sms", sms, byPhone))
	first := p.m
	p.m = other
	p.run()
	p.pass(time.Minute)
	p.until(id, "unsure", func(m outbound.Message) bool { return m.Steps[0].State == outbound.Unsure })
	p.pass(3 * time.Minute)
	m := p.until(id, "done", in(outbound.Done))
	if m.Reason != "unsure" || len(next.calls()) != 0 || len(sms.calls()) != 0 {
		t.Errorf("%+v: sent again: %d, %d", m, len(next.calls()), len(sms.calls()))
	}
	close(tg.wait)
	_ = first
}

func TestPromotionTakesNoOtherChannel(t *testing.T) {
	for name, answer := range map[string]func(int, outbound.Words) outbound.Tried{
		"refused": refuse(streams.Permanent, "131026", outbound.Unreachable), "capped": refuse(streams.Permanent, "131049", outbound.NotThis),
		"accepted and never delivered": nil,
	} {
		t.Run(name, func(t *testing.T) {
			wa, sms := &wire{answer: answer}, &wire{}
			p := newPost(t, wayOf("whatsapp", wa, tells), wayOf("sms", sms, byPhone))
			p.m.Talk = nil
			p.heard(enquiry("whatsapp"))
			cards, err := p.store.Find(t.Context(), "+79990000011", 2)
			if err != nil || len(cards) != 1 {
				t.Fatal(cards, err)
			}
			card := cards[0].ID
			now := p.m.Clock()
			if err := p.store.AddConsent(t.Context(), card, records.Consent{Key: "k", At: now.Add(-time.Hour), Purpose: "marketing", Given: true, How: "form"}); err != nil {
				t.Fatal(err)
			}
			msg := outbound.Message{ID: outbound.ID("test", "coupon"), Customer: card, Cause: "test", Purpose: outbound.Promotion, Template: "coupon", Language: "ru", About: "promo",
				Values: json.RawMessage(`{"Coupon":"A10"}`), MadeAt: now, Due: now, Deadline: now.Add(24 * time.Hour), State: outbound.Waiting}
			for range 2 { // made twice, it is one
				if err := p.store.AddMessages(t.Context(), []outbound.Message{msg}); err != nil {
					t.Fatal(err)
				}
			}
			p.m.Wake()
			p.until("promo", "begun", func(m outbound.Message) bool { return m.State != outbound.Waiting })
			p.pass(10 * time.Minute)
			m := p.until("promo", "failed", in(outbound.Failed))
			p.stop()
			if len(wa.calls()) != 1 || len(sms.calls()) != 0 {
				t.Errorf("%d by WhatsApp, %d by SMS: %+v", len(wa.calls()), len(sms.calls()), m)
			}
		})
	}
}

func TestFailedLater(t *testing.T) {
	wa, sms := &wire{}, &wire{}
	later := func(code string) outbound.Means {
		if code == "131026" {
			return outbound.Unreachable
		}
		return outbound.NotThis
	}
	p := newPost(t, wayOf("whatsapp", wa, tells, func(c *messenger.Channel) { c.Later = later }), wayOf("sms", sms, byPhone))
	id := p.heard(enquiry("whatsapp"))
	m := p.until(id, "on its way", func(m outbound.Message) bool { return len(m.Steps) == 1 && m.Steps[0].State == outbound.Accepted })
	for range 2 {
		if err := p.status("whatsapp", m.Steps[0].Remote, "failed", "131026"); err != nil {
			t.Fatal(err)
		}
	}
	m = p.until(id, "done", in(outbound.Done))
	if len(sms.calls()) != 1 || m.Steps[0].State != outbound.NotSent || m.Steps[0].Code != "131026" {
		t.Errorf("%d by SMS: %+v", len(sms.calls()), m.Steps)
	}
}

func TestStatusBeforeTheAnswer(t *testing.T) {
	wa := &wire{wait: make(chan struct{})}
	p := newPost(t, wayOf("whatsapp", wa, tells))
	id := p.heard(enquiry("whatsapp"))
	m := p.until(id, "in the call", func(m outbound.Message) bool { return len(m.Steps) == 1 })
	remote := "remote-" + m.ID + ":1"
	if err := p.status("whatsapp", remote, "delivered", ""); err == nil {
		t.Error("the status of a message whose call has not ended does not wait")
	}
	if err := p.status("whatsapp", remote, "answered", ""); err == nil {
		t.Error("an echo of a message whose call has not ended does not wait")
	}
	close(wa.wait)
	p.until(id, "accepted", func(m outbound.Message) bool { return m.Steps[0].State == outbound.Accepted })
	if err := errors.Join(p.status("whatsapp", remote, "answered", ""), p.status("whatsapp", remote, "delivered", "")); err != nil {
		t.Fatal(err)
	}
	p.until(id, "done", in(outbound.Done))
	// Our own message's echo has silenced nobody.
	p.pass(10 * time.Second)
	p.until(p.heard(enquiry("whatsapp")), "on its way", func(m outbound.Message) bool { return len(m.Steps) == 1 && m.State == outbound.Sending })
}

func TestAPersonStepsIn(t *testing.T) {
	tg := &wire{}
	p := newPost(t, wayOf("telegram", tg))
	p.until(p.heard(enquiry("telegram")), "done", in(outbound.Done))
	p.heard(streams.Lead{Channel: "telegram", UserID: "7", Event: "answered", Message: "Я сама отвечу"})
	id := p.heard(enquiry("telegram"))
	p.pass(11 * time.Hour)
	if all, err := p.store.MessagesAbout(t.Context(), id); err != nil || len(all) != 0 {
		t.Errorf("the program talks over a person: %+v %v", all, err)
	}
	p.pass(2 * time.Hour)
	p.until(p.heard(enquiry("telegram")), "done", in(outbound.Done))
	if n := len(tg.calls()); n != 2 {
		t.Errorf("%d calls", n)
	}
}

func TestNothingCanBeSent(t *testing.T) {
	tg := &wire{}
	p := newPost(t, wayOf("telegram", tg))
	p.m.Talk = says{"cancelled"} // needs a time that nobody knows
	m := p.until(p.heard(enquiry("telegram")), "failed", in(outbound.Failed))
	if m.Reason != "missing_value" {
		t.Errorf("%+v", m)
	}
	p.m.Talk = says{"nothing-of-that-name"}
	if m := p.until(p.heard(enquiry("telegram")), "failed", in(outbound.Failed)); m.Reason != "no_text" {
		t.Errorf("%+v", m)
	}
	p.m.Talk = says{"person"}
	id := p.heard(streams.Lead{Source: "site", Email: "a@example.test", Message: "Здравствуйте"})
	if all, err := p.store.MessagesAbout(t.Context(), id); err != nil || len(all) != 0 {
		t.Errorf("a message to nowhere: %+v %v", all, err)
	}
	if n := len(tg.calls()); n != 0 {
		t.Errorf("%d calls", n)
	}
}

func TestBookingChangedMeanwhile(t *testing.T) {
	tg := &wire{}
	p := newPost(t, wayOf("telegram", tg))
	p.m.Talk = nil
	p.heard(enquiry("telegram"))
	cards, _ := p.store.Find(t.Context(), "+79990000011", 2)
	now := p.m.Clock()
	k, err := p.store.SaveBooking(t.Context(), visits.Booking{ID: "b", Customer: cards[0].ID, Status: visits.Booked, Start: now.Add(time.Hour), End: now.Add(2 * time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	remind := func(version int64, about string) {
		err := p.store.AddMessages(t.Context(), []outbound.Message{{ID: outbound.ID(about, "reminder_hour"), Customer: cards[0].ID, Cause: about, Purpose: outbound.Reminder,
			Template: "reminder_hour", Language: "ru", Values: json.RawMessage(`{"Time":"сегодня в 14:00"}`), Booking: "b", Version: version, About: about, MadeAt: now, Due: now,
			Deadline: k.Start, State: outbound.Waiting}})
		if err != nil {
			t.Fatal(err)
		}
		p.m.Wake()
	}
	remind(k.Version, "as it stands")
	p.until("as it stands", "done", in(outbound.Done))
	old := k.Version
	k.Start, k.End = k.Start.Add(time.Hour), k.End.Add(time.Hour)
	if k, err = p.store.SaveBooking(t.Context(), k); err != nil {
		t.Fatal(err)
	}
	remind(old, "before it was moved")
	if m := p.until("before it was moved", "dropped", in(outbound.Dropped)); m.Reason != "booking_changed" {
		t.Errorf("%+v", m)
	}
	remind(k.Version+7, "of a version that is not")
	p.until("of a version that is not", "dropped", in(outbound.Dropped))
	if n := len(tg.calls()); n != 1 {
		t.Errorf("%d reminders", n)
	}
}

// TestHeardTwice shows every lead again, as a crash before the queue was settled does.
func TestHeardTwice(t *testing.T) {
	tg := &wire{}
	p := newPost(t, wayOf("telegram", tg))
	l := enquiry("telegram")
	l.ID = streams.NewID("again")
	for range 3 {
		p.heard(l)
	}
	p.until(l.ID, "done", in(outbound.Done))
	p.heard(l)
	p.stop()
	if n := len(tg.calls()); n != 1 {
		t.Errorf("%d answers", n)
	}
}

// TestNothingTwice has services answer anything at all, daemons come and go, and news arrive in any order: no message reaches a customer by a
// channel more often than its key permits, and none takes a second channel while the first may have brought it unseen.
func TestNothingTwice(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	dice := rand.New(rand.NewPCG(seed, 1))
	var mu sync.Mutex
	roll := func(n int) int { mu.Lock(); defer mu.Unlock(); return dice.IntN(n) }
	reached := map[string][]string{} // by message: channels that have brought it, or may have
	key := func(words string) string { return words[:len(words)-2] }
	carrier := func(name string, tells bool) *wire {
		return &wire{answer: func(_ int, w outbound.Words) outbound.Tried {
			brings := func() {
				mu.Lock()
				defer mu.Unlock()
				reached[key(w.ID)] = append(reached[key(w.ID)], name)
			}
			switch roll(8) {
			case 0:
				return outbound.Tried{Verdict: streams.Verdict{Result: streams.Retry, Code: "500"}}
			case 1:
				return outbound.Tried{Verdict: streams.Verdict{Result: streams.Wait, After: 100 * time.Millisecond, Code: "429"}}
			case 2:
				if !tells { // a service that tells would have told
					brings()
				}
				return outbound.Tried{Verdict: streams.Verdict{Result: streams.Ambiguous, Code: "timeout"}}
			case 3:
				return outbound.Tried{Verdict: streams.Verdict{Result: streams.Permanent, Code: "400"}, Means: outbound.Unreachable}
			}
			if !tells {
				brings()
			}
			return accepted(w)
		}}
	}
	wa, tg, sms := carrier("whatsapp", true), carrier("telegram", false), carrier("sms", false)
	channels := func() []*messenger.Channel {
		return []*messenger.Channel{wayOf("whatsapp", wa, tells), wayOf("telegram", tg), wayOf("sms", sms, byPhone)}
	}
	p := newPost(t, channels()...)
	var ids []string
	for n := range 60 {
		l := enquiry([]string{"whatsapp", "telegram"}[n%2])
		l.UserID, l.Phone = fmt.Sprint(100+n), fmt.Sprintf("+7999000%04d", n)
		ids = append(ids, p.heard(l))
		p.pass(20 * time.Second)
		if n%10 == 9 { // a daemon ends, another begins
			p.stop()
			p.m = p.messenger(channels()...)
			p.run()
		}
	}
	over := func() (open int) {
		for _, id := range ids {
			all, err := p.store.MessagesAbout(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range all {
				if m.State == outbound.Waiting || m.State == outbound.Sending {
					open++
				}
			}
		}
		return open
	}
	for end := time.Now().Add(2 * time.Minute); over() > 0 && time.Now().Before(end); {
		for ; over() > 0 && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			p.pass(20 * time.Second)
		}
		p.stop() // what comes of a call at the last moment may have a message tried again
		p.m = p.messenger(channels()...)
		p.run()
	}
	p.stop()
	if n := over(); n > 0 {
		t.Errorf("%d messages have come to no end", n)
	}
	mu.Lock()
	defer mu.Unlock()
	for id, by := range reached {
		if len(by) > 1 {
			t.Errorf("message %s came by %v", id, by)
		}
	}
}

// TestBackupServer has a channel's server fall ill and get well: the other one takes over, and gives back.
func TestBackupServer(t *testing.T) {
	main, backup := &wire{}, &wire{}
	p := newPost(t, wayOf("telegram", main, func(c *messenger.Channel) {
		c.Backup = &messenger.Server{Carrier: backup, Guard: streams.NewDestination(streams.DestinationConfig{Name: "backup"}, nil, "test", time.Now)}
	}))
	on := func(backup bool) {
		t.Helper()
		for end := time.Now().Add(patience); p.m.Health(t.Context())[0].Backup != backup; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("the backup server is not used: %v", backup)
			}
		}
	}
	ask := func() {
		t.Helper()
		p.pass(10 * time.Second)
		p.until(p.heard(enquiry("telegram")), "done", in(outbound.Done))
	}
	ask()
	main.ill.Store(true)
	on(true)
	ask()
	main.ill.Store(false)
	on(false)
	ask()
	if len(main.calls()) != 2 || len(backup.calls()) != 1 {
		t.Errorf("%d by the main server, %d by the backup", len(main.calls()), len(backup.calls()))
	}
}

// TestBrokenServer has a channel's server refuse: its breaker opens, and the backup server carries on without anybody's check.
func TestBrokenServer(t *testing.T) {
	main, backup := &wire{answer: func(int, outbound.Words) outbound.Tried {
		return outbound.Tried{Verdict: streams.Verdict{Result: streams.Retry, Code: "502", Fault: true}}
	}}, &wire{}
	p := newPost(t, wayOf("telegram", main, func(c *messenger.Channel) {
		c.Main.Guard = streams.NewDestination(streams.DestinationConfig{Name: "main", Breaker: streams.Breaker{Failures: 2}}, nil, "test", time.Now)
		c.Backup = &messenger.Server{Carrier: backup, Guard: streams.NewDestination(streams.DestinationConfig{Name: "backup"}, nil, "test", time.Now)}
	}))
	id := p.heard(enquiry("telegram"))
	for range 3 {
		p.pass(10 * time.Second)
	}
	p.until(id, "done", in(outbound.Done))
	if len(main.calls()) != 2 || len(backup.calls()) != 1 {
		t.Errorf("%d by the main server, %d by the backup", len(main.calls()), len(backup.calls()))
	}
}

// TestTemplateOutsideTheWindow writes to a customer who was silent for two days: only the approved template goes, and where there is none the
// next channel does.
func TestTemplateOutsideTheWindow(t *testing.T) {
	for name, tc := range map[string]struct {
		templates map[string]messenger.Approved
		wa, sms   int
	}{
		"approved":     {map[string]messenger.Approved{"reminder_day.ru": {Name: "visit", Parameters: []string{"FirstName", "Time"}}}, 1, 0},
		"none":         {nil, 0, 1},
		"not its data": {map[string]messenger.Approved{"reminder_day.ru": {Name: "visit", Parameters: []string{"Coupon"}}}, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			wa, sms := &wire{}, &wire{}
			p := newPost(t, wayOf("whatsapp", wa, func(c *messenger.Channel) {
				c.Window, c.Template, c.Approved = 24*time.Hour, true, tc.templates
			}), wayOf("sms", sms, byPhone, func(c *messenger.Channel) { c.Cost = 4 }))
			p.m.Talk = nil
			p.heard(enquiry("whatsapp"))
			cards, _ := p.store.Find(t.Context(), "+79990000011", 2)
			p.pass(48 * time.Hour)
			now := p.m.Clock()
			err := p.store.AddMessages(t.Context(), []outbound.Message{{ID: outbound.ID("w", "reminder_day"), Customer: cards[0].ID, Cause: "w", Purpose: outbound.Reminder,
				Template: "reminder_day", Language: "ru", Values: json.RawMessage(`{"Time":"завтра в 14:00"}`), About: "w", MadeAt: now, Due: now,
				Deadline: now.Add(time.Hour), State: outbound.Waiting}})
			if err != nil {
				t.Fatal(err)
			}
			p.m.Wake()
			p.until("w", "done", in(outbound.Done))
			if len(wa.calls()) != tc.wa || len(sms.calls()) != tc.sms {
				t.Fatalf("%d by WhatsApp, %d by SMS", len(wa.calls()), len(sms.calls()))
			}
			if tc.wa == 1 {
				if a := wa.calls()[0].w.Approved; a == nil || a.Name != "visit" || !slices.Equal(a.Parameters, []string{"Анна", "завтра в 14:00"}) {
					t.Errorf("%+v", a)
				}
			}
		})
	}
}

// TestTwoDaemons share the records: each message goes once.
func TestTwoDaemons(t *testing.T) {
	tg := &wire{}
	p := newPost(t, wayOf("telegram", tg))
	first := p.m
	p.m = p.messenger(wayOf("telegram", tg))
	p.run()
	var ids []string
	for n := range 30 {
		l := enquiry("telegram")
		l.UserID, l.Phone = fmt.Sprint(200+n), ""
		ids = append(ids, p.heard(l))
		first.Wake()
	}
	for _, id := range ids {
		p.until(id, "done", in(outbound.Done))
	}
	if n := len(tg.calls()); n != len(ids) {
		t.Errorf("%d calls for %d messages", n, len(ids))
	}
}

// TestLeftAlone has a service ask to be left alone with a customer: for a moment, and it is waited for; for long, and the next channel carries on;
// for long where there is no other, and it is waited for all the same.
func TestLeftAlone(t *testing.T) {
	for name, tc := range map[string]struct {
		after   time.Duration
		sms     bool
		tg, bys int
	}{
		"for a moment":           {5 * time.Second, true, 2, 0},
		"for long":               {time.Hour / 2, true, 1, 1},
		"for long, and no other": {time.Hour / 2, false, 2, 0},
	} {
		t.Run(name, func(t *testing.T) {
			tg, sms := &wire{answer: func(n int, w outbound.Words) outbound.Tried {
				if n == 1 {
					return outbound.Tried{Verdict: streams.Verdict{Result: streams.Wait, After: tc.after, Code: "429"}}
				}
				return accepted(w)
			}}, &wire{}
			channels := []*messenger.Channel{wayOf("telegram", tg)}
			if tc.sms {
				channels = append(channels, wayOf("sms", sms, byPhone))
			}
			p := newPost(t, channels...)
			for _, c := range channels {
				c.Main.Guard = streams.NewDestination(streams.DestinationConfig{Name: c.Name}, nil, "test", p.m.Clock)
			}
			id := p.heard(enquiry("telegram"))
			p.until(id, "tried", func(m outbound.Message) bool { return len(m.Steps) > 0 && m.Steps[0].State == outbound.Again })
			p.pass(10 * time.Second)
			if tc.after > time.Minute && len(tg.calls()) != 1 {
				t.Errorf("not left alone: %d calls", len(tg.calls()))
			}
			p.pass(time.Minute)
			if tc.sms && tc.after > time.Minute {
				p.until(id, "done", in(outbound.Done))
			}
			p.pass(tc.after)
			p.until(id, "done", in(outbound.Done))
			if len(tg.calls()) != tc.tg || len(sms.calls()) != tc.bys {
				t.Errorf("%d by Telegram, %d by SMS", len(tg.calls()), len(sms.calls()))
			}
		})
	}
}

// TestUnsureAndThenRefused has a service that knows our number give no answer once, and refuse then: what it may have, no other channel gets.
func TestUnsureAndThenRefused(t *testing.T) {
	for name, then := range map[string]streams.Result{"refused for now": streams.Retry, "asked to wait": streams.Wait, "refused": streams.Permanent} {
		t.Run(name, func(t *testing.T) {
			vk, sms := &wire{answer: func(n int, _ outbound.Words) outbound.Tried {
				if n == 1 {
					return outbound.Tried{Verdict: streams.Verdict{Result: streams.Ambiguous, Code: "timeout"}}
				}
				return outbound.Tried{Verdict: streams.Verdict{Result: then, After: time.Second, Code: "later"}}
			}}, &wire{}
			p := newPost(t, wayOf("vk", vk, func(c *messenger.Channel) { c.Keyed = true }), wayOf("sms", sms, byPhone))
			id := p.heard(enquiry("vk"))
			for range 60 {
				p.pass(20 * time.Second)
				time.Sleep(10 * time.Millisecond)
			}
			if then != streams.Wait { // that costs no try, and goes on until the deadline
				p.until(id, "done", in(outbound.Done))
			}
			p.stop()
			if len(vk.calls()) < 2 || len(sms.calls()) != 0 {
				t.Errorf("%d by VK, %d by SMS", len(vk.calls()), len(sms.calls()))
			}
		})
	}
}
