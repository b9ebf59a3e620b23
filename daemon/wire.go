package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"leadstream/daemon/fetch"
	"leadstream/daemon/intake"
	"leadstream/processors"
	"leadstream/processors/customer"
	"leadstream/processors/llm"
	"leadstream/processors/sequences"
	"leadstream/sinks"
	"leadstream/streams"
	"leadstream/streams/journal"
	"leadstream/streams/media"
)

// destination is a configured sink at work.
type destination struct {
	name  string
	cfg   Sink
	sink  sinks.Sink
	guard *streams.Destination
}

// openSinks makes every configured sink, in the order of their names. Its error says the faults of all of them.
func openSinks(cfg *Config, instance string, clients *streams.Clients, files *media.Store, log zerolog.Logger) ([]*destination, error) {
	var all []*destination
	var faults []error
	names := make([]string, 0, len(cfg.Sinks))
	for name := range cfg.Sinks {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		s := cfg.Sinks[name]
		env := sinkEnv(cfg, name, instance, log)
		env.Files = files
		sink, err := kinds[s.Kind].Open(s.Settings, env)
		if err != nil {
			faults = append(faults, fmt.Errorf("sinks.%s: %w", name, err))
			continue
		}
		guard := streams.NewDestination(s.Destination(name), clients, "ls", time.Now)
		all = append(all, &destination{name: name, cfg: s, sink: sink, guard: guard})
	}
	return all, errors.Join(faults...)
}

func sinkEnv(cfg *Config, name, instance string, log zerolog.Logger) sinks.Env {
	return sinks.Env{Name: name, Instance: instance, Language: cfg.Language, Zone: cfg.Zone(), Region: cfg.Region,
		DataDir: cfg.DataDir, Timeout: cfg.Sinks[name].Timeout, Version: version(), Log: log.With().Str("queue", streams.Destined(name)).Logger()}
}

// worker serves the destination's queue.
func (d *destination) worker() *streams.Worker {
	w := &streams.Worker{
		Queue: streams.Destined(d.name), Handler: streams.HandlerFunc(d.handle), Policy: d.cfg.Retry,
		Batch: max(kinds[d.cfg.Kind].Batch, 1), Concurrency: d.cfg.Concurrency, Timeout: callTime(d.cfg.Timeout),
		Guard: d.guard, Failover: d.cfg.Failover, NoHot: !d.cfg.Hot,
	}
	if d.class() == sinks.Blind {
		w.OnAmbiguous = streams.OnAmbiguous(d.cfg.OnAmbiguous)
	}
	return w
}

// callTime bounds one Deliver call from outside: the sink's own limits come first.
func callTime(own time.Duration) time.Duration {
	const most = 2 * time.Minute
	if own > 0 {
		return own + 10*time.Second
	}
	return most
}

func (d *destination) class() sinks.Class {
	if c, ok := d.sink.(sinks.Classer); ok {
		return c.Class()
	}
	return kinds[d.cfg.Kind].Class
}

// handle hands a batch of the queue to the sink.
func (d *destination) handle(ctx context.Context, batch []*streams.Entry) []streams.Verdict {
	deliveries := make([]sinks.Delivery, len(batch))
	for i, e := range batch {
		deliveries[i] = sinks.Delivery{Lead: e.Lead, Attempt: e.Attempt, Unsure: e.Unsure, Of: e.Of}
	}
	return d.sink.Deliver(ctx, deliveries)
}

// judges are the workers of the two inner queues.
func judges(cfg *Config, clients *streams.Clients, custody *streams.Custody, lacking processors.Completer, wants processors.Wants, adviser *llm.Model, pupil processors.Pupil, tagging *processors.Tagging, log zerolog.Logger) ([]*streams.Worker, *processors.Dedupe, error) {
	triage := &processors.Triage{Lacking: lacking, Wants: wants, Pupil: pupil, Slots: cfg.slotReader(), Escalate: cfg.Triage.Escalate, Region: cfg.Region, Language: cfg.Language,
		Find: custody.Lead, Log: log}
	if adviser != nil {
		triage.Adviser = adviser
	}
	var dedupe *processors.Dedupe
	if cfg.Triage.DedupeWindow > 0 || cfg.Triage.Conversation > 0 {
		dedupe = &processors.Dedupe{Redis: clients.Write, Partitions: cfg.Partitions, Window: cfg.Triage.DedupeWindow, Talk: cfg.Triage.Conversation,
			Alive: func(_ context.Context, id string) bool { return custody.Alive(id) }}
		triage.Dedupe = dedupe
	}
	return []*streams.Worker{
		{Queue: streams.Intake, Handler: triage, Policy: streams.MessagePolicy, Batch: 256, Concurrency: 2},
		{Queue: streams.Triaged, Handler: tagging, Policy: streams.MessagePolicy, Batch: 256, Concurrency: 2},
	}, dedupe, nil
}

// newFetcher is what completes leads before triage judges them.
func newFetcher(cfg *Config, files *media.Store, custody *streams.Custody, reg prometheus.Registerer, log zerolog.Logger) (*fetch.Fetcher, error) {
	f := &fetch.Fetcher{Store: files, Settings: cfg.Media, Sources: map[string]*fetch.Source{}, Region: cfg.Region, Log: log,
		Take: func(ctx context.Context, l *streams.Lead) error {
			_, err := custody.TakeAll(ctx, []streams.Taken{{Lead: l, Key: l.Key, Canonical: []byte(l.Key)}})
			return err
		}}
	var faults []error
	for name, set := range cfg.Sources {
		s, err := fetch.Open(set, version())
		if err != nil {
			faults = append(faults, fmt.Errorf("sources.%s: %w", name, err))
		} else if s != nil {
			f.Sources[name] = s
		}
	}
	var err error
	f.Metrics, err = fetch.NewMetrics(reg)
	return f, errors.Join(append(faults, err)...)
}

