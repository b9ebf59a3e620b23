//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/sync/errgroup"

	"leadstream/daemon/proof"
	"leadstream/daemon/torture/disks"
	"leadstream/sinks/sim/fault"
	"leadstream/streams/streamstest"
)

// scenario is one kind of harm, done many times. Run prints what it found; what broke is its error.
type scenario struct {
	Name   string
	About  string
	Rounds int // that a release takes
	Run    func(ctx context.Context, b *bench, rounds int) error
}

// all is every scenario, in the order in which they run.
func all() []scenario {
	list := []scenario{
		{"kills", "the daemon killed at every named moment of a lead's life, under load", 10000, tabled("moment", kills)},
		{"crm", "the daemon killed at every moment of a delivery, for each way in which the portal fails", 2000, tabled("portal", portalFaults)},
		{"redis", "Redis harmed in every way, under load", 5500, tabled("harm", onRedis.run)},
		{"pair", "two daemons on one Redis, of which one stands still or dies", 300, tabled("harm", onPair.run)},
		{"twins", "the same, and both have one name by mistake", 300, tabled("harm", onTwins.run)},
		{"clock", "the daemon's clock set forward and back, under load", 400, tabled("harm", onClock.run)},
		{"full", "no space on the disk, under load; takes root, for a filesystem in memory", 200, tabled("harm", onFull.run)},
	}
	for _, d := range disks.Scenarios {
		list = append(list, scenario{d.Name, d.About, d.Rounds, func(ctx context.Context, b *bench, rounds int) error {
			return d.Run(b.enough, os.Stdout, rounds, func(n int) { _ = b.bar.Set(n) })
		}})
	}
	return list
}

// tabled runs what fills a table, and prints that, also when it could not go on to the end.
func tabled(first string, fill func(context.Context, *bench, *table, int) error) func(context.Context, *bench, int) error {
	return func(ctx context.Context, b *bench, rounds int) error {
		t := newTable(first)
		err := fill(ctx, b, t, rounds)
		fmt.Print(t)
		return errors.Join(err, t.Sum.Err())
	}
}

// bench is what scenarios share.
type bench struct {
	enough   context.Context // once it ends, what has begun is judged, and nothing more begins
	binary   string
	parallel int
	point    string // only the moments, or the harms, that begin like this
	load     *proof.Schedule
	reached  string // file that takes the moments that were reached; empty: nobody asks
	bar      *progressbar.ProgressBar
}

// tick says that a round is over.
func (b *bench) tick() {
	if b.bar != nil {
		_ = b.bar.Add(1)
	}
}

// badDay is a portal of which some calls are slow, some answers are lost, some work is done after the caller has given
// up, some calls are rejected, and some leads are refused for good.
var badDay = []fault.Fault{
	{Probability: 0.1, LoseAnswer: true},
	{Probability: 0.05, Reset: true},
	{Probability: 0.05, FinishLate: 850 * time.Millisecond},
	{Method: "batch", Probability: 0.05, Code: "QUERY_LIMIT_EXCEEDED"},
	{Probability: 0.05, Code: "INTERNAL_SERVER_ERROR"},
	{Method: "crm.item.add", Probability: 0.02, Code: "CRM_FIELD_ERROR_VALUE_NOT_VALID"},
	{Probability: 0.5, Delay: 60 * time.Millisecond},
}

// stage is a world under load, or several on one Redis: as long as it stands, customers write and the portal misbehaves.
type stage struct {
	*proof.World
	ledger *proof.Ledger
	load   proof.Schedule
	redis  *streamstest.Process // nil: the daemon's own

	quit    context.CancelFunc
	played  sync.WaitGroup
	cleanup []func() error // after the worlds are gone
}

// load is how customers write during a scenario; a bench may have its own.
var load = proof.Schedule{PerSecond: 30, Again: 0.3}

// open makes a world, or several between one portal and one phone, and lets customers write. cleanup is done when all is
// gone, or cannot be made.
func (b *bench) open(ctx context.Context, setups []proof.Setup, day []fault.Fault, cleanup ...func() error) (*stage, error) {
	st := &stage{ledger: proof.NewLedger(), load: load, quit: func() {}, cleanup: cleanup}
	if b.load != nil {
		st.load = *b.load
	}
	for i, s := range setups {
		s.Binary = b.binary
		if i > 0 {
			s.CRM, s.Phone = st.CRM, st.Phone
		}
		w, err := proof.NewWorld(s)
		if err != nil {
			return nil, errors.Join(err, st.close())
		}
		st.ledger.Worlds = append(st.ledger.Worlds, w)
		st.World = st.ledger.Worlds[0]
	}
	for _, f := range day {
		st.CRM.Inject(f)
	}
	st.play(ctx)
	if err := st.warm(ctx); err != nil {
		return nil, errors.Join(err, st.close())
	}
	return st, nil
}

