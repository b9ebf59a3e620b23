package records

import (
	"context"
	"testing"
	"time"

	"leadstream/streams"
	"leadstream/streams/outbound"
)

func aRun(card int64, cause string) outbound.Run {
	return outbound.Run{Sequence: "potential", Customer: card, Cause: cause, Variant: "a", State: outbound.RunOn, Due: noon.Add(time.Hour), BegunAt: noon, MovedAt: noon,
		Values: []byte(`{"Products":"крем"}`)}
}

func open1(t *testing.T, s *Sink, card int64) outbound.Run {
	t.Helper()
	all, err := s.OpenRuns(t.Context(), card)
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	return all[0]
}

func TestRuns(t *testing.T) {
	both(t, func(t *testing.T, s *Sink) {
		ctx := t.Context()
		card := put(t, s, streams.Lead{ID: "a", Phone: "+79990000011"})[0]
		begin := func(r outbound.Run, want bool) {
			t.Helper()
			if got, err := s.BeginRun(ctx, r, 30*24*time.Hour); err != nil || got != want {
				t.Fatal(got, err)
			}
		}
		begin(aRun(card, "a"), true)
		begin(aRun(card, "a"), false)
		begin(aRun(card, "b"), false) // it is on
		run := open1(t, s, card)
		want := aRun(card, "a")
		if string(run.Values) != string(want.Values) || !run.Due.Equal(want.Due) || run.Variant != "a" || !run.BegunAt.Equal(noon) {
			t.Fatalf("%+v", run)
		}
		if due, next, err := s.DueRuns(ctx, noon, 10); err != nil || len(due) != 0 || !next.Equal(run.Due) {
			t.Fatal(due, next, err)
		}
		if due, next, err := s.DueRuns(ctx, run.Due, 10); err != nil || len(due) != 1 || !next.IsZero() {
			t.Fatal(due, next, err)
		}

		// A step and its message are one.
		to := run
		to.Step, to.MovedAt, to.Due, to.Last = 1, noon.Add(time.Hour), noon.Add(8*24*time.Hour), "m1"
		m := &outbound.Message{ID: "m1", Customer: card, Cause: outbound.CauseOf(run, 0), Purpose: outbound.Promotion, Template: "follow_up", State: outbound.Waiting, MadeAt: noon, Due: noon}
		if ok, err := s.MoveRun(ctx, run, to, m); err != nil || !ok {
			t.Fatal(ok, err)
		}
		if ok, err := s.MoveRun(ctx, run, to, &outbound.Message{ID: "m2", Customer: card}); err != nil || ok {
			t.Fatal("moved twice", ok, err)
		}
		if _, ok, err := s.RunMessage(ctx, "m2"); ok || err != nil {
			t.Fatal("a message of a step that was not taken", err)
		}
		other := *m
		other.ID, other.Cause = "m3", "sequence:potential:ax:0" // begins alike and is another's
		if err := s.AddMessages(ctx, []outbound.Message{other}); err != nil {
			t.Fatal(err)
		}

		// What is stopped is not said any more.
		run = open1(t, s, card)
		stop := run
		stop.State, stop.Reason, stop.EndedAt = outbound.RunStopped, "reply", noon.Add(2*time.Hour)
		if ok, err := s.MoveRun(ctx, run, stop, nil); err != nil || !ok {
			t.Fatal(ok, err)
		}
		if m, _, err := s.RunMessage(ctx, "m1"); err != nil || m.State != outbound.Dropped || m.Reason != "reply" {
			t.Fatal(m, err)
		}
		if m, _, err := s.RunMessage(ctx, "m3"); err != nil || m.State != outbound.Waiting {
			t.Fatal(m, err)
		}
		if why, err := s.Rulings(ctx, "m1"); err != nil || len(why) != 1 || why[0].Reason != "reply" {
			t.Fatal(why, err)
		}
		begin(aRun(card, "b"), false) // less than a month ago
		again := aRun(card, "c")
		again.BegunAt = noon.Add(30*24*time.Hour - time.Millisecond)
		begin(again, false)
		again.BegunAt = noon.Add(30 * 24 * time.Hour)
		begin(again, true)
		counts, err := s.RunCounts(ctx, time.Time{})
		if err != nil || len(counts) != 2 || counts[0].State != outbound.RunOn || counts[1].Reason != "reply" || counts[1].Runs != 1 || counts[1].Sent != 0 {
			t.Fatal(counts, err)
		}
	})
}