// priced are the services with what they cost.
func (c *Config) priced() (all []processors.Priced) {
	for _, s := range c.Triage.Services {
		all = append(all, processors.Priced{Name: s.Name, Price: s.Price})
	}
	return all
}

// newTagging is the handler after triage, and what judges customers of whom nothing comes.
func newTagging(cfg *Config, clients *streams.Clients, reg prometheus.Registerer, log zerolog.Logger) (*processors.Tagging, error) {
	t := cfg.Tagging.ready(slices.Sorted(maps.Keys(cfg.Sinks)), cfg.Zone())
	t.History, t.Told = cfg.history(), sequences.Segments(cfg.Sequences)
	if len(t.Sinks) == 0 {
		t.Sinks = t.Known
	}
	if cfg.Tagging.Customers > 0 {
		t.Memory = &customer.Memory{Redis: clients.Write, Partitions: cfg.Partitions, Most: cfg.Tagging.Customers}
	}
	t.Services = cfg.priced()
	t.Log = log
	var err error
	if t.Metrics, err = processors.NewTaggingMetrics(reg); err != nil {
		return nil, err
	}
	if err := t.Compile(); err != nil {
		return nil, fmt.Errorf("tagging: %w", err)
	}
	return t, nil
}

// forget frees the contacts of leads that died or were dropped, so that their customers' next message is a lead of its
// own.
func forget(dedupe *processors.Dedupe, custody *streams.Custody, log zerolog.Logger) func(ids []string) {
	return func(ids []string) {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		for _, id := range ids {
			lead, ok := custody.Lead(id)
			if !ok || lead.Event != "" {
				continue
			}
			if err := dedupe.Forget(ctx, lead); err != nil { // Alive guards a repeat all the same
				log.Debug().Err(err).Str("lead", id).Msg("its contacts are remembered until the window ends")
			}
		}
	}
}

// taker is custody as the shim sees it.
type taker struct{ custody *streams.Custody }

func (t taker) Take(ctx context.Context, one intake.Taken) (intake.Receipt, error) {
	rs, err := t.TakeAll(ctx, []intake.Taken{one})
	if err != nil {
		return intake.Receipt{}, err
	}
	return rs[0], nil
}

func (t taker) TakeAll(ctx context.Context, all []intake.Taken) ([]intake.Receipt, error) {
	taken := make([]streams.Taken, len(all))
	for i, a := range all {
		taken[i] = streams.Taken(a)
	}
	rs, err := t.custody.TakeAll(ctx, taken)
	if errors.Is(err, journal.ErrTooLarge) {
		return nil, intake.ErrTooLarge
	}
	if err != nil {
		return nil, intake.ErrUnavailable{Err: err}
	}
	receipts := make([]intake.Receipt, len(rs))
	for i, r := range rs {
		receipts[i] = intake.Receipt{LeadID: r.LeadID, Status: intake.Accepted, Conflict: r.Conflict}
		if r.Duplicate {
			receipts[i].Status = intake.Duplicate
		}
	}
	return receipts, nil
}

func (t taker) Quarantine(_ context.Context, q intake.Quarantined) error {
	err := t.custody.Quarantine(streams.Quarantined{Source: q.Source, Reason: strings.TrimSpace(q.Code + " " + q.Reason),
		ContentType: q.ContentType, At: q.ReceivedAt.UTC(), Raw: q.Raw})
	if err != nil {
		return intake.ErrUnavailable{Err: err}
	}
	return nil
}

// newLogger writes JSON lines, or for a person at a terminal something to look at.
func newLogger(cfg Log) zerolog.Logger {
	zerolog.TimeFieldFormat = time.RFC3339Nano
	zerolog.ErrorFieldName = "err"
	level, err := zerolog.ParseLevel(cfg.Level)
	if err != nil {
		level = zerolog.InfoLevel
	}
	if cfg.Format == "console" || cfg.Format == "auto" && interactive(os.Stderr) {
		return zerolog.New(zerolog.ConsoleWriter{Out: os.Stderr, TimeFormat: time.TimeOnly}).Level(level).With().Timestamp().Logger()
	}
	return zerolog.New(os.Stderr).Level(level).With().Timestamp().Logger()
}

// gauges are what the daemon itself measures beside the engine's counters.
func gauges(reg prometheus.Registerer, custody *streams.Custody, engine *streams.Engine) error {
	gauge := func(name, help string, value func() float64) error {
		return reg.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "leadstream_" + name, Help: help}, value))
	}
	return errors.Join(
		gauge("open_leads", "Leads that have not ended.", func() float64 { return float64(custody.Tally().Open) }),
		gauge("unforwarded_leads", "Leads in the journal that Redis has not confirmed.", func() float64 { return float64(custody.Unforwarded()) }),
		gauge("unexplained_leads", "Leads that have neither ended nor are in any queue: must be 0.", func() float64 { return float64(engine.Unexplained()) }),
		gauge("redis_down", "1 while Redis does not answer.", func() float64 { return one(engine.RedisDownFor() > 0) }),
		gauge("journal_healthy", "1 while the journal takes leads.", func() float64 { return one(custody.Healthy() == nil) }),
	)
}

func one(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
