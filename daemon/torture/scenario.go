//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/sync/errgroup"

	"leadstream/daemon/proof"
	"leadstream/daemon/torture/disks"
	"leadstream/sinks/sim/fault"
	"leadstream/sinks/sim/portal"
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
		{"redis", "Redis harmed in every way, under load", 5500, tabled("harm", redisFaults)},
	}
	for _, d := range disks.Scenarios {
		list = append(list, scenario{d.Name, d.About, d.Rounds, func(ctx context.Context, b *bench, rounds int) error {
			return d.Run(ctx, os.Stdout, rounds, func(n int) { _ = b.bar.Set(n) })
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
	binary   string
	parallel int
	point    string // kills only at the moments that begin like this
	reached  string // file that takes the moments that were reached; empty: nobody asks
	bar      *progressbar.ProgressBar
}

// tick says that a round is over.
func (b *bench) tick() { _ = b.bar.Add(1) }

// misbehave makes a portal have a bad day: some calls are slow, some answers are lost, some work is done after the caller
// has given up, some calls are rejected, and some leads are refused for good.
func misbehave(p *portal.Portal) {
	for _, f := range []fault.Fault{
		{Probability: 0.1, LoseAnswer: true},
		{Probability: 0.05, Reset: true},
		{Probability: 0.05, FinishLate: 850 * time.Millisecond},
		{Method: "batch", Probability: 0.05, Code: "QUERY_LIMIT_EXCEEDED"},
		{Probability: 0.05, Code: "INTERNAL_SERVER_ERROR"},
		{Method: "crm.item.add", Probability: 0.02, Code: "CRM_FIELD_ERROR_VALUE_NOT_VALID"},
		{Probability: 0.5, Delay: 60 * time.Millisecond},
	} {
		p.Inject(f)
	}
}

// stage is one world under load: as long as it stands, customers write and the portal misbehaves.
type stage struct {
	*proof.World
	ledger *proof.Ledger

	quit   context.CancelFunc
	played sync.WaitGroup
}

// load is how customers write during a scenario.
var load = proof.Schedule{PerSecond: 60, Again: 0.3}

// open makes a world and lets customers write to it.
func (b *bench) open(ctx context.Context, s proof.Setup) (*stage, error) {
	s.Binary = b.binary
	w, err := proof.NewWorld(s)
	if err != nil {
		return nil, err
	}
	st := &stage{World: w, ledger: proof.NewLedger(w)}
	misbehave(w.CRM)
	st.play(ctx)
	if err := st.warm(ctx); err != nil {
		return nil, errors.Join(err, st.close())
	}
	return st, nil
}

// warm lets the daemon live until some leads are on their way.
func (st *stage) warm(ctx context.Context) error {
	if err := st.Start(ctx); err != nil {
		return err
	}
	return proof.Eventually(ctx, "leads are taken", func() bool { return len(st.ledger.With(proof.Acked)) >= 10 })
}

func (st *stage) play(ctx context.Context) {
	playing, quit := context.WithCancel(ctx)
	st.quit = quit
	st.played.Go(func() { st.ledger.Play(playing, load) })
}

// close ends it, verdict or not.
func (st *stage) close() error {
	st.quit()
	st.Kill()
	st.played.Wait()
	return st.Close()
}

// judge lets the day end: customers stop writing and repeat what was not answered, the portal behaves, everything comes
// to an end, and the ledgers are compared. The daemon runs, or is started.
func (st *stage) judge(ctx context.Context, resend bool) (proof.Verdict, error) {
	st.quit()
	st.CRM.Clear()
	if st.PID() == 0 {
		if err := st.Start(ctx); err != nil {
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
	log, err := st.Log()
	errs = append(errs, err, os.WriteFile(filepath.Join(dir, "log"), log, 0o600))
	return errors.Join(errs...)
}

// each runs jobs, as many at a time as the machine should bear, and ends at the first error.
func (b *bench) each(ctx context.Context, jobs []func(context.Context) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(b.parallel)
	for _, job := range jobs {
		g.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return job(ctx)
		})
	}
	return g.Wait()
}
