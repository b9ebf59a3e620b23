package garbage

import (
	"context"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"
)

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

func TestRestful(t *testing.T) {
	for name, c := range map[string]struct {
		allocated uint64
		want      bool
	}{
		"nothing":              {0, true},
		"the daemon's own":     {300 << 10, true},
		"a lead a second":      {200 << 10 * 5, true},
		"a hundred a second":   {100 * 10 << 10 * 5, false},
		"the training's waste": {200 << 20, false},
	} {
		if got := restful(c.allocated, look); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// What a rush has used goes back to the system once it is over.
func TestTuneGivesBack(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	released := []metrics.Sample{{Name: "/memory/classes/heap/released:bytes"}}
	rush := make([][]byte, 0, 256)
	for range 256 {
		rush = append(rush, make([]byte, 512<<10))
	}
	metrics.Read(released)
	before := released[0].Value.Uint64()
	runtime.KeepAlive(rush)
	rush = nil
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { tune(ctx, 50*time.Millisecond); close(ended) }()
	defer func() { cancel(); <-ended }()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		metrics.Read(released)
		if gave := int64(released[0].Value.Uint64() - before); gave > 100<<20 {
			return
		} else if time.Now().After(deadline) {
			t.Fatalf("%d of 128 MB were given back", gave>>20)
		}
	}
}
