package streams_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"leadstream/streams"
	"leadstream/streams/journal"
	"leadstream/streams/streamstest"
)

// crm is a destination in memory: what a far side would have, with whatever a test wants to go wrong.
type crm struct {
	mu      sync.Mutex
	created []string // lead ids, in order
	seen    []*streams.Entry
	answer  func(n int, e *streams.Entry) streams.Verdict // n: the call's number for this lead, from 1
	calls   map[string]int
}

func (c *crm) Handle(_ context.Context, batch []*streams.Entry) []streams.Verdict {
	var vs []streams.Verdict
	for _, e := range batch {
		c.mu.Lock()
		if c.calls == nil {
			c.calls = map[string]int{}
		}
		c.calls[e.Lead.ID]++
		n := c.calls[e.Lead.ID]
		c.seen = append(c.seen, e)
		c.mu.Unlock()
		v := streams.Verdict{}
		if c.answer != nil {
			v = c.answer(n, e)
		}
		if v.Result == streams.Done {
			v.Remote = c.create(e.Lead.ID)
		}
		vs = append(vs, v)
	}
	return vs
}

func (c *crm) create(id string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.created = append(c.created, id)
	return fmt.Sprint(len(c.created))
}

func (c *crm) ids() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.created)
}

// rig is an engine with intake, triaged and one destination, on a real redis-server and a real journal.
type rig struct {
	t       *testing.T
	redis   *streamstest.Server
	dir     string
	custody *streams.Custody
	engine  *streams.Engine
	clients *streams.Clients
	crm     *crm
	stop    func()
}

type rigOptions struct {
	dir, instance string
	partitions    int
	url           string // of Redis; empty: the server's socket
	policy        streams.Policy
	tagging       streams.Handler
	tune          func(*streams.Worker)
}

func newRig(t *testing.T, r *streamstest.Server, o rigOptions) *rig {
	t.Helper()
	if o.dir == "" {
		o.dir = t.TempDir()
	}
	if o.instance == "" {
		o.instance = "one"
	}
	if o.policy.Attempts == 0 {
		o.policy = streams.Policy{Attempts: 5, Base: 30 * time.Millisecond, Factor: 1.5, Max: 300 * time.Millisecond}
	}
	if o.url == "" {
		o.url = "unix://" + r.Addr
	}
	g := &rig{t: t, redis: r, dir: o.dir, crm: &crm{}}
	log := zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.ErrorLevel)
	g.custody = &streams.Custody{Instance: o.instance, Partitions: o.partitions, Log: log}
	if err := g.custody.Open(journal.Options{Dir: o.dir, Reserve: -1, SegmentSize: 2 << 20}); err != nil {
		t.Fatal(err)
	}
	var err error
	if g.clients, err = streams.OpenRedis(streams.RedisOptions{URL: o.url, Timeout: time.Second, Readers: 20}); err != nil {
		t.Fatal(err)
	}
	pass := streams.HandlerFunc(func(_ context.Context, batch []*streams.Entry) []streams.Verdict {
		vs := make([]streams.Verdict, len(batch))
		for i, e := range batch {
			vs[i].Followers = []streams.Follower{{Queue: streams.Triaged, Lead: e.Lead}}
		}
		return vs
	})
	route := streams.HandlerFunc(func(_ context.Context, batch []*streams.Entry) []streams.Verdict {
		vs := make([]streams.Verdict, len(batch))
		for i, e := range batch {
			q := streams.Destined("crm")
			if e.Lead.Hot {
				q += ":hot"
			}
			vs[i].Followers = []streams.Follower{{Queue: q, Lead: e.Lead}}
		}
		return vs
	})
	if o.tagging == nil {
		o.tagging = route
	}
	toCRM := &streams.Worker{Queue: streams.Destined("crm"), Handler: g.crm, Policy: o.policy, Concurrency: 4, Guard: open{}, Timeout: 5 * time.Second}
	if o.tune != nil {
		o.tune(toCRM)
	}
	workers := []*streams.Worker{
		{Queue: streams.Intake, Handler: pass, Policy: o.policy, Batch: 64, Concurrency: 2},
		{Queue: streams.Triaged, Handler: o.tagging, Policy: o.policy, Batch: 64, Concurrency: 2},
		toCRM,
	}
	g.engine = &streams.Engine{Custody: g.custody, Clients: g.clients, Workers: workers, Boot: fmt.Sprint(time.Now().UnixNano()),
		Grace: 3 * time.Second, Log: log}
	g.metrics()
	return g
}

