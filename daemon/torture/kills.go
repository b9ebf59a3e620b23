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
	"leadstream/sinks/sim/fault"
	"leadstream/streams"
	"leadstream/streams/failpoint"
)

// perWorld is how many kills one world lives through before everything is checked and a new one is made. Some thousand
// leads in ten minutes would use up the working time that a portal grants, and all would rightly rest.
const perWorld = 40

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
	repeats   bool                                // it takes a customer who is known already
	deals     bool                                // it takes a portal whose cards have their customers beside them
	last      bool                                // the ledger forgets ended leads: a request that is repeated later would rightly be a new one
}

// random is the row of kills at any moment.
const random = failpoint.Point("any moment")

// elsewhere are the points that take two daemons: scenario pair.
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
		case "index": // of what the lives before have written
			m.most = 1
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
		case failpoint.BitrixLooked: // only once the portal can be done with what earlier lives have sent
			m.most, m.within, m.seldom = 1, 8*time.Second, true
		case failpoint.DeadRestored:
			m.before = flushed
		case failpoint.SegmentCreated:
			m.before = spareless
		case failpoint.ContactClaimed, failpoint.BitrixAttached:
			m.repeats = true
		case failpoint.BitrixContacted:
			m.deals = true
		case failpoint.SegmentSealed, failpoint.SegmentTrimmed:
			m.during = stop
		case failpoint.StopHandedBack, failpoint.StopEnded:
			m.during, m.within = stopAtWork, 5*time.Second
		case failpoint.LeadCarried, failpoint.SegmentDropped:
			m.last, m.env = true, []string{"LEADSTREAM_HURRY=tidy-every=50ms,tidy-age=300ms"}
		}
		ms = append(ms, m)
	}
	return ms
}

// at is the moments that begin like one of these.
func at(ms []moment, beginnings ...string) []moment {
	return slices.DeleteFunc(slices.Clone(ms), func(m moment) bool {
		return !slices.ContainsFunc(beginnings, func(s string) bool { return strings.HasPrefix(string(m.point), s) })
	})
}

// kills kills the daemon so many times, in turn at every moment.
func kills(ctx context.Context, b *bench, t *table, rounds int) error {
	ms := at(moments(), b.point)
	if len(ms) == 0 {
		return fmt.Errorf("there is no moment %q", b.point)
	}
	shares := 0
	for _, m := range ms {
		shares += m.share()
	}
	var jobs []func(context.Context) error
	for _, m := range ms {
		what := string(m.point)
		t.want(what, what)
		for n := max((rounds*m.share()+shares-1)/shares, 1); n > 0; n -= perWorld {
			tr := trial{what: what, day: badDay, moments: []moment{m}, kills: min(n, perWorld)}
			jobs = append(jobs, func(ctx context.Context) error { return b.try(ctx, t, tr) })
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

// trial is what one world lives through: kills at its moments, in turn, while its portal has such a day.
type trial struct {
	what    string // the row that tells of it
	day     []fault.Fault
	moments []moment
	kills   int
}

// try makes a world for a trial and judges it.
func (b *bench) try(ctx context.Context, t *table, tr trial) (err error) {
	forgets := slices.ContainsFunc(tr.moments, func(m moment) bool { return m.last })
	st, err := b.open(ctx, []proof.Setup{b.setup(tr)}, tr.day)
	if err != nil {
		return fmt.Errorf("%s: %w", tr.what, err)
	}
	defer st.end(tr.what, &err)
	st.ledger.Forgets = forgets
	st.ledger.Unordered = slices.ContainsFunc(tr.moments, func(m moment) bool { return m.unordered })
	st.Kill()
	for done, tries := 0, 0; done < tr.kills && b.enough.Err() == nil; tries++ {
		if tries > 4*tr.kills+20 {
			return fmt.Errorf("%d kills of %d, the others found nothing in flight", done, tr.kills)
		}
		m, began := tr.moments[tries%len(tr.moments)], time.Now()
		flying, reached, err := st.kill(ctx, m)
		if err != nil {
			return err
		}
		if t.struck(tr.what, string(m.point), flying, !reached, began) {
			done++
			b.tick()
		}
	}
	v, err := st.judge(ctx, !forgets)
	if err == nil {
		t.judged(tr.what, v)
	}
	return err
}

// setup is the world that a trial's moments take, and otherwise any.
func (b *bench) setup(tr trial) proof.Setup {
	s := proof.Setup{Cards: rand.N(2) == 0}
	deals := rand.N(2) == 0
	for _, m := range tr.moments {
		s.Env = append(s.Env, m.env...)
		s.Cards = s.Cards && !m.repeats
		deals = deals || m.deals
	}
	if deals {
		s.CRMKeys = "entity: deal"
	}
	if b.reached != "" {
		s.Env = append(s.Env, "LEADSTREAM_REACHED="+b.reached)
	}
	return s
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

// stopAtWork asks the daemon to stop once it has been at its queues for a while: before that there is nothing to hand back.
func stopAtWork(ctx context.Context, st *stage) {
	if st.Ready(ctx) == nil {
		pause(ctx, time.Second+rand.N(time.Second))
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
