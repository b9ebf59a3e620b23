//go:build linux

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// harm is one way for what a daemon stands on to go wrong. After do it works again, whatever was lost.
type harm struct {
	what      string
	do        func(context.Context, *stage) error
	heal      func(context.Context, *stage) error           // before all is judged; nil: nothing
	open      func(context.Context, *bench) (*stage, error) // a world of its own; nil: that of all
	unordered bool                                          // it takes single entries away, whose places in their customers' order are lost with them
}

// harms are the ways in which one thing goes wrong, and the world that shows it.
type harms struct {
	perWorld int // rounds that one world lives through before everything is checked and a new one is made
	open     func(context.Context, *bench) (*stage, error)
	list     []harm
}

// run does each harm so many times.
func (hs harms) run(ctx context.Context, b *bench, t *table, rounds int) error {
	list := slices.DeleteFunc(slices.Clone(hs.list), func(h harm) bool { return !strings.HasPrefix(h.what, b.point) })
	if len(list) == 0 {
		return fmt.Errorf("there is no harm %q", b.point)
	}
	var jobs []func(context.Context) error
	for _, h := range list {
		for n := max(rounds/len(list), 1); n > 0; n -= hs.perWorld {
			share := min(n, hs.perWorld)
			jobs = append(jobs, func(ctx context.Context) error { return hs.bear(ctx, b, t, h.what, []harm{h}, share) })
		}
	}
	return b.each(ctx, jobs)
}

// bear has one world bear n rounds of harms, in turn, and judges under the name of what.
func (hs harms) bear(ctx context.Context, b *bench, t *table, what string, list []harm, n int) (err error) {
	open := hs.open
	if own := list[0].open; own != nil {
		open = own
	}
	st, err := open(ctx, b)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	defer st.end(what, &err)
	for _, h := range list {
		st.ledger.Unordered = st.ledger.Unordered || h.unordered
	}
	for done, tries := 0, 0; done < n && b.enough.Err() == nil; tries++ {
		if tries > 4*n+20 {
			return fmt.Errorf("%d times of %d, the others found nothing in flight", done, n)
		}
		h, began := list[done%len(list)], time.Now()
		pause(ctx, 100*time.Millisecond+rand.N(200*time.Millisecond))
		flying := st.ledger.InFlight()
		if err := h.do(ctx, st); err != nil {
			return fmt.Errorf("%s: %w", h.what, err)
		}
		if t.struck(what, h.what, flying, false, began) {
			done++
			b.tick()
		}
	}
	for _, h := range list {
		if h.heal != nil {
			if err := h.heal(ctx, st); err != nil {
				return fmt.Errorf("%s: %w", h.what, err)
			}
		}
	}
	v, err := st.judge(ctx, true)
	if err == nil {
		t.judged(what, v)
	}
	return err
}
