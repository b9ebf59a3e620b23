package streams

import (
	"context"
	"errors"
	"sync/atomic"
)

type turnKey struct{}

// turns is the share of a destination's rate limit that a Handle call has paid for.
type turns struct {
	guard Guard
	owns  func() bool
	paid  atomic.Int32
}

// withTurns lets the sinks below ctx take further turns. The engine has paid for the call's first request.
// owns says whether the partition's lease stands: no request may begin after its end.
func withTurns(ctx context.Context, g Guard, owns func() bool) context.Context {
	t := &turns{guard: g, owns: owns}
	t.paid.Store(1)
	return context.WithValue(ctx, turnKey{}, t)
}

// Turn waits for the destination's rate limit before a request to it. A sink that makes several requests for one
// delivery calls it before each; the first is free, for the engine has waited for it already. Outside a delivery it
// never waits.
func Turn(ctx context.Context) error {
	t, ok := ctx.Value(turnKey{}).(*turns)
	if !ok {
		return nil
	}
	if t.paid.Add(-1) < 0 {
		if err := t.guard.Call(ctx, 1); err != nil {
			return err
		}
	}
	if !t.owns() {
		return errors.New("the lease has ended")
	}
	return nil
}
