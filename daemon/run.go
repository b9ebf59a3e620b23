package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"leadstream/daemon/garbage"
	"leadstream/daemon/intake"
	"leadstream/daemon/links"
	"leadstream/daemon/poll"
	"leadstream/processors"
	"leadstream/processors/intent"
	"leadstream/processors/learn"
	"leadstream/processors/monitor"
	"leadstream/sinks/calendar"
	"leadstream/sinks/records"
	"leadstream/streams"
	"leadstream/streams/failpoint"
	"leadstream/streams/journal"
	"leadstream/streams/media"
)

// stopTime is how long calls in hand may take at a stop. What has not ended by then is taken up by the next start.
const stopTime = 20 * time.Second

// run is the daemon: a lead comes in through the doors, is kept in custody's journal, moves through the engine's
// queues, is judged by triage and tagging, and delivered by the sinks; the monitor and the teller see to it that a
// person hears of what does not go well. It returns when ctx ends and everything has stopped.
func run(ctx context.Context, cfg *Config) error {
	log := newLogger(cfg.Log)
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return fmt.Errorf("data_dir: %w", err)
	}
	instance, err := identity(cfg)
	if err != nil {
		return err
	}
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))

	custody := &streams.Custody{Instance: instance, Partitions: cfg.Partitions, Retention: cfg.Retention, Log: log}
	if history := cfg.history(); history != "" {
		custody.Aside = []string{history}
	}
	faults := prometheus.NewCounter(prometheus.CounterOpts{Name: "leadstream_journal_faults_total",
		Help: "Damaged records, failed writes and lack of space in the journal."})
	reg.MustRegister(faults)
	err = custody.Open(journal.Options{Dir: cfg.inData("journal"), Log: log, OnFault: func(err error) {
		faults.Inc()
		log.Error().Err(err).Msg("journal")
	}})
	if err != nil {
		return err
	}
	defer custody.Close()

	clients, err := openRedis(cfg)
	if err != nil {
		return err
	}
	defer clients.Close()
	files, err := media.Open(cfg.inData(cfg.Media.Dir), cfg.Media.MaxFile)
	if err != nil {
		return err
	}
	destinations, err := openSinks(cfg, instance, clients, files, log)
	if err != nil {
		return err
	}
	visiting, err := calendar.Open(cfg.Calendar, cfg.calendarEnv(recordsOf(destinations), log))
	if err != nil {
		return fmt.Errorf("calendar: %w", err)
	}
	fetcher, err := newFetcher(cfg, files, custody, reg, log)
	if err != nil {
		return err
	}
	wants := &intent.Current{}
	adviser, err := openLLM(cfg, reg, log)
	if err != nil {
		return err
	}
	tagging, err := newTagging(cfg, clients, reg, log)
	if err != nil {
		return err
	}
	desk := &learn.Desk{Settings: cfg.Triage.Learn, Dir: cfg.inData("triage"), Region: cfg.Region, Current: wants, Base: cfg.Triage.examples, Log: log}
	if err := desk.Open(); err != nil {
		return fmt.Errorf("triage.learn: %w", err)
	}
	workers, dedupe, err := judges(cfg, clients, custody, fetcher, wants, adviser, desk, tagging, log)
	if err != nil {
		return err
	}
	messages, err := newMessenger(cfg, recordsOf(destinations), visitsOf(visiting), clients, custody, reg, log)
	if err != nil {
		return err
	}
	led, err := newSequences(cfg, messages, recordsOf(destinations), reg, log)
	if err != nil {
		return err
	}
	for _, d := range destinations {
		w := d.worker()
		if d.name == cfg.history() && messages != nil {
			w.Handler = hearing(messages, d.handle)
		}
		workers = append(workers, w)
		if err := d.guard.Register(reg); err != nil {
			return err
		}
	}
	freed := func([]string) {}
	if dedupe != nil {
		freed = forget(dedupe, custody, log)
	}
	erased := forgetErased(desk, custody)
	custody.OnEnded(func(ids []string) { freed(ids); erased(ids) })
	engine := &streams.Engine{Custody: custody, Clients: clients, Workers: workers, Boot: rand.Text(), Grace: stopTime,
		Metrics: streams.NewMetrics(reg, workers), Log: log}
	if err := errors.Join(gauges(reg, custody, engine), triageGauges(reg, desk)); err != nil {
		return err
	}

	cfg.Intake.Keep = files.Add
	shim, err := intake.New(cfg.Intake, taker{custody}, reg, log)
	if err != nil {
		return err
	}
	shim.Links = &links.Store{Dir: cfg.inData(cfg.Links.Dir), Keep: cfg.Links.Keep, URL: cfg.Links.URL}
	channels, err := poll.New(poll.Options{Sources: cfg.Sources, Keep: shim.Told, Dir: cfg.inData("channels"), Version: version(), Reg: reg, Log: log})
	if err != nil {
		return err
	}
	shim.Heard = channels.Heard
	late := lateAfter(cfg)
	by := people(destinations)
	rows, err := manualRows(cfg, sinkEnv(cfg, "tell", instance, log))
	if err != nil {
		return err
	}
	teller := &processors.Teller{Ledger: untold{custody, late}, Rows: rows, People: inOrder(by, cfg.Tell.Sinks),
		Language: cfg.Language, Zone: cfg.Zone(), Log: log}
	watch, err := watchWaits(cfg.Answers.Unanswered, cfg.Zone(), recordsOf(destinations), reg)
	if err != nil {
		return err
	}
	alerts, err := newMonitor(cfg, monitor.Options{Notifiers: by, Language: cfg.Language, Zone: cfg.Zone(), Hours: watch.Hours(), Currency: sign(cfg.Currency), Log: log,
		Source: &measure{custody: custody, engine: engine, destinations: destinations, desk: desk, fetcher: fetcher, watch: watch, messages: messages, gatherer: reg, lateAfter: late},
		File:   filepath.Join(cfg.DataDir, "alerts.json")})
	if err != nil {
		return err
	}
	health := &Health{
		Alive: []Probe{{Name: "ledger", Ask: func(context.Context) error { custody.Tally(); return nil }}},
		Ready: []Probe{{Name: "journal", Ask: func(context.Context) error { return custody.Healthy() }}},
		Notes: []Probe{{Name: "redis", Ask: func(context.Context) error { return redisState(engine) }}},
	}
	doors := &Doors{Config: cfg, Records: recordsOf(destinations), Calendar: visiting, Intake: shim, Lessons: &lessons{desk, custody}, Alerts: alerts, Health: health, Metrics: reg, Log: log,
		Operator: &operator{cfg: cfg, custody: custody, engine: engine, destinations: destinations, started: time.Now(), late: late, scores: tagging.Calibration, watch: watch}}
	if err := doors.Open(); err != nil {
		return err
	}

	failpoint.Hit(failpoint.StartDoors)

	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { garbage.Tune(ctx); return nil })
	g.Go(func() error { return doors.Run(ctx) })
	g.Go(func() error { return channels.Run(ctx) })
	taught := sync.OnceValue(func() error { return teach(desk, log) })
	g.Go(taught) // while Redis starts, and while leads are taken
	g.Go(func() error {
		return serveQueues(ctx, cfg, clients, log, func(ctx context.Context) error {
			if err := taught(); err != nil {
				return err
			}
			return engine.Run(ctx)
		})
	})
	g.Go(func() error { return fetcher.Run(ctx) })
	g.Go(func() error { return files.Run(ctx, cfg.Media.Keep, log) })
	g.Go(func() error { return shim.Links.Run(ctx, log) })
	g.Go(func() error { return tagging.Watch(ctx) })
	g.Go(func() error { return desk.Run(ctx) })
	g.Go(func() error { return teller.Run(ctx) })
	if messages != nil {
		g.Go(func() error { return messages.Run(ctx, cfg.Answers.CheckEvery) })
		g.Go(func() error { return led.Run(ctx) })
	}
	if alerts != nil {
		g.Go(func() error { return alerts.Run(ctx) })
	}
	if visiting != nil && messages != nil {
		g.Go(func() error { return remind(cfg, visiting, recordsOf(destinations), messages.Wake, log).Run(ctx) })
	}
	if cfg.Calendar.Kind == calendar.CalDAV {
		g.Go(func() error { return syncCalendar(ctx, cfg.Calendar.CalDAV.Every, visiting, log) })
	}
	for _, box := range mailboxes(cfg, shim, channels.Down(), log) {
		g.Go(func() error { return box.Run(ctx) })
	}
	for _, d := range destinations {
		if s, ok := d.sink.(*records.Sink); ok {
			g.Go(func() error { return s.Run(ctx) })
			defer s.Close()
		}
		if d.cfg.Replay {
			g.Go(func() error { return d.replayAfterOutage(ctx, engine, log) })
		}
	}
	g.Go(func() error { return tellSystemd(ctx, health.Check, log) })
	log.Info().Str("instance", instance).Str("listen", doors.PublicAddr().String()).Str("version", version()).Msg("leadstream runs")
	err = g.Wait()
	log.Info().Msg("leadstream has stopped")
	return err
}

