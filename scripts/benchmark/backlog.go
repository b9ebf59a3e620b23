package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"leadstream/streams"
)

// pool is an engine whose intake queue can be shut, on a Redis of its own, in this process.
type pool struct {
	*engine
	redis *server
	admin *redis.Client
	dir   string
}

// startPool: a nil handler is done with every lead.
func startPool(handler streams.HandlerFunc) *pool {
	p := &pool{redis: startRedis()}
	var err error
	p.dir, err = os.MkdirTemp(scratch, "journal")
	check(err)
	p.admin = client(p.redis.socket, 1)
	p.engine = startIntake(p.redis.socket, p.dir, handler)
	return p
}

func (p *pool) stop() {
	p.halt()
	_ = p.admin.Close()
	p.redis.stop()
	_ = os.RemoveAll(p.dir)
}

// fill takes n new leads and waits until Redis has them.
func (p *pool) fill(n int) {
	const each, takers = 250, 16
	var wg sync.WaitGroup
	for range takers {
		wg.Go(func() {
			for range n / each / takers {
				taken := make([]streams.Taken, each)
				for i := range taken {
					k := int(numbers.Add(1))
					l := lead(k)
					taken[i] = streams.Taken{Lead: l, Canonical: fmt.Appendf(nil, "%d", k), Raw: []byte(l.Message)}
				}
				_, err := p.custody.TakeAll(context.Background(), taken)
				check(err)
			}
		})
	}
	wg.Wait()
	for p.custody.Unforwarded() > 0 {
		time.Sleep(5 * time.Millisecond)
	}
}

func (p *pool) waiting() int64 {
	n, err := p.admin.XLen(context.Background(), streams.Keys{Prefix: "ls"}.Queue(streams.Intake)).Result()
	check(err)
	return n
}

// drain opens the queue until n of the leads in it are settled, and returns Redis's own time for each.
func (p *pool) drain(n int64) (usec float64) {
	length, before := p.waiting(), p.busy()
	p.shut.Store(false)
	left := length
	for left > max(length-n, 0) {
		time.Sleep(2 * time.Millisecond)
		left = p.waiting()
	}
	p.shut.Store(true)
	for was := int64(-1); was != left; { // what was in hand is settled too
		time.Sleep(50 * time.Millisecond)
		was, left = left, p.waiting()
	}
	return float64(p.busy()-before) / float64(length-left)
}

// busy is the time in µs that Redis has spent in the commands that the engine sends.
func (p *pool) busy() (usec int64) {
	return p.used("evalsha", "eval", "xreadgroup", "hmget", "xrange").usec
}

// spent is how often commands were called and how long they took in µs. What a script calls counts twice.
type spent struct{ calls, usec int64 }

func (p *pool) used(commands ...string) (sum spent) {
	text, err := p.admin.Info(context.Background(), "commandstats").Result()
	check(err)
	for line := range strings.Lines(text) {
		name, numbers, _ := strings.Cut(strings.TrimPrefix(line, "cmdstat_"), ":")
		if !slices.Contains(commands, name) {
			continue
		}
		var one spent
		_, err := fmt.Sscanf(numbers, "calls=%d,usec=%d", &one.calls, &one.usec)
		check(err)
		sum.calls, sum.usec = sum.calls+one.calls, sum.usec+one.usec
	}
	return sum
}

// memory is what Redis holds, in bytes.
func (p *pool) memory() int64 {
	text, err := p.admin.Info(context.Background(), "memory").Result()
	check(err)
	var n int64
	_, after, _ := strings.Cut(text, "used_memory:")
	_, err = fmt.Sscan(after, &n)
	check(err)
	return n
}

// measureBacklog: what a lead costs Redis while few and while many others wait, and what those that wait take.
func measureBacklog(p plan) {
	few := startPool(nil)
	var little series
	for range 30 {
		few.fill(4000)
		little = append(little, few.drain(4000))
	}
	few.stop()

	many := startPool(nil)
	defer many.stop()
	empty := many.memory()
	many.fill(p.backlog)
	n := many.waiting()
	each := float64(many.memory()-empty) / float64(n)
	keys, line := many.keyBytes(), many.lineBytes()
	var much series
	for range 10 {
		much = append(much, many.drain(4000))
	}
	fmt.Printf("6. A backlog of %d leads in Redis\n", n)
	row("Redis's time a lead, 4,000 waiting, µs", little, "%.1f", "")
	row(fmt.Sprintf("Redis's time a lead, %d waiting, µs", n), much, "%.1f", "")
	row("  ratio", series{much.median() / little.median()}, "%.2f", "≤ 1.1")
	row("memory a waiting lead beyond its JSON, bytes", series{each - keys - line}, "%.0f", "≤ 250")
	row("  its idempotency key, bytes", series{keys}, "%.0f", "")
	fmt.Println()
}

