package sim

import (
	"context"
	"crypto/sha256"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/redis/go-redis/v9"
)

var (
	seeds  = flag.Uint64("seeds", usual, "how many seeds to live through")
	first  = flag.Uint64("first", 1, "the first of them")
	only   = flag.Uint64("seed", 0, "this one alone, with its trace")
	traces = flag.Bool("traces", false, "tell each seed's trace by its sum")
	child  = flag.Bool("child", false, "live here, and not in processes of one thread each")
)

// TestSeeds lives through seeds in processes of one thread each, as many as there are processors: one thread makes the
// order in which goroutines run, and so a seed's trace, hardly ever change.
func TestSeeds(t *testing.T) {
	if *child {
		redis.SetLogger(quiet{})
		debug.SetGCPercent(2000)
		liveAll(t)
		return
	}
	n := uint64(runtime.NumCPU())
	from, count := *first, *seeds
	if *only != 0 {
		from, count, n = *only, 1, 1
	}
	var wg sync.WaitGroup
	for i := range n {
		begin, end := from+count*i/n, from+count*(i+1)/n
		wg.Go(func() {
			out, err := inChild(begin, end-begin, *only != 0)
			report(t, out, err)
		})
	}
	wg.Wait()
}

// report tells of each red seed how to see it again.
func report(t *testing.T, out string, err error) {
	if *only != 0 {
		t.Log(out)
	}
	told := false
	for line := range strings.Lines(out) {
		_, what, found := strings.Cut(line, "RED ")
		seed, _, _ := strings.Cut(what, ":")
		if found {
			told = true
			t.Errorf("seed %s    see it: go test ./streams/sim -run 'TestSeeds$' -seed %s -v", what, seed)
		}
	}
	if err != nil && !told {
		t.Errorf("%v\n%s", err, out)
	}
}

// inChild runs seeds in a process of one thread. With trace it lives one of them and prints what happened.
func inChild(first, seeds uint64, trace bool, more ...string) (string, error) {
	args := append(more, "-test.run=^TestSeeds$", "-test.timeout=0", "-child", fmt.Sprint("-first=", first), fmt.Sprint("-seeds=", seeds))
	if trace {
		args = append(args, fmt.Sprint("-seed=", first))
	}
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "GODEBUG=asyncpreemptoff=1")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func liveAll(t *testing.T) {
	for seed := *first; seed < *first+*seeds; seed++ {
		w := liveOnce(t, seed, *only != 0)
		for _, s := range w.wrong {
			t.Errorf("RED %d: %s", seed, s)
		}
		if *only != 0 {
			fmt.Println(w.events.String())
		}
		if *traces {
			fmt.Printf("trace %d %x\n", seed, sha256.Sum256(w.events.Bytes()))
		}
	}
}

func liveOnce(t *testing.T, seed uint64, verbose bool) *world {
	dir, err := os.MkdirTemp(inMemory(), "sim")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	var w *world
	synctest.Test(t, func(t *testing.T) { w = live(t, seed, dir, verbose) })
	return w
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

// TestSameSeedSameTrace lives through the same seeds twice, in two processes. The runtime chooses by chance between
// goroutines that could run at one moment: what that changes is counted, and a red seed may need a few replays.
func TestSameSeedSameTrace(t *testing.T) {
	const n = 20
	var traces [2]map[string]string
	var wg sync.WaitGroup
	for i := range traces {
		wg.Go(func() {
			out, _ := inChild(1, n, false, "-traces")
			traces[i] = tracesOf(out)
		})
	}
	wg.Wait()
	differ := 0
	for seed, trace := range traces[0] {
		if traces[1][seed] != trace {
			differ++
		}
	}
	t.Logf("%d of %d seeds had another trace the second time", differ, len(traces[0]))
	if len(traces[0]) != n || deterministic && differ > n*3/4 {
		t.Errorf("%d of %d traces differ, want most the same", differ, len(traces[0]))
	}
}

func tracesOf(out string) map[string]string {
	traces := map[string]string{}
	for line := range strings.Lines(out) {
		var seed, trace string
		if n, _ := fmt.Sscanf(line, "trace %s %s", &seed, &trace); n == 2 {
			traces[seed] = trace
		}
	}
	return traces
}

// quiet is the Redis client's own log: a server that does not answer is what is tried here.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}
