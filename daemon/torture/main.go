//go:build linux

// Command torture proves the promise by breaking things: it kills the real daemon at every named moment of a lead's life,
// does to Redis and to disks what happens to them in the world, thousands of times, under load, and holds what the
// senders were told against what the portal has. Its tables are the proof; its exit code is 1 when anything was lost,
// doubled or invented, or any other invariant of package proof broke. With -seeded it shows that the harness would notice:
// it makes the daemon make a mistake, one after the other, and looks whether each is found.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/redis/go-redis/v9"
	"github.com/schollz/progressbar/v3"

	"leadstream/daemon/proof"
	"leadstream/daemon/proof/kernel"
	"leadstream/daemon/torture/seeded"
)

func main() {
	kernel.Child()
	redis.SetLogger(quiet{}) // it says by the hundred what we bring about
	ctx, enough := interruptible()
	if err := run(ctx, enough, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		if errors.Is(err, flag.ErrHelp) || errors.As(err, new(usage)) {
			os.Exit(2)
		}
		os.Exit(1)
	}
}

// interruptible ends enough at the first interrupt, which lets what has begun be judged and told, and ctx at the second.
func interruptible() (ctx, enough context.Context) {
	ctx, give := context.WithCancel(context.Background())
	enough, tell := context.WithCancel(ctx)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		<-signals
		tell()
		<-signals
		give()
	}()
	return ctx, enough
}

// quiet drops go-redis's own lines.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

type usage struct{ error }

func run(ctx, enough context.Context, args []string) error {
	flags := flag.NewFlagSet("torture", flag.ContinueOnError)
	rounds := flags.Int("rounds", 0, "rounds of each scenario (kills, for kills); 0 is what a release takes")
	only := flags.String("only", "", "names of scenarios, with commas; empty: all")
	point := flags.String("point", "", "only the moments of kills and crm, or the harms of the others, that begin like this; empty: all")
	parallel := flags.Int("parallel", runtime.NumCPU(), "worlds at a time")
	binary := flags.String("daemon", "", "the daemon, built with the tag torture; empty: built now")
	list := flags.Bool("list", false, "say what there is")
	hunt := flags.Bool("seeded", false, "have the daemon make mistakes, one after the other: each must be found")
	if err := flags.Parse(args); err != nil {
		return usage{err}
	}
	if *list {
		for _, s := range all() {
			fmt.Printf("%-10s %8d  %s\n", s.Name, s.Rounds, s.About)
		}
		return nil
	}
	if *hunt {
		missed, err := seeded.Hunt(enough, os.Stdout)
		if err == nil && missed > 0 {
			err = fmt.Errorf("%d mistakes were not found", missed)
		}
		return err
	}
	chosen, err := choose(*only)
	if err != nil {
		return usage{err}
	}
	b := &bench{enough: enough, binary: *binary, parallel: max(*parallel, 1), point: *point}
	if b.binary == "" {
		dir, err := os.MkdirTemp("", "torture")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		if b.binary, err = proof.Build(ctx, dir, "torture"); err != nil {
			return err
		}
	}
	var broken []string
	for _, s := range chosen {
		n := s.Rounds
		if *rounds > 0 {
			n = *rounds
		}
		if err := b.scenario(ctx, s, n); err != nil {
			broken = append(broken, fmt.Sprintf("%s: %v", s.Name, err))
		}
		if enough.Err() != nil {
			broken = append(broken, "interrupted: the tables tell what was done until then")
			break
		}
	}
	if len(broken) > 0 {
		return errors.New(strings.Join(broken, "\n"))
	}
	return nil
}

// choose finds scenarios by their names.
func choose(names string) ([]scenario, error) {
	if names == "" {
		return all(), nil
	}
	var chosen []scenario
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(all(), func(s scenario) bool { return s.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no scenario %q: torture -list shows them", name)
		}
		chosen = append(chosen, all()[i])
	}
	return chosen, nil
}

// scenario runs one and says what it found.
func (b *bench) scenario(ctx context.Context, s scenario, rounds int) error {
	began := time.Now()
	bar := progressbar.DefaultSilent(int64(rounds))
	if isatty.IsTerminal(os.Stderr.Fd()) {
		bar = progressbar.NewOptions(rounds, progressbar.OptionSetWriter(os.Stderr), progressbar.OptionSetDescription(s.Name),
			progressbar.OptionShowIts(), progressbar.OptionShowCount(), progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(200*time.Millisecond))
	}
	b.bar = bar
	fmt.Printf("\n%s: %s\n\n", s.Name, s.About)
	err := s.Run(ctx, b, rounds)
	_ = bar.Finish()
	fmt.Printf("\n%s took %s\n", s.Name, time.Since(began).Round(time.Second))
	return err
}
