//go:build !torture

package failpoint

// Enabled tells whether this is a build for the proof.
const Enabled = false

// Hit is called at a moment.
func Hit(Point) {}

// Seeded tells whether this process was started to make that mistake.
func Seeded(Bug) bool { return false }
