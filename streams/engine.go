package streams

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"leadstream/streams/failpoint"
)

// Engine moves leads from the journal through the queues to the destinations. It is the whole of package streams at
// work: custody, and a Partition for each share of the leads.
type Engine struct {
	Custody *Custody
	Clients *Clients
	Prefix  string // of all Redis keys; "ls" when empty
	Workers []*Worker
	Boot    string        // differs at each start
	Grace   time.Duration // for what is in hand at a stop
	Metrics *Metrics
	Log     zerolog.Logger

	// Reconcile is how long an open lead may be nowhere to be seen in Redis before it is driven again, and how often
	// that is looked for; 30 s by default.
	Reconcile time.Duration

	once       sync.Once
	partitions []*Partition
}

// Partitions are the shares of the engine.
func (e *Engine) Partitions() []*Partition {
	e.once.Do(func() {
		prefix := e.Prefix
		if prefix == "" {
			prefix = "ls"
		}
		for n := range e.Custody.Partitions {
			e.partitions = append(e.partitions, &Partition{
				Keys: Keys{Prefix: prefix, Partition: n}, Clients: e.Clients, Custody: e.Custody, Workers: e.Workers,
				Boot: e.Boot, Grace: e.Grace, Log: e.Log, Metrics: e.Metrics, reconcileAfter: e.Reconcile,
			})
		}
	})
	return e.partitions
}

// Run works until ctx ends, and then lets what is in hand end.
func (e *Engine) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, p := range e.Partitions() {
		wg.Go(func() {
			if err := p.Run(ctx); err != nil {
				e.Log.Error().Err(err).Msg("partition")
			}
		})
	}
	wg.Go(func() { e.Custody.runIndex(ctx) })
	wg.Go(func() {
		for ctx.Err() == nil {
			sleep(ctx, failpoint.Sooner(failpoint.TidyEvery, 10*time.Minute))
			if err := e.Custody.tidy(); err != nil {
				e.Log.Error().Err(err).Msg("journal not tidied")
			}
		}
	})
	wg.Wait()
	return nil
}

// QueueState is a queue as `leadstream status` shows it, summed over partitions.
type QueueState struct {
	Queue  string    `json:"queue"`
	Length int64     `json:"length"`  // all that is still to be done
	Parked int64     `json:"parked"`  // of these, waiting for a retry or behind one
	InHand int64     `json:"in_hand"` // of these, being worked on
	Oldest time.Time `json:"oldest,omitzero"`
}

// Queues reads the state of every queue from Redis.
func (e *Engine) Queues(ctx context.Context) ([]QueueState, error) {
	var states []QueueState
	for _, w := range e.Workers {
		for _, s := range w.streams() {
			st := QueueState{Queue: s}
			for _, p := range e.Partitions() {
				if err := p.measure(ctx, &st); err != nil {
					return nil, err
				}
			}
			states = append(states, st)
		}
	}
	return states, nil
}

func (p *Partition) measure(ctx context.Context, st *QueueState) error {
	key := p.Keys.Queue(st.Queue)
	n, err := p.Clients.Write.XLen(ctx, key).Result()
	if err != nil || n == 0 {
		return wrap("queue "+st.Queue, err)
	}
	st.Length += n
	pending, err := p.Clients.Write.XPending(ctx, key, Group).Result()
	if err != nil {
		return wrap("queue "+st.Queue, err)
	}
	st.Parked += pending.Consumers[parked]
	st.InHand += pending.Count - pending.Consumers[parked]
	first, err := p.Clients.Write.XRangeN(ctx, key, "-", "+", 1).Result()
	if err != nil || len(first) == 0 {
		return wrap("queue "+st.Queue, err)
	}
	if at := idTime(first[0].ID); st.Oldest.IsZero() || at.Before(st.Oldest) {
		st.Oldest = at
	}
	return nil
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

// RedisDownFor is how long Redis has not answered, at the partition that waits longest.
func (e *Engine) RedisDownFor() time.Duration {
	var d time.Duration
	for _, p := range e.Partitions() {
		d = max(d, p.DownFor())
	}
	return d
}

// Unexplained is the number that must be 0: leads that have neither ended nor were seen in any queue. What is found
// missing twice is driven again.
func (e *Engine) Unexplained() int {
	var n int64
	for _, p := range e.Partitions() {
		n += p.unexplained.Load()
	}
	return int(n)
}
