package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"leadstream/processors/unanswered"
	"leadstream/sinks"
	"leadstream/sinks/records"
	"leadstream/streams"
	"leadstream/streams/outbound"
)

// TestWaitsAreMeasured follows two enquiries from the records to what alerts, the metric and leadstream status say.
func TestWaitsAreMeasured(t *testing.T) {
	ctx := context.Background()
	sink, err := records.Kind.Open(records.Kind.Settings(), sinks.Env{DataDir: t.TempDir(), Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	kept := sink.(*records.Sink).Store
	t.Cleanup(func() { _ = kept.Close() })
	reg := prometheus.NewRegistry()
	set := unanswered.Settings{After: 5 * time.Minute, Hours: map[string]string{"mon-sun": "00:00-24:00"}}
	watch, err := watchWaits(set, time.UTC, kept, reg)
	if err != nil {
		t.Fatal(err)
	}
	m := &measure{watch: watch, gatherer: reg}
	measured := func() map[string]float64 {
		got := map[string]float64{}
		m.windows = nil
		for _, f := range []func(func(string, float64, ...string)){m.waits, m.counters} {
			f(func(name string, v float64, labels ...string) {
				got[strings.Join(append([]string{name}, labels...), " ")] = v
			})
		}
		return got
	}
	now := time.Now()
	ids, err := kept.Write(ctx, time.UTC, []*streams.Lead{{ID: "a", Phone: "+79990000001", ReceivedAt: now}, {ID: "b", Phone: "+79990000002", ReceivedAt: now}})
	if err != nil {
		t.Fatal(err)
	}
	for i, lead := range []string{"a", "b"} {
		w := outbound.Wait{Channel: "telegram", Hot: true, Worth: 1000, At: now.Add(time.Duration(-12+8*i) * time.Minute)}
		if err := kept.Asked(ctx, lead, ids[i], w); err != nil {
			t.Fatal(err)
		}
	}
	for _, by := range []outbound.Answered{{By: outbound.Program, At: now.Add(-12*time.Minute + 20*time.Second)}} {
		if err := kept.Answered(ctx, ids[0], by); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]float64{"hot_unanswered": 0, "hot_unanswered lead a channel telegram": 12, "hot_unanswered_worth lead a channel telegram": 1000,
		"hot_unanswered_count": 1, "hot_unanswered_longest": 12, "hot_unanswered_sum": 1000, "first_answers": 1, "first_answers_in_30s": 1}
	if diff := cmp.Diff(want, measured()); diff != "" {
		t.Error(diff)
	}
	answers, err := (&operator{watch: watch}).answers(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	(&terminal{lang: "en", out: &out}).answers(answers)
	if got, want := out.String(), "first answers of 24 h: 1 of 2 answered; half within 20s, 99 % within 20s; 0 % within 3 s, 100 % within 30 s\n"; !strings.HasPrefix(got, want) || answers.Hot != 1 {
		t.Errorf("status says %q and %d", got, answers.Hot)
	}

	for i, by := range []string{outbound.Person, outbound.Dialogue} {
		if err := kept.Answered(ctx, ids[i], outbound.Answered{By: by, At: now}); err != nil {
			t.Fatal(err)
		}
	}
	want = map[string]float64{"hot_unanswered": 0, "hot_unanswered_count": 0, "hot_unanswered_longest": 0, "hot_unanswered_sum": 0,
		"first_answers": 2, "first_answers_in_30s": .5}
	if diff := cmp.Diff(want, measured()); diff != "" {
		t.Error(diff)
	}

	_ = kept.Close()
	m.watch = &unanswered.Watch{Store: silent{}, Clock: watch.Clock, After: watch.After}
	want = map[string]float64{"first_answers": 2, "first_answers_in_30s": .5}
	if diff := cmp.Diff(want, measured()); diff != "" {
		t.Error("records that do not answer say nothing", diff)
	}
}

// silent are records that do not answer.
type silent struct{ unanswered.Store }

func (silent) Unanswered(context.Context, time.Time, time.Time, int) (outbound.Unanswered, error) {
	return outbound.Unanswered{}, context.DeadlineExceeded
}

func TestWithoutRecordsNobodyIsWatched(t *testing.T) {
	watch, err := watchWaits(unanswered.Defaults(), time.UTC, nil, prometheus.NewRegistry())
	if watch != nil || err != nil || watch.Hours() != nil {
		t.Fatal(watch, err)
	}
	(&measure{}).waits(func(name string, _ float64, _ ...string) { t.Errorf("%s is measured", name) })
	if answers, err := (&operator{}).answers(context.Background()); answers != nil || err != nil {
		t.Error(answers, err)
	}
}