func (g *rig) metrics() {
	g.engine.Metrics = streams.NewMetrics(prometheus.NewRegistry(), g.engine.Workers)
}

// open is a guard that lets four calls of one entry through at a time.
type open struct{}

func (open) Admit(_ context.Context, want int) (int, time.Duration)    { return want, 0 }
func (open) Start(int) error                                           { return nil }
func (open) Finish(int, bool)                                          {}
func (open) Call(context.Context, int) error                           { return nil }
func (open) PauseFor(context.Context, time.Time, string, string) error { return nil }
func (open) PauseKey(context.Context, string, time.Time) error         { return nil }

func (g *rig) run() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = g.engine.Run(ctx) }()
	var once sync.Once
	g.stop = func() {
		once.Do(func() {
			cancel()
			<-done
			_ = g.clients.Close()
			if err := g.custody.Close(); err != nil {
				g.t.Error(err)
			}
		})
	}
	g.t.Cleanup(func() { g.stop() })
}

func (g *rig) take(leads ...*streams.Lead) []string {
	g.t.Helper()
	var ids []string
	for _, l := range leads {
		if l.Source == "" {
			l.Source = "site"
		}
		r, err := g.custody.TakeAll(context.Background(), []streams.Taken{{Lead: l, Canonical: []byte(l.Name + l.Phone + l.Message)}})
		if err != nil {
			g.t.Fatal(err)
		}
		ids = append(ids, r[0].LeadID)
	}
	return ids
}

func (g *rig) takeN(n int) []string {
	g.t.Helper()
	var leads []*streams.Lead
	for i := range n {
		leads = append(leads, &streams.Lead{Name: "Анна", Phone: fmt.Sprintf("+7999%07d", i), Message: "запись"})
	}
	return g.take(leads...)
}

// settled waits until every lead has ended.
func (g *rig) settled(ids []string) {
	g.t.Helper()
	g.until("every lead has ended", func() bool {
		for _, id := range ids {
			l, ok := g.custody.Life(id)
			if !ok || !l.State.Final() {
				return false
			}
		}
		return true
	})
}

func (g *rig) until(what string, ok func() bool) {
	g.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if ok() {
			return
		}
		if time.Now().After(deadline) {
			q, err := g.engine.Queues(context.Background())
			g.t.Fatalf("waited in vain: %s; ledger %+v, queues %+v %v", what, g.custody.Tally(), q, err)
		}
	}
}

// once checks that each lead was created once, and nothing else.
func (g *rig) once(ids []string) {
	g.t.Helper()
	count := map[string]int{}
	for _, id := range g.crm.ids() {
		count[id]++
	}
	for _, id := range ids {
		if count[id] != 1 {
			g.t.Errorf("lead %s was created %d times, want 1", id, count[id])
		}
		delete(count, id)
	}
	for id := range count {
		g.t.Errorf("lead %s was created and never taken", id)
	}
}

func TestLeadGoesThrough(t *testing.T) {
	t.Parallel()
	g := newRig(t, streamstest.Redis(t), rigOptions{})
	g.run()
	ids := g.takeN(200)
	g.settled(ids)
	g.once(ids)
	l, _ := g.custody.Life(ids[0])
	if l.State != streams.Delivered || len(l.Destinations) != 1 || l.Destinations[0].RemoteID == "" || l.Destinations[0].Attempts != 1 {
		t.Errorf("life: %+v", l)
	}
	g.until("queues are empty", func() bool {
		qs, err := g.engine.Queues(context.Background())
		return err == nil && !slices.ContainsFunc(qs, func(q streams.QueueState) bool { return q.Length > 0 })
	})
	for _, key := range []string{"ls:{0}:to:crm:open", "ls:{0}:to:crm:meta", "ls:{0}:intake:meta"} {
		if n := g.redis.Client.HLen(context.Background(), key).Val(); n != 0 {
			t.Errorf("%s holds %d fields when nothing is left, want 0", key, n)
		}
	}
}

