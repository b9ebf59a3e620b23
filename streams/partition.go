package streams

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"leadstream/streams/failpoint"
)

// leaseTTL is how long an owner that has stopped keeps a partition from others; a live one renews every third of it.
const leaseTTL = 9 * time.Second

// Partition is a share of all leads: its queues are worked by one owner at a time, which keeps a customer's leads in
// order. Every instance forwards its own leads into every partition.
type Partition struct {
	Keys    Keys
	Clients *Clients
	Custody *Custody
	Workers []*Worker
	Boot    string // differs at each start of the daemon
	Grace   time.Duration
	Log     zerolog.Logger
	Metrics *Metrics

	epoch    atomic.Int64              // as this instance knows it; 0: not known yet
	foreign  atomic.Int64              // entries of an epoch below this may have been delivered by a lost owner
	lease    atomic.Pointer[lease]     // nil: none
	term     atomic.Int64              // counts the times when the partition was, or may have been, another's
	heard    bool                      // what the last answer about the lease said has been heeded; the owner loop's own
	openedAt atomic.Pointer[time.Time] // the last of them
	downAt   atomic.Pointer[time.Time] // since when Redis does not answer; nil: it does
	moved    chan struct{}
	missing  chan struct{}

	reconcileAfter time.Duration
	unexplained    atomic.Int64 // open leads that the last look found in no queue
}

// Run works the partition until ctx ends: it forwards always, and serves the queues while it holds the lease.
func (p *Partition) Run(ctx context.Context) error {
	p.moved, p.missing = make(chan struct{}, 1), make(chan struct{}, 1)
	if p.reconcileAfter == 0 {
		p.reconcileAfter = failpoint.Sooner(failpoint.ReconcileAfter, 30*time.Second)
	}
	var wg sync.WaitGroup
	wg.Go(func() { p.runForward(ctx) })
	wg.Go(func() { p.runHome(ctx) })
	wg.Go(func() { p.runReconcile(ctx) }) // whoever owns the queues: our leads are known to our ledger alone
	starting := true
	for ctx.Err() == nil {
		ours, err := p.tick(ctx, starting)
		if err == nil {
			starting = false
		}
		if err != nil || !ours {
			p.redisAnswered(err)
			sleep(ctx, leaseTTL/9)
			continue
		}
		p.own(ctx)
	}
	wg.Wait()
	p.release()
	return nil
}

// own serves the queues until the lease is lost, the epoch changes or ctx ends.
func (p *Partition) own(ctx context.Context) {
	select {
	case <-p.moved: // what it says is about to be done
	default:
	}
	runners := make([]*runner, len(p.Workers))
	for i, w := range p.Workers {
		runners[i] = newRunner(p, w)
	}
	if err := p.open(ctx, runners); errors.Is(err, errEpoch) { // it is known now, and the lease says the same at once
		p.Log.Warn().Err(err).Msg("a queue's group was missing: opening again")
		return
	} else if err != nil {
		p.redisAnswered(err)
		p.Log.Warn().Err(err).Msg("queue cannot be opened; trying again")
		sleep(ctx, time.Second)
		return
	}
	failpoint.Hit(failpoint.Owned)
	p.redisAnswered(nil)
	owned, lose := context.WithCancel(ctx)
	defer lose()
	var wg sync.WaitGroup
	for _, r := range runners {
		wg.Go(func() { r.run(owned) })
	}
	p.Log.Info().Int("partition", p.Keys.Partition).Int64("epoch", p.epoch.Load()).Msg("partition owned")
	for p.keep(owned) {
	}
	lose()
	wg.Wait()
}

// open makes all queues before it looks into any: each destination whose group was destroyed changes the epoch.
func (p *Partition) open(ctx context.Context, runners []*runner) error {
	var missing error
	for _, r := range runners {
		for _, q := range r.queues {
			if err := q.create(ctx); errors.Is(err, errEpoch) {
				missing = err
			} else if err != nil {
				return err
			}
		}
	}
	if missing != nil {
		return missing
	}
	for _, r := range runners {
		if err := r.open(ctx); err != nil {
			return err
		}
	}
	return p.restoreDead(ctx)
}

