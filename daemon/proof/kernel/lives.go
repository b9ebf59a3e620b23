//go:build linux

package kernel

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"leadstream/daemon/proof"
	"leadstream/streams"
)

// life is that of one lead in a world of its own.
type life struct {
	world  *proof.World
	ledger *proof.Ledger
	gate   *Gate
	fault  Fault
	seen   []Call
	hit    Call // the one with the fault
}

// live lets a lead live with the fault at its n-th call that can have it, and checks what follows.
func live(ctx context.Context, binary string, f Fault, n int, row *Row) (seen []Call, err error) {
	l := &life{fault: f}
	if l.world, err = proof.NewWorld(proof.Setup{Binary: binary, Cards: true}); err != nil {
		return nil, err
	}
	if l.gate, err = New(l.world.Data, l.world.Dir); err != nil {
		return nil, errors.Join(err, l.world.Close())
	}
	defer func() { err = errors.Join(err, l.world.Close(), l.gate.Close()) }()
	l.ledger = proof.NewLedger(l.world)
	if err := l.before(ctx); err != nil {
		return nil, err
	}
	l.arm(n)
	ended, refused, err := l.run(ctx)
	l.gate.Each(nil)
	if l.hit.N == 0 {
		row.Missed++
	} else {
		row.Hit++
		row.Ended += count(ended)
		row.Refused += count(refused)
	}
	v, after := l.after(ctx)
	row.Verdict.Add(v)
	if err := cmp.Or(err, after, v.Err()); err != nil {
		return nil, fmt.Errorf("%s at %v: %w\n%s", f.Name, l.hit, err, l.world.Tail())
	}
	return l.seen, nil
}

func count(is bool) int {
	if is {
		return 1
	}
	return 0
}

// before leaves the folder as a killed daemon leaves it, with one lead that has come to its end.
func (l *life) before(ctx context.Context) error {
	if err := l.world.Start(ctx); err != nil {
		return err
	}
	l.ledger.Send(ctx, l.ledger.Customer())
	err := l.world.Quiet(ctx)
	l.world.Kill()
	return err
}

// arm gives call n its fault.
func (l *life) arm(n int) {
	fit := 0
	l.gate.Each(func(c Call) Answer {
		l.seen = append(l.seen, c)
		if l.fault.fits(c) {
			if fit++; fit == n {
				l.hit = c
				return l.fault.Answer
			}
		}
		return Answer{}
	})
}

// run starts the daemon behind the gate and takes a lead through it.
func (l *life) run(ctx context.Context) (ended, refused bool, err error) {
	l.world.Args = l.gate.Args()
	defer func() { l.world.Args = nil }()
	if err := l.world.Launch(l.gate.Env()); err != nil {
		return false, false, err
	}
	defer l.world.Kill()
	l.until(ctx, l.ready) // if it never is, the sender is told so, and that it starts later is seen after
	if l.ledger.Send(ctx, l.ledger.Customer()).Fate != proof.Acked {
		refused = true
	} else {
		l.until(ctx, l.through)
	}
	select {
	case <-l.world.Gone():
		return true, refused, nil
	default:
	}
	if l.waits() { // the call lies in the orderly stop, which takes a second
		_, _, err = l.world.Terminate()
	}
	return false, refused, err
}

// waits tells whether the fault is still to come.
func (l *life) waits() bool {
	l.gate.mu.Lock()
	defer l.gate.mu.Unlock()
	return l.hit.N == 0
}

func (l *life) ready() bool {
	res, err := l.world.HTTP.Get(l.world.URL("/readyz"))
	if err == nil {
		res.Body.Close()
	}
	return err == nil && res.StatusCode == http.StatusOK
}

// through tells whether the lead is delivered, by the daemon's own word: killed before it has noted that, it would wait
// until the portal cannot be working any more and look there.
func (l *life) through() bool {
	s, err := l.world.Status(context.Background())
	return err == nil && s.Leads[streams.InFlight] == 0
}

// until waits for ok, or that the daemon ends, or a few seconds.
func (l *life) until(ctx context.Context, ok func() bool) {
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline) && ctx.Err() == nil && !ok(); time.Sleep(2 * time.Millisecond) {
		select {
		case <-l.world.Gone():
			return
		default:
		}
	}
}

// after starts the daemon without faults and checks everything.
func (l *life) after(ctx context.Context) (v proof.Verdict, err error) {
	if err := l.world.Start(ctx); err != nil {
		return v, err
	}
	if left := l.ledger.Resend(ctx); left > 0 {
		return v, fmt.Errorf("%d requests are not taken after a restart", left)
	}
	return l.ledger.Verify(ctx)
}
