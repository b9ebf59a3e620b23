//go:build linux

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"leadstream/daemon/proof"
	"leadstream/streams"
	"leadstream/streams/failpoint"
)

// perWorld is how many kills one world lives through before everything is checked and a new one is made.
const perWorld = 100

// moment is how a point is reached.
type moment struct {
	point     failpoint.Point
	within    time.Duration // of the daemon's start; after that a random kill takes its place
	most      int           // times that it may be passed before the kill
	seldom    bool          // reaching it takes seconds: a tenth of the others' kills
	env       []string
	before    func(context.Context, *stage) error // each start
	during    func(context.Context, *stage)       // the daemon's life; it ends with ctx
	unordered bool                                // leads lose their place: entries vanish one by one, dead letters are replayed
	last      bool                                // the ledger forgets ended leads: a request that is repeated later would rightly be a new one
}

// random is the row of kills at any moment.
const random = failpoint.Point("any moment")

// elsewhere are the points that take two daemons: scenario twins.
var elsewhere = map[failpoint.Point]bool{failpoint.HomeNoted: true}

// moments are all points, with what it takes to reach them.
func moments() []moment {
	ms := []moment{{point: random}}
	for _, p := range failpoint.Points {
		if elsewhere[p] {
			continue
		}
		m := moment{point: p, within: 1500 * time.Millisecond, most: 3}
		part, _, _ := strings.Cut(string(p), ".")
		switch part {
		case "start", "partition", "takeover", "spare", "segment":
			m.most = 1
		case "epoch":
			m.most, m.before = 1, redisRestarted
		case "reconcile":
			m.most, m.during, m.env = 1, trim, []string{"LEADSTREAM_HURRY=reconcile-after=100ms"}
			m.unordered = true
		case "stop":
			m.most, m.during = 1, stop
		case "replay":
			m.during, m.unordered = replay, true
		case "tell", "dead":
			m.most, m.within, m.seldom = 1, 8*time.Second, part == "tell"
		}
		switch p {
		case failpoint.LeaseTaken:
			m.most = 1
		case failpoint.LeaseRenewed:
			m.most, m.within, m.seldom = 1, 5*time.Second, true
		case failpoint.DeadRestored:
			m.before = flushed
		case failpoint.SegmentCreated:
			m.before = spareless
		case failpoint.SegmentSealed, failpoint.SegmentTrimmed:
			m.during = stop
		case failpoint.LeadCarried, failpoint.SegmentDropped:
			m.last, m.env = true, []string{"LEADSTREAM_HURRY=tidy-every=50ms,tidy-age=300ms"}
		}
		ms = append(ms, m)
	}
	return ms
}

// kills kills the daemon so many times, in turn at every moment.
func kills(ctx context.Context, b *bench, t *table, rounds int) error {
	ms := slices.DeleteFunc(moments(), func(m moment) bool { return !strings.HasPrefix(string(m.point), b.point) })
	if len(ms) == 0 {
		return fmt.Errorf("there is no moment %q", b.point)
	}
	shares := 0
	for _, m := range ms {
		shares += m.share()
	}
	var jobs []func(context.Context) error
	left := rounds
	for i, m := range ms {
		n := max(rounds*m.share()/shares, 1)
		if i == len(ms)-1 {
			n = max(left, 1)
		}
		left -= n
		for ; n > 0; n -= perWorld {
			share := min(n, perWorld)
			jobs = append(jobs, func(ctx context.Context) error { return b.killAt(ctx, t, string(m.point), []moment{m}, share) })
		}
	}
	return b.each(ctx, jobs)
}

func (m moment) share() int {
	if m.seldom {
		return 1
	}
	return 10
}

