// Package garbage sets when Go collects garbage: seldom while there is little of it, whatever the share.
package garbage

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// Go collects garbage once there is as much of it as there is live memory. The daemon's live memory is small and a lead
// leaves 7 to 15 KB behind, so under load it would collect several times a second, which was a sixth of its CPU. So
// garbage may come to freeGarbage before it counts, and to four times the live memory at most.
const (
	freeGarbage = 64 << 20
	mostPercent = 400
)

// A daemon that makes less garbage than this a second rests: what it freed before, in training or in a rush, goes back to
// the system, and it collects as Go does by itself.
const (
	look    = 5 * time.Second
	resting = 256 << 10 // bytes a second
)

// Tune follows the live memory until ctx ends. $GOGC, when it is set, is left as it is.
func Tune(ctx context.Context) {
	if os.Getenv("GOGC") != "" {
		return
	}
	tune(ctx, look)
}

func tune(ctx context.Context, look time.Duration) {
	heap := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(heap)
	var rests bool
	for {
		before := heap[1].Value.Uint64()
		if !rests {
			debug.SetGCPercent(percent(heap[0].Value.Uint64()))
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(look):
		}
		metrics.Read(heap)
		busy := !rests
		rests = restful(heap[1].Value.Uint64()-before, look)
		if rests && busy {
			debug.SetGCPercent(100)
			debug.FreeOSMemory()
		}
	}
}

// restful says whether a daemon rests that has allocated so much within d.
func restful(allocated uint64, d time.Duration) bool {
	return float64(allocated) < resting*d.Seconds()
}

func percent(live uint64) int {
	return int(min(max(freeGarbage*100/max(live, 1), 100), mostPercent))
}
