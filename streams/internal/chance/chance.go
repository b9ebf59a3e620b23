// Package chance is where the engine takes its random numbers from, so that a simulation of it can repeat a run.
package chance

import "math/rand/v2"

// Float64 is a random number in [0, 1). A simulation puts its own in place before anything runs.
var Float64 = rand.Float64
