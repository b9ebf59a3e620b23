package processors

import "fmt"

// Fault is something wrong in the configuration: where, what, and what to write instead.
type Fault struct {
	Key, Problem, Cure string
}

func (f Fault) Error() string { return fmt.Sprintf("%s: %s; %s", f.Key, f.Problem, f.Cure) }
