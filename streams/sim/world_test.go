package sim

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"leadstream/streams"
	"leadstream/streams/internal/chance"
	"leadstream/streams/streamstest/model"
)

// world is all that a seed makes: daemons, one Redis, far sides, senders, and what goes wrong.
type world struct {
	seed     uint64
	plan     plan
	dir      string
	log      zerolog.Logger
	began    time.Time
	lasted   time.Duration
	redis    *model.Server
	daemons  []*daemon
	crm      *far
	backup   *far
	running  sync.WaitGroup // of every life of a daemon
	starts   atomic.Int64   // those that are to come; new ones may come meanwhile, which a WaitGroup forbids
	starting sync.Mutex

	redisDown    atomic.Bool
	stalledUntil atomic.Int64 // unix ns
	restarts     int
	skew         atomic.Int64 // of all wall clocks, ns
	steps        atomic.Int64 // of the clocks
	hurt         atomic.Int64 // disturbances so far
	forgot       atomic.Bool  // Redis has lost something

	mu     sync.Mutex
	events bytes.Buffer
	wrong  []string
	sent   []*sent
}

// live runs the world of a seed to its end, in a bubble of its own, and answers what was wrong and the trace.
func live(t *testing.T, seed uint64, dir string, verbose bool) *world {
	w := &world{seed: seed, dir: dir, began: time.Now(), log: zerolog.Nop()}
	if verbose {
		w.log = zerolog.New(zerolog.ConsoleWriter{Out: lines{w}, NoColor: true, PartsExclude: []string{"time"}})
	}
	w.plan = newPlan(w)
	w.trace("plan %+v", w.plan)
	jitter := w.dice("jitter")
	var rolling sync.Mutex // the engine's goroutines share it
	chance.Float64 = func() float64 {
		rolling.Lock()
		defer rolling.Unlock()
		return jitter.Float64()
	}
	w.redis = model.New(w.now)
	w.redis.RunID = w.runID()
	if *traces || verbose {
		w.redis.Ran = w.ran
	}
	w.crm, w.backup = newFar(w, "crm"), newFar(w, "backup")
	for n := range w.plan.daemons {
		d := &daemon{w: w, name: string(rune('a' + n)), dir: fmt.Sprintf("%s/%c0", dir, 'a'+n)}
		w.daemons = append(w.daemons, d)
	}
	for _, d := range w.daemons {
		d.start()
	}
	var busy sync.WaitGroup
	for c := range w.plan.customers {
		busy.Go(func() { w.customer(c) })
	}
	for n, f := range w.plan.faults {
		busy.Go(func() { w.happen(n, f) })
	}
	busy.Wait()
	w.started()
	time.Sleep(healing - min(w.elapsed(), healing))
	w.started()
	w.settle()
	time.Sleep(2 * time.Second) // a client that could not connect tries again
	if w.lostMemory() {
		time.Sleep(4 * time.Second) // the owner renews its lease, finds out, and brings the dead letters back
	}
	w.lasted = w.elapsed()
	w.check()
	for _, d := range w.daemons {
		d.stop()
	}
	w.running.Wait()
	time.Sleep(3 * time.Second) // what a closed client still has going ends
	return w
}

func (w *world) now() time.Time         { return time.Now().Add(time.Duration(w.skew.Load())) }
func (w *world) elapsed() time.Duration { return time.Since(w.began) }
func (w *world) clocks() int            { return int(w.steps.Load()) }
func (w *world) lostMemory() bool       { return w.forgot.Load() }

// disturbed notes that what a daemon was doing may not be known to it any more.
func (w *world) disturbed()        { w.hurt.Add(1) }
func (w *world) disturbances() int { return int(w.hurt.Load()) }

func (w *world) runID() string {
	w.restarts++
	return fmt.Sprintf("%040x", w.restarts)
}

// trace notes an event. The same seed gives the same trace, byte by byte.
func (w *world) trace(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	fmt.Fprintf(&w.events, "%11.6f ", time.Since(w.began).Seconds())
	fmt.Fprintf(&w.events, format, args...)
	w.events.WriteByte('\n')
}

// broken notes that a promise was broken.
func (w *world) broken(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	w.trace("BROKEN: %s", text)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wrong = append(w.wrong, text)
}

