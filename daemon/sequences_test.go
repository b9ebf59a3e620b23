package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

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
