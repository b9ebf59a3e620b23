//go:build linux

package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"leadstream/daemon/proof"
	"leadstream/daemon/proof/kernel"
)

var seed = flag.Uint64("seed", 0, "of TestSlice: which moments and harms it takes; 0 is another at each run")

// sliced is how many kills there are in each of a slice's worlds, at as many moments.
const sliced = 16

// A slice of scripts/torture, another at each run: kills at some of the moments, on a bad day and for one way in which the
// portal fails, Redis harmed in some of the ways, and some calls on the data folder that fail. What takes more than a few
// seconds to reach is left to the whole.
func TestSlice(t *testing.T) {
	if *seed == 0 {
		*seed = rand.Uint64N(1 << 32)
	}
	t.Logf("the same slice again: go test ./daemon/torture -run TestSlice -seed %d", *seed)
	random := rand.New(rand.NewPCG(*seed, 0))
	b := &bench{enough: t.Context(), binary: tortured(t), parallel: 6, load: &proof.Schedule{PerSecond: 20, Again: 0.3}}
	killed, harmed := newTable("moment"), newTable("harm")
	var jobs []func(context.Context) error
	do := func(what string, job func(context.Context) error) {
		jobs = append(jobs, func(ctx context.Context) error {
			began := time.Now()
			err := job(ctx)
			t.Logf("%s: %s", what, time.Since(began).Round(100*time.Millisecond))
			return err
		})
	}
	kill := func(tr trial) {
		tr.kills = len(tr.moments)
		do(tr.what, func(ctx context.Context) error { return b.try(ctx, killed, tr) })
	}
	quick := shuffled(random, moments(), func(m moment) bool { return !m.seldom && !m.last && !m.unordered })
	for n, part := range slices.Collect(slices.Chunk(first(quick, 2*sliced), sliced)) {
		kill(trial{what: fmt.Sprintf("bad day %d", n+1), day: badDay, moments: part})
	}
	day := portalDays[random.IntN(len(portalDays))]
	kill(trial{what: day.what, day: day.faults(), moments: first(shuffled(random, at(quick, deliveries...), nil), sliced/2)})
	for what, unordered := range map[string]bool{"in order": false, "entries lost": true} {
		list := first(shuffled(random, onRedis.list, func(h harm) bool { return h.unordered == unordered }), 4)
		do(what, func(ctx context.Context) error { return onRedis.bear(ctx, b, harmed, what, list, len(list)) })
	}
	do("calls on the data folder", func(ctx context.Context) error { return calls(ctx, t, b.binary, random) })
	err := b.each(t.Context(), jobs)
	t.Logf("\n%s\n%s", killed, harmed)
	if err != nil {
		t.Error(err)
	}
	for _, table := range []*table{killed, harmed} {
		if err := table.Sum.Err(); err != nil {
			t.Error(err)
		}
	}
}

// first is as much of a list as there is, up to n.
func first[T any](list []T, n int) []T { return list[:min(n, len(list))] }

// shuffled is those that fit, in an order of their own.
func shuffled[T any](random *rand.Rand, list []T, fits func(T) bool) []T {
	var chosen []T
	for _, x := range list {
		if fits == nil || fits(x) {
			chosen = append(chosen, x)
		}
	}
	random.Shuffle(len(chosen), func(i, j int) { chosen[i], chosen[j] = chosen[j], chosen[i] })
	return chosen
}

// calls has a few calls of one lead's life fail.
func calls(ctx context.Context, t *testing.T, binary string, random *rand.Rand) error {
	fault := kernel.Faults[random.IntN(len(kernel.Faults))]
	rows, err := kernel.Sweep{Binary: binary, Faults: []kernel.Fault{fault}, First: 1 + random.IntN(20), Stride: 25}.Run(ctx)
	for _, r := range rows {
		t.Logf("calls on the data folder: %+v", r)
	}
	return err
}
