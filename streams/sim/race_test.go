//go:build race

package sim

// The race detector makes the order in which goroutines run a matter of chance.
const (
	deterministic = false
	usual         = 40
)