// killAt has one world live through n kills at moments, in turn, and judges under the name of what.
func (b *bench) killAt(ctx context.Context, t *table, what string, ms []moment, n int) error {
	s := proof.Setup{Cards: rand.N(2) == 0}
	forgets, unordered := false, false
	for _, m := range ms {
		s.Env = append(s.Env, m.env...)
		forgets, unordered = forgets || m.last, unordered || m.unordered
	}
	if b.reached != "" {
		s.Env = append(s.Env, "LEADSTREAM_REACHED="+b.reached)
	}
	if rand.N(2) == 0 {
		s.CRMKeys = "entity: deal"
	}
	st, err := b.open(ctx, s)
	if err != nil {
		return err
	}
	defer st.close()
	st.ledger.Forgets, st.ledger.Unordered = forgets, unordered
	st.Kill()
	for done, tries := 0, 0; done < n; tries++ {
		if tries > 4*n+20 {
			return fmt.Errorf("%s: %d kills of %d, the others found nothing in flight", what, done, n)
		}
		m, began := ms[tries%len(ms)], time.Now()
		flying, reached, err := st.kill(ctx, m)
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if t.struck(string(m.point), flying, !reached, began) {
			done++
			b.tick()
		}
	}
	v, err := st.judge(ctx, !forgets)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	t.judged(what, v)
	return nil
}

// kill lives one life of the daemon, and answers what was in flight at its end and whether that was the moment.
func (st *stage) kill(ctx context.Context, m moment) (flying int, reached bool, err error) {
	if m.before != nil {
		if err := m.before(ctx, st); err != nil {
			return 0, false, err
		}
	}
	env := "LEADSTREAM_FAILPOINT="
	if m.point != random {
		env += fmt.Sprintf("%s@%d", m.point, 1+rand.N(max(m.most, 1)))
	}
	if err := st.Launch(env); err != nil {
		return 0, false, err
	}
	life, over := context.WithCancel(ctx)
	defer over()
	var helped sync.WaitGroup
	if m.during != nil {
		helped.Go(func() { m.during(life, st) })
	}
	within := m.within
	if m.point == random {
		within = 30*time.Millisecond + rand.N(400*time.Millisecond)
	}
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-st.Gone():
		reached = true
	case <-timer.C:
		reached = m.point == random
	case <-ctx.Done():
		return 0, false, ctx.Err()
	}
	flying = st.ledger.InFlight()
	over()
	helped.Wait()
	if !reached || m.point == random {
		st.Kill()
		return flying, reached, nil
	}
	end, err := st.Wait(proof.Patience)
	if err != nil {
		return 0, false, err
	}
	if s, ok := end.Sys().(syscall.WaitStatus); ok && s.Signal() != syscall.SIGKILL {
		if m.during != nil && end.ExitCode() == 0 { // it has stopped as it was asked to, before the moment came
			return flying, false, nil
		}
		return 0, false, fmt.Errorf("the daemon has ended by itself (%v):\n%s", end, st.Tail())
	}
	return flying, true, nil
}

// redisRestarted has the next life find another run of Redis.
func redisRestarted(_ context.Context, st *stage) error {
	st.KillRedis()
	return nil
}

// flushed has the next life find Redis empty.
func flushed(ctx context.Context, st *stage) error {
	clients, err := st.OpenRedis()
	if err != nil {
		return err
	}
	defer clients.Close()
	_ = clients.Write.FlushAll(ctx).Err() // before the first life there is none
	return nil
}

// spareless has the next life make its segment anew.
func spareless(_ context.Context, st *stage) error { return st.RemoveFromJournal("spare") }

// stop asks the daemon to stop after a while.
func stop(ctx context.Context, st *stage) {
	if st.Ready(ctx) == nil {
		pause(ctx, rand.N(200*time.Millisecond))
		_ = st.Signal(syscall.SIGTERM) // it may have ended
	}
}

// replay has dead letters tried again, as a person would.
func replay(ctx context.Context, st *stage) {
	for ctx.Err() == nil {
		_ = st.Post(ctx, "/v1/dead/replay", map[string]any{"filter": map[string]any{"destination": "crm"}}) // until the daemon answers
		pause(ctx, 20*time.Millisecond)
	}
}

// trim takes entries out of queues under the daemon, again and again.
func trim(ctx context.Context, st *stage) {
	clients, err := st.OpenRedis()
	if err != nil {
		return
	}
	defer clients.Close()
	keys := streams.Keys{Prefix: "ls"}
	for ctx.Err() == nil {
		pause(ctx, 100*time.Millisecond)
		for _, q := range []string{streams.Intake, streams.Triaged, streams.Destined("crm")} {
			if n, err := clients.Write.XLen(ctx, keys.Queue(q)).Result(); err == nil && n > 1 {
				clients.Write.XTrimMaxLen(ctx, keys.Queue(q), n/2)
			}
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