// ran traces a command that Redis has executed.
func (w *world) ran(who string, args []string, reply any) {
	name, key := args[0], ""
	switch strings.ToUpper(name) {
	case "EVAL", "EVALSHA":
		key = args[3]
	case "XREADGROUP":
		key = args[len(args)-2]
	default:
		if len(args) > 1 {
			key = args[1]
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	fmt.Fprintf(&w.events, "%11.6f %s: %s %s (%d) %x\n", time.Since(w.began).Seconds(), who, name, key, len(args), model.Digest(args, reply))
}

// lines puts the engine's own log into the trace.
type lines struct{ w *world }

var _ io.Writer = lines{}

func (l lines) Write(b []byte) (int, error) {
	l.w.trace("    %s", bytes.TrimRight(b, "\n"))
	return len(b), nil
}

// workers are those of one life: triage and tagging pass on, one destination or two.
func (w *world) workers(l *life) []*streams.Worker {
	p := w.plan
	quick := streams.Policy{Attempts: 20, Base: 100 * time.Millisecond, Factor: 1.5, Max: time.Second}
	crm := &streams.Worker{Queue: streams.Destined("crm"), Handler: w.crm.sink(l), Policy: p.policy, Batch: p.batch, Concurrency: p.concurrency,
		Timeout: callTimeout, Guard: newWatched(l, p.guard), OnAmbiguous: p.onAmbiguous}
	workers := []*streams.Worker{
		{Queue: streams.Intake, Handler: w.processor(l, streams.Triaged), Policy: quick, Batch: p.processorBatch, Concurrency: 2, Timeout: callTimeout},
		{Queue: streams.Triaged, Handler: w.processor(l, streams.Destined("crm")), Policy: quick, Batch: p.processorBatch, Concurrency: 2, Timeout: callTimeout},
		crm,
	}
	if p.failover {
		crm.Failover = []string{"backup"}
		guard := streams.DestinationConfig{Name: "backup", Concurrency: 1}
		workers = append(workers, &streams.Worker{Queue: streams.Destined("backup"), Handler: w.backup.sink(l), Policy: p.policy,
			Timeout: callTimeout, Guard: streams.NewDestination(guard, l.clients, "ls", time.Now), OnAmbiguous: p.onAmbiguous})
	}
	return workers
}

// processor passes leads on; sometimes it must try again.
func (w *world) processor(l *life, to string) streams.Handler {
	tries := map[string]int{}
	var mu sync.Mutex
	return streams.HandlerFunc(func(ctx context.Context, batch []*streams.Entry) []streams.Verdict {
		if l.dead.Load() {
			<-ctx.Done()
		}
		verdicts := make([]streams.Verdict, len(batch))
		for i, e := range batch {
			mu.Lock()
			tries[e.Lead.ID]++
			n := tries[e.Lead.ID]
			mu.Unlock()
			if d := w.dice("processor", to, l.boot, e.Lead.ID, n); d.percent(w.plan.far.processors) && n < 4 {
				verdicts[i] = one(d, streams.Verdict{Result: streams.Retry}, streams.Verdict{Result: streams.Wait, After: d.time(0, time.Second)})
				continue
			}
			queue := to
			if e.Lead.Hot && to != streams.Triaged {
				queue += ":hot"
			}
			verdicts[i].Followers = []streams.Follower{{Queue: queue, Lead: e.Lead}}
		}
		return verdicts
	})
}

// startLater starts a daemon again after a while, unless something else has.
func (w *world) startLater(d *daemon, after time.Duration) {
	d.mu.Lock()
	up := d.up
	d.mu.Unlock()
	w.starts.Add(1)
	go func() {
		defer w.starts.Add(-1)
		t := time.NewTimer(after)
		defer t.Stop()
		select {
		case <-t.C:
		case <-up:
			return
		}
		w.starting.Lock()
		defer w.starting.Unlock()
		select {
		case <-up:
		default:
			d.start()
		}
	}()
}

// started waits until no start is to come.
func (w *world) started() {
	for wait := time.Millisecond; w.starts.Load() > 0; wait = min(2*wait, time.Second) { // it may take two days
		time.Sleep(wait)
	}
}
