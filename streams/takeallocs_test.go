//go:build !race

package streams

import (
	"context"
	"testing"
)

// Allocations that accepting a lead may take, from the shim's hand to the forwarder's queue: the ledger's record and the
// lead's line among them. CPU is spent on little else that is ours, and this is the same on every machine.
const (
	oneTakeAllocs  = 13 // a lead of its own
	bulkTakeAllocs = 7  // one among many of a request
)

func TestTakeAllocations(t *testing.T) {
	for name, c := range map[string]struct {
		leads int
		most  float64
	}{"one": {1, oneTakeAllocs}, "bulk": {100, bulkTakeAllocs}} {
		t.Run(name, func(t *testing.T) {
			const runs = 20
			custody := benchCustody(t)
			requests := make([][]Taken, runs+1) // and one to warm up
			for i := range requests {
				for k := range c.leads {
					requests[i] = append(requests[i], siteLead(i*c.leads+k))
				}
			}
			got := testing.AllocsPerRun(runs, func() {
				if _, err := custody.TakeAll(context.Background(), requests[0]); err != nil {
					t.Fatal(err)
				}
				requests = requests[1:]
			}) / float64(c.leads)
			if got > c.most {
				t.Errorf("%.1f allocations a lead, at most %.0f are allowed", got, c.most)
			}
		})
	}
}
