package streams_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"leadstream/streams"
	"leadstream/streams/streamstest"
)

// slowly makes each call of the far side take a while, so that a fault finds leads in flight.
func slowly(d time.Duration) func(int, *streams.Entry) streams.Verdict {
	return func(int, *streams.Entry) streams.Verdict {
		time.Sleep(d)
		return streams.Verdict{}
	}
}

func TestRedisKilledAtRandom(t *testing.T) {
	t.Parallel()
	g := newRig(t, streamstest.Redis(t), rigOptions{})
	g.crm.answer = slowly(5 * time.Millisecond)
	g.run()
	var ids []string
	for round := range 4 {
		ids = append(ids, g.takeN2(round, 100)...)
		time.Sleep(time.Duration(round) * 17 * time.Millisecond)
		g.redis.Kill()
		ids = append(ids, g.takeN2(round+100, 50)...) // a burst while it is down
		g.redis.Restart()
	}
	g.settled(ids)
	g.once(ids)
}

// takeN2 takes n leads of customers that no other round has.
func (g *rig) takeN2(round, n int) []string {
	var leads []*streams.Lead
	for i := range n {
		leads = append(leads, &streams.Lead{Phone: fmt.Sprintf("+7998%03d%04d", round, i), Message: fmt.Sprint(round, i)})
	}
	return g.take(leads...)
}

func TestFlushedInFlight(t *testing.T) {
	t.Parallel()
	g := newRig(t, streamstest.Redis(t), rigOptions{})
	g.crm.answer = slowly(5 * time.Millisecond)
	g.run()
	var ids []string
	for round := range 3 {
		ids = append(ids, g.takeN2(round, 150)...)
		time.Sleep(40 * time.Millisecond)
		g.redis.Flush()
	}
	g.settled(ids)
	g.once(ids)
}

func TestAppendOnlyFileRestoredFromBefore(t *testing.T) {
	t.Parallel()
	r := streamstest.Redis(t)
	g := newRig(t, r, rigOptions{})
	g.crm.answer = slowly(3 * time.Millisecond)
	g.run()
	ids := g.takeN2(0, 100)
	time.Sleep(60 * time.Millisecond)
	old := filepath.Join(t.TempDir(), "old")
	copyTree(t, filepath.Join(r.Dir(), "appendonlydir"), old)
	g.settled(ids)
	later := g.takeN2(1, 100)
	time.Sleep(60 * time.Millisecond)
	r.Kill()
	if err := os.RemoveAll(filepath.Join(r.Dir(), "appendonlydir")); err != nil {
		t.Fatal(err)
	}
	copyTree(t, old, filepath.Join(r.Dir(), "appendonlydir"))
	r.Restart()
	ids = append(ids, later...)
	g.settled(ids)
	g.until("the old entries are out of the queues", func() bool { return g.backlog() == 0 })
	g.once(ids)
}

func (g *rig) backlog() int64 {
	qs, err := g.engine.Queues(context.Background())
	if err != nil {
		return -1
	}
	var n int64
	for _, q := range qs {
		n += q.Length
	}
	return n
}

func copyTree(t *testing.T, from, to string) {
	t.Helper()
	if out, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v %s", err, out)
	}
}

func TestOutOfMemory(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	g := newRig(t, streamstest.Redis(t), rigOptions{})
	g.crm.answer = slowly(2 * time.Millisecond)
	g.run()
	ids := g.takeN2(0, 50)
	g.redis.Client.ConfigSet(ctx, "maxmemory", "1")
	ids = append(ids, g.takeN2(1, 100)...)
	time.Sleep(300 * time.Millisecond)
	g.redis.Client.ConfigSet(ctx, "maxmemory", "0")
	g.settled(ids)
	g.once(ids)
}

func TestScriptsFlushed(t *testing.T) {
	t.Parallel()
	g := newRig(t, streamstest.Redis(t), rigOptions{})
	g.run()
	ids := g.takeN2(0, 20)
	g.redis.Client.ScriptFlush(context.Background())
	ids = append(ids, g.takeN2(1, 20)...)
	g.settled(ids)
	g.once(ids)
}

func TestRedisStalled(t *testing.T) {
	t.Parallel()
	g := newRig(t, streamstest.Redis(t), rigOptions{})
	g.run()
	ids := g.takeN2(0, 50)
	g.redis.Stop()
	ids = append(ids, g.takeN2(1, 50)...)
	time.Sleep(2500 * time.Millisecond) // past the clients' time-out: answers are lost, commands are not
	g.redis.Cont()
	g.settled(ids)
	g.once(ids)
}

