package damage

import (
	"context"
	"testing"
	"time"
)

func TestDamagedJournals(t *testing.T) {
	start := time.Now()
	counts, err := Run(context.Background(), Options{Journals: 1000, Seed: uint64(start.UnixNano())})
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range Kinds {
		c := counts[k]
		t.Logf("%s: %+v", k, c)
		if c.Journals == 0 || c.Hit == 0 || c.Reported == 0 || c.Opened == 0 {
			t.Errorf("%s proves nothing: %+v", k, c)
		}
	}
	t.Log(time.Since(start))
}
