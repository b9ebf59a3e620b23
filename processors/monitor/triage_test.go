package monitor

import (
	"slices"
	"testing"
	"time"
)

// The alerts on how messages are understood: a share of few cases says nothing.
func TestTriageRules(t *testing.T) {
	tests := map[string]struct {
		values map[string]float64
		want   string // of the rule that fires
	}{
		"understood":               {map[string]float64{"triage_accuracy": 0.8, "triage_judged": 1000, "operator_share": 0.15, "conversations": 1000}, ""},
		"misunderstood":            {map[string]float64{"triage_accuracy": 0.79, "triage_judged": 50}, "triage_accuracy"},
		"of too few answers":       {map[string]float64{"triage_accuracy": 0.1, "triage_judged": 49}, ""},
		"asked for a person":       {map[string]float64{"operator_share": 0.16, "conversations": 20}, "operator_asked"},
		"of too few conversations": {map[string]float64{"operator_share": 1, "conversations": 19}, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			o := newOffice(t, DefaultRules()...)
			for metric, v := range tt.values {
				o.measure(metric, v)
			}
			if err := o.m.Step(t.Context(), o.now.Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
			var fires []string
			for _, a := range o.m.Alerts() {
				fires = append(fires, a.Rule)
			}
			want := []string{tt.want}
			if tt.want == "" {
				want = nil
			}
			if !slices.Equal(fires, want) {
				t.Errorf("%v fire, want %v", fires, want)
			}
		})
	}
}