// TestVanishedEntries: what was trimmed, or deleted with its group or its consumer, is found missing and driven again.
func TestVanishedEntries(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	faults := map[string]func(c *redis.Client, key string) error{
		"trimmed":   func(c *redis.Client, key string) error { return c.XTrimMaxLen(ctx, key, 1).Err() },
		"deleted":   func(c *redis.Client, key string) error { return c.Del(ctx, key).Err() },
		"ungrouped": func(c *redis.Client, key string) error { return c.XGroupDestroy(ctx, key, streams.Group).Err() },
		"consumer": func(c *redis.Client, key string) error {
			return c.XGroupDelConsumer(ctx, key, streams.Group, "parked").Err()
		},
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newRig(t, streamstest.Redis(t), rigOptions{policy: streams.Policy{Attempts: 50, Base: 100 * time.Millisecond, Factor: 1, Max: time.Second}})
			g.engine.Reconcile = 200 * time.Millisecond
			var mu sync.Mutex
			down := true
			g.crm.answer = func(int, *streams.Entry) streams.Verdict {
				mu.Lock()
				defer mu.Unlock()
				if down {
					return streams.Verdict{Result: streams.Retry}
				}
				return streams.Verdict{}
			}
			g.run()
			ids := g.takeN2(0, 30)
			g.until("all wait for a retry", func() bool {
				g.crm.mu.Lock()
				defer g.crm.mu.Unlock()
				return len(g.crm.calls) == len(ids)
			})
			if err := fault(g.redis.Client, "ls:{0}:to:crm"); err != nil {
				t.Fatal(err)
			}
			mu.Lock()
			down = false
			mu.Unlock()
			g.settled(ids)
			g.once(ids)
			g.until("nothing is counted as open", func() bool {
				return g.redis.Client.HLen(ctx, "ls:{0}:to:crm:open").Val() == 0
			})
		})
	}
}

func TestFlippedBitInRedis(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	g := newRig(t, streamstest.Redis(t), rigOptions{})
	g.run()
	first := g.takeN2(0, 1)
	g.settled(first)
	g.stop()
	// The same lead's entry, as a damaged file would give it back, for a lead that is still open.
	g = newRig(t, g.redis, rigOptions{dir: g.dir})
	ids := g.takeN2(1, 1)
	l, _ := g.custody.Lead(ids[0])
	g.redis.Client.XAdd(ctx, &redis.XAddArgs{Stream: "ls:{0}:to:crm", Values: []any{
		"id", l.ID, "lead", `{"id":"` + l.ID + `","phone":"+79990101122"}`, "sum", strings.Repeat("0", 32), "epoch", "1"}})
	g.run()
	g.settled(ids)
	g.until("queues are empty", func() bool { return g.backlog() == 0 })
	g.once(ids)
	for _, e := range g.crm.seen {
		if e.Lead.Phone == "+79990101122" {
			t.Error("a damaged lead was delivered")
		}
	}
}

// TestTakeover: a daemon that stands still loses its partition, its entries go to the other one, and what it does when
// it wakes up changes nothing.
func TestTakeover(t *testing.T) {
	t.Parallel()
	r := streamstest.Redis(t)
	a := newRig(t, r, rigOptions{instance: "a"})
	release := make(chan struct{})
	a.crm.answer = func(int, *streams.Entry) streams.Verdict {
		<-release
		return streams.Verdict{}
	}
	a.run()
	ids := a.takeN2(0, 4)
	a.until("all in hand", func() bool { a.crm.mu.Lock(); defer a.crm.mu.Unlock(); return len(a.crm.calls) == 4 })

	b := newRig(t, r, rigOptions{instance: "b"})
	b.crm = a.crm
	var unsure int
	var mu sync.Mutex
	b.engine.Workers[2].Handler = streams.HandlerFunc(func(_ context.Context, batch []*streams.Entry) []streams.Verdict {
		mu.Lock()
		defer mu.Unlock()
		for _, e := range batch {
			if !e.Unsure.IsZero() {
				unsure++
			}
		}
		return make([]streams.Verdict, len(batch))
	})
	r.Client.Set(context.Background(), "ls:{0}:owner", "b|"+b.engine.Boot, 9*time.Second) // as if a's lease had ended
	b.run()
	b.until("b took over what a had in hand", func() bool { mu.Lock(); defer mu.Unlock(); return unsure == 4 })
	close(release)
	a.settled(ids) // outcomes travel home
	for _, id := range ids {
		if l, _ := a.custody.Life(id); l.State != streams.Delivered {
			t.Errorf("%s is %s at home, want delivered", id, l.State)
		}
	}
}

