package streams_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"leadstream/streams"
	"leadstream/streams/streamstest"
)

// guard is a Destination of its own, without Redis, on the test's clock.
func guard(cfg streams.DestinationConfig) *streams.Destination {
	cfg.Name = "crm"
	return streams.NewDestination(cfg, nil, "ls", time.Now)
}

// calls begins and ends n calls, one after the other.
func calls(t *testing.T, d *streams.Destination, n int, fault bool) {
	t.Helper()
	for range n {
		if err := d.Start(1); err != nil {
			t.Fatal(err)
		}
		d.Finish(1, fault)
	}
}

func admitted(d *streams.Destination, want int) int {
	n, _ := d.Admit(context.Background(), want)
	return n
}

func TestBreakerOpensAndDoubles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, began := t.Context(), time.Now()
		d := guard(streams.DestinationConfig{})
		calls(t, d, 4, true)
		calls(t, d, 1, false)
		calls(t, d, 4, true)
		if s := d.State(ctx); s.Breaker != "closed" {
			t.Fatalf("%s after four faults in a row", s.Breaker)
		}
		calls(t, d, 1, true)

		for i, want := range []time.Duration{5, 10, 20, 40, 80, 160, 300, 300} {
			want *= time.Second
			s := d.State(ctx)
			if s.Breaker != "open" || !s.OpenSince.Equal(began) {
				t.Fatalf("opening %d: %+v", i, s)
			}
			if s.Wait < want*8/10 || s.Wait > want*12/10 {
				t.Errorf("opening %d lasts %s, want %s ± 20 %%", i, s.Wait, want)
			}
			if err := d.Start(1); err != streams.ErrOpen {
				t.Errorf("Start of an open destination: %v", err)
			}
			if n, wait := d.Admit(ctx, 10); n != 0 || wait != s.Wait {
				t.Errorf("Admit while open: %d, %s", n, wait)
			}
			time.Sleep(s.Wait)
			if n, _ := d.Admit(ctx, 10); n != 1 {
				t.Fatalf("%d entries for the probe, want 1", n)
			}
			calls(t, d, 1, true)
		}
	})
}

func TestRecoveryRampsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		d := guard(streams.DestinationConfig{Concurrency: 2, Batch: 8})
		if n := admitted(d, 100); n != 16 {
			t.Errorf("%d entries before any fault, want 2 calls of 8", n)
		}
		calls(t, d, 5, true)
		time.Sleep(d.State(ctx).Wait)

		var got []int
		for range 6 {
			got = append(got, admitted(d, 100))
			calls(t, d, 1, false)
		}
		if diff := cmp.Diff([]int{1, 1, 2, 4, 8, 16}, got); diff != "" {
			t.Error(diff)
		}

		// A fault on the way up begins again, and an outage before the top goes on where the last one was.
		calls(t, d, 5, true)
		time.Sleep(d.State(ctx).Wait)
		admitted(d, 1)
		calls(t, d, 3, false)
		if n := admitted(d, 100); n != 4 {
			t.Errorf("%d entries, want 4", n)
		}
		calls(t, d, 1, true)
		if n := admitted(d, 100); n != 1 {
			t.Errorf("%d entries after a fault, want 1", n)
		}
		calls(t, d, 4, true)
		if w := d.State(ctx).Wait; w < 8*time.Second || w > 12*time.Second {
			t.Errorf("second opening lasts %s, want 10 s ± 20 %%", w)
		}
	})
}

func TestProbeIsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		d := guard(streams.DestinationConfig{Concurrency: 10})
		for range 7 {
			if err := d.Start(1); err != nil {
				t.Fatal(err)
			}
		}
		for range 5 {
			d.Finish(1, true)
		}
		time.Sleep(d.State(ctx).Wait)

		// Two calls still hang: their late answers must not pass for the probe's.
		if n := admitted(d, 10); n != 0 || d.Start(1) == nil {
			t.Errorf("%d entries beside a call from before the outage", n)
		}
		d.Finish(1, false)
		if s := d.State(ctx); s.Breaker != "open" {
			t.Errorf("%s after a late answer from before the outage", s.Breaker)
		}
		d.Finish(0, false)
		if s := d.State(ctx); s.Breaker != "half_open" {
			t.Errorf("%s after a call that tried nothing", s.Breaker)
		}
		if n := admitted(d, 10); n != 1 {
			t.Errorf("%d entries for the probe, want 1", n)
		}
		if err := d.Start(1); err != nil {
			t.Fatal(err)
		}
		if n := admitted(d, 10); n != 0 || d.Start(1) != streams.ErrOpen {
			t.Errorf("%d entries beside the probe", n)
		}
		d.Finish(1, false)
		if s := d.State(ctx); s.Breaker != "closed" {
			t.Errorf("%s after a good probe", s.Breaker)
		}
	})
}

// A late answer from before the outage neither ends nor lengthens it.
func TestLateAnswersChangeNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := guard(streams.DestinationConfig{Concurrency: 10})
		for range 8 {
			if err := d.Start(1); err != nil {
				t.Fatal(err)
			}
		}
		for range 5 {
			d.Finish(1, true)
		}
		before := d.State(t.Context())
		d.Finish(1, false)
		d.Finish(1, true)
		after := d.State(t.Context())
		if diff := cmp.Diff(before, after, cmpopts.IgnoreFields(before, "InFlight")); diff != "" {
			t.Error(diff)
		}
	})
}

func TestPlaces(t *testing.T) {
	d := guard(streams.DestinationConfig{Concurrency: 2, Batch: 10})
	if d.Start(10) != nil || d.Start(3) != nil {
		t.Fatal("two calls must fit")
	}
	if err := d.Start(1); err != streams.ErrFull {
		t.Errorf("third call: %v", err)
	}
	if n, wait := d.Admit(t.Context(), 5); n != 0 || wait <= 0 {
		t.Errorf("full: %d entries, wait %s", n, wait)
	}
	d.Finish(10, false)
	if n := admitted(d, 50); n != 10 {
		t.Errorf("%d entries with one place, want 10", n)
	}
}

func TestBreakerRatio(t *testing.T) {
	d := guard(streams.DestinationConfig{Breaker: streams.Breaker{Failures: 3, Of: 6}})
	for _, fault := range []bool{true, false, true, false, false} {
		calls(t, d, 1, fault)
	}
	if s := d.State(t.Context()); s.Breaker != "closed" {
		t.Errorf("%s after 2 faults of 5", s.Breaker)
	}
	calls(t, d, 1, true)
	if s := d.State(t.Context()); s.Breaker != "open" {
		t.Errorf("%s after 3 faults of 6", s.Breaker)
	}
}

func TestDestinationMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		d := guard(streams.DestinationConfig{})
		reg := prometheus.NewRegistry()
		if err := d.Register(reg); err != nil {
			t.Fatal(err)
		}
		check := func(open, paused, inFlight string) {
			t.Helper()
			want := `# HELP leadstream_destination_in_flight Calls of the destination that have not ended.
# TYPE leadstream_destination_in_flight gauge
leadstream_destination_in_flight{destination="crm"} ` + inFlight + `
# HELP leadstream_destination_open 1 while the destination's breaker is open or probing.
# TYPE leadstream_destination_open gauge
leadstream_destination_open{destination="crm"} ` + open + `
# HELP leadstream_destination_paused 1 while the destination is paused.
# TYPE leadstream_destination_paused gauge
leadstream_destination_paused{destination="crm"} ` + paused + `
`
			if err := testutil.GatherAndCompare(reg, strings.NewReader(want)); err != nil {
				t.Error(err)
			}
		}
		check("0", "0", "0")
		calls(t, d, 5, true)
		check("1", "0", "0")
		_ = d.PauseFor(ctx, time.Now().Add(time.Minute), "token expired", "sink")
		check("1", "1", "0")
		time.Sleep(time.Minute)
		admitted(d, 1)
		if err := d.Start(1); err != nil {
			t.Fatal(err)
		}
		check("1", "0", "1")
	})
}

