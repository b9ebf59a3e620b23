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

// Tune follows the live memory until ctx ends. $GOGC, when it is set, is left as it is.
func Tune(ctx context.Context) {
	if os.Getenv("GOGC") != "" {
		return
	}
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	for {
		metrics.Read(live)
		debug.SetGCPercent(percent(live[0].Value.Uint64()))
		select {
		case <-ctx.Done():
			return
		case <-time.After(5 * time.Second):
		}
	}
}

func percent(live uint64) int {
	return int(min(max(freeGarbage*100/max(live, 1), 100), mostPercent))
}
