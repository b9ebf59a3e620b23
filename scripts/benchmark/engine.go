package main

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"leadstream/daemon/intake"
	"leadstream/processors"
	"leadstream/processors/intent"
	"leadstream/streams"
	"leadstream/streams/journal"
)

// engine is leadstream with a sink that answers at once: the journal, triage and tagging with the daemon's own batches,
// two rules, and the guard of a real destination.
type engine struct {
	custody *streams.Custody
	clients *streams.Clients
	queues  *streams.Engine
	shut    atomic.Bool // the destination takes nothing
	handled atomic.Int64
	open    func(accepted int64) int64 // how many leads have been accepted and are not there yet
	seen    func(*streams.Lead)        // called for each delivery
	stop    context.CancelFunc
	ended   chan struct{}
}

// Sizes as in the daemon: of its two processors, and of a destination that takes batches.
const (
	judgeBatch, judges = 256, 2
	sinkBatch, callers = 500, 8
)

// startIntake is the engine with its intake queue shut: leads are journalled and forwarded to Redis, and stay there. Once
// it is opened, handler judges them; nil is done with each.
func startIntake(socket, dir string, handler streams.HandlerFunc) *engine {
	e := startAway(socket, dir, handler)
	e.owned()
	return e
}

// startAway is startIntake that does not wait for Redis.
func startAway(socket, dir string, handler streams.HandlerFunc) *engine {
	e := &engine{seen: func(*streams.Lead) {}}
	if handler == nil {
		handler = e.deliver
	}
	e.shut.Store(true)
	destination := streams.NewDestination(streams.DestinationConfig{Name: "bench", Concurrency: judges, Batch: judgeBatch}, e.connect(socket, dir), "ls", time.Now)
	e.run([]*streams.Worker{{Queue: streams.Intake, Handler: handler, Batch: judgeBatch, Concurrency: judges, Guard: &valve{destination, &e.shut}}})
	e.open = func(int64) int64 { return int64(e.custody.Unforwarded()) }
	return e
}

// startFirst is the engine with the intake queue alone, and a processor for it.
func startFirst(socket, dir string, handler streams.HandlerFunc) *engine {
	e := &engine{}
	e.connect(socket, dir)
	e.run([]*streams.Worker{{Queue: streams.Intake, Handler: handler, Batch: judgeBatch, Concurrency: judges}})
	e.owned()
	return e
}

func startEngine(socket, dir string) *engine {
	e := &engine{seen: func(*streams.Lead) {}}
	clients := e.connect(socket, dir)
	e.open = func(accepted int64) int64 { return accepted - e.handled.Load() }
	destination := streams.NewDestination(streams.DestinationConfig{Name: "bench", Concurrency: callers, Batch: sinkBatch}, clients, "ls", time.Now)
	examples, err := processors.Examples()
	check(err)
	model, err := intent.Train(examples)
	check(err)
	triage := &processors.Triage{Wants: model, Escalate: processors.UsualEscalation(), Region: "RU", Language: "ru", Dedupe: &processors.Dedupe{Redis: clients.Write, Window: processors.DedupeWindow}, Log: shipped()}
	tagging := &processors.Tagging{Sinks: []string{"bench"}, Known: []string{"bench"}, Zone: time.UTC, Log: shipped(), Rules: []processors.Rule{
		{When: `service contains "окрашивание"`, Tags: []string{"colour"}},
		{When: `utm["source"] == "instagram"`, Tags: []string{"ads"}},
	}}
	check(tagging.Compile())
	e.run([]*streams.Worker{
		{Queue: streams.Intake, Handler: triage, Batch: judgeBatch, Concurrency: judges},
		{Queue: streams.Triaged, Handler: tagging, Batch: judgeBatch, Concurrency: judges},
		{Queue: streams.Destined("bench"), Handler: streams.HandlerFunc(e.deliver), Batch: sinkBatch, Concurrency: callers, Guard: &valve{destination, &e.shut}},
	})
	e.owned()
	return e
}