// keep renews the lease once, and says whether the partition may be worked on.
func (p *Partition) keep(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-p.moved:
		p.Log.Warn().Int("partition", p.Keys.Partition).Msg("the partition in Redis has changed under us: opening it again")
		return false
	case <-p.elsewhere():
	case <-time.After(leaseTTL / 3):
	}
	known := p.epoch.Load()
	ours, err := p.tick(ctx, false)
	p.redisAnswered(err)
	if err != nil {
		sleep(ctx, leaseTTL/9)
		return ctx.Err() == nil // entries stay ours until somebody else takes the lease; calls out stop at its end
	}
	if !ours {
		p.Log.Warn().Int("partition", p.Keys.Partition).Msg("partition lost to another daemon")
	}
	ours = ours && p.epoch.Load() == known
	if ours && !p.owns() { // two servers answer at one address: until only one does, asking at once would be asking all the time
		sleep(ctx, leaseTTL/9)
	}
	return ours
}

// opened is when the partition was, or may have been, another's for the last time.
func (p *Partition) opened() time.Time {
	if at := p.openedAt.Load(); at != nil {
		return *at
	}
	return time.Time{}
}

// me is the lease's value when it is ours.
func (p *Partition) me() string { return p.Custody.Instance + "|" + p.Boot }

// lease is what Redis has granted.
type lease struct {
	until time.Time // monotonic: a wall clock that is set back would let us go on beside the next owner
	run   string    // id of the server that granted it
}

// elsewhere is closed when connections reach another server than the one that granted the lease.
func (p *Partition) elsewhere() <-chan struct{} {
	changed := p.Clients.servers.change()
	if l := p.lease.Load(); l != nil && !p.Clients.servers.same(l.run) {
		now := make(chan struct{})
		close(now)
		return now
	}
	return changed
}

// owns says whether our lease still stands: no outside call may begin after its end, nor once Redis may have forgotten it
// and what was done under it.
func (p *Partition) owns() bool {
	l := p.lease.Load()
	return l != nil && time.Now().Before(l.until) && p.Clients.servers.same(l.run)
}

// lost tells the owner loop that the partition must be opened again.
func (p *Partition) lost() {
	select {
	case p.moved <- struct{}{}:
	default:
	}
}

// tick takes or renews the lease and compares the partition with what we know of it.
func (p *Partition) tick(ctx context.Context, starting bool) (bool, error) {
	asked := time.Now()
	keys := []string{p.Keys.owner(), p.Keys.lastOwner(), p.Keys.epoch(), p.Keys.run()}
	ctx, cancel := context.WithTimeout(ctx, leaseTTL/3)
	defer cancel()
	heard := p.heard
	p.heard = false
	a, err := leaseScript.Run(ctx, p.Clients.Write, keys, p.Custody.Instance, p.Boot, leaseTTL.Milliseconds(), flag(starting), flag(heard)).Slice()
	if err != nil {
		return false, fmt.Errorf("partition %d: lease: %w", p.Keys.Partition, err)
	}
	if starting {
		failpoint.Hit(failpoint.LeaseTaken)
	} else {
		failpoint.Hit(failpoint.LeaseRenewed)
	}
	text := func(i int) string { s, _ := a[i].(string); return s }
	epoch, _ := strconv.ParseInt(text(3), 10, 64)
	if a[0] != int64(1) {
		p.lease.Store(nil)
		p.term.Add(1)
		return false, p.follow(ctx, epoch)
	}
	last, run, server := text(2), text(4), text(5)
	same := epoch != 0 && epoch == p.epoch.Load() && run == server
	if !same || last != p.Custody.Instance { // calls that wait since then must not begin now
		p.term.Add(1)
		now := p.Custody.Now()
		p.openedAt.Store(&now)
	}
	p.lease.Store(&lease{until: asked.Add(leaseTTL - leaseTTL/9), run: server})
	if !same {
		err := p.renew(ctx, epoch, last, run, server)
		p.heard = err == nil
		return true, err
	}
	if last != p.Custody.Instance { // it was another's meanwhile: what that one had in hand is to be taken over
		if err := p.noteOther(); err != nil {
			return true, err
		}
		p.lost()
	}
	p.heard = true
	return true, nil
}

