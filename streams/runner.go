package streams

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"leadstream/streams/failpoint"
)

// runner serves one worker's queues in one partition while this instance owns it. One goroutine reads, keeps order and
// reclaims; each Handle call has a goroutine of its own, which settles what it did and reports back.
type runner struct {
	p      *Partition
	w      *Worker
	term   int64    // of the partition, when it was opened
	queues []*queue // the hot one first, for a destination
	log    zerolog.Logger

	lines   *lines
	alarm   alarm
	ready   []*Entry        // in hand and not started, oldest first
	working map[string]bool // order keys in a Handle call
	inHand  map[handle]bool // entries in Handle calls
	early   []*Entry        // were parked by a Handle call and came due before it has reported back
	ended   map[string]bool // order keys of which something has ended: those behind it may move
	defers  []*Entry        // to be parked behind others of their customer
	cursors []string        // of a reclaim pass, a queue each; empty: none under way
	again   bool            // something came due behind the cursors: another pass must follow
	asked   int             // entries that the read under way may bring
	unheard bool            // an answer of Redis was lost, and perhaps entries in it
	strays  bool            // look for what an owner before has taken after we had taken over
	opened  time.Time       // when the queues were
	ghosts  bool            // look for what stands in the lines and is pending nowhere
	backoff time.Duration   // after a failed read
	hotLeft bool            // the hot queue may hold more than the last read brought; the reader's own, as is readAt
	readAt  time.Time       // when it last had an answer

	reads    chan fetched
	finished chan []settled
	wg       sync.WaitGroup
}

type fetched struct {
	entries []*Entry
	err     error
}

// settled is an entry after its try.
type settled struct {
	entry  *Entry
	parked bool
	waits  bool // parked behind another entry of its key
	left   bool // neither parked nor ended: Redis has lost it, or did not answer before the end
	delay  time.Duration
}

func newRunner(p *Partition, w *Worker) *runner {
	r := &runner{p: p, w: w, term: p.term.Load(), lines: newLines(), working: map[string]bool{}, inHand: map[handle]bool{},
		ended: map[string]bool{}, reads: make(chan fetched, 1),
		finished: make(chan []settled, 64), log: p.Log.With().Str("queue", w.Queue).Logger()}
	for _, s := range w.streams() {
		r.queues = append(r.queues, &queue{name: s, keys: p.Keys, owner: p.me(), redis: p.Clients.Write})
	}
	return r
}

func (r *runner) queue(name string) *queue {
	return r.queues[slices.IndexFunc(r.queues, func(q *queue) bool { return q.name == name })]
}

// reclaimEvery is how often the parked entries are looked through even when none is known to be due.
const reclaimEvery = time.Minute

// straysEvery is how often what others have left is looked for at first, while the owner before may still believe that it
// is the owner: what it takes, and gives back when it learns better, is known to nobody.
const straysEvery = time.Second

// young says that the owner before may still believe that it is the owner.
func (r *runner) young() bool { return time.Since(r.opened) < leaseTTL+2*straysEvery }

// contested says that it may be another daemon.
func (r *runner) contested() bool {
	return r.young() && !r.p.Custody.epochOf(r.p.Keys.Partition).Others.IsZero()
}

func (r *runner) run(ctx context.Context) {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	r.opened = time.Now()
	safety, looked := r.opened, r.opened
	for ctx.Err() == nil {
		r.park(ctx)
		mine := r.p.owns() // what we took after the lease has ended, the next owner would not find
		if mine {
			r.release(ctx)
		}
		wait := time.Millisecond
		if !r.strays || !r.contested() { // what an owner before has taken may be earlier than what we have
			wait = r.start(work)
		}
		if time.Since(safety) > reclaimEvery {
			r.beginPass()
			r.unheard, r.strays, r.ghosts, safety = true, true, true, time.Now()
		}
		if time.Since(looked) > straysEvery && r.young() {
			r.strays, looked = true, time.Now()
		}
		if r.alarm.rang(time.Now()) {
			r.again = r.passing()
			r.beginPass()
		}
		if r.unheard && r.asked == 0 && mine {
			r.sweep(ctx)
		}
		if r.strays && mine {
			r.gather(ctx)
		}
		if r.ghosts && mine {
			r.exorcise(ctx)
		}
		n, admitted := 0, time.Second
		if mine {
			n, admitted = r.room(ctx)
		}
		wait = min(wait, admitted)
		if n > 0 && r.passing() {
			r.reclaim(ctx, n)
			continue
		}
		if n > 0 && r.asked == 0 && !r.unheard { // what was not heard came before what is still to be read
			r.read(ctx, n)
		}
		timer := time.NewTimer(r.alarm.next(time.Now(), max(wait, time.Millisecond)))
		select {
		case <-ctx.Done():
		case f := <-r.reads:
			r.fetched(ctx, f)
		case s := <-r.finished:
			r.done(s)
		case <-timer.C:
		}
		timer.Stop()
	}
	r.stop(cancel)
}

