package processors

import (
	"errors"
	"time"

	"github.com/expr-lang/expr/vm"

	"leadstream/streams"
)

// Condition is an expression as rules have it, for those who ask it outside of tagging. The zero value is always true.
type Condition struct{ program *vm.Program }

var errCounts = errors.New("it counts what the customer has done, which is known to rules and segments alone: make a segment of it")

// LeadCondition compiles an expression over a lead, which sees what a rule does but for the counters.
func LeadCondition(when string) (Condition, error) {
	if when == "" {
		return Condition{}, nil
	}
	p, err := compileRule(when)
	if err != nil {
		return Condition{}, err
	}
	for _, counter := range []string{"the past", "days_since_reply", "last_sentiment", "activity"} {
		if speaksOf(p, counter) {
			return Condition{}, errCounts
		}
	}
	return Condition{p}, nil
}

// ConditionOver compiles an expression over the fields of a struct of another sort, of which empty is an example.
func ConditionOver(when string, empty any) (Condition, error) {
	if when == "" {
		return Condition{}, nil
	}
	p, err := compileOver(when, empty, empty, &counting{})
	return Condition{p}, err
}

// OfLead says whether it is true of a lead.
func (c Condition) OfLead(l *streams.Lead, zone *time.Location) (bool, error) {
	if c.program == nil {
		return true, nil
	}
	return matches(&vm.VM{}, c.program, lineOf(l, zone))
}

// Of says whether it is true of such a struct.
func (c Condition) Of(env any) (bool, error) { return matches(&vm.VM{}, c.program, env) }
