//go:build !torture

package failpoint

import "time"

// Enabled tells whether this is a build for the proof.
const Enabled = false

// Hit is called at a moment.
func Hit(Point) {}

// Sooner is how long a wait lasts.
func Sooner(_ Wait, d time.Duration) time.Duration { return d }

// Seeded tells whether this process was started to make that mistake.
func Seeded(Bug) bool { return false }