func TestRetryThenDeadThenReplay(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	g := newRig(t, streamstest.Redis(t), rigOptions{policy: streams.Policy{Attempts: 3, Base: 20 * time.Millisecond, Factor: 1, Max: time.Second}})
	refuse := true
	var mu sync.Mutex
	g.crm.answer = func(n int, e *streams.Entry) streams.Verdict {
		mu.Lock()
		defer mu.Unlock()
		if e.Lead.Name == "никогда" && refuse {
			return streams.Verdict{Result: streams.Retry, Err: fmt.Errorf("503 number %d", n), Code: "503"}
		}
		if n == 1 {
			return streams.Verdict{Result: streams.Retry}
		}
		return streams.Verdict{}
	}
	g.run()
	ids := g.take(&streams.Lead{Name: "потом", Phone: "+79990000001"}, &streams.Lead{Name: "никогда", Phone: "+79990000002"})
	g.settled(ids)
	if l, _ := g.custody.Life(ids[0]); l.State != streams.Delivered || l.Destinations[0].Attempts != 2 {
		t.Errorf("retried lead: %+v", l)
	}
	l, _ := g.custody.Life(ids[1])
	if l.State != streams.Dead || l.Destinations[0].Attempts != 3 || l.Destinations[0].Error != "503 number 3" {
		t.Errorf("dead lead: %+v", l)
	}
	p := g.engine.Partitions()[0]
	var letters []streams.DeadLetter
	g.until("the dead letter", func() bool { // the ledger knows a moment before the stream does
		letters = nil
		err := p.Dead(ctx, func(d streams.DeadLetter) bool { letters = append(letters, d); return true })
		return err == nil && len(letters) > 0
	})
	if len(letters) != 1 || len(letters[0].Tries) != 3 || letters[0].Lead.ID != ids[1] {
		t.Fatalf("dead letters: %+v", letters)
	}
	mu.Lock()
	refuse = false
	mu.Unlock()
	id := letters[0].ID[len("0/"):]
	if err := p.Replay(ctx, id); err != nil {
		t.Fatal(err)
	}
	g.settled(ids)
	g.until("delivered after the replay", func() bool { l, _ := g.custody.Life(ids[1]); return l.State == streams.Delivered })
	g.once(ids)
	if err := p.Replay(ctx, id); err == nil {
		t.Error("a dead letter was replayed twice")
	}
}

func TestOrderPerCustomer(t *testing.T) {
	t.Parallel()
	g := newRig(t, streamstest.Redis(t), rigOptions{})
	g.crm.answer = func(n int, e *streams.Entry) streams.Verdict {
		if e.Lead.Message == "0" && n < 3 { // the first one of each customer fails twice
			return streams.Verdict{Result: streams.Retry}
		}
		return streams.Verdict{}
	}
	g.run()
	const customers, each = 20, 15
	var ids []string
	of := map[string][]string{}
	for i := range each {
		for c := range customers {
			phone := fmt.Sprintf("+7999000%04d", c)
			id := g.take(&streams.Lead{Phone: phone, Message: fmt.Sprint(i)})[0]
			ids, of[phone] = append(ids, id), append(of[phone], id)
		}
	}
	g.settled(ids)
	g.once(ids)
	got := g.crm.ids()
	for phone, want := range of {
		var order []string
		for _, id := range got {
			if slices.Contains(want, id) {
				order = append(order, id)
			}
		}
		if !slices.Equal(order, want) {
			t.Errorf("customer %s: delivered in another order than accepted", phone)
		}
	}
	for id, n := range g.crm.calls {
		if l, _ := g.custody.Life(id); l.Destinations[0].Attempts != n {
			t.Errorf("lead %s: %d attempts counted, %d made", id, l.Destinations[0].Attempts, n)
		}
	}
}