// noteOther keeps that another owner may have delivered leads of ours: of what Redis loses, only its journal knows.
func (p *Partition) noteOther() error {
	note := p.Custody.epochOf(p.Keys.Partition)
	note.Partition, note.Others = p.Keys.Partition, p.Custody.Now().UTC()
	note.At = note.Others
	if err := p.Custody.noteEpoch(note); err != nil {
		return fmt.Errorf("partition %d: epoch: %w", p.Keys.Partition, err)
	}
	return nil
}

// follow adopts the epoch that another owner has set, and remembers that there is one: after a loss, only its journal
// knows what it delivered. A change means that Redis has lost something, so the leads that are ours are forwarded again.
func (p *Partition) follow(ctx context.Context, epoch int64) error {
	note := p.Custody.epochOf(p.Keys.Partition)
	now := p.Custody.Now().UTC()
	recent := now.Sub(note.Others) < time.Hour
	if epoch == 0 && !recent { // its owner is about to set one; that there is one may be all that is ever known of it
		if err := p.noteOther(); err != nil {
			return err
		}
	}
	if epoch == 0 || note.Epoch == epoch && recent {
		p.foreign.Store(note.Foreign)
		p.epoch.Store(epoch)
		return nil
	}
	lost := note.Epoch != 0 && note.Epoch != epoch
	if note.Epoch != epoch { // what others delivered before the loss, only their journals know
		note.Foreign = epoch
	}
	if lost {
		if err := p.restoreDead(ctx); err != nil {
			return err
		}
	}
	note.Partition, note.Epoch, note.Others, note.At = p.Keys.Partition, epoch, now, now
	if err := p.Custody.noteEpoch(note); err != nil {
		return fmt.Errorf("partition %d: epoch: %w", p.Keys.Partition, err)
	}
	p.foreign.Store(note.Foreign)
	if lost { // the word that another has delivered them may be lost, too
		p.Custody.redrive(p.Keys.Partition, true)
	}
	p.epoch.Store(epoch)
	return nil
}

// renew decides whether Redis still is what we left, gives the partition a new epoch when that is in doubt, and has
// every open lead forwarded again. It runs when the partition is opened and when Redis was restarted under us.
func (p *Partition) renew(ctx context.Context, epoch int64, last, run, server string) error {
	note := p.Custody.epochOf(p.Keys.Partition)
	if epoch != 0 && failpoint.Seeded(failpoint.EpochIgnored) {
		note.Epoch, run = epoch, server
		if err := epochScript.Run(ctx, p.Clients.Write, []string{p.Keys.epoch(), p.Keys.run()}, epoch, server).Err(); err != nil {
			return err
		}
	}
	intact := epoch != 0 && epoch >= note.Epoch && run == server
	others := last != "" && last != p.Custody.Instance
	first := note.Epoch == 0 && epoch == 0
	fresh := note
	fresh.Partition, fresh.At = p.Keys.Partition, p.Custody.Now().UTC()
	fresh.Epoch, fresh.Run = max(epoch, note.Epoch), server
	if others {
		fresh.Others = fresh.At
	}
	if !intact {
		// By the clock, so that two who find Redis empty do not give it the same epoch.
		fresh.Epoch = max(fresh.Epoch, fresh.At.UnixMilli()) + 1
		switch {
		case first:
		case epoch == 0 || epoch < note.Epoch:
			p.Metrics.Epochs.Inc()
			p.Log.Warn().Int("partition", p.Keys.Partition).Int64("epoch", fresh.Epoch).Bool("missing", epoch == 0).
				Msg("Redis was flushed or restored: what it has lost is driven again")
		default: // it may have lost its last moments, or nothing
			p.Log.Info().Int("partition", p.Keys.Partition).Int64("epoch", fresh.Epoch).Msg("Redis was restarted: open leads are compared with it")
		}
		if err := epochScript.Run(ctx, p.Clients.Write, []string{p.Keys.epoch(), p.Keys.run()}, fresh.Epoch, server).Err(); err != nil {
			return fmt.Errorf("partition %d: epoch: %w", p.Keys.Partition, err)
		}
		failpoint.Hit(failpoint.EpochSet)
	}
	// An epoch that our journal does not know says that Redis has lost something since, whoever has set it. We know what we
	// delivered before that; what another owner delivered, only its journal knows.
	changed := fresh.Epoch != note.Epoch
	if changed && (fresh.At.Sub(fresh.Others) < p.Custody.Retention || note.Epoch == 0 && !first) {
		fresh.Foreign = fresh.Epoch
	}
	if changed || fresh.Run != note.Run || fresh.Others != note.Others {
		if err := p.Custody.noteEpoch(fresh); err != nil {
			return fmt.Errorf("partition %d: epoch: %w", p.Keys.Partition, err)
		}
	}
	failpoint.Hit(failpoint.EpochNoted)
	p.foreign.Store(fresh.Foreign)
	if changed || !intact { // before the new epoch lets the forwarder go on: what is driven again goes before what waits
		foreign := fresh.Foreign == fresh.Epoch
		p.Custody.redrive(p.Keys.Partition, foreign)
		if foreign && (epoch == 0 || epoch < note.Epoch) {
			p.Custody.doubtKeyed(p.Keys.Partition)
		}
		failpoint.Hit(failpoint.EpochRedriven)
	}
	p.epoch.Store(fresh.Epoch)
	return nil
}