func TestPauseIsShared(t *testing.T) {
	ctx := context.Background()
	s := streamstest.Redis(t)
	clients := openClients(t, "unix://"+s.Addr)
	now := time.Now().Truncate(time.Millisecond)
	clock := func() time.Time { return now }
	daemon := func() *streams.Destination {
		return streams.NewDestination(streams.DestinationConfig{Name: "crm"}, clients, "ls", clock)
	}
	one, two := daemon(), daemon()
	if n := admitted(two, 1); n != 1 {
		t.Fatal("nothing admitted before the pause")
	}

	until := now.Add(time.Hour)
	if err := one.PauseFor(ctx, until, "expired_token", "sink"); err != nil {
		t.Fatal(err)
	}
	if err := one.PauseFor(ctx, until.Add(-time.Minute), "429", "sink"); err != nil { // shortens nothing
		t.Fatal(err)
	}
	want := streams.DestinationState{
		Breaker: "closed", Paused: true, PausedUntil: until, PauseReason: "expired_token", PausedBy: "sink", Wait: time.Hour,
	}
	if diff := cmp.Diff(want, one.State(ctx)); diff != "" {
		t.Error("at once here:", diff)
	}
	now = now.Add(time.Second)
	want.Wait -= time.Second
	if diff := cmp.Diff(want, two.State(ctx)); diff != "" {
		t.Error("within a second there:", diff)
	}
	if n, wait := two.Admit(ctx, 5); n != 0 || wait != want.Wait {
		t.Errorf("paused: %d entries, wait %s", n, wait)
	}
	if err := two.Start(1); err != streams.ErrPaused {
		t.Errorf("Start of a paused destination: %v", err)
	}
	s.Restart()
	if diff := cmp.Diff(want, daemon().State(ctx)); diff != "" {
		t.Error("after a restart of everything:", diff)
	}

	if err := two.Resume(ctx, "anna"); err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Second)
	if diff := cmp.Diff(streams.DestinationState{Breaker: "closed", ResumedBy: "anna"}, one.State(ctx)); diff != "" {
		t.Error("resumed:", diff)
	}

	if err := one.PauseFor(ctx, time.Time{}, "holidays", "anna"); err != nil {
		t.Fatal(err)
	}
	now = now.Add(1000 * time.Hour)
	if st := two.State(ctx); !st.Paused || !st.PausedUntil.IsZero() || st.Wait <= 0 {
		t.Errorf("a pause without end: %+v", st)
	}
}

