//go:build !race

package intake

import "testing"

// Allocations per lead in the handler alone: net/http and the Taker have their own. They are much of the shim's CPU, and
// unlike it they are the same on every machine.
const (
	oneAllocs  = 26 // a request of one lead
	bulkAllocs = 14 // a lead among many of a request
)

func TestPostAllocations(t *testing.T) {
	for name, c := range map[string]struct {
		contentType, body string
		leads             int
		most              float64
	}{
		"one":  {"application/json", siteLead, 1, oneAllocs},
		"bulk": {"application/x-ndjson", bulkBody(inBulk), inBulk, bulkAllocs},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPoster(t, c.contentType, c.body)
			if got := testing.AllocsPerRun(20, func() { p.post(t) }) / float64(c.leads); got > c.most {
				t.Errorf("%.1f allocations a lead, at most %.0f are allowed", got, c.most)
			}
		})
	}
}
