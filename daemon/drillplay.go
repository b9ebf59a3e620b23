package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/schollz/progressbar/v3"

	"leadstream/daemon/drill"
	"leadstream/daemon/proof"
	"leadstream/sinks/bitrix24"
	"leadstream/sinks/sim/fault"
	"leadstream/streams"
)

// again is the share of leads that come from customers who have written before: their order is looked at.
const again = 0.1

// playAll plays the plan's phases; stopped says that a person has ended it early.
func (d *drillRun) playAll() (stopped bool) {
	bar := d.bar()
	defer func() { _ = bar.Finish() }()
	for i, p := range d.plan.Phases {
		before := d.counts()
		run, err := d.play(p, bar)
		d.runs = append(d.runs, run)
		for name, n := range d.counts() {
			d.requests[name] = append(d.requests[name], n-before[name])
		}
		if err != nil && d.Err() == nil {
			fmt.Fprintln(d.err, d.say("phase %s: %v", "этап %s: %v", p.Name, err))
		}
		if d.Err() != nil {
			return i < len(d.plan.Phases)-1 || err != nil
		}
	}
	return false
}

// bar is the drill's progress on a person's screen; elsewhere each phase is a line.
func (d *drillRun) bar() *progressbar.ProgressBar {
	most := int64(d.plan.Length() / time.Millisecond)
	if !interactive(d.err) {
		return progressbar.DefaultSilent(most)
	}
	return progressbar.NewOptions64(most, progressbar.OptionSetWriter(d.err), progressbar.OptionClearOnFinish(),
		progressbar.OptionSetPredictTime(false), progressbar.OptionSetElapsedTime(false), progressbar.OptionSetWidth(30))
}

// play is one phase: leads come, whatever is broken; then what is left is waited for.
func (d *drillRun) play(p drill.Phase, bar *progressbar.ProgressBar) (run drill.Run, err error) {
	name := drill.Words(d.lang).Name(p)
	if !interactive(d.err) {
		fmt.Fprintln(d.err, name)
	}
	bar.Describe(name)
	began := time.Now()
	run = drill.Run{Began: d.since(began), Healed: drill.None}
	playing, done := context.WithTimeout(d, p.Length)
	defer done()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		d.send(d, p, began) // on a machine that stalls some go late, and none is left out
	}()
	if p.Fault != "" {
		err = d.broken(playing, p, bar, began)
		run.Healed = d.since(time.Now())
	}
	d.show(playing, bar, began, p.Length)
	<-ended
	if d.Err() == nil {
		bar.Describe(name + d.say(": waiting for what is left", ": ждём оставшееся"))
		d.ledger.Resend(d) // as senders do
		err = errors.Join(err, d.settle(d, d.patience))
	}
	run.Ended = d.since(time.Now())
	return run, err
}

// send is an open loop: each lead is sent at its moment, whatever became of those before, and what it took counts from
// that moment. It returns when each has its answer.
func (d *drillRun) send(ctx context.Context, p drill.Phase, began time.Time) {
	var senders sync.WaitGroup
	defer senders.Wait()
	for _, at := range drill.Moments(p.Leads, p.Length) {
		due := began.Add(at)
		timer := time.NewTimer(time.Until(due))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		source := d.spread.Next()
		if c := d.sims.carriers[source]; c != nil {
			c.send(due)
			continue
		}
		next := d.ledger.Customer
		if rand.Float64() < again {
			next = d.ledger.Again
		}
		lead := next()
		lead.Due, lead.Source, lead.As = due, source, d.setup.Keys[source]
		senders.Go(func() { d.ledger.Send(context.WithoutCancel(ctx), lead) })
	}
}

