package garbage

import "testing"

func TestPercent(t *testing.T) {
	for name, c := range map[string]struct {
		live uint64
		want int
	}{
		"before the first collection": {0, 400},
		"small":                       {8 << 20, 400},
		"middle":                      {32 << 20, 200},
		"large":                       {64 << 20, 100},
		"very large":                  {4 << 30, 100},
	} {
		if got := percent(c.live); got != c.want {
			t.Errorf("%s: %d %%, want %d", name, got, c.want)
		}
	}
}