// A clock that was an hour ahead when the destination was paused for a second, and is set right, is no reason to leave
// the destination alone for an hour.
func TestPauseByAWrongClock(t *testing.T) {
	ctx := context.Background()
	clients := openClients(t, "unix://"+streamstest.Redis(t).Addr)
	right := time.Now().Truncate(time.Millisecond)
	now := right.Add(time.Hour)
	daemon := func() *streams.Destination {
		return streams.NewDestination(streams.DestinationConfig{Name: "crm"}, clients, "ls", func() time.Time { return now })
	}
	const method = "crm.lead.add"
	one := daemon()
	if err := one.PauseFor(ctx, now.Add(time.Second), "429", "sink"); err != nil {
		t.Fatal(err)
	}
	if err := one.PauseKey(ctx, method, now.Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	now = right
	two := daemon() // it knows only what Redis says
	if st := two.State(ctx); !st.Paused || st.Wait != time.Second {
		t.Errorf("paused: %v, for %s", st.Paused, st.Wait)
	}
	if got := two.KeyPausedUntil(ctx, method); !got.Equal(right.Add(time.Second)) {
		t.Errorf("the method is paused until %s, want %s", got, right.Add(time.Second))
	}
	for range 3 { // and looking again begins nothing anew
		now = now.Add(600 * time.Millisecond)
		two.State(ctx)
	}
	if st := two.State(ctx); st.Paused {
		t.Errorf("still paused for %s", st.Wait)
	}
	if got := two.KeyPausedUntil(ctx, method); !got.IsZero() {
		t.Errorf("the method is still paused until %s", got)
	}
}

func TestKeyPause(t *testing.T) {
	ctx := context.Background()
	s := streamstest.Redis(t)
	clients := openClients(t, "unix://"+s.Addr)
	now := time.Now().Truncate(time.Millisecond)
	clock := func() time.Time { return now }
	cfg := streams.DestinationConfig{Name: "sms"}
	one, two := streams.NewDestination(cfg, clients, "ls", clock), streams.NewDestination(cfg, clients, "ls", clock)

	const phone = "+79990000011"
	until := now.Add(time.Minute)
	if err := one.PauseKey(ctx, phone, until); err != nil {
		t.Fatal(err)
	}
	for name, d := range map[string]*streams.Destination{"here": one, "there": two} {
		if got := d.KeyPausedUntil(ctx, phone); !got.Equal(until) {
			t.Errorf("%s: paused until %s, want %s", name, got, until)
		}
		if got := d.KeyPausedUntil(ctx, "+79990000012"); !got.IsZero() {
			t.Errorf("%s: another recipient is paused until %s", name, got)
		}
		if n := admitted(d, 1); n != 1 {
			t.Errorf("%s: one recipient's pause stops all", name)
		}
	}
	for _, key := range s.Client.Keys(ctx, "*").Val() {
		if dump := s.Client.Dump(ctx, key).Val(); strings.Contains(key+dump, "9990000011") {
			t.Errorf("%s shows the phone number", key)
		}
	}
	now = until
	if got := two.KeyPausedUntil(ctx, phone); !got.IsZero() {
		t.Errorf("paused until %s although that is over", got)
	}
}

// A sink whose token has expired while Redis is away must still be left alone, and the others hear of it later.
func TestPauseWithoutRedis(t *testing.T) {
	ctx := context.Background()
	s := streamstest.Redis(t)
	clients := openClients(t, "unix://"+s.Addr)
	now := time.Now().Truncate(time.Millisecond)
	clock := func() time.Time { return now }
	cfg := streams.DestinationConfig{Name: "crm"}
	one, two := streams.NewDestination(cfg, clients, "ls", clock), streams.NewDestination(cfg, clients, "ls", clock)

	s.Kill()
	if err := one.PauseFor(ctx, now.Add(time.Hour), "expired_token", "sink"); err == nil {
		t.Error("no error although nobody was told")
	}
	if err := one.PauseKey(ctx, "crm.lead.add", now.Add(time.Hour)); err == nil {
		t.Error("no error although nobody was told")
	}
	if n := admitted(one, 1); n != 0 {
		t.Error("the pause is not kept here")
	}
	if err := one.Resume(ctx, "anna"); err == nil {
		t.Error("Resume without Redis must say that it did nothing")
	}

	s.Restart()
	now = now.Add(time.Second)
	one.State(ctx)
	if st := two.State(ctx); !st.Paused || st.PauseReason != "expired_token" {
		t.Errorf("the others were not told: %+v", st)
	}
	if two.KeyPausedUntil(ctx, "crm.lead.add").IsZero() {
		t.Error("the others were not told of the method")
	}
}

func TestResumeProbesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := guard(streams.DestinationConfig{})
		calls(t, d, 5, true)
		if err := d.Resume(t.Context(), "anna"); err != nil {
			t.Fatal(err)
		}
		if n := admitted(d, 9); n != 1 {
			t.Errorf("%d entries after Resume of an open destination, want a probe", n)
		}
	})
}
