//go:build !race

package sim

const (
	deterministic = true
	usual         = 80 // seeds of a run that asks for no number
)
