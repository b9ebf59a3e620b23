package sinks_test

import (
	"strings"
	"testing"

	"leadstream/sinks"
	"leadstream/sinks/sim/phone"
	"leadstream/sinks/sinkstest"
	"leadstream/streams"
)

// On a phone that reads markup as Telegram does: what a person sees is the lead's text, and after a lost answer the
// second copy has the same number.
func TestTelegramOnAPhone(t *testing.T) {
	p := phone.New(phone.Options{Token: botToken, Chats: []phone.Chat{
		{ID: -1001234567890, Type: "group", MigrateTo: -1009}, {ID: -1009, Type: "supergroup"},
	}})
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	sink := openBot(t, p.URL(), nil)
	lead := sinkstest.Lead(0)
	lead.Message = "<b>x</b> &amp; <i>"
	deliver(t, sink, sinks.Delivery{Lead: lead})
	if err := sink.Check(t.Context()); err != nil {
		t.Errorf("check: %v", err)
	}
	p.Inject(phone.Fault{Method: "sendMessage", Times: 1, LoseAnswer: true})
	if v := sink.Deliver(t.Context(), []sinks.Delivery{{Lead: lead}})[0]; v.Result != streams.Ambiguous {
		t.Errorf("got result %d (%v), want ambiguous", v.Result, v.Err)
	}
	got := p.Messages()
	if len(got) != 2 || got[0].Text != got[1].Text || got[0].To != "-1009" {
		t.Fatalf("on the phone: %+v", got)
	}
	for _, want := range []string{"Новая заявка: Анна Канарейкина\n", lead.Message, sinks.ShortID(lead.ID)} {
		if !strings.Contains(got[0].Text, want) {
			t.Errorf("%q is not in %q", want, got[0].Text)
		}
	}
	p.SetChat(phone.Chat{ID: -1009, Type: "supergroup", Blocked: true})
	if v := sink.Deliver(t.Context(), []sinks.Delivery{{Lead: lead}})[0]; v.Result != streams.Permanent || v.Code != "403" {
		t.Errorf("blocked: got result %d, code %s (%v)", v.Result, v.Code, v.Err)
	}
}