// stop lets what is in hand end, for the time that a stop may take; what has not ended stays pending, for the next owner.
func (r *runner) stop(cancel context.CancelFunc) {
	ahead := maps.Clone(r.working) // keys of which something is before: what follows must wait for it again
	r.handBack(r.ready, ahead)
	failpoint.Hit(failpoint.StopHandedBack)
	ended := make(chan struct{})
	go func() { r.wg.Wait(); close(ended) }()
	grace := time.NewTimer(r.p.Grace)
	defer grace.Stop()
	for {
		select {
		case <-r.finished: // settled already
		case <-ended:
			r.handBackRead(ahead)
			failpoint.Hit(failpoint.StopEnded)
			return
		case <-grace.C:
			cancel()
		}
	}
}

// handBackRead gives back what has come after the last look.
func (r *runner) handBackRead(ahead map[string]bool) {
	select {
	case f := <-r.reads:
		for _, e := range f.entries {
			r.identify(e)
		}
		r.handBack(f.entries, ahead)
	default:
	}
}

// handBack parks what is in hand and surely was never sent, due at once: the next owner, if it is another, need not ask.
// ahead has the keys in which something is before them, and gets theirs.
func (r *runner) handBack(entries []*Entry, ahead map[string]bool) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	for _, e := range entries {
		key := e.meta.Key
		e.meta.Waiter, ahead[key] = ahead[key] || r.lines.mustWait(key), true
	}
	for _, q := range r.queues {
		var outs []outcome
		for _, e := range entries {
			if e.Queue == q.name && !e.external() && e.fault == nil && e.Unsure.IsZero() && e.meta.Unsure == 0 {
				outs = append(outs, outcome{entry: e, park: true})
			}
		}
		for part := range slices.Chunk(outs, 256) {
			if _, _, err := q.settle(ctx, r.p.epoch.Load(), r.p.Custody.Instance, part); err != nil {
				r.log.Debug().Err(err).Msg("entries in hand not given back; the next owner takes them over")
				return
			}
		}
	}
}

// room says how many more entries may be taken in hand, and when to ask again.
func (r *runner) room(ctx context.Context) (int, time.Duration) {
	const often = time.Second
	held := len(r.inHand) + len(r.ready) + r.asked
	if len(r.ready) > 2*r.w.batch()*r.w.concurrency()+10 {
		return 0, often
	}
	if r.w.Guard == nil {
		return r.w.batch()*r.w.concurrency() - held, often
	}
	want := max(r.w.batch()*r.w.concurrency()-held, 0)
	n, wait := r.w.Guard.Admit(ctx, want)
	if n > 0 {
		return n, often
	}
	return 0, min(max(wait, 5*time.Millisecond), often)
}

// isGone says that the stream or its group was deleted under us.
func isGone(err error) bool {
	return redis.HasErrorPrefix(err, "NOGROUP") || redis.HasErrorPrefix(err, "UNBLOCKED")
}

// admit puts an entry in hand, or behind the others of its customer.
func (r *runner) admit(e *Entry) {
	if r.inHand[e.handle()] {
		r.early = append(r.early, e)
		return
	}
	r.identify(e)
	key, h := e.meta.Key, e.handle()
	switch {
	case r.lines.known(key, h):
		if !r.lines.due(key, h) {
			r.defers = append(r.defers, e)
			r.ended[key] = true // if nothing is before them but one that could not be taken up
			return
		}
	case r.lines.mustWait(key) && !failpoint.Seeded(failpoint.OrderIgnored):
		r.lines.wait(key, h)
		r.defers = append(r.defers, e)
		return
	}
	e.meta.Waiter = false
	r.lines.start(key)
	r.ready = append(r.ready, e)
}

// identify gives an entry the order key by which it stands in line.
func (r *runner) identify(e *Entry) {
	if e.meta.Key != "" {
		return
	}
	e.meta.Key = e.Lead.OrderKey()
	if failpoint.Seeded(failpoint.OneLine) {
		e.meta.Key = "everybody"
	}
	if e.fault != nil || e.external() {
		e.meta.Key = "x:" + e.ID
		if e.fault == nil && (e.Lead.Phone != "" || e.Lead.Email != "" || e.Lead.UserID != "") {
			e.meta.Key = e.Lead.OrderKey()
		}
	}
}

// waiterDelay only matters when an owner has died with the line in its memory: a waiter's turn is given to it.
const waiterDelay = 10 * time.Minute

// park puts entries that wait for others of their customer back into Redis.
func (r *runner) park(ctx context.Context) {
	for len(r.defers) > 0 && ctx.Err() == nil {
		n := 1
		for n < len(r.defers) && n < 256 && r.defers[n].Queue == r.defers[0].Queue {
			n++
		}
		outs := make([]outcome, n)
		for i, e := range r.defers[:n] {
			e.meta.Waiter = true
			if !e.Unsure.IsZero() { // its next owner may be another
				e.meta.Unsure = max(e.meta.Unsure, e.Unsure.UnixMilli())
			}
			outs[i] = outcome{entry: e, park: true, delay: waiterDelay}
		}
		_, _, err := r.queue(r.defers[0].Queue).settle(ctx, r.p.epoch.Load(), r.p.Custody.Instance, outs)
		if err != nil {
			r.trouble(ctx, err)
			return
		}
		failpoint.Hit(failpoint.WaiterParked)
		r.alarm.set(time.Now().Add(waiterDelay))
		r.defers = r.defers[n:]
	}
}

