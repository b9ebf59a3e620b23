package llm

import (
	"slices"

	"leadstream/processors"
	"leadstream/processors/intent"
)

// modelConfidence is what the word of a model that calls itself sure counts: such words are seldom modest.
const modelConfidence = 0.9

// Join lets the offline classifier judge what the model says. Where only one of them is sure it prevails; where both are
// and differ, nothing is answered. A model that sees none of the business's affairs (Other) answers nothing either.
func Join(offline intent.Result, a Answer) processors.Opinion {
	o := processors.Opinion{Result: offline, By: processors.ByOffline, Model: a.Intents[0], Words: a.Words}
	agreed := slices.Contains(a.Intents, offline.Intent)
	switch {
	case !a.Sure:
	case offline.Answered && agreed:
		o.By = processors.ByBoth
		o.Intents = union(offline.Intents, a.Intents)
	case offline.Answered:
		o.Disagree, o.Answered = true, false
	case a.Intents[0] == intent.Other:
	default:
		o.By = processors.ByModel
		if agreed {
			o.By = processors.ByBoth
		}
		o.Intent, o.Intents = a.Intents[0], a.Intents
		o.Confidence, o.Answered, o.Rule = modelConfidence, true, ""
	}
	return o
}

func union(have, more []string) []string {
	all := slices.Clone(have)
	for _, m := range more {
		if m != intent.Other && !slices.Contains(all, m) {
			all = append(all, m)
		}
	}
	return all
}