// warm lets the daemons live until some leads are on their way.
func (st *stage) warm(ctx context.Context) error {
	for _, w := range st.ledger.Worlds {
		if err := w.Start(ctx); err != nil {
			return err
		}
	}
	return proof.Eventually(ctx, "leads are taken", func() bool { return len(st.ledger.With(proof.Acked)) >= 10 })
}

func (st *stage) play(ctx context.Context) {
	playing, quit := context.WithCancel(ctx)
	st.quit = quit
	st.played.Go(func() { st.ledger.Play(playing, st.load) })
}

// close ends it, verdict or not.
func (st *stage) close() error {
	st.quit()
	var errs []error
	for _, w := range st.ledger.Worlds {
		w.Kill()
	}
	st.played.Wait()
	for _, w := range slices.Backward(st.ledger.Worlds) { // the first has the portal
		errs = append(errs, w.Close())
	}
	for _, clean := range slices.Backward(st.cleanup) {
		errs = append(errs, clean())
	}
	return errors.Join(errs...)
}

// end closes it after its last round, and keeps what is known where something broke: err says what, then.
func (st *stage) end(what string, err *error) {
	if *err != nil {
		v := proof.Verdict{Faults: []string{(*err).Error()}}
		*err = fmt.Errorf("%s: %w", what, errors.Join(*err, st.keep(&v)))
	}
	if cerr := st.close(); cerr != nil {
		*err = errors.Join(*err, fmt.Errorf("%s: %w", what, cerr))
	}
}

// judge lets the day end: customers stop writing and repeat what was not answered, the portal behaves, everything comes
// to an end, and the ledgers are compared. The daemons run, or are started.
func (st *stage) judge(ctx context.Context, resend bool) (proof.Verdict, error) {
	st.quit()
	st.CRM.Clear()
	for _, w := range st.ledger.Worlds {
		if w.PID() != 0 {
			continue
		}
		// What a kill lets the journal forget is found by a comparison that takes half a minute twice.
		w.Env = append(w.Env, "LEADSTREAM_HURRY=reconcile-after=1s")
		w.CRMKeys = strings.TrimSpace(w.CRMKeys + "\ntimeout: 10s") // a busy machine may take longer for a full batch than a try may last in a scenario
		if err := errors.Join(w.Configure(), w.Start(ctx)); err != nil {
			return proof.Verdict{}, err
		}
	}
	st.played.Wait()
	if resend {
		if n := st.ledger.Resend(ctx); n > 0 {
			return proof.Verdict{}, fmt.Errorf("%d requests are not taken although nothing is wrong any more", n)
		}
	}
	v, err := st.ledger.Verify(ctx)
	if err == nil && !v.OK() {
		err = st.keep(&v)
	}
	return v, err
}

// keep saves what is known of a broken promise, for whoever looks for the cause.
func (st *stage) keep(v *proof.Verdict) error {
	dir, err := os.MkdirTemp("", "torture-broken-")
	if err != nil {
		return err
	}
	v.Faults = append(v.Faults, "kept in "+dir)
	var errs []error
	for name, what := range map[string]any{"senders.json": st.ledger.All(), "portal.json": st.CRM.Ledger(), "faults.json": v.Faults} {
		b, err := json.MarshalIndent(what, "", " ")
		errs = append(errs, err, os.WriteFile(filepath.Join(dir, name), b, 0o600))
	}
	for i, w := range st.ledger.Worlds {
		if lives, err := w.Lives(context.Background()); err == nil { // it may not run
			b, err := json.MarshalIndent(lives, "", " ")
			errs = append(errs, err, os.WriteFile(filepath.Join(dir, fmt.Sprintf("lives%d.json", i)), b, 0o600))
		}
		log, err := w.Log()
		errs = append(errs, err, os.WriteFile(filepath.Join(dir, fmt.Sprintf("log%d", i)), log, 0o600))
	}
	return errors.Join(errs...)
}

// each runs jobs, as many at a time as the machine should bear. One that breaks leaves the others to go on; when several
// do, no more begin.
func (b *bench) each(ctx context.Context, jobs []func(context.Context) error) error {
	const tooMany = 5
	var g errgroup.Group
	g.SetLimit(b.parallel)
	var mu sync.Mutex
	var errs []error
	for _, job := range jobs {
		g.Go(func() error {
			mu.Lock()
			over := ctx.Err() != nil || b.enough.Err() != nil || len(errs) >= tooMany
			mu.Unlock()
			if over {
				return nil
			}
			if err := job(ctx); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, err)
			}
			return nil
		})
	}
	return errors.Join(g.Wait(), errors.Join(errs...), ctx.Err())
}
