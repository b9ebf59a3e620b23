package intake

import (
	"math"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// gate lets in a weight at a time, and refuses rather than queues: the sender's own retry is the queue.
type gate struct {
	limit int64
	now   atomic.Int64
}

func (g *gate) enter(n int64) bool {
	if g.now.Add(n) <= g.limit {
		return true
	}
	g.now.Add(-n)
	return false
}

func (g *gate) leave(n int64) { g.now.Add(-n) }

// bucket is a token bucket. Its zero value is full.
type bucket struct {
	spent float64   // tokens missing from a full bucket
	at    time.Time // when spent was true
}

// take spends a token, or says in how long there will be one.
func (b *bucket) take(r Rate, now time.Time) (wait time.Duration) {
	b.spent = max(0, b.spent-now.Sub(b.at).Seconds()*r.PerSecond)
	b.at = now
	if left := float64(max(r.Burst, 1)) - b.spent; left < 1 {
		return time.Duration(math.Ceil((1 - left) / r.PerSecond * float64(time.Second)))
	}
	b.spent++
	return 0
}

// lane is what one class of a source's senders shares.
type lane struct {
	rate limiter
	busy gate
}

// limiter is the bucket of one source.
type limiter struct {
	rate Rate
	mu   sync.Mutex
	b    bucket
}

func (l *limiter) take(now time.Time) time.Duration {
	if l.rate.PerSecond == 0 {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.take(l.rate, now)
}

// maxBuckets bounds the memory of a limiter by address: beyond it, full buckets are forgotten, then all are.
const maxBuckets = 50_000

// addressLimiter has a bucket for each address; of IPv6 for each /64, which is what one customer gets.
type addressLimiter struct {
	rate Rate
	mu   sync.Mutex
	by   map[netip.Addr]*bucket
}

// peek is how long an address has to wait; it spends nothing.
func (l *addressLimiter) peek(addr netip.Addr, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if b := l.by[network(addr)]; b != nil && l.rate.PerSecond > 0 {
		copied := *b
		return copied.take(l.rate, now)
	}
	return 0
}

func (l *addressLimiter) take(addr netip.Addr, now time.Time) time.Duration {
	if l.rate.PerSecond == 0 {
		return 0
	}
	addr = network(addr)
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.by[addr]
	if b == nil {
		if len(l.by) >= maxBuckets {
			l.forget(now)
		}
		if l.by == nil {
			l.by = make(map[netip.Addr]*bucket)
		}
		b = new(bucket)
		l.by[addr] = b
	}
	return b.take(l.rate, now)
}

func (l *addressLimiter) forget(now time.Time) {
	full := time.Duration(float64(l.rate.Burst) / l.rate.PerSecond * float64(time.Second))
	for addr, b := range l.by {
		if now.Sub(b.at) > full {
			delete(l.by, addr)
		}
	}
	if len(l.by) >= maxBuckets {
		clear(l.by)
	}
}

func network(addr netip.Addr) netip.Addr {
	addr = addr.Unmap()
	if addr.Is6() {
		if p, err := addr.WithZone("").Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return addr
}