func TestHotFirst(t *testing.T) {
	t.Parallel()
	g := newRig(t, streamstest.Redis(t), rigOptions{tune: func(w *streams.Worker) { w.Concurrency = 1 }})
	gate := make(chan struct{})
	g.crm.answer = func(int, *streams.Entry) streams.Verdict { <-gate; return streams.Verdict{} }
	g.run()
	cold := g.takeN2(0, 30)
	g.until("cold leads wait", func() bool { return g.length("to:crm") == 30 })
	hot := g.take(&streams.Lead{Phone: "+79990009999", Hot: true}, &streams.Lead{Phone: "+79980000029", Hot: true, Message: "same customer"})
	g.until("hot lead waits", func() bool { return g.length("to:crm:hot") == 1 && g.length("to:crm") == 31 })
	close(gate)
	g.settled(append(cold, hot...))
	got := g.crm.ids()
	if i := slices.Index(got, hot[0]); i > 12 {
		t.Errorf("the hot lead came %d., behind cold ones that had not been read", i+1)
	}
	if slices.Index(got, hot[1]) < slices.Index(got, cold[29]) {
		t.Error("a hot lead overtook its customer's earlier one")
	}
}

// TestHotOneIsNotOvertaken: a customer's hot lead waits behind so many others that one read does not reach it; his later
// cold one would be the first of its queue.
func TestHotOneIsNotOvertaken(t *testing.T) {
	t.Parallel()
	g := newRig(t, streamstest.Redis(t), rigOptions{tune: func(w *streams.Worker) { w.Concurrency = 1 }})
	const customers = 20
	var leads []*streams.Lead
	for i := range customers {
		leads = append(leads, &streams.Lead{Phone: fmt.Sprintf("+79980000%03d", i), Hot: true, Message: "hot"})
	}
	for i := range customers {
		leads = append(leads, &streams.Lead{Phone: fmt.Sprintf("+79980000%03d", customers-1-i), Message: "cold"})
	}
	ids := g.take(leads...)
	gate := make(chan struct{})
	g.crm.answer = func(int, *streams.Entry) streams.Verdict { <-gate; return streams.Verdict{} }
	g.run()
	g.until("all wait", func() bool { return g.length("to:crm")+g.length("to:crm:hot") == 2*customers })
	close(gate)
	g.settled(ids)
	got := g.crm.ids()
	for i := range customers {
		if hot, cold := slices.Index(got, ids[i]), slices.Index(got, ids[2*customers-1-i]); cold < hot {
			t.Errorf("customer %d: the cold lead was delivered %d., before his earlier hot one, %d.", i, cold+1, hot+1)
		}
	}
}

// TestHotOneWakesTheReader: Redis answers a read that has waited for both queues with the entries of one.
func TestHotOneWakesTheReader(t *testing.T) {
	t.Parallel()
	g := newRig(t, streamstest.Redis(t), rigOptions{})
	g.run()
	g.settled(g.take(&streams.Lead{Phone: "+79990000001"}))
	for i := range 10 {
		other, phone := fmt.Sprintf("+7998000%04d", i), fmt.Sprintf("+7997000%04d", i)
		var taken []streams.Taken
		for n, l := range []*streams.Lead{{Phone: other}, {Phone: phone, Hot: true}, {Phone: phone}} {
			l.Source = "site"
			taken = append(taken, streams.Taken{Lead: l, Canonical: fmt.Append(nil, i, n)})
		}
		rs, err := g.custody.TakeAll(context.Background(), taken)
		if err != nil {
			t.Fatal(err)
		}
		g.settled([]string{rs[0].LeadID, rs[1].LeadID, rs[2].LeadID})
		if got := g.crm.ids(); slices.Index(got, rs[2].LeadID) < slices.Index(got, rs[1].LeadID) {
			t.Errorf("round %d: the cold lead was delivered before its customer's earlier hot one", i)
		}
	}
}