// keyBytes is what one idempotency key takes, as Redis counts it, with its share of the two tables that name it.
func (p *pool) keyBytes() float64 {
	ctx := context.Background()
	all, _, err := p.admin.Scan(ctx, 0, "ls:*:id:*", 1000).Result()
	check(err)
	var sum int64
	for _, key := range all {
		n, err := p.admin.MemoryUsage(ctx, key).Result()
		check(err)
		sum += n
	}
	const expiry = 24 + 8 + 8 // the entry of the table of times to live, and both tables' slots, which MEMORY USAGE leaves out
	return float64(sum)/float64(len(all)) + expiry
}

// lineBytes is how long the JSON of a lead is, as it stands in the stream.
func (p *pool) lineBytes() float64 {
	entries, err := p.admin.XRangeN(context.Background(), streams.Keys{Prefix: "ls"}.Queue(streams.Intake), "-", "+", 1000).Result()
	check(err)
	sum := 0
	for _, e := range entries {
		text, _ := e.Values["lead"].(string)
		sum += len(text)
	}
	return float64(sum) / float64(len(entries))
}

// measureParked: what entries that wait for their retry cost Redis while nothing is due.
func measureParked(p plan) {
	pool := startPool(func(_ context.Context, batch []*streams.Entry) []streams.Verdict {
		verdicts := make([]streams.Verdict, len(batch))
		for i := range verdicts {
			verdicts[i] = streams.Verdict{Result: streams.Wait, After: time.Hour}
		}
		return verdicts
	})
	defer pool.stop()
	pool.fill(100_000)
	pool.shut.Store(false)
	for pool.parked() < pool.waiting() {
		time.Sleep(50 * time.Millisecond)
	}
	share := func() series {
		busy := func() int64 { return pool.busy() + pool.used("xpending").usec } // no script that is called now has one
		begin, before := time.Now(), busy()
		time.Sleep(p.parked)
		return series{100 * float64(busy()-before) / float64(time.Since(begin).Microseconds())}
	}
	pool.reopen()
	pool.shut.Store(false)
	first := share()
	time.Sleep(careful - p.parked)
	fmt.Printf("7. %d leads parked for a retry, none of them due, for %s\n", pool.waiting(), p.parked)
	row("of Redis's time, %, once an owner has opened", first, "%.3f", "≤ 5")
	row("of Redis's time, %, later", share(), "%.3f", "≤ 5")
	fmt.Println()
}

// careful is for how long a new owner looks for what the one before has left.
const careful = 11 * time.Second

// reopen has the next owner take the queues, with the same journal, and waits until it knows all that is parked and has
// told Redis once more of every open lead.
func (p *pool) reopen() {
	p.halt()
	learned := p.used("hmget").calls + p.parked()/500
	p.engine = startIntake(p.redis.socket, p.dir, nil)
	for p.custody.Unforwarded() > 0 || p.used("hmget").calls < learned {
		time.Sleep(10 * time.Millisecond)
	}
}

func (p *pool) parked() int64 {
	consumers, err := p.admin.XInfoConsumers(context.Background(), streams.Keys{Prefix: "ls"}.Queue(streams.Intake), streams.Group).Result()
	check(err)
	for _, c := range consumers {
		if c.Name == "parked" {
			return c.Pending
		}
	}
	return 0
}

// measureReturn: Redis comes back after an outage in which leads were taken.
func measureReturn(plan) {
	r := startRedis()
	r.halt()
	dir, err := os.MkdirTemp(scratch, "journal")
	check(err)
	defer os.RemoveAll(dir)
	e := startAway(r.socket, dir, nil)
	p := &pool{engine: e, redis: r, dir: dir}
	const leads = 100_000
	go func() { p.fill(leads) }()
	for e.custody.Unforwarded() < leads {
		time.Sleep(20 * time.Millisecond)
	}
	begin := time.Now()
	r.start()
	up := time.Since(begin)
	for e.custody.Unforwarded() > 0 {
		time.Sleep(time.Millisecond)
	}
	took := time.Since(begin) - up
	e.halt()
	r.stop()
	fmt.Printf("8. Redis returns, and %d leads wait in the journal\n", leads)
	row("all forwarded after, s", series{took.Seconds()}, "%.2f", "≤ 8")
	fmt.Println()
}
