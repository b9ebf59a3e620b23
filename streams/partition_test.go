package streams_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"leadstream/streams"
	"leadstream/streams/streamstest"
)

// TestPartitionsOnACluster: every script stays in one slot, so the same code runs on Redis Cluster.
func TestPartitionsOnACluster(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	port := streamstest.FreePort(t)
	r := streamstest.Redis(t, "--cluster-enabled", "yes", "--port", port, "--cluster-port", streamstest.FreePort(t))
	if err := r.Client.ClusterAddSlotsRange(ctx, 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	streamstest.Eventually(t, func() bool { return strings.Contains(r.Client.ClusterInfo(ctx).Val(), "cluster_state:ok") })
	g := newRig(t, r, rigOptions{partitions: 4, url: "redis+cluster://127.0.0.1:" + port})
	g.crm.answer = func(n int, e *streams.Entry) streams.Verdict {
		switch {
		case n == 1 && strings.HasSuffix(e.Lead.Phone, "7"):
			return streams.Verdict{Result: streams.Retry}
		case strings.HasSuffix(e.Lead.Phone, "9"):
			return streams.Verdict{Result: streams.Permanent, Err: fmt.Errorf("no")}
		}
		return streams.Verdict{}
	}
	g.run()
	ids := g.takeN2(0, 200)
	g.settled(ids)
	g.once(slices.DeleteFunc(slices.Clone(ids), func(id string) bool { l, _ := g.custody.Life(id); return l.State == streams.Dead }))
	most := 0
	g.until("20 dead letters in all partitions", func() bool {
		dead := 0
		for _, p := range g.engine.Partitions() {
			n := 0
			if err := p.Dead(ctx, func(streams.DeadLetter) bool { n++; return true }); err != nil {
				return false
			}
			dead, most = dead+n, max(most, n)
		}
		return dead == 20
	})
	if most == 20 {
		t.Error("all leads fell into one partition")
	}
	g.redis.Flush()
	more := g.takeN2(1, 50)
	g.settled(more)
}

// TestTwoDaemons: both take leads, one works the queues, and when it stops the other goes on.
func TestTwoDaemons(t *testing.T) {
	t.Parallel()
	r := streamstest.Redis(t)
	a := newRig(t, r, rigOptions{instance: "a"})
	b := newRig(t, r, rigOptions{instance: "b"})
	b.engine.Workers[2].Handler = a.crm // one far side
	b.crm = a.crm
	a.run()
	b.run()
	ids := map[*rig][]string{}
	for round := range 3 {
		for _, g := range []*rig{a, b} {
			ids[g] = append(ids[g], g.takeN2(round*10+len(g.custody.Instance)+int(g.custody.Instance[0]), 40)...)
		}
		time.Sleep(20 * time.Millisecond)
	}
	a.settled(ids[a])
	b.settled(ids[b])
	owner, other := a, b
	if b.engine.Partitions()[0].Owned() {
		owner, other = b, a
	}
	last := owner.takeN2(500, 20)
	owner.stop()
	more := other.takeN2(501, 20)
	other.settled(more)
	all := slices.Concat(ids[a], ids[b], more, last)
	other.until("the stopped daemon's leads are delivered by the other", func() bool {
		got := a.crm.ids()
		return !slices.ContainsFunc(all, func(id string) bool { return !slices.Contains(got, id) && !slices.Contains(last, id) })
	})
	seen := map[string]int{}
	for _, id := range a.crm.ids() {
		seen[id]++
	}
	for id, n := range seen {
		if n > 1 {
			t.Errorf("lead %s was created %d times", id, n)
		}
	}
}
