package streams

import (
	"context"
	"testing"
	"time"
)

type counting struct{ calls int }

func (c *counting) Admit(context.Context, int) (int, time.Duration)           { return 1, 0 }
func (c *counting) Start(int) error                                           { return nil }
func (c *counting) Finish(int, bool)                                          {}
func (c *counting) Call(_ context.Context, n int) error                       { c.calls += n; return nil }
func (c *counting) PauseFor(context.Context, time.Time, string, string) error { return nil }
func (c *counting) PauseKey(context.Context, string, time.Time) error         { return nil }

// A call that makes three requests pays the rate limit for two: the engine has paid for the first.
func TestTurn(t *testing.T) {
	t.Parallel()
	g, owned := &counting{}, true
	ctx := withTurns(context.Background(), g, func() bool { return owned })
	for range 3 {
		if err := Turn(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if g.calls != 2 {
		t.Errorf("%d units taken for three requests, want 2", g.calls)
	}
	owned = false
	if err := Turn(ctx); err == nil {
		t.Error("a request may begin though the lease has ended")
	}
	if err := Turn(context.Background()); err != nil {
		t.Error(err)
	}
}
