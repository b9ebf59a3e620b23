package streams_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"leadstream/streams"
	"leadstream/streams/streamstest"
)

var bitrix = streams.Rate{PerSecond: 2, Burst: 50}

// Two daemons together get what one may have: 50 at once, then 2 a second.
func TestRateIsShared(t *testing.T) {
	s := streamstest.Redis(t)
	cfg := streams.DestinationConfig{Name: "crm", Rate: bitrix}
	var granted atomic.Int64
	var wg sync.WaitGroup
	began := time.Now()
	ctx, cancel := context.WithDeadline(context.Background(), began.Add(1250*time.Millisecond))
	defer cancel()
	for range 2 {
		// A clock that is off must not matter.
		d := streams.NewDestination(cfg, openClients(t, "unix://"+s.Addr), "ls", func() time.Time { return time.Now().Add(time.Hour) })
		for range 3 {
			wg.Go(func() {
				for d.Call(ctx, 1) == nil {
					granted.Add(1)
				}
			})
		}
	}
	wg.Wait()
	most := 50 + int64(time.Since(began)/(500*time.Millisecond))
	if n := granted.Load(); n < 50 || n > most {
		t.Errorf("%d calls in %s, want 50 to %d", n, time.Since(began), most)
	}
}

func TestRateTakesBatchesWhole(t *testing.T) {
	s := streamstest.Redis(t)
	d := streams.NewDestination(streams.DestinationConfig{Name: "crm", Batch: 50, Concurrency: 2, Rate: bitrix}, openClients(t, "unix://"+s.Addr), "ls", time.Now)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := d.Call(ctx, 48); err != nil {
		t.Fatal(err)
	}
	if n := admitted(d, 1000); n != 100 {
		t.Errorf("%d entries with a bucket that has room for 2 calls of 50", n)
	}
	if err := d.Call(ctx, 2); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	if err := d.Call(short, 50); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("50 units of a full bucket: %v", err)
	}
	if n, wait := d.Admit(ctx, 100); n == 0 && (wait <= 0 || wait > 500*time.Millisecond) {
		t.Errorf("out of rate: wait %s, want half a second at most", wait)
	}
}

func TestRateWithoutRedis(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := guard(streams.DestinationConfig{Rate: bitrix, Concurrency: 100})
		began := time.Now()
		take := func(units int, want time.Duration) {
			t.Helper()
			if err := d.Call(t.Context(), units); err != nil {
				t.Fatal(err)
			}
			if got := time.Since(began); got != want {
				t.Errorf("taken after %s, want %s", got, want)
			}
		}
		for range 50 {
			take(1, 0)
		}
		if n, wait := d.Admit(t.Context(), 9); n != 0 || wait != 500*time.Millisecond {
			t.Errorf("out of rate: %d entries, wait %s", n, wait)
		}
		take(1, 500*time.Millisecond)
		take(3, 2*time.Second)
		time.Sleep(time.Minute)
		if n := admitted(d, 80); n != 50 {
			t.Errorf("%d entries with an empty bucket, want 50", n)
		}
		take(200, 62*time.Second) // more than fits takes a whole bucket instead of waiting for ever

		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := d.Call(ended, 1); !errors.Is(err, context.Canceled) {
			t.Errorf("after the end of its context: %v", err)
		}
	})
}

// When Redis goes, the calls of a moment ago still count.
func TestRateOutlivesRedis(t *testing.T) {
	s := streamstest.Redis(t)
	d := streams.NewDestination(streams.DestinationConfig{Name: "crm", Rate: bitrix}, openClients(t, "unix://"+s.Addr), "ls", time.Now)
	ctx := t.Context()
	if err := d.Call(ctx, 50); err != nil {
		t.Fatal(err)
	}
	s.Kill()
	began := time.Now()
	if err := d.Call(ctx, 1); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("took %s without Redis", took)
	}
	if n, _ := d.Admit(ctx, 60); n > 20 {
		t.Errorf("%d entries just after a full bucket", n)
	}

	s.Restart()
	s.Stop()
	defer s.Cont()
	if err := d.Call(ctx, 1); err != nil {
		t.Error("Redis hangs:", err)
	}
}

// A bucket that nobody has used yet must let the first call through at once.
func TestUnusedBucketAdmits(t *testing.T) {
	d := streams.NewDestination(streams.DestinationConfig{Name: "crm", Batch: 50, Rate: streams.Rate{PerSecond: 2, Burst: 50}}, nil, "ls", time.Now)
	if n, wait := d.Admit(context.Background(), 60); n != 60 || wait != 0 {
		t.Errorf("Admit(60) is %d, %s; want all of them now: a call may carry 50", n, wait)
	}
}
