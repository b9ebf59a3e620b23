package streams_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"leadstream/streams"
	"leadstream/streams/streamstest"
)

// TestDestinationTakenAway: a lead that waits for a sink which is no longer in the configuration ends as a dead letter,
// and a person is told.
func TestDestinationTakenAway(t *testing.T) {
	t.Parallel()
	r := streamstest.Redis(t)
	var both atomic.Bool
	both.Store(true)
	route := streams.HandlerFunc(func(_ context.Context, batch []*streams.Entry) []streams.Verdict {
		vs := make([]streams.Verdict, len(batch))
		for i, e := range batch {
			vs[i].Followers = []streams.Follower{{Queue: "to:crm", Lead: e.Lead}}
			if both.Load() {
				vs[i].Followers = append(vs[i].Followers, streams.Follower{Queue: "to:gone", Lead: e.Lead})
			}
		}
		return vs
	})
	g := newRig(t, r, rigOptions{tagging: route})
	g.run()
	ids := g.takeN2(0, 3)
	g.until("delivered where it can be", func() bool { return len(g.crm.ids()) == 3 })
	g.stop()
	both.Store(false)
	g = newRig(t, r, rigOptions{tagging: route, dir: g.dir})
	g.engine.Reconcile = 100 * time.Millisecond
	g.run()
	g.settled(ids)
	for _, id := range ids {
		l, _ := g.custody.Life(id)
		if l.State != streams.Dead {
			t.Errorf("%+v, want dead at the destination that is gone", l)
		}
	}
	if n := len(g.crm.ids()); n != 0 {
		t.Errorf("%d leads were delivered again to the destination that had them", n)
	}
	if u := g.custody.Untold(time.Now(), func(string) time.Duration { return time.Hour }); len(u) != 3 || u[0].Destination != "gone" {
		t.Errorf("a person would be told of %+v", u)
	}
}