// serveQueues runs work, the engine, on the embedded Redis or on the user's own. Leads are taken meanwhile: the journal does
// not wait for Redis. A Redis on which leads would be lost is refused; one that does not answer is waited for.
func serveQueues(ctx context.Context, cfg *Config, clients *streams.Clients, log zerolog.Logger, work func(context.Context) error) error {
	if cfg.Redis.URL == Embedded {
		embedded, err := startEmbedded(ctx, cfg, log)
		if ctx.Err() != nil && embedded == nil {
			return nil // the stop came first
		}
		if err != nil {
			return err
		}
		failpoint.Hit(failpoint.StartRedis)
		g, watched := errgroup.WithContext(ctx)
		g.Go(func() error { return embedded.Run(watched) })
		g.Go(func() error { return work(watched) })
		return errors.Join(g.Wait(), embedded.Close())
	}
	for _, f := range streams.CheckRedis(ctx, clients.Write) {
		if f.Fatal && f.Code != "unreachable" {
			return usageError{fmt.Errorf("redis: %s; %s", f.Problem, f.Cure)}
		}
		log.Warn().Str("redis", f.Problem).Str("cure", f.Cure).Msg("Redis is not as it should be; the journal keeps the leads")
	}
	return work(ctx)
}

func startEmbedded(ctx context.Context, cfg *Config, log zerolog.Logger) (*streams.Embedded, error) {
	return streams.StartEmbedded(ctx, streams.EmbeddedOptions{Dir: embeddedDir(cfg), MaxMemory: cfg.Redis.MaxMemory, Binary: cfg.Redis.Server, Log: log})
}

func embeddedDir(cfg *Config) string { return cfg.inData("redis") }

func openRedis(cfg *Config) (*streams.Clients, error) {
	url := cfg.Redis.URL
	if url == Embedded {
		var err error
		if url, err = streams.EmbeddedURL(embeddedDir(cfg)); err != nil {
			return nil, err
		}
	}
	return streams.OpenRedis(streams.RedisOptions{URL: url, Readers: cfg.Partitions * (len(cfg.Sinks) + 2)})
}

// newMonitor makes the alert engine; nil when the config names nobody to tell, of which the loading has warned.
func newMonitor(cfg *Config, o monitor.Options) (*monitor.Monitor, error) {
	if len(cfg.Alerts.Escalation) == 0 {
		return nil, nil
	}
	return monitor.New(cfg.Alerts, o)
}

func redisState(engine *streams.Engine) error {
	if d := engine.RedisDownFor(); d > 0 {
		return fmt.Errorf("has not answered for %s; leads are kept in the journal", d.Round(time.Second))
	}
	return nil
}

// quiet drops go-redis's own lines: they come by the hundred while Redis is away.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}
