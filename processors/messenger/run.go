package messenger

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"leadstream/streams/outbound"
)

const (
	most       = 64               // messages in a round
	idle       = time.Second      // between rounds when nobody says that there is something
	stopping   = 10 * time.Second // for calls in hand at a stop
	afterFault = 2 * time.Second  // when the records do not answer
	storeLimit = time.Minute      // of what is asked of the records at one time
)

// Run sends what is due until ctx ends, and then waits for the calls in hand.
func (m *Messenger) Run(ctx context.Context, checkEvery time.Duration) error {
	calls, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(stopping, cancel) })
	defer stop()

	var watching, calling sync.WaitGroup
	for _, c := range m.Channels {
		watching.Go(func() { m.watch(ctx, c, checkEvery) })
	}
	results := make(chan outbound.Change, most)
	saved := make(chan struct{})
	go func() {
		defer close(saved)
		m.save(calls, results)
	}()
	tidied := m.now()
	for ctx.Err() == nil {
		limited, cancel := context.WithTimeout(ctx, storeLimit)
		next, err := m.round(limited, calls, &calling, results)
		cancel()
		wait := idle
		switch {
		case err != nil && ctx.Err() == nil:
			m.Log.Warn().Err(err).Msg("messages to customers wait for the records")
			wait = afterFault
		case !next.IsZero():
			wait = min(max(next.Sub(m.now()), 5*time.Millisecond), idle)
		}
		if m.now().Sub(tidied) > time.Hour {
			tidied = m.now()
			if err := m.Store.TidyOutbox(ctx); err != nil && ctx.Err() == nil {
				m.Log.Warn().Err(err).Msg("the outbox is tidied later")
			}
		}
		select {
		case <-ctx.Done():
		case <-m.wake:
		case <-time.After(wait):
		}
	}
	calling.Wait()
	close(results)
	<-saved
	watching.Wait()
	return nil
}

// round plans what is due, keeps that, and begins the calls. next is when there is something again.
func (m *Messenger) round(ctx, calls context.Context, calling *sync.WaitGroup, results chan<- outbound.Change) (next time.Time, err error) {
	now := m.now()
	due, next, err := m.Store.DueMessages(ctx, now, most)
	if err != nil {
		return next, err
	}
	m.Metrics.due(len(due))
	var changes []outbound.Change
	var jobs []*job // of a change; nil: it is no call
	giveBack := func(jobs []*job) {
		for _, j := range jobs {
			if j != nil {
				j.giveBack()
			}
		}
	}
	seen, begun := map[int64]bool{}, map[string]int{}
	for _, msg := range due {
		if seen[msg.Customer] { // what was planned for the one before decides for this one
			next = now
			continue
		}
		seen[msg.Customer] = true
		change, j, err := m.safelyPlan(ctx, msg, begun, now)
		if err != nil {
			giveBack(jobs)
			return next, err
		}
		switch {
		case j != nil:
			if j.ask == nil {
				begun[j.channel.Name]++
			}
			changes, jobs = append(changes, j.change), append(jobs, j)
		case change != nil:
			changes, jobs = append(changes, *change), append(jobs, nil)
		}
	}
	if len(changes) == 0 {
		return next, nil
	}
	done, err := m.Store.Change(ctx, changes)
	if err != nil {
		giveBack(jobs)
		return next, err
	}
	for i, j := range jobs {
		switch {
		case j == nil && done[i]:
			m.ended(&changes[i])
		case j == nil:
		case done[i]:
			calling.Go(func() { results <- j.do(calls, m) })
		default: // another daemon has it
			j.giveBack()
		}
	}
	return next, nil
}

func (j *job) do(ctx context.Context, m *Messenger) outbound.Change {
	if j.ask != nil {
		return m.ask(ctx, j)
	}
	return m.call(ctx, j)
}

// giveBack undoes what was taken for a job that is not begun.
func (j *job) giveBack() {
	if j.ask != nil {
		j.channel.asking.Add(-1)
		return
	}
	j.server.Guard.Finish(0, false)
}

// save keeps what calls have brought, many at a time, until results is closed. While the records cannot be written it tries again: what was sent
// is known here alone.
func (m *Messenger) save(ctx context.Context, results <-chan outbound.Change) {
	for c := range results {
		batch := []outbound.Change{c}
	more:
		for len(batch) < most {
			select {
			case c, ok := <-results:
				if !ok {
					break more
				}
				batch = append(batch, c)
			default:
				break more
			}
		}
		m.keep(ctx, batch)
	}
}

func (m *Messenger) keep(ctx context.Context, batch []outbound.Change) {
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		limited, cancel := context.WithTimeout(ctx, storeLimit)
		done, err := m.Store.Change(limited, batch)
		cancel()
		if err == nil {
			var open []outbound.Change
			for i := range batch {
				if done[i] {
					m.ended(&batch[i])
				} else if c, ok := m.overtaken(ctx, batch[i]); ok {
					open = append(open, c)
				}
			}
			if slices.Contains(done, true) {
				m.Wake()
			}
			if batch = open; len(batch) == 0 {
				return
			}
		} else {
			m.Log.Error().Err(err).Msg("what became of messages to customers cannot be kept, and is tried again")
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// overtaken is what a call has brought, for a message that was changed meanwhile: the records were away for so long that it counted as
// a call that a crash has ended, or news of another step have come. What is known better stays. ok: there is something to keep.
func (m *Messenger) overtaken(ctx context.Context, c outbound.Change) (_ outbound.Change, ok bool) {
	if c.Step == nil {
		return c, false
	}
	msg, n, err := m.Store.MessageOf(ctx, "", "", wordsID(&c.Message, c.Step))
	if err != nil {
		return c, !errors.Is(err, m.Unknown)
	}
	step, took := msg.Steps[n-1], c.Step.State == outbound.Accepted
	switch {
	case step.State != outbound.Unsure && step.State != outbound.Calling:
		return c, false
	case n != len(msg.Steps) || msg.State == outbound.Waiting || msg.State == outbound.Done && msg.Reason != reasonUnsure || msg.State == outbound.Dropped || msg.State == outbound.Failed:
		c.State, c.Reason, c.Due = msg.State, msg.Reason, msg.Due // the message has gone its way: the step alone
	case step.State == outbound.Calling && !took: // somebody else is sending it again, under its key
		return c, false
	}
	c.Message = msg
	return c, true
}

// ended counts a message that has come to an end.
func (m *Messenger) ended(c *outbound.Change) {
	lost := c.State == outbound.Failed || c.State == outbound.Done && c.Reason == reasonUnsure
	if lost && c.Message.State != c.State && mayGoOn(&c.Message) {
		m.failures.Add(1)
	}
	m.Metrics.ended(c)
}
