package streams

import (
	"context"
	"slices"
	"time"
)

// emptiness asks whether a queue holds nothing at all, while something else goes on.
func (p *Partition) emptiness(ctx context.Context, queue string) func() bool {
	answer := make(chan bool, 1)
	go func() {
		n, err := p.Clients.Write.XLen(ctx, p.Keys.Queue(queue)).Result()
		answer <- err == nil && n == 0
	}()
	return func() bool { return <-answer }
}

// next is the processor whose queue follows this one's, nil when a person or a destination does.
func (r *runner) next() *Worker {
	at := slices.IndexFunc(r.p.Workers, func(w *Worker) bool { return w.Queue == r.w.Queue })
	if at < 0 || at+1 >= len(r.p.Workers) || r.w.Guard != nil {
		return nil
	}
	if w := r.p.Workers[at+1]; w.Guard == nil && w.destination() == "" {
		return w
	}
	return nil
}

// onward has the next processor judge at once what would go into its queue, as long as that is empty: a queue is for what
// must wait, and the way through it costs as much as the judging. All is settled in one step, from this queue into those
// after the next. What the next one does not pass on or drop goes into its queue and is judged there, and so does what
// comes behind it. It keeps the order of a customer: nothing of theirs stands in the next queue, and nothing but this call
// can bring it there, for no other has entries of theirs in hand. Only in the seconds after a takeover may the owner before
// still settle an earlier one: that one is then overtaken, not lost.
func (c *call) onward(ctx context.Context, w *Worker, empty func() bool) {
	var onward []*Entry
	var at []int
	stays := map[string]bool{} // order keys
	for i, v := range c.verdicts {
		e := c.entries[i]
		if v.Result != Done || len(v.Followers) != 1 || v.Followers[0].Queue != w.Queue || stays[e.meta.Key] {
			stays[e.meta.Key] = true
			continue
		}
		lead := *v.Followers[0].Lead
		onward = append(onward, &Entry{ID: e.ID, Queue: w.Queue, Lead: &lead, meta: meta{Key: e.meta.Key}, only: e.only, epoch: e.epoch})
		at = append(at, i)
	}
	if !empty() || len(onward) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, w.timeout())
	defer cancel()
	start := time.Now()
	next := &runner{p: c.r.p, w: w, log: c.r.p.Log.With().Str("queue", w.Queue).Logger()}
	var verdicts []Verdict
	for part := range slices.Chunk(onward, w.batch()) {
		some, err := next.askOnce(ctx, part)
		if err != nil { // whose fault it is, is found out in its queue
			return
		}
		verdicts = append(verdicts, some...)
	}
	passed := &call{r: next}
	c.verdicts = slices.Clone(c.verdicts)
	for n, v := range verdicts {
		e := onward[n]
		if stays[e.meta.Key] = stays[e.meta.Key] || v.Result != Done && v.Result != Drop; stays[e.meta.Key] {
			continue
		}
		c.verdicts[at[n]] = v
		passed.entries, passed.asked = append(passed.entries, e), append(passed.asked, v)
	}
	passed.log(time.Since(start))
}
