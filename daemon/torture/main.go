//go:build linux

// Command torture shows that leadstream keeps its promise under faults, and that the harness which shows it would notice
// if it did not: it makes the daemon make a mistake, one after the other, and looks whether each is found.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"leadstream/daemon/torture/seeded"
)

func main() {
	hunt := flag.Bool("seeded", false, "look for seeded mistakes; exit with 1 when one is missed")
	flag.Parse()
	if !*hunt {
		flag.Usage()
		os.Exit(2)
	}
	ctx, done := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer done()
	missed, err := seeded.Hunt(ctx, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	if err != nil || missed > 0 {
		os.Exit(1)
	}
}