// TestRepeatStaysOneAfterFlush: what triage once found is not known in an empty Redis. Judged anew, a repeat that may be in
// its first one's card already would become a card of its own.
func TestRepeatStaysOneAfterFlush(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	judged := false
	first := ""
	g := newRig(t, streamstest.Redis(t), rigOptions{tagging: streams.HandlerFunc(func(_ context.Context, batch []*streams.Entry) []streams.Verdict {
		mu.Lock()
		defer mu.Unlock()
		vs := make([]streams.Verdict, len(batch))
		for i, e := range batch {
			if e.Lead.Message == "again" && !judged {
				judged, e.Lead.RepeatOf = true, first
			}
			vs[i].Followers = []streams.Follower{{Queue: streams.Destined("crm"), Lead: e.Lead}}
		}
		return vs
	})})
	g.run()
	ids := g.take(&streams.Lead{Phone: "+79990000011"})
	g.settled(ids)
	first = ids[0]
	asked := make(chan string, 10)
	g.crm.answer = func(n int, e *streams.Entry) streams.Verdict {
		asked <- e.Lead.RepeatOf
		if n == 1 {
			return streams.Verdict{Result: streams.Ambiguous, After: 30 * time.Second}
		}
		return streams.Verdict{}
	}
	again := g.take(&streams.Lead{Phone: "+79990000011", Message: "again"})
	if got := <-asked; got != first {
		t.Fatalf("a repeat of %q, want %q", got, first)
	}
	g.until("it waits for its retry", func() bool { return g.length("to:crm") == 1 })
	g.redis.Flush()
	g.settled(again)
	if got := <-asked; got != first {
		t.Errorf("after a flush a repeat of %q, want %q", got, first)
	}
}

func (g *rig) length(queue string) int64 {
	return g.redis.Client.XLen(context.Background(), "ls:{0}:"+queue).Val()
}

