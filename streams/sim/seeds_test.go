package sim

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"testing/synctest"
)

var (
	seeds = flag.Uint64("seeds", 50, "how many seeds to live through")
	first = flag.Uint64("first", 1, "the first of them")
	only  = flag.Uint64("seed", 0, "this one alone, with its trace")
)

func TestSeeds(t *testing.T) {
	from, to := *first, *first+*seeds
	if *only != 0 {
		from, to = *only, *only+1
	}
	for seed := from; seed < to; seed++ {
		dir, err := os.MkdirTemp("/dev/shm", "sim")
		if err != nil {
			t.Fatal(err)
		}
		var w *world
		synctest.Test(t, func(t *testing.T) { w = live(t, seed, dir, *only != 0) })
		os.RemoveAll(dir)
		if *only != 0 {
			fmt.Println(w.events.String())
		}
		for _, s := range w.wrong {
			t.Errorf("seed %d: %s", seed, s)
		}
	}
}
