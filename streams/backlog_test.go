package streams

import (
	"context"
	"strconv"
	"sync"
	"testing"
	"time"
)

// A lead that waits for Redis for longer than the journal is kept is carried to a newer segment. Meanwhile the forwarder
// orders what waits, and does not hold the ledger's lock.
func TestCarriedWhileItWaits(t *testing.T) {
	t.Parallel()
	c := newCustody(t, t.TempDir(), &clock{t: time.Now()})
	defer c.Close()
	var ids []string
	for i := range 5 {
		taken := []Taken{{Lead: &Lead{Source: "site", Phone: "+7999000001" + strconv.Itoa(i)}, Canonical: []byte(strconv.Itoa(i))}}
		got, err := c.TakeAll(context.Background(), taken)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, got[0].LeadID)
	}
	b := c.forward[0]
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := c.carry([]*record{c.leads[ids[0]]}); err != nil {
			t.Error(err)
		}
	})
	for range 5 {
		b.head(1)
		b.merge(nil) // as when something is driven again
		b.back()
		time.Sleep(time.Millisecond)
	}
	wg.Wait()
	b.head(1)
	b.merge(nil)
	b.back()
	for i, p := range b.head(len(ids)) {
		if p.record.id != ids[i] {
			t.Errorf("%d: %s, want %s", i, p.record.id, ids[i])
		}
	}
}