// What was sent of a run is counted, what a channel has refused is not.
func TestRunCounts(t *testing.T) {
	both(t, func(t *testing.T, s *Sink) {
		ctx := t.Context()
		cards := put(t, s, streams.Lead{ID: "a", Phone: "+79990000011"}, streams.Lead{ID: "b", Phone: "+79990000022"})
		for i, card := range cards {
			run := aRun(card, string(rune('a'+i)))
			if _, err := s.BeginRun(ctx, run, 0); err != nil {
				t.Fatal(err)
			}
			m := outbound.Message{ID: "m" + run.Cause, Customer: card, Cause: outbound.CauseOf(run, 0), State: outbound.Waiting, MadeAt: noon, Due: noon}
			to := run
			to.Step = 1
			if ok, err := s.MoveRun(ctx, run, to, &m); err != nil || !ok {
				t.Fatal(ok, err)
			}
			step := &outbound.Step{N: 1, Channel: "sms", State: outbound.Delivered, At: noon, SentAt: noon}
			if i == 1 {
				step.State, step.SentAt = outbound.NotSent, time.Time{}
			}
			if done, err := s.Change(ctx, []outbound.Change{{Message: m, State: outbound.Done, Due: noon, Step: step}}); err != nil || !done[0] {
				t.Fatal(done, err)
			}
		}
		counts, err := s.RunCounts(ctx, noon)
		if err != nil || len(counts) != 1 || counts[0].Runs != 2 || counts[0].Sent != 1 {
			t.Fatal(counts, err)
		}
		if counts, err := s.RunCounts(ctx, noon.Add(time.Hour)); err != nil || len(counts) != 0 {
			t.Fatal(counts, err)
		}
		// Page by page, each once.
		var after outbound.Run
		var seen []string
		for {
			page, err := s.RunsAfter(ctx, after, 1)
			if err != nil {
				t.Fatal(err)
			}
			if len(page) == 0 {
				break
			}
			after = page[0]
			seen = append(seen, after.Cause)
		}
		if len(seen) != 2 || seen[0] != "a" || seen[1] != "b" {
			t.Fatal(seen)
		}
	})
}

// Runs follow their customer when two cards become one, and go when the history's time is over.
func TestRunsOfMergedCards(t *testing.T) {
	both(t, func(t *testing.T, s *Sink) {
		ctx := context.Background()
		cards := put(t, s, streams.Lead{ID: "a", Phone: "+79990000011"}, streams.Lead{ID: "b", Email: "b@example.test"})
		run := aRun(cards[1], "b")
		if _, err := s.BeginRun(ctx, run, 0); err != nil {
			t.Fatal(err)
		}
		one := put(t, s, streams.Lead{ID: "c", Phone: "+79990000011", Email: "b@example.test"})[0]
		if one != cards[0] {
			t.Fatal("they were not merged")
		}
		if r := open1(t, s, one); r.Cause != "b" || string(r.Values) != string(run.Values) {
			t.Fatal(r)
		}
		// Whoever has read the run before the merge moves it all the same.
		to := run
		to.State, to.EndedAt = outbound.RunDone, noon
		if ok, err := s.MoveRun(ctx, run, to, nil); err != nil || !ok {
			t.Fatal(ok, err)
		}
		if _, ok, err := s.RunCustomer(ctx, 4711); ok || err != nil {
			t.Fatal("a customer who is not there", err)
		}
		s.now = func() time.Time { return noon.Add(s.keep + time.Second) }
		if err := s.TidyRuns(ctx); err != nil {
			t.Fatal(err)
		}
		if counts, err := s.RunCounts(ctx, time.Time{}); err != nil || len(counts) != 0 {
			t.Fatal(counts, err)
		}
	})
}
