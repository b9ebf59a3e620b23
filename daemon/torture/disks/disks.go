//go:build linux

// Package disks proves the promise against what disks do: files that are damaged, calls that fail or are the last ones of
// the process, and power that goes away. What is done to a journal, a call or a disk is left to the packages that do it;
// here is how often, with which progress, and the table.
package disks

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"text/tabwriter"
	"time"

	"leadstream/daemon/proof"
	"leadstream/daemon/proof/kernel"
	"leadstream/daemon/proof/power"
	"leadstream/streams/failpoint"
	"leadstream/streams/journal/damage"
)

// Scenario is one kind of harm, done many times. Run writes its table, and answers an error where anything was lost,
// doubled or invented, or where nothing could be proved here. Its done tells how many rounds are over.
type Scenario struct {
	Name   string
	About  string
	Rounds int // that a release takes
	Run    func(ctx context.Context, to io.Writer, rounds int, done func(int)) error
}

// Scenarios is all of them. The main function of a program that runs syscalls must begin with kernel.Child.
var Scenarios = []Scenario{
	{"journal", "damaged journals", 1_000_000, journals},
	{"syscalls", "every call of one lead's life on the data folder, with each fault", 0, syscalls},
	{"power", "the power cut while the daemon and its Redis write", 1000, cuts},
}

func journals(ctx context.Context, to io.Writer, rounds int, done func(int)) error {
	began, seed := time.Now(), rand.Uint64()
	counts, err := damage.Run(ctx, damage.Options{Journals: rounds, Seed: seed, Progress: done})
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "damage\tjournals\trecords\thit and lost\tlost beside\tinvented\treported\tas a crash's tail\tnothing changed\topened and written again\t")
	var sum damage.Count
	line := func(name string, c damage.Count) {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t0\t0\t%d\t%d\t%d\t%d\t\n", name, c.Journals, c.Records, c.Hit, c.Reported, c.AsCrash, c.Nothing, c.Opened)
	}
	for k, c := range counts {
		line(damage.Kind(k).String(), c)
		sum.Add(c)
	}
	line("all", sum)
	_ = w.Flush()
	took := time.Since(began)
	fmt.Fprintf(to, "%s, %s a journal, seed %d\n", took.Round(time.Second), (took / time.Duration(max(sum.Journals, 1))).Round(time.Microsecond), seed)
	return err // with the first journal that did not hold, whose damage is not among the counts
}

func syscalls(ctx context.Context, to io.Writer, stride int, done func(int)) error {
	dir, binary, err := build(ctx)
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := kernel.Available(dir); err != nil {
		return fmt.Errorf("not run here: %w", err)
	}
	began := time.Now()
	rows, err := kernel.Sweep{Binary: binary, Faults: kernel.Faults, Stride: stride, Progress: func(n, _ int) { done(n) }}.Run(ctx)
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "fault\tcalls of a life\thit\tnot reached\tprocess ended\tsender refused\taccepted\tdelivered\t"+faultHead)
	lives := 0
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%s\n", r.Fault, r.Calls, r.Hit, r.Missed, r.Ended, r.Refused, r.Verdict.Accepted, r.Verdict.Delivered, faults(r.Verdict))
		lives += r.Hit + r.Missed
	}
	_ = w.Flush()
	took := time.Since(began)
	fmt.Fprintf(to, "%s, %s a life\n", took.Round(time.Second), (took / time.Duration(max(lives, 1))).Round(time.Millisecond))
	return err
}

// controls is how many power cuts a daemon has that is known to lose: one that answers before the disk has it.
const controls = 40

func cuts(ctx context.Context, to io.Writer, rounds int, done func(int)) error {
	if err := power.Available(); err != nil {
		return fmt.Errorf("not run here: %w", err)
	}
	dir, binary, err := build(ctx)
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	began := time.Now()
	row, err := power.Losses{Binary: binary, Cuts: rounds, Progress: done}.Run(ctx)
	took := time.Since(began)
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "daemon\tpower cuts\tin flight at them\twith none\taccepted\tdelivered\t"+faultHead)
	line := func(name string, r power.Row) {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%s\n", name, r.Cuts, r.InFlight, r.Idle, r.Verdict.Accepted, r.Verdict.Delivered, faults(r.Verdict))
	}
	line("sound", row)
	if err == nil {
		var control power.Row
		control, err = power.Losses{Binary: binary, Cuts: min(rounds, controls), Each: 10, GoOn: true,
			Env: []string{"LEADSTREAM_BUG=" + string(failpoint.AnswerBeforeSync)}}.Run(ctx)
		line(string(failpoint.AnswerBeforeSync), control)
		if err == nil && control.Verdict.Lost == 0 {
			err = fmt.Errorf("a daemon that answers before the disk has it lost nothing in %d power cuts: this proves nothing", control.Cuts)
		}
	}
	_ = w.Flush()
	n := time.Duration(max(row.Cuts, 1))
	fmt.Fprintf(to, "%s, %s a cut, of which %s until the daemon is ready again\n", took.Round(time.Second), (took / n).Round(time.Millisecond), (row.Restart / n).Round(time.Millisecond))
	return err
}

const faultHead = "lost\tdoubled\tinvented\tdamaged\tout of order\tleft open\tunexplained\tleaks\t"

func faults(v proof.Verdict) string {
	return fmt.Sprintf("%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t", v.Lost, v.Doubled, v.Invented, v.Damaged, v.OutOfOrder, v.LeftOpen, v.Unexplained, v.Leaks)
}

// build makes the daemon, with its seeded mistakes, in a folder of its own.
func build(ctx context.Context) (dir, binary string, err error) {
	if dir, err = os.MkdirTemp("", "torture"); err != nil {
		return "", "", err
	}
	binary, err = proof.Build(ctx, dir, "torture")
	return dir, binary, err
}
