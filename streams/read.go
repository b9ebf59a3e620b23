package streams

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"leadstream/streams/failpoint"
)

// read asks for new entries; the answer comes through r.reads.
func (r *runner) read(ctx context.Context, n int) {
	r.asked = n
	backoff := r.backoff
	r.wg.Go(func() {
		if backoff > 0 {
			sleep(ctx, backoff)
		}
		if ctx.Err() != nil {
			r.reads <- fetched{err: ctx.Err()}
			return
		}
		entries, err := r.readOn(ctx, n)
		r.reads <- fetched{entries, err}
	})
}

// A read that answers at once, and the longest wait for something new: a stop is heard after it.
const (
	noBlock     = -1
	blockAtMost = time.Second
)

// readOn reads about n entries, the hot queue to its end first. Entries of the normal queue are admitted behind every hot
// one that was there when they were read: a customer's later entry would else overtake their earlier hot one. One read of
// both does not do: it brings n of each, and once it has waited, only those of the queue that woke it. So a second look at
// the hot one goes with it in one round trip: Redis takes it up when the first is answered.
func (r *runner) readOn(ctx context.Context, n int) ([]*Entry, error) {
	if len(r.queues) == 1 {
		return r.readFrom(ctx, r.queues, n, blockAtMost)
	}
	hot := r.queues[:1]
	defer func() { r.readAt = time.Now() }()
	if r.hotLeft || time.Since(r.readAt) > time.Second { // many may stand there: not all of them are for one reading
		entries, err := r.readFrom(ctx, hot, n, noBlock)
		r.hotLeft = len(entries) >= n
		if err != nil || len(entries) > 0 {
			return entries, err
		}
	}
	pipe := r.p.Clients.Read.Pipeline()
	first, second := r.request(ctx, pipe, r.queues, n, blockAtMost), r.request(ctx, pipe, hot, n, noBlock)
	_, _ = pipe.Exec(ctx) // each of the two has its own error
	entries, err := answered(first, r.queues)
	if err != nil {
		return nil, err
	}
	late, err := answered(second, hot)
	r.hotLeft = len(late) >= n
	of := slices.IndexFunc(entries, func(e *Entry) bool { return e.Queue != hot[0].name })
	if of < 0 {
		return append(entries, late...), err
	}
	for err == nil && r.hotLeft {
		var more []*Entry
		more, err = r.readFrom(ctx, hot, n, noBlock)
		r.hotLeft, late = len(more) >= n, append(late, more...)
	}
	return slices.Insert(entries, of, late...), err
}

func (r *runner) readFrom(ctx context.Context, queues []*queue, n int, block time.Duration) ([]*Entry, error) {
	return answered(r.request(ctx, r.p.Clients.Read, queues, n, block), queues)
}

// request reads up to n new entries of each queue; once it has to wait, for block, those of the first that has any.
func (r *runner) request(ctx context.Context, c redis.Cmdable, queues []*queue, n int, block time.Duration) *redis.XStreamSliceCmd {
	streams := make([]string, 0, 2*len(queues))
	for _, q := range queues {
		streams = append(streams, q.keys.Queue(q.name))
	}
	for range queues {
		streams = append(streams, ">")
	}
	return c.XReadGroup(ctx, &redis.XReadGroupArgs{
		Group: Group, Consumer: r.p.Custody.Instance, Streams: streams, Count: int64(n), Block: block,
	})
}

// answered are the entries that a read has brought, in the order of its queues.
func answered(cmd *redis.XStreamSliceCmd, queues []*queue) ([]*Entry, error) {
	res, err := cmd.Result()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	var entries []*Entry
	for _, q := range queues {
		for _, s := range res {
			if s.Stream == q.keys.Queue(q.name) {
				entries = append(entries, decodeAll(q.name, s.Messages)...)
			}
		}
	}
	return entries, err
}

func (r *runner) fetched(ctx context.Context, f fetched) {
	r.asked = 0
	if f.err != nil {
		if ctx.Err() != nil {
			return
		}
		r.backoff = min(max(2*r.backoff, 50*time.Millisecond), time.Second)
		if isGone(f.err) {
			r.p.lost()
		} else {
			r.p.redisAnswered(f.err)
			r.unheard = true
		}
		r.log.Debug().Err(f.err).Msg("read; trying again")
		return
	}
	r.backoff = 0
	if len(f.entries) > 0 {
		failpoint.Hit(failpoint.QueueRead)
		r.strays = r.strays || r.contested() // a read of the owner before, that was long on its way, may have come first
	}
	for _, e := range f.entries {
		r.admit(e)
	}
}