// trouble is a failed Redis call of the dispatcher: said, and waited out a little.
func (r *runner) trouble(ctx context.Context, err error) {
	if errors.Is(err, errEpoch) || isGone(err) {
		r.p.lost()
	} else {
		r.p.redisAnswered(err)
	}
	r.log.Debug().Err(err).Msg("Redis; trying again")
	sleep(ctx, 200*time.Millisecond)
}

// start begins Handle calls with what is ready, and says how soon to look again.
func (r *runner) start(work context.Context) time.Duration {
	const often = time.Second
	for {
		batch := r.pick()
		if len(batch) == 0 {
			return often
		}
		if g := r.w.Guard; g != nil {
			if err := g.Start(1); err != nil {
				return 20 * time.Millisecond
			}
		} else if len(r.inHand) >= r.w.batch()*r.w.concurrency() {
			return often
		}
		for _, e := range batch {
			r.working[e.meta.Key] = true
			r.inHand[e.handle()] = true
			e.called = true
		}
		r.ready = slices.DeleteFunc(r.ready, func(e *Entry) bool { return e.called })
		r.wg.Go(func() { r.finished <- r.handle(work, batch) })
	}
}

// pick chooses the next batch, from the hot queue first. For a destination it has at most one entry a customer, whose
// earlier ones have ended.
func (r *runner) pick() []*Entry {
	for _, q := range r.queues {
		if batch := r.pickFrom(q.name); len(batch) > 0 {
			return batch
		}
	}
	return nil
}

func (r *runner) pickFrom(queue string) []*Entry {
	var batch []*Entry
	taken := make(map[string]bool, min(len(r.ready), r.w.batch()))
	for _, e := range r.ready {
		if len(batch) == r.w.batch() {
			break
		}
		key := e.meta.Key
		if e.Queue != queue {
			continue
		}
		if r.working[key] || (taken[key] && r.w.Guard != nil) {
			taken[key] = true
			continue
		}
		if taken[key] && !slices.ContainsFunc(batch, func(b *Entry) bool { return b.meta.Key == key }) {
			continue // an earlier one of its customer was passed over
		}
		taken[key] = true
		batch = append(batch, e)
	}
	return batch
}

// done takes back what a Handle call has settled.
func (r *runner) done(entries []settled) {
	for _, s := range entries {
		key, h := s.entry.meta.Key, s.entry.handle()
		delete(r.inHand, h)
		if s.left { // those behind it would overtake it
			continue
		}
		r.ended[key] = true
		delete(r.working, key)
		r.lines.finish(key)
		if s.parked {
			if s.waits {
				r.lines.waitInOrder(key, h)
			} else {
				r.lines.park(key, h)
			}
			r.alarm.set(time.Now().Add(s.delay + 20*time.Millisecond))
		}
	}
	for _, s := range entries {
		if !s.left && r.lines.mustWait(s.entry.meta.Key) {
			r.hold(s.entry.meta.Key)
		}
	}
	early := r.early
	r.early = nil
	for _, e := range early {
		r.admit(e)
	}
}

// hold sends the entries of a key that are ready behind the one that was parked.
func (r *runner) hold(key string) {
	r.ready = slices.DeleteFunc(r.ready, func(e *Entry) bool {
		if e.meta.Key != key {
			return false
		}
		r.lines.finish(key)
		r.lines.waitInOrder(key, e.handle())
		r.defers = append(r.defers, e)
		return true
	})
}

// release takes up the entries that waited behind one that has ended. What fails is tried again.
func (r *runner) release(ctx context.Context) {
	if len(r.defers) > 0 { // a waiter that is not parked yet cannot be taken
		return
	}
	for key := range r.ended {
		// Once one of them is in hand no more are released; when all have vanished, those behind them move up.
		for free := r.lines.release(key, 50); len(free) > 0; free = r.lines.release(key, 50) {
			for i, h := range free {
				if err := r.takeUp(ctx, key, h); err != nil {
					r.lines.again(key, free[i:])
					r.trouble(ctx, err)
					return
				}
			}
		}
		delete(r.ended, key)
	}
}

func (r *runner) takeUp(ctx context.Context, key string, h handle) error {
	entries, err := r.queue(h.queue).take(ctx, r.p.Custody.Instance, []string{h.id}, time.Time{})
	if err != nil {
		return err
	}
	failpoint.Hit(failpoint.WaiterTaken)
	for _, e := range entries {
		e.meta.Waiter = false
		r.lines.start(key)
		r.ready = append(r.ready, e)
	}
	return nil
}
