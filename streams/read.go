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

// noBlock is a read that answers at once.
const noBlock = -1

// readOn reads up to n entries, the hot queue to its end first. Entries of the normal queue are admitted behind every hot
// one that was there when they were read: a customer's later entry would else overtake their earlier hot one. One read of
// both does not do: it brings n of each, and once it has waited, only those of the queue that woke it.
func (r *runner) readOn(ctx context.Context, n int) ([]*Entry, error) {
	if len(r.queues) == 1 {
		return r.readFrom(ctx, r.queues, n, time.Second)
	}
	hot := r.queues[:1]
	entries, err := r.readFrom(ctx, hot, n, noBlock)
	if err != nil || len(entries) >= n {
		return entries, err
	}
	block := time.Second
	if len(entries) > 0 {
		block = noBlock
	}
	more, err := r.readFrom(ctx, r.queues, n-len(entries), block)
	for err == nil {
		of := slices.IndexFunc(more, func(e *Entry) bool { return e.Queue != hot[0].name })
		if of < 0 {
			break
		}
		var late []*Entry
		late, err = r.readFrom(ctx, hot, n, noBlock)
		more = slices.Insert(more, of, late...)
		if len(late) < n {
			break
		}
	}
	return append(entries, more...), err
}

func (r *runner) readFrom(ctx context.Context, queues []*queue, n int, block time.Duration) ([]*Entry, error) {
	streams := make([]string, 0, 2*len(queues))
	for _, q := range queues {
		streams = append(streams, q.keys.Queue(q.name))
	}
	for range queues {
		streams = append(streams, ">")
	}
	res, err := r.p.Clients.Read.XReadGroup(ctx, &redis.XReadGroupArgs{
		Group: Group, Consumer: r.p.Custody.Instance, Streams: streams, Count: int64(n), Block: block,
	}).Result()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	var entries []*Entry
	for i, q := range queues { // keep the hot queue first
		for _, s := range res {
			if s.Stream == streams[i] {
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
	}
	for _, e := range f.entries {
		r.admit(e)
	}
}
