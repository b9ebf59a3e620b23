package streams

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestArrivals(t *testing.T) {
	t.Parallel()
	clk := &clock{t: time.Now().Truncate(time.Millisecond)}
	dir := t.TempDir()
	c := newCustody(t, dir, clk)
	defer c.Close()
	want := []Arrival{{clk.now(), "make"}, {clk.now().Add(time.Minute), "site"}}
	takeOne(t, c, "make", "k1", "a")
	takeOne(t, c, "make", "k1", "a") // sent again: no further lead
	clk.add(time.Minute)
	takeOne(t, c, "site", "k1", "b")
	got, err := Arrivals(dir) // while it is being written
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(got, func(a, b Arrival) int { return a.At.Compare(b.At) })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := Arrivals(dir + "/none"); err == nil {
		t.Error("a folder that is not there was read")
	}
}