func TestAddedByAnotherProgram(t *testing.T) {
	t.Parallel()
	g := newRig(t, streamstest.Redis(t), rigOptions{})
	g.run()
	g.until("the queue is there", func() bool { return g.redis.Client.Exists(context.Background(), "ls:{0}:intake").Val() == 1 })
	cli := func(args ...string) string {
		out, err := exec.Command("redis-cli", append([]string{"-s", g.redis.Addr}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("redis-cli: %v %s", err, out)
		}
		return strings.TrimSpace(string(out))
	}
	id := streams.NewID("xadd", "0", cli("XADD", "ls:{0}:intake", "*", "lead", `{"name":"Ольга","phone":"+79990000022"}`))
	cli("XADD", "ls:{0}:intake", "*", "lead", `{"name":`)
	cli("XADD", "ls:{0}:intake", "*", "something", "else")
	g.until("custody of it", func() bool { _, ok := g.custody.Life(id); return ok })
	g.settled([]string{id})
	g.once([]string{id})
	g.until("garbage is in quarantine", func() bool { return g.custody.Tally().Counts.Quarantined == 2 })
	g.until("queues are empty", func() bool { return g.backlog() == 0 })
}

func TestRestartKeepsEverything(t *testing.T) {
	t.Parallel()
	r := streamstest.Redis(t)
	g := newRig(t, r, rigOptions{})
	ids := g.takeN2(0, 100) // nothing runs yet: as after a kill before anything was forwarded
	if err := g.custody.Close(); err != nil {
		t.Fatal(err)
	}
	_ = g.clients.Close()
	for range 3 {
		g = newRig(t, r, rigOptions{dir: g.dir})
		created := g.crm
		g.run()
		time.Sleep(30 * time.Millisecond)
		g.stop()
		g.crm = created
	}
	g2 := newRig(t, r, rigOptions{dir: g.dir})
	g2.run()
	g2.settled(ids)
	for _, id := range ids {
		if l, _ := g2.custody.Life(id); l.State != streams.Delivered {
			t.Errorf("%s is %s", id, l.State)
		}
	}
}

func TestAmbiguousIsLookedAt(t *testing.T) {
	t.Parallel()
	g := newRig(t, streamstest.Redis(t), rigOptions{})
	g.crm.answer = func(n int, e *streams.Entry) streams.Verdict {
		switch {
		case n == 1 && e.Lead.Message == "0 0":
			g.crm.create(e.Lead.ID) // executed, and the answer is lost
			return streams.Verdict{Result: streams.Ambiguous}
		case n == 1:
			return streams.Verdict{Result: streams.Retry}
		case e.Unsure.IsZero() == (e.Lead.Message == "0 0"):
			t.Errorf("lead %q, try %d: unsure %v", e.Lead.Message, n, e.Unsure)
		}
		if e.Lead.Message == "0 0" {
			return streams.Verdict{Result: streams.Drop, Reason: "found"}
		}
		return streams.Verdict{}
	}
	g.run()
	ids := g.takeN2(0, 3)
	g.settled(ids)
	g.once(ids)
}

func TestBlindSinkHolds(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	g := newRig(t, streamstest.Redis(t), rigOptions{tune: func(w *streams.Worker) { w.OnAmbiguous = streams.HoldIt }})
	g.crm.answer = func(n int, e *streams.Entry) streams.Verdict {
		if n == 1 {
			return streams.Verdict{Result: streams.Ambiguous, Err: fmt.Errorf("no answer")}
		}
		return streams.Verdict{}
	}
	g.run()
	id := g.takeN2(0, 1)[0]
	g.until("held", func() bool { l, _ := g.custody.Life(id); return l.State == streams.Held })
	if u := g.custody.Untold(time.Now(), func(string) time.Duration { return time.Hour }); len(u) != 1 || u[0].State != streams.Held {
		t.Errorf("untold: %+v", u)
	}
	p := g.engine.Partitions()[0]
	g.until("the person's replay", func() (replayed bool) {
		_ = p.Dead(ctx, func(d streams.DeadLetter) bool {
			replayed = p.Replay(ctx, strings.TrimPrefix(d.ID, "0/")) == nil
			return !replayed
		})
		return replayed
	})
	g.until("delivered once a person said so", func() bool { l, _ := g.custody.Life(id); return l.State == streams.Delivered })
}

func TestDeadLettersSurviveFlush(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	g := newRig(t, streamstest.Redis(t), rigOptions{})
	g.crm.answer = func(int, *streams.Entry) streams.Verdict {
		return streams.Verdict{Result: streams.Permanent, Err: fmt.Errorf("bad data")}
	}
	g.run()
	ids := g.takeN2(0, 3)
	g.settled(ids)
	g.redis.Flush()
	g.until("dead letters are back", func() bool {
		n := 0
		err := g.engine.Partitions()[0].Dead(ctx, func(d streams.DeadLetter) bool { n++; return d.Lead.Phone != "" && len(d.Tries) == 1 })
		return err == nil && n == 3
	})
}

func TestFailover(t *testing.T) {
	t.Parallel()
	g := newRig(t, streamstest.Redis(t), rigOptions{tune: func(w *streams.Worker) { w.Failover = []string{"backup"} }})
	backup := &crm{}
	g.engine.Workers = append(g.engine.Workers, &streams.Worker{Queue: streams.Destined("backup"), Handler: backup, Policy: streams.MessagePolicy, Guard: open{}})
	g.engine.Metrics = nil
	g.metrics()
	g.crm.answer = func(_ int, e *streams.Entry) streams.Verdict {
		if e.Lead.Message == "0 1" {
			return streams.Verdict{Result: streams.Ambiguous, Err: fmt.Errorf("no answer")}
		}
		return streams.Verdict{Result: streams.Permanent, Err: fmt.Errorf("no")}
	}
	g.run()
	ids := g.takeN2(0, 2)
	g.settled(ids)
	if got := backup.ids(); !slices.Equal(got, ids[:1]) {
		t.Errorf("failed over: %v, want only the one that surely was not sent", got)
	}
	l, _ := g.custody.Life(ids[0])
	if l.State != streams.Delivered || l.Destinations[0].State != streams.Dropped {
		t.Errorf("%+v", l)
	}
	if l, _ := g.custody.Life(ids[1]); l.State != streams.Dead {
		t.Errorf("%+v", l)
	}
}

func TestPanicCostsOneLead(t *testing.T) {
	t.Parallel()
	g := newRig(t, streamstest.Redis(t), rigOptions{tagging: streams.HandlerFunc(func(_ context.Context, batch []*streams.Entry) []streams.Verdict {
		vs := make([]streams.Verdict, len(batch))
		for i, e := range batch {
			if e.Lead.Message == "0 7" {
				panic("poison")
			}
			vs[i].Followers = []streams.Follower{{Queue: "to:crm", Lead: e.Lead}}
		}
		return vs
	})})
	g.run()
	ids := g.takeN2(0, 20)
	g.settled(ids)
	if l, _ := g.custody.Life(ids[7]); l.State != streams.Dead {
		t.Errorf("poisoned lead is %s, want dead", l.State)
	}
	g.once(slices.Delete(slices.Clone(ids), 7, 8))
}
