//go:build linux

// Command torture shows that leadstream keeps its promise under faults, and that the harness which shows it would notice
// if it did not: it does the harm of its scenarios, many times, and it makes the daemon make a mistake, one after the
// other, and looks whether each is found.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/redis/go-redis/v9"
	"github.com/schollz/progressbar/v3"

	"leadstream/daemon/proof/kernel"
	"leadstream/daemon/torture/disks"
	"leadstream/daemon/torture/seeded"
)

func main() {
	kernel.Child()
	hunt := flag.Bool("seeded", false, "look for seeded mistakes; exit with 1 when one is missed")
	only := flag.String("only", "", "the scenario: journal, syscalls or power")
	rounds := flag.Int("rounds", 0, "how often; 0 is what a release takes. For syscalls: only each so many-th call")
	flag.Parse()
	if !*hunt && *only == "" {
		flag.Usage()
		os.Exit(2)
	}
	redis.SetLogger(quiet{}) // it says by the hundred what we bring about
	ctx, done := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer done()
	if *only != "" {
		if err := one(ctx, *only, *rounds); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	missed, err := seeded.Hunt(ctx, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	if err != nil || missed > 0 {
		os.Exit(1)
	}
}

type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

// one runs a scenario.
func one(ctx context.Context, name string, rounds int) error {
	for _, s := range disks.Scenarios {
		if s.Name != name {
			continue
		}
		if rounds == 0 {
			rounds = s.Rounds
		}
		bar := progressbar.NewOptions(max(rounds, -1), progressbar.OptionSetWriter(os.Stderr), progressbar.OptionSetDescription(name),
			progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(200e6))
		fmt.Printf("%s: %s\n", s.Name, s.About)
		err := s.Run(ctx, os.Stdout, rounds, func(n int) { _ = bar.Set(n) })
		_ = bar.Finish()
		return err
	}
	return fmt.Errorf("there is no scenario %q", name)
}
