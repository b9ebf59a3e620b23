package sim

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
)

var (
	seeds = flag.Uint64("seeds", 50, "how many seeds to live through")
	first = flag.Uint64("first", 1, "the first of them")
	only  = flag.Uint64("seed", 0, "this one alone, with its trace")
)

// quiet is the Redis client's own log: a server that does not answer is what is tried here.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

func TestSeeds(t *testing.T) {
	redis.SetLogger(quiet{})
	from, to := *first, *first+*seeds
	if *only != 0 {
		from, to = *only, *only+1
	}
	for seed := from; seed < to; seed++ {
		dir, err := os.MkdirTemp(inMemory(), "sim")
		if err != nil {
			t.Fatal(err)
		}
		var w *world
		began := time.Now()
		synctest.Test(t, func(t *testing.T) { w = live(t, seed, dir, *only != 0) })
		os.RemoveAll(dir)
		if took := time.Since(began); took > 500*time.Millisecond {
			fmt.Fprintf(os.Stderr, "seed %d took %v for %v %v\n", seed, took, w.lasted, w.plan.faults)
		}
		if *only != 0 {
			fmt.Println(w.events.String())
		}
		for _, s := range w.wrong {
			fmt.Fprintf(os.Stderr, "seed %d: %s\n", seed, s)
			t.Errorf("seed %d: %s", seed, s)
		}
	}
}

// inMemory is a folder whose files cost no disk, where there is one: a journal waits for its disk at every step.
func inMemory() string {
	const shm = "/dev/shm"
	if dir, err := os.MkdirTemp(shm, "sim"); err == nil {
		os.Remove(dir)
		return shm
	}
	return ""
}
