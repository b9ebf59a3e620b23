//go:build linux

package main

import (
	"context"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"leadstream/sinks"
	"leadstream/sinks/sim/meta"
	"leadstream/sinks/talk"
	"leadstream/streams"
	"leadstream/streams/outbound"
)

// What became of what we have written to a customer stands on the customer's card, under the message's id at its service,
// once, though every webhook comes twice; and it makes no card at the CRM.
func TestWhatBecameOfOurMessages(t *testing.T) {
	t.Parallel()
	i, s := graphWorld(t, meta.Options{Twice: true, Batch: 3}, "")
	s.Write("79990000011", "Анна", meta.Text("Сколько стоит стрижка?"))
	i.eventually("the customer has a card", func() bool { return len(i.events("create")) == 1 })
	set := talk.Kinds["whatsapp"].Settings().(*talk.WhatsAppSettings)
	set.Token, set.Phone, set.BaseURL, set.AllowPrivate = "graph_token", "555000111222333", s.URL(), true
	c, err := talk.Kinds["whatsapp"].Open(set, sinks.Env{Language: "ru", Zone: time.UTC, Log: zerolog.Nop()})
	i.must(err)
	var want []string
	for id, f := range map[string]struct {
		fate meta.Fate
		news []string
	}{
		"ONE": {meta.Fate{Read: true, Backwards: true}, []string{"sent ONE", "delivered ONE", "read ONE"}},
		"TWO": {meta.Fate{Fail: 131047}, []string{"failed TWO 131047"}},
	} {
		s.Doom("79990000011", f.fate)
		tried := c.Send(t.Context(), "79990000011", outbound.Words{ID: id, Text: "Ждём вас"})
		if tried.Result != streams.Done {
			t.Fatalf("%s: %v", tried.Result, tried.Err)
		}
		for _, news := range f.news {
			want = append(want, news+" of "+tried.Remote)
		}
	}
	i.eventually("all webhooks are taken", func() bool { return s.Pending() == 0 })
	i.quiet()
	store := i.records()
	cards, err := store.Find(context.Background(), "+79990000011", 2)
	i.must(err)
	if len(cards) != 1 {
		t.Fatalf("%d cards of one customer", len(cards))
	}
	card, err := store.Card(context.Background(), cards[0].ID, true)
	i.must(err)
	var got []string
	for _, m := range card.Messages {
		if m.Event == "" {
			continue
		}
		text := func(key string) (s string) {
			_ = json.Unmarshal(m.Fields[key], &s)
			return s
		}
		line := m.Event + " " + text("opaque")
		if code := text("code"); code != "" {
			line += " " + code
		}
		got = append(got, line+" of "+text("message_id"))
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if n := len(i.events("create")); n != 1 {
		t.Errorf("%d cards at the CRM", n)
	}
}
