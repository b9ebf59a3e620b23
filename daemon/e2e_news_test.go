//go:build linux

package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"leadstream/daemon/proof"
	"leadstream/processors"
	"leadstream/streams"
)

// tell sends news of a customer and answers their lead id.
func (i *instance) tell(body string) string {
	i.t.Helper()
	req, err := http.NewRequestWithContext(i.t.Context(), http.MethodPost, i.URL("/v1/leads"), strings.NewReader(body))
	i.must(err)
	req.Header.Set("Authorization", "Bearer "+i.Key)
	req.Header.Set("Content-Type", "application/json")
	res, err := i.HTTP.Do(req)
	i.must(err)
	defer res.Body.Close()
	var answer struct {
		LeadID string `json:"lead_id"`
	}
	i.must(json.NewDecoder(res.Body).Decode(&answer))
	return answer.LeadID
}

// News end as counted and make no card. What they do to the customer's segment comes into the card of the enquiry: a click
// without an order after the buffer, though nothing more arrives, once, also over a kill -9.
func TestNews(t *testing.T) {
	t.Parallel()
	i := newInstance(t, proof.Setup{Tagging: `, segments: [{name: clicked-no-order, group: order, when: 'without("click", "order", "0s")', sinks: [crm]}]`})
	l := i.ledger()
	lead := l.must(l.says("", "+79998880001"))
	i.quiet()
	read := i.tell(`{"event":"read","phone":"+79998880001"}`)
	won := i.tell(`{"event":"won","phone":"+79998880001","about":"` + lead.LeadID + `"}`)
	click := i.tell(`{"event":"click","phone":"+79998880001"}`)
	i.quiet()
	i.Kill()
	i.start()
	for _, id := range []string{read, won, click} {
		if life := i.life(id); life.State != streams.Dropped || life.Reason != processors.EventCounted {
			t.Errorf("news ended as %s, %q", life.State, life.Reason)
		}
	}
	i.eventually("the change of the segment is in the card", func() bool { return len(i.events("comment")) > 0 })
	i.quiet()
	if cards, comments := len(i.events("create")), len(i.events("comment")); cards != 1 || comments != 1 {
		t.Errorf("%d cards, %d comments; want 1 and 1", cards, comments)
	}
	i.eventually("the outcome is held against the score", func() bool {
		s, ok := i.status()
		return ok && s.Scores.Outcomes == 1 && s.Scores.Won == 1
	})
}
