//go:build linux

package main

import (
	"context"
	"errors"
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

// onRedis is every way for a Redis to go wrong.
var onRedis = harms{perWorld: 25, open: besideRedis, list: []harm{
	{what: "killed", do: func(_ context.Context, st *stage) error { return st.redis.Restart() }},
	{what: "stopped 0.1-1 s", do: stalled},
	{what: "flushed", do: inRedis(func(ctx context.Context, c redis.UniversalClient) error { return c.FlushAll(ctx).Err() })},
	{what: "out of memory", do: inRedis(setting("maxmemory", "1mb", "0")), heal: inRedis(set("maxmemory", "0"))},
	{what: "read only", do: inRedis(replica), heal: inRedis(master)},
	// That leads are missing is seen at the next renewal of the lease, up to 3 s later; those behind them may be first.
	{what: "restored from an old copy", unordered: true, do: restored},
	{what: "a group destroyed", unordered: true, do: inRedis(func(ctx context.Context, c redis.UniversalClient) error {
		return c.XGroupDestroy(ctx, someQueue(), streams.Group).Err()
	})},
	{what: "a stream trimmed", unordered: true, do: inRedis(func(ctx context.Context, c redis.UniversalClient) error {
		return c.XTrimMaxLen(ctx, someQueue(), rand.Int64N(5)).Err()
	})},
	{what: "a stream deleted", unordered: true, do: inRedis(func(ctx context.Context, c redis.UniversalClient) error {
		return c.Del(ctx, someQueue()).Err()
	})},
	{what: "scripts flushed", do: inRedis(func(ctx context.Context, c redis.UniversalClient) error {
		return c.ScriptFlush(ctx).Err()
	})},
	{what: "connections cut", do: inRedis(func(ctx context.Context, c redis.UniversalClient) error {
		return c.Do(ctx, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes").Err()
	})},
}}

// besideRedis is a world whose Redis belongs to nobody in it.
func besideRedis(ctx context.Context, b *bench) (*stage, error) {
	p, err := streamstest.Start()
	if err != nil {
		return nil, err
	}
	s := proof.Setup{Redis: "unix://" + p.Addr, Cards: rand.N(2) == 0, Env: []string{"LEADSTREAM_HURRY=reconcile-after=1s"}}
	st, err := b.open(ctx, []proof.Setup{s}, badDay, p.Close)
	if err == nil {
		st.redis = p
	}
	return st, err
}

// inRedis does something by Redis's own commands. What is to be harmed may not be there at this moment.
func inRedis(do func(context.Context, redis.UniversalClient) error) func(context.Context, *stage) error {
	return func(ctx context.Context, st *stage) error {
		c := streamstest.Dial(st.redis.Addr)
		defer c.Close()
		err := do(ctx, c)
		if answer := redis.Error(nil); errors.As(err, &answer) {
			return nil
		}
		return err
	}
}

func someQueue() string {
	queues := []string{streams.Intake, streams.Triaged, streams.Destined("crm"), streams.Destined("crm") + ":hot"}
	return streams.Keys{Prefix: "ls"}.Queue(queues[rand.IntN(len(queues))])
}

func stalled(ctx context.Context, st *stage) error {
	if err := st.redis.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	pause(ctx, 100*time.Millisecond+rand.N(900*time.Millisecond))
	return st.redis.Signal(syscall.SIGCONT)
}

func set(key, value string) func(context.Context, redis.UniversalClient) error {
	return func(ctx context.Context, c redis.UniversalClient) error { return c.ConfigSet(ctx, key, value).Err() }
}

// setting sets a key for a moment.
func setting(key, bad, good string) func(context.Context, redis.UniversalClient) error {
	return func(ctx context.Context, c redis.UniversalClient) error {
		if err := set(key, bad)(ctx, c); err != nil {
			return err
		}
		pause(ctx, rand.N(300*time.Millisecond))
		return set(key, good)(ctx, c)
	}
}

// replica makes it follow a master that is not there: it refuses to write, as after a failover, and keeps what it has.
func replica(ctx context.Context, c redis.UniversalClient) error {
	if err := c.SlaveOf(ctx, "127.0.0.1", "1").Err(); err != nil {
		return err
	}
	pause(ctx, rand.N(300*time.Millisecond))
	return master(ctx, c)
}

func master(ctx context.Context, c redis.UniversalClient) error {
	return c.SlaveOf(ctx, "NO", "ONE").Err()
}

// restored puts the append-only file of a moment ago in the place of the present one.
func restored(ctx context.Context, st *stage) error {
	p := st.redis
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
