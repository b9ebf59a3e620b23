package drill

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSpeak(t *testing.T) {
	ms := func(n int) Span { return Span(time.Duration(n) * time.Millisecond) }
	r := &Report{Language: "en", OK: true, Plan: Plan{Phases: []Phase{{Name: "1x", Times: 1}, {Fault: ChannelBusy}}}, Phases: make([]PhaseFigures, 2)}
	r.Speak([]Told{
		{Channel: "telegram", After: ms(10)}, {Channel: "telegram", After: ms(30)}, {Channel: "sms", After: ms(20)},
		{Phase: 1, Channel: "sms", After: ms(50), Reason: "pair_limit"}, {Phase: 1, Reason: "person"}, {Phase: 1, Reason: "channel_down", Open: true},
	}, map[string]int{"telegram": 0, "sms": 2})
	want := []Spoken{
		{Messages: 3, Sent: map[string]int{"telegram": 2, "sms": 1}, Held: map[string]int{}, After: Quantiles{N: 3, P50: ms(20), P95: ms(30), P99: ms(30), Max: ms(30)}},
		{Messages: 3, Sent: map[string]int{"sms": 1}, Held: map[string]int{"pair_limit": 1, "person": 1, "channel_down": 1}, Waiting: 1, Unsent: 1,
			After: Quantiles{N: 1, P50: ms(50), P95: ms(50), P99: ms(50), Max: ms(50)}},
	}
	if diff := cmp.Diff(want, r.Answers.Phases); diff != "" {
		t.Error(diff)
	}
	if r.OK || len(r.Faults) != 1 || !strings.Contains(r.Faults[0], "sms has brought 2 messages to customers twice") {
		t.Errorf("what came twice is no fault: %v", r.Faults)
	}
	rows := r.answerRows()
	if len(rows) != 3 || rows[1][2] != "sms 1, telegram 2" || rows[2][6] != "channel_down 1, pair_limit 1, person 1" {
		t.Errorf("%q", rows)
	}
	if rows := (&Report{}).answerRows(); rows != nil {
		t.Errorf("nobody was written to: %q", rows)
	}
}
