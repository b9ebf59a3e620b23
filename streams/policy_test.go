package streams

import (
	"testing"
	"time"
)

// The three jobs of the sources, with their figures.
func TestPolicies(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		policy Policy
		want   []time.Duration // the middle of each delay
	}{
		"crm":     {CRMPolicy, []time.Duration{5 * time.Second, 10 * time.Second, 20 * time.Second, 40 * time.Second}},
		"message": {MessagePolicy, []time.Duration{5 * time.Second, 10 * time.Second}},
		"sync":    {SyncPolicy, []time.Duration{5 * time.Minute, 5 * time.Minute, 5 * time.Minute}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var p Policy
			if err := p.UnmarshalText([]byte(name)); err != nil || p != tt.policy {
				t.Errorf("by name: %+v %v", p, err)
			}
			if p.Attempts != len(tt.want)+1 {
				t.Errorf("%d attempts, want %d", p.Attempts, len(tt.want)+1)
			}
			for n, want := range tt.want {
				low, high := time.Hour, time.Duration(0)
				for range 500 {
					d := p.Delay(n+1, 0)
					low, high = min(low, d), max(high, d)
				}
				spread := time.Duration(float64(want) * p.Jitter)
				if low < want-spread || high > want+spread || p.Jitter > 0 && high-low < spread {
					t.Errorf("delay %d: %s to %s, want %s ± %s", n+1, low, high, want, spread)
				}
			}
		})
	}
	if d := CRMPolicy.Delay(30, 0); d > 360*time.Second {
		t.Errorf("delay 30: %s, want 300 s and jitter at most", d)
	}
	var p Policy
	if p.UnmarshalText([]byte("never")) == nil {
		t.Error("an unknown name was taken")
	}
}

// Retry-After is a floor: jitter only lengthens it.
func TestDelayKeepsRetryAfter(t *testing.T) {
	t.Parallel()
	for range 1000 {
		if d := CRMPolicy.Delay(1, 30*time.Second); d < 30*time.Second || d > 36*time.Second {
			t.Fatalf("%s after a Retry-After of 30 s", d)
		}
	}
}