func (p *Partition) release() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	err := releaseScript.Run(ctx, p.Clients.Write, []string{p.Keys.owner()}, p.me()).Err()
	failpoint.Hit(failpoint.StopReleased)
	if err != nil {
		p.Log.Debug().Err(err).Msg("lease not given back; it ends by itself")
	}
}

// redisAnswered keeps since when Redis does not answer.
func (p *Partition) redisAnswered(err error) {
	if err == nil || errors.Is(err, errEpoch) || errors.Is(err, redis.Nil) || errors.Is(err, context.Canceled) {
		if p.downAt.Swap(nil) != nil {
			p.Log.Info().Int("partition", p.Keys.Partition).Msg("Redis answers again")
		}
		return
	}
	now := time.Now()
	if p.downAt.CompareAndSwap(nil, &now) {
		p.Log.Error().Err(err).Int("partition", p.Keys.Partition).Msg("Redis does not answer; leads stay in the journal")
	}
}

// DownFor is how long Redis has not answered, 0 while it does.
func (p *Partition) DownFor() time.Duration {
	if at := p.downAt.Load(); at != nil {
		return time.Since(*at)
	}
	return 0
}

// Owned says whether this instance works the partition's queues now.
func (p *Partition) Owned() bool { return p.owns() }

// runHome takes in what other instances did with the leads that are ours.
func (p *Partition) runHome(ctx context.Context) {
	for ctx.Err() == nil {
		if err := p.readHome(ctx); err != nil && ctx.Err() == nil {
			p.Log.Debug().Err(err).Msg("outcomes from other daemons not read; trying again")
		}
		sleep(ctx, time.Second)
	}
}

// readHome takes in all that stands there now. It may run twice at a time: outcomes may come twice.
func (p *Partition) readHome(ctx context.Context) error {
	const page = 200
	key := p.Keys.home(p.Custody.Instance)
	for {
		msgs, err := p.Clients.Write.XRangeN(ctx, key, "-", "+", page).Result()
		if err != nil || len(msgs) == 0 {
			return wrap("outcomes", err)
		}
		if err := p.takeHome(ctx, key, msgs); err != nil || len(msgs) < page {
			return err
		}
	}
}

func (p *Partition) takeHome(ctx context.Context, key string, msgs []redis.XMessage) error {
	var events []event
	ids := make([]string, len(msgs))
	for i, m := range msgs {
		ids[i] = m.ID
		var e event
		s, _ := m.Values["event"].(string)
		if err := json.Unmarshal([]byte(s), &e); err != nil {
			p.Log.Error().Err(err).Msg("an outcome from another daemon cannot be read; left out")
			continue
		}
		events = append(events, e)
	}
	if err := p.dropDelivered(ctx, events); err != nil {
		return err
	}
	if err := p.Custody.note(events); err != nil {
		return err
	}
	failpoint.Hit(failpoint.HomeNoted)
	return p.Clients.Write.XDel(ctx, key, ids...).Err()
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// serves says whether a destination is configured.
func (p *Partition) serves(dest string) bool {
	return slices.ContainsFunc(p.Workers, func(w *Worker) bool { return w.Queue == Destined(dest) })
}
