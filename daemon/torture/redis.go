//go:build linux

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"leadstream/daemon/proof"
	"leadstream/streams"
	"leadstream/streams/streamstest"
)

// harm is one way for a Redis to go wrong. After do it works again, whatever it has lost.
type harm struct {
	what  string
	do    func(context.Context, *streamstest.Process, redis.UniversalClient) error
	alone bool                                               // it takes single entries away, whose places in their customers' order are lost with them
	heal  func(context.Context, redis.UniversalClient) error // before all is judged
}

// harms is all of them.
var harms = []harm{
	{what: "killed", do: func(_ context.Context, p *streamstest.Process, _ redis.UniversalClient) error { return p.Restart() }},
	{what: "stopped 0.1-1 s", do: stalled},
	{what: "flushed", do: func(ctx context.Context, _ *streamstest.Process, c redis.UniversalClient) error {
		return c.FlushAll(ctx).Err()
	}},
	{what: "out of memory", do: setting("maxmemory", "1mb", "0"), heal: set("maxmemory", "0")},
	{what: "read only", do: replica, heal: func(ctx context.Context, c redis.UniversalClient) error { return c.SlaveOf(ctx, "NO", "ONE").Err() }},
	// That leads are missing is seen at the next renewal of the lease, up to 3 s later; those behind them may be first.
	{what: "restored from an old copy", alone: true, do: restored},
	{what: "a group destroyed", alone: true, do: func(ctx context.Context, _ *streamstest.Process, c redis.UniversalClient) error {
		return c.XGroupDestroy(ctx, someQueue(), streams.Group).Err()
	}},
	{what: "a stream trimmed", alone: true, do: func(ctx context.Context, _ *streamstest.Process, c redis.UniversalClient) error {
		return c.XTrimMaxLen(ctx, someQueue(), rand.Int64N(5)).Err()
	}},
	{what: "a stream deleted", alone: true, do: func(ctx context.Context, _ *streamstest.Process, c redis.UniversalClient) error {
		return c.Del(ctx, someQueue()).Err()
	}},
	{what: "scripts flushed", do: func(ctx context.Context, _ *streamstest.Process, c redis.UniversalClient) error {
		return c.ScriptFlush(ctx).Err()
	}},
	{what: "connections cut", do: func(ctx context.Context, _ *streamstest.Process, c redis.UniversalClient) error {
		return c.Do(ctx, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes").Err()
	}},
}

func someQueue() string {
	queues := []string{streams.Intake, streams.Triaged, streams.Destined("crm"), streams.Destined("crm") + ":hot"}
	return streams.Keys{Prefix: "ls"}.Queue(queues[rand.IntN(len(queues))])
}

func stalled(ctx context.Context, p *streamstest.Process, _ redis.UniversalClient) error {
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	pause(ctx, 100*time.Millisecond+rand.N(900*time.Millisecond))
	return p.Signal(syscall.SIGCONT)
}

func set(key, value string) func(context.Context, redis.UniversalClient) error {
	return func(ctx context.Context, c redis.UniversalClient) error { return c.ConfigSet(ctx, key, value).Err() }
}

// setting sets a key for a moment.
func setting(key, bad, good string) func(context.Context, *streamstest.Process, redis.UniversalClient) error {
	return func(ctx context.Context, _ *streamstest.Process, c redis.UniversalClient) error {
		if err := set(key, bad)(ctx, c); err != nil {
			return err
		}
		pause(ctx, rand.N(300*time.Millisecond))
		return set(key, good)(ctx, c)
	}
}

// replica makes it follow a master that is not there: it refuses to write, as after a failover, and keeps what it has.
func replica(ctx context.Context, _ *streamstest.Process, c redis.UniversalClient) error {
	if err := c.SlaveOf(ctx, "127.0.0.1", "1").Err(); err != nil {
		return err
	}
	pause(ctx, rand.N(300*time.Millisecond))
	return c.SlaveOf(ctx, "NO", "ONE").Err()
}

// restored puts the append-only file of a moment ago in the place of the present one.
func restored(ctx context.Context, p *streamstest.Process, _ redis.UniversalClient) error {
	aof, old := filepath.Join(p.Dir, "appendonlydir"), filepath.Join(p.Dir, "old")
	p.Kill()
	if err := os.CopyFS(old, os.DirFS(aof)); err != nil {
		return err
	}
	if err := p.Restart(); err != nil {
		return err
	}
	pause(ctx, 100*time.Millisecond+rand.N(300*time.Millisecond))
	p.Kill()
	if err := os.RemoveAll(aof); err != nil {
		return err
	}
	if err := os.Rename(old, aof); err != nil {
		return err
	}
	return p.Restart()
}

// redisFaults does each harm so many times, each to one world after the other.
func redisFaults(ctx context.Context, b *bench, t *table, rounds int) error {
	const perWorld = 25
	var jobs []func(context.Context) error
	for _, h := range harms {
		for n := max(rounds/len(harms), 1); n > 0; n -= perWorld {
			share := min(n, perWorld)
			jobs = append(jobs, func(ctx context.Context) error { return b.harm(ctx, t, h, share) })
		}
	}
	return b.each(ctx, jobs)
}

// harm has one world bear a harm n times, and judges.
func (b *bench) harm(ctx context.Context, t *table, h harm, n int) error {
	p, err := streamstest.Start()
	if err != nil {
		return err
	}
	defer p.Close()
	c := streamstest.Dial(p.Addr)
	defer c.Close()
	st, err := b.open(ctx, proof.Setup{Redis: "unix://" + p.Addr, Cards: rand.N(2) == 0,
		Env: []string{"LEADSTREAM_HURRY=reconcile-after=1s"}})
	if err != nil {
		return err
	}
	defer st.close()
	st.ledger.Unordered = h.alone
	for done, tries := 0, 0; done < n; tries++ {
		if tries > 4*n+20 {
			return fmt.Errorf("%s: %d times of %d, the others found nothing in flight", h.what, done, n)
		}
		began := time.Now()
		pause(ctx, 100*time.Millisecond+rand.N(200*time.Millisecond))
		flying := st.ledger.InFlight()
		if err := h.do(ctx, p, c); err != nil && ctx.Err() != nil {
			return ctx.Err()
		} else if err != nil && !gone(err) {
			return fmt.Errorf("%s: %w", h.what, err)
		}
		if t.struck(h.what, flying, false, began) {
			done++
			b.tick()
		}
	}
	if h.heal != nil {
		if err := h.heal(ctx, c); err != nil {
			return fmt.Errorf("%s: %w", h.what, err)
		}
	}
	v, err := st.judge(ctx, true)
	if err != nil {
		return fmt.Errorf("%s: %w", h.what, err)
	}
	t.judged(h.what, v)
	return nil
}

// gone says that what was to be harmed is not there at this moment.
func gone(err error) bool {
	return redis.HasErrorPrefix(err, "ERR") || redis.HasErrorPrefix(err, "NOGROUP")
}