// connect opens the journal and Redis.
func (e *engine) connect(socket, dir string) *streams.Clients {
	var err error
	e.custody = &streams.Custody{Instance: "bench", Log: shipped()}
	check(e.custody.Open(journal.Options{Dir: dir}))
	e.clients, err = streams.OpenRedis(streams.RedisOptions{URL: "unix://" + socket})
	check(err)
	return e.clients
}

func (e *engine) run(workers []*streams.Worker) {
	e.queues = &streams.Engine{Custody: e.custody, Clients: e.clients, Workers: workers, Boot: fmt.Sprint(os.Getpid()),
		Grace: time.Second, Metrics: streams.NewMetrics(prometheus.NewRegistry(), workers), Log: shipped()}
	ctx, cancel := context.WithCancel(context.Background())
	e.ended = make(chan struct{})
	e.stop = cancel
	go func() { check(e.queues.Run(ctx)); close(e.ended) }()
}

// take makes lead i durable.
func (e *engine) take(i int) error {
	l := lead(i)
	_, err := e.custody.TakeAll(context.Background(), []streams.Taken{{Lead: l, Canonical: fmt.Appendf(nil, "%d", i), Raw: []byte(l.Message)}})
	return err
}

// owned waits until the queues run.
func (e *engine) owned() {
	for !e.queues.Partitions()[0].Owned() {
		time.Sleep(time.Millisecond)
	}
}

// halt stops the engine and closes its journal.
func (e *engine) halt() {
	e.stop()
	<-e.ended
	check(e.custody.Close())
	_ = e.clients.Close()
}

// shipped is a log with the level and the lines of the daemon, which nobody reads.
func shipped() zerolog.Logger {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	check(err)
	return zerolog.New(null).Level(zerolog.InfoLevel).With().Timestamp().Logger()
}

func (e *engine) deliver(_ context.Context, batch []*streams.Entry) []streams.Verdict {
	for _, entry := range batch {
		if entry.Lead.ID == "" {
			check(fmt.Errorf("entry %s has no lead", entry.ID))
		}
		e.seen(entry.Lead)
	}
	e.handled.Add(int64(len(batch)))
	return make([]streams.Verdict, len(batch))
}

// valve is a destination that can be shut, so that its queue fills.
type valve struct {
	*streams.Destination
	shut *atomic.Bool
}

func (v *valve) Admit(ctx context.Context, want int) (int, time.Duration) {
	if v.shut.Load() {
		return 0, 5 * time.Millisecond
	}
	return v.Destination.Admit(ctx, want)
}

// taker is custody as the shim sees it.
type taker struct {
	*streams.Custody
	accepted atomic.Int64
}

func (t *taker) Take(ctx context.Context, one intake.Taken) (intake.Receipt, error) {
	all, err := t.TakeAll(ctx, []intake.Taken{one})
	if err != nil {
		return intake.Receipt{}, err
	}
	return all[0], nil
}

func (t *taker) TakeAll(ctx context.Context, all []intake.Taken) ([]intake.Receipt, error) {
	taken := make([]streams.Taken, len(all))
	for i, one := range all {
		taken[i] = streams.Taken(one)
	}
	receipts, err := t.Custody.TakeAll(ctx, taken)
	if err != nil {
		return nil, err
	}
	answer := make([]intake.Receipt, len(receipts))
	for i, r := range receipts {
		answer[i] = intake.Receipt{LeadID: r.LeadID, Status: intake.Accepted, Conflict: r.Conflict}
		if r.Duplicate {
			check(fmt.Errorf("lead %s came twice: the load has to be of different leads", r.LeadID))
		}
	}
	t.accepted.Add(int64(len(answer)))
	return answer, nil
}

func (t *taker) Quarantine(_ context.Context, q intake.Quarantined) error {
	check(fmt.Errorf("quarantined: %s", q.Reason))
	return nil
}
