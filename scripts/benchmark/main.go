// Command benchmark measures leadstream beside what one could run instead, on this machine, in one run and with the
// same durability: an fsync before each answer. Machines differ and are shared, so it tells ratios, medians over
// alternating rounds and their spread, and prints the targets beside them; nothing passes or fails by the clock.
//
// It is a module of its own: what it compares with is no dependency of leadstream. scripts/bench builds and starts it.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

var (
	quick    = flag.Bool("quick", false, "one round and short ones: a minute in all")
	rounds   = flag.Int("rounds", 5, "alternating rounds")
	only     = flag.String("only", "", "which figures, by comma: http queue latency bulk sustained backlog parked return start idle answers; empty: all")
	daemon   = flag.String("daemon", "bin/leadstream", "the daemon that is measured idle")
	profiles = flag.String("profiles", "", "folder for CPU profiles of leadstream under load")
)

// scratch holds journals and append-only files, and is removed at the end.
var scratch string

// quiet: one figure is of an outage, of which go-redis would write a line a millisecond.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

func main() {
	log.SetFlags(0)
	redis.SetLogger(quiet{})
	if len(os.Args) > 1 && child(os.Args[1:]) {
		return
	}
	flag.Parse()
	var err error
	scratch, err = os.MkdirTemp("", "lsbench")
	check(err)
	defer os.RemoveAll(scratch)
	p := plan{rounds: *rounds, window: 6 * time.Second, leads: 60_000, asynqLeads: 30_000, paced: 20 * time.Second, idle: 30 * time.Second,
		sustained: 5 * time.Minute, parked: 10 * time.Second, backlog: 1_000_000, journal: 1 << 30}
	if *quick {
		p = plan{rounds: 1, window: 3 * time.Second, leads: 20_000, asynqLeads: 10_000, paced: 5 * time.Second, idle: 5 * time.Second,
			sustained: 10 * time.Second, parked: 5 * time.Second, backlog: 50_000, journal: 128 << 20}
	}
	fmt.Printf("%d cores shared by servers, redis-server and load; %s; redis %s; rounds %d\n\n", runtime.NumCPU(), runtime.Version(),
		strings.Join(durability[:4], " "), p.rounds)
	for _, figure := range []struct {
		name string
		run  func(plan)
	}{
		{"http", measureHTTP}, {"queue", measureQueue}, {"latency", measureLatency}, {"bulk", measureBulk}, {"sustained", measureSustained},
		{"backlog", measureBacklog}, {"parked", measureParked}, {"return", measureReturn}, {"start", measureStart}, {"idle", measureIdle},
		{"answers", measureAnswers},
	} {
		if *only == "" || slices.Contains(strings.Split(*only, ","), figure.name) {
			figure.run(p)
		}
	}
}

// child runs this program's own commands: whatever is measured has a process of its own.
func child(args []string) bool {
	number := func(i int) int {
		n, err := strconv.Atoi(args[i])
		check(err)
		return n
	}
	switch args[0] {
	case "serve": // what, socket, dir, bound
		serve(args[1], args[2], args[3], int64(number(4)))
	case "contend": // who, socket, dir, leads
		contend(args[1], args[2], args[3], number(4))
	default:
		return false
	}
	return true
}

// profile records the CPU where PROFILE says, if it does.
func profile() (stop func()) {
	path := os.Getenv("PROFILE")
	if path == "" {
		return func() {}
	}
	f, err := os.Create(path)
	check(err)
	check(pprof.StartCPUProfile(f))
	return func() {
		pprof.StopCPUProfile()
		check(f.Close())
	}
}

func profilePath(name string) string {
	if *profiles == "" {
		return ""
	}
	check(os.MkdirAll(*profiles, 0o755))
	path, err := filepath.Abs(filepath.Join(*profiles, name+".pprof"))
	check(err)
	return path
}

func decodeJSON(b []byte, into any) { check(json.Unmarshal(b, into)) }

func check(err error) {
	if err != nil {
		log.Fatalf("benchmark: %v", err)
	}
}
