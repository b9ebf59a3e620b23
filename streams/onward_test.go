package streams_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"leadstream/streams"
	"leadstream/streams/streamstest"
)

func toCRM(e *streams.Entry) streams.Verdict {
	return streams.Verdict{Followers: []streams.Follower{{Queue: streams.Destined("crm"), Lead: e.Lead}}}
}

func eachWith(judge func(e *streams.Entry) streams.Verdict) streams.Handler {
	return streams.HandlerFunc(func(_ context.Context, batch []*streams.Entry) []streams.Verdict {
		vs := make([]streams.Verdict, len(batch))
		for i, e := range batch {
			vs[i] = judge(e)
		}
		return vs
	})
}

// added is how many entries a queue has ever seen.
func (g *rig) added(queue string) int64 {
	g.t.Helper()
	info, err := g.redis.Client.XInfoStream(context.Background(), streams.Keys{Prefix: "ls"}.Queue(queue)).Result()
	if err != nil {
		if strings.Contains(err.Error(), "no such key") { // not made yet
			return 0
		}
		g.t.Fatal(err)
	}
	return info.EntriesAdded
}

// TestOnwardPastAnEmptyQueue: what need not wait in the second queue does not go through it.
func TestOnwardPastAnEmptyQueue(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		tagging  func(e *streams.Entry) streams.Verdict
		want     streams.State
		detoured int64 // leads that stood in the second queue
	}{
		"passed on": {toCRM, streams.Delivered, 0},
		"dropped":   {func(*streams.Entry) streams.Verdict { return streams.Verdict{Result: streams.Drop, Reason: "spam"} }, streams.Dropped, 0},
		"given up": {func(*streams.Entry) streams.Verdict {
			return streams.Verdict{Result: streams.Permanent, Err: errors.New("a broken rule")}
		}, streams.Dead, 1},
		"panics": {func(*streams.Entry) streams.Verdict { panic("a broken rule") }, streams.Dead, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newRig(t, streamstest.Redis(t), rigOptions{tagging: eachWith(c.tagging)})
			g.run()
			ids := g.takeN(1)
			g.settled(ids)
			life, _ := g.custody.Life(ids[0])
			if life.State != c.want || g.added(streams.Triaged) != c.detoured {
				t.Errorf("the lead is %s, and %d stood in the second queue; want %s, %d", life.State, g.added(streams.Triaged), c.want, c.detoured)
			}
		})
	}
}

// TestOnwardNotPastTheSameCustomer: while an earlier lead of a customer waits in the second queue, the later one goes
// through it.
func TestOnwardNotPastTheSameCustomer(t *testing.T) {
	t.Parallel()
	var held atomic.Bool
	held.Store(true)
	tagging := eachWith(func(e *streams.Entry) streams.Verdict {
		if e.Lead.Message == "first" && held.Load() {
			return streams.Verdict{Result: streams.Wait, After: 50 * time.Millisecond}
		}
		return toCRM(e)
	})
	g := newRig(t, streamstest.Redis(t), rigOptions{tagging: tagging})
	g.run()
	ids := g.take(&streams.Lead{Phone: "+79990000011", Message: "first"})
	g.until("the first waits in the second queue", func() bool { return g.added(streams.Triaged) == 1 })
	ids = append(ids, g.take(&streams.Lead{Phone: "+79990000011", Message: "second"})...)
	g.until("the second stands behind it", func() bool { return g.added(streams.Triaged) == 2 || len(g.crm.ids()) > 0 })
	held.Store(false)
	g.settled(ids)
	if d := cmp.Diff(ids, g.crm.ids()); d != "" {
		t.Errorf("order at the destination (-taken +created):\n%s", d)
	}
}

// TestOnwardKeepsABatchInOrder: of one customer's leads in a batch, what the second processor does not pass on holds back
// those behind it.
func TestOnwardKeepsABatchInOrder(t *testing.T) {
	t.Parallel()
	var waited atomic.Int64
	tagging := eachWith(func(e *streams.Entry) streams.Verdict {
		if e.Lead.Message == "b" && waited.Add(1) < 3 {
			return streams.Verdict{Result: streams.Wait, After: 50 * time.Millisecond}
		}
		return toCRM(e)
	})
	g := newRig(t, streamstest.Redis(t), rigOptions{tagging: tagging})
	var ids []string
	for _, message := range []string{"a", "b", "c", "d"} {
		ids = append(ids, g.take(&streams.Lead{Phone: "+79990000012", Message: message})...)
	}
	g.run() // so that one read brings them all
	g.settled(ids)
	if d := cmp.Diff(ids, g.crm.ids()); d != "" {
		t.Errorf("order at the destination (-taken +created):\n%s", d)
	}
}

// TestDroppedAndTold: who is to hear of what is dropped does, also when Redis loses it on the way; the lead ends as dropped,
// and never takes in the customer's next one.
func TestDroppedAndTold(t *testing.T) {
	t.Parallel()
	g := newRig(t, streamstest.Redis(t), rigOptions{tagging: eachWith(func(e *streams.Entry) streams.Verdict {
		return streams.Verdict{Result: streams.Drop, Reason: "spam", Followers: toCRM(e).Followers}
	})})
	var down atomic.Bool
	down.Store(true)
	g.crm.answer = func(int, *streams.Entry) streams.Verdict {
		if down.Load() {
			return streams.Verdict{Result: streams.Wait, After: 50 * time.Millisecond, Err: errors.New("not now")}
		}
		return streams.Verdict{}
	}
	g.run()
	ids := g.takeN(1)
	g.until("it is on its way", func() bool { return g.added(streams.Destined("crm")) > 0 })
	life, _ := g.custody.Life(ids[0])
	if life.State != streams.InFlight || g.custody.Alive(ids[0]) {
		t.Errorf("on its way it is %s, alive %v; want in flight, and no lead to repeat", life.State, g.custody.Alive(ids[0]))
	}
	never := func(dest string) time.Duration {
		if dest == "crm" {
			return time.Duration(1<<63 - 1)
		}
		return 0
	}
	if late := g.custody.Untold(time.Now().Add(time.Hour), never); len(late) > 0 {
		t.Errorf("a person is told of %+v", late)
	}
	if by, _ := g.custody.Standings(never); by["crm"].InFlight != 1 || by[""].Late > 0 {
		t.Errorf("standings %+v", by)
	}
	if err := g.redis.Client.FlushAll(context.Background()).Err(); err != nil {
		t.Fatal(err)
	}
	down.Store(false)
	g.settled(ids)
	life, _ = g.custody.Life(ids[0])
	if life.State != streams.Dropped || life.Reason != "spam" || len(life.Destinations) != 1 || life.Destinations[0].State != streams.Delivered {
		t.Errorf("it ended as %+v", life)
	}
	g.once(ids)
}