// show moves the bar until ctx ends.
func (d *drillRun) show(ctx context.Context, bar *progressbar.ProgressBar, began time.Time, most time.Duration) {
	from := bar.State().CurrentNum - min(time.Since(began), most).Milliseconds()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		_ = bar.Set64(max(0, from) + min(time.Since(began), most).Milliseconds())
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// broken brings the phase's fault about and ends it.
func (d *drillRun) broken(ctx context.Context, p drill.Phase, bar *progressbar.ProgressBar, began time.Time) error {
	heal, err := d.breakIt(ctx, p.Fault)
	if err != nil {
		return err
	}
	length := p.Broken
	if p.Fault == drill.DaemonKilled {
		length = min(length, restartDelay)
	}
	if p.Fault != drill.RedisKilled { // the daemon starts another at once
		waiting, stop := context.WithTimeout(ctx, length)
		defer stop()
		d.show(waiting, bar, began, p.Length)
	}
	mending, stop := d.asking(proof.Patience)
	defer stop()
	return heal(mending)
}

const (
	// restartDelay is how long a killed daemon is away: systemd's RestartSec and a machine that is busy.
	restartDelay = 3 * time.Second
	slowAnswer   = 5 * time.Second
)

// breakIt brings a fault about; heal ends it and returns once it is over.
func (d *drillRun) breakIt(ctx context.Context, f drill.Fault) (heal func(context.Context) error, err error) {
	far := map[drill.Fault]fault.Fault{
		drill.CRMDown:   {Reset: true},
		drill.CRMSlow:   {Delay: slowAnswer},
		drill.CRMBusy:   {Status: 429, RetryAfter: "5"},
		drill.CRMErrors: {Status: 500, Code: "INTERNAL_SERVER_ERROR"},
		drill.CRMSilent: {LoseAnswer: true, Probability: 0.5},
	}
	if bad, ok := far[f]; ok {
		d.sims.clear()
		d.sims.inject(bad)
		return func(context.Context) error { d.calm(); return nil }, nil
	}
	if f.OfChannel() {
		d.sims.spoil(f)
		return func(context.Context) error { d.sims.heal(); return nil }, nil
	}
	switch f {
	case drill.RedisKilled:
		pid := d.world.RedisPID()
		d.world.KillRedis()
		return func(ctx context.Context) error {
			return proof.Eventually(ctx, "Redis is back", func() bool {
				now := d.world.RedisPID()
				return now != 0 && now != pid && d.redis(ctx, func(c redis.UniversalClient) error { return c.Ping(ctx).Err() }) == nil
			})
		}, nil
	case drill.RedisFull:
		return d.fillRedis(ctx)
	case drill.DaemonKilled:
		d.world.Kill()
		return func(ctx context.Context) error { return d.world.Start(ctx) }, nil
	}
	return nil, fmt.Errorf("there is no fault %s", f)
}

// fillRedis lowers the memory that Redis may use below what it uses: it then refuses every write.
func (d *drillRun) fillRedis(ctx context.Context) (heal func(context.Context) error, err error) {
	const key = "maxmemory"
	was := ""
	err = d.redis(ctx, func(c redis.UniversalClient) error {
		got, err := c.ConfigGet(ctx, key).Result()
		was = got[key]
		return errors.Join(err, c.ConfigSet(ctx, key, "1mb").Err())
	})
	return func(ctx context.Context) error {
		return d.redis(ctx, func(c redis.UniversalClient) error { return c.ConfigSet(ctx, key, was).Err() })
	}, err
}

// redis does something with the drill's own Redis.
func (d *drillRun) redis(_ context.Context, do func(redis.UniversalClient) error) error {
	clients, err := d.world.OpenRedis()
	if err != nil {
		return err
	}
	return errors.Join(do(clients.Write), clients.Close())
}

// calm ends all misbehaviour; the simulated CRM then takes as long as a real one.
func (d *drillRun) calm() {
	d.sims.clear()
	if d.cmd.Latency > 0 {
		d.sims.inject(fault.Fault{Delay: d.cmd.Latency})
	}
}

// settle waits until every lead has come to an end, or has waited for as long as it may.
func (d *drillRun) settle(ctx context.Context, most time.Duration) error {
	ctx, stop := context.WithTimeout(ctx, most)
	defer stop()
	for {
		s, err := d.world.Status(ctx)
		if err == nil && d.sims.unread() == 0 && s.Leads[streams.InFlight] == 0 && s.Unforwarded == 0 {
			return d.said(ctx)
		}
		select {
		case <-ctx.Done():
			return nil // what is left is counted in the end
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// counts is how many requests each far side has had.
func (d *drillRun) counts() map[string]int {
	n := map[string]int{}
	for name, p := range d.sims.portals {
		n[name] = p.Requests()
	}
	for name, h := range d.sims.hooks {
		n[name] = h.Requests()
	}
	return n
}

// farSide is how long a sink leaves an unknown outcome alone before it looks.
func farSide(s Sink) time.Duration {
	if set, ok := s.Settings.(*bitrix24.Settings); ok {
		return set.FarLimit + set.IndexLag
	}
	return 0
}

// lookup is the longest of these.
func (d *drillRun) lookup() (longest time.Duration) {
	for _, s := range d.cfg.Sinks {
		longest = max(longest, farSide(s))
	}
	return longest
}
