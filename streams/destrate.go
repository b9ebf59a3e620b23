package streams

import (
	"context"
	_ "embed"
	"math"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// limiter is a leaky bucket, kept as the time at which the bucket will be empty (GCRA): one number, no refilling.
// The shared one lives in Redis; the local number mirrors it as of the last answer, and stands in while Redis is away.
type limiter struct {
	rate    Rate
	clients *Clients
	key     string
	clock   func() time.Time

	mu    sync.Mutex
	empty time.Time // when the bucket will be empty, by our clock
	away  time.Time // Redis did not answer: not asked again before
}

//go:embed lua/rate.lua
var rateLua string

var takeScript = redis.NewScript(rateLua)

// interval is how long one unit takes to leak out.
func (l *limiter) interval() time.Duration {
	return time.Duration(float64(time.Second) / l.rate.PerSecond)
}

// left says how many units the bucket has room for, as far as we know.
func (l *limiter) left() int {
	if l.rate.PerSecond <= 0 {
		return math.MaxInt
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	filled := max(l.empty.Sub(l.clock()), 0)
	return max(0, int((time.Duration(l.rate.Burst)*l.interval()-filled)/l.interval()))
}

// wait says when the bucket will have room for one unit, as far as we know.
func (l *limiter) wait() time.Duration {
	if l.rate.PerSecond <= 0 {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	filled := max(l.empty.Sub(l.clock()), 0) // a bucket that was never used is empty, not 292 years overdue
	return max(0, filled+l.interval()-time.Duration(l.rate.Burst)*l.interval())
}

// take waits for units and takes them. A call never needs more than a full bucket: it would wait for ever.
func (l *limiter) take(ctx context.Context, units int) error {
	if l.rate.PerSecond <= 0 {
		return ctx.Err()
	}
	units = min(units, l.rate.Burst)
	for ctx.Err() == nil {
		wait, ok := l.takeShared(ctx, units)
		if !ok {
			wait = l.takeLocal(units)
		}
		if wait == 0 {
			return nil
		}
		pause := time.NewTimer(wait)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
		}
	}
	return ctx.Err()
}

// takeShared asks Redis; false is no answer.
func (l *limiter) takeShared(ctx context.Context, units int) (time.Duration, bool) {
	l.mu.Lock()
	away := l.clock().Before(l.away)
	l.mu.Unlock()
	if l.clients == nil || away {
		return 0, false
	}
	ctx, cancel := context.WithTimeout(ctx, sharedTimeout)
	defer cancel()
	micros := float64(time.Second/time.Microsecond) / l.rate.PerSecond
	answer, err := takeScript.Run(ctx, l.clients.Write, []string{l.key}, micros, l.rate.Burst, units).Int64Slice()
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil || len(answer) != 2 {
		l.away = l.clock().Add(time.Second)
		return 0, false
	}
	l.empty = l.clock().Add(time.Duration(answer[1]) * time.Microsecond)
	return time.Duration(answer[0]) * time.Microsecond, true
}

// sharedTimeout bounds how long a destination waits for what it shares: it can go on without.
const sharedTimeout = 500 * time.Millisecond

func (l *limiter) takeLocal(units int) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clock()
	filled := max(l.empty.Sub(now), 0)
	more, full := filled+time.Duration(units)*l.interval(), time.Duration(l.rate.Burst)*l.interval()
	if more > full {
		return more - full
	}
	l.empty = now.Add(more)
	return 0
}
