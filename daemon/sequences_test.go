package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"leadstream/processors/policy"
	"leadstream/streams"
	"leadstream/streams/outbound"
)

func TestSequenceResults(t *testing.T) {
	got := resultsOf([]outbound.RunCount{
		{Sequence: "clicked", Variant: "a", State: outbound.RunDone, Runs: 5, Sent: 5},
		{Sequence: "clicked", Variant: "a", State: outbound.RunOn, Runs: 10, Sent: 2},
		{Sequence: "clicked", Variant: "a", State: outbound.RunStopped, Reason: "reply", Runs: 3, Sent: 3},
		{Sequence: "clicked", Variant: "a", State: outbound.RunWon, Reason: "order", Runs: 1, Sent: 1},
		{Sequence: "clicked", Variant: "a", State: outbound.RunWon, Reason: "visit", Runs: 1, Sent: 1},
		{Sequence: "clicked", Variant: "b", State: outbound.RunOn, Runs: 1},
	})
	want := []*sequenceResult{
		{Sequence: "clicked", Variant: "a", Begun: 20, On: 10, Sent: 12, Done: 5, Won: 2, Rate: 20, Stopped: map[string]int{"reply": 3}},
		{Sequence: "clicked", Variant: "b", Begun: 1, On: 1, Stopped: map[string]int{}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestSequenceFaults(t *testing.T) {
	t.Setenv("LANG", "C")
	const channel = "answers: {channels: {sms: {kind: sms_smsc, login: a, api_key: b}}}\n"
	for name, c := range map[string]struct {
		yaml string
		want []string
	}{
		"good":       {"language: en\n" + channel + "sequences:\n  - {preset: clicked, values: {coupon: A}}\n" + told, []string{}},
		"no coupon":  {"language: en\n" + channel + "sequences:\n  - {preset: clicked}\n" + told, []string{"line 4: sequences[0].steps[0].template: text coupon_click needs .Coupon; write values: {coupon: …} beside the steps"}},
		"no segment": {"language: en\n" + channel + "sequences:\n  - {name: a, segment: potentiall, steps: [{template: follow_up}]}\n" + told, []string{`line 4: sequences[0].segment: there is no segment "potentiall"; did you mean "potential"?`}},
		"no channel": {"language: en\nsequences:\n  - {preset: potential}\n" + told, []string{"line 2: sequences: there is no channel to customers; add one under answers.channels"}},
	} {
		if _, got := load(t, write(t, c.yaml)); !cmp.Equal(got, c.want) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// A STOP counts by whichever way it is told, and a promotion that waits goes no more.
func TestStopByNews(t *testing.T) {
	for name, news := range map[string]streams.Lead{
		"a word":         {Channel: "telegram", UserID: "7", Message: "Стоп"},
		"a word as news": {Channel: "telegram", UserID: "7", Event: "reply", Message: "Стоп"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tg := &wire{}
			p := newPost(t, wayOf("telegram", tg))
			p.until(p.heard(streams.Lead{Channel: "telegram", UserID: "7", Message: "Подпишите меня на рассылку"}), "done", in(outbound.Done))
			cards, err := p.store.Find(t.Context(), "telegram:7", 1)
			if err != nil || len(cards) != 1 {
				t.Fatal(cards, err)
			}
			m := outbound.Message{ID: "ad", Customer: cards[0].ID, Cause: "test", Purpose: outbound.Promotion, Template: "follow_up", Language: "ru", State: outbound.Waiting,
				MadeAt: p.m.Clock(), Due: p.m.Clock().Add(time.Hour), Deadline: p.m.Clock().Add(48 * time.Hour)}
			if err := p.store.AddMessages(t.Context(), []outbound.Message{m}); err != nil {
				t.Fatal(err)
			}
			p.heard(news)
			p.pass(2 * time.Hour)
			for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
				now, err := p.store.Message(t.Context(), "ad")
				if err != nil {
					t.Fatal(err)
				}
				if now.State == outbound.Dropped && now.Reason == policy.Stopped {
					break
				}
				if time.Now().After(end) || now.State == outbound.Done {
					t.Fatalf("%s %s", now.State, now.Reason)
				}
			}
		})
	}
}
