//go:build linux

package main

import (
	"net/http"
	"strings"
	"testing"

	"leadstream/daemon/proof"
	"leadstream/sinks/records"
)

// Whoever opens a link is sent on, and that stands on the card of the customer for whom it was made, also after a kill -9.
func TestShortLink(t *testing.T) {
	t.Parallel()
	i := newInstance(t, proof.Setup{Records: records.Embedded})
	link := strings.TrimSpace(i.run("link", "https://shop.example.test/sale", "--phone", "+79998880001", "--key", i.Key))
	i.quiet()
	i.Kill()
	i.start()
	open := func(agent string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, i.URL(link), nil)
		i.must(err)
		req.Header.Set("User-Agent", agent)
		res, err := i.HTTP.Transport.RoundTrip(req) // not where it leads
		i.must(err)
		i.must(res.Body.Close())
		if res.StatusCode != http.StatusFound || res.Header.Get("Location") != "https://shop.example.test/sale" {
			t.Fatalf("%s: %d %v", link, res.StatusCode, res.Header)
		}
	}
	open("Mozilla/5.0")
	open("TelegramBot (like TwitterBot)")
	i.quiet()
	store := i.records()
	cards, err := store.Find(t.Context(), "+79998880001", 2)
	i.must(err)
	if len(cards) != 1 {
		t.Fatalf("%d cards of one phone", len(cards))
	}
	card, err := store.Card(t.Context(), cards[0].ID, true)
	i.must(err)
	if len(card.Messages) != 1 || card.Messages[0].Event != "click" {
		t.Errorf("card %+v", card)
	}
	if n := i.metric(`leadstream_links_total{result="click"}`); n != 1 {
		t.Errorf("%v clicks", n)
	}
}
