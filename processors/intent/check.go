package intent

import (
	"cmp"
	"math"
	"slices"
	"sync"
)

// folds is how many parts the examination has: each part is asked of a model that learnt from the others.
const folds = 5

// Precision is what is asked of answers: of a hundred that are sure, so many are right.
const Precision = 0.95

// examined is the precision asked of the examination. It asks about the oddest ways to say a thing, each unlike all that
// was learnt, so that messages are easier: of those that a stranger wrote, 0.96 of the answers are right at this limit.
const examined = 0.945

// Check is how the model did in the examination, on phrases whose wording it had not seen.
type Check struct {
	Asked     int
	Accuracy  float64 // of all, sure or not, Other being one of the answers
	Precision float64 // of the sure ones
	Coverage  float64 // the share of sure ones among what has an intent other than Other
	AUROC     float64 // of InScope: 1 tells all of the business's affairs from all others
	Intents   []IntentCheck
}

// IntentCheck is the examination of one intent.
type IntentCheck struct {
	Intent string
	Asked  int
	Right  int
	Missed string // the intent that it was taken for most often
	Times  int
}

// outcome is one question of the examination and what was said.
type outcome struct {
	want, said int
	about      traits
	inScope    float64
	trust      float64 // in what was said; 0 of Other
}

// examine asks each fold of a model that has not seen it. The outcomes teach trust, which then sets the limit.
func (m *Model) examine(s *sample) {
	outcomes := make([]outcome, len(s.y))
	var parts sync.WaitGroup
	for fold := range folds {
		parts.Go(func() { m.examineFold(s, fold, outcomes) })
	}
	parts.Wait()
	m.trust = trustIn(outcomes)
	for i := range outcomes {
		if o := &outcomes[i]; o.said != other {
			o.trust = m.trust.of(&o.about)
		}
	}
	m.limit = chooseLimit(outcomes)
	m.check = summary(outcomes, m.limit)
}

func (m *Model) examineFold(s *sample, fold int, outcomes []outcome) {
	var seen []int
	for i := range s.y {
		if s.fold[i] != fold {
			seen = append(seen, i)
		}
	}
	taught := &Model{text: m.text, vocab: m.vocab, opinions: learn(s.x, s.y, seen, len(m.vocab.idf))}
	for i := range s.y {
		if s.fold[i] == fold {
			whole, parts := taught.judgeKnown(s.messages[i].tokens, s.x[i]), taught.parts(s.messages[i])
			main, _ := decide(&whole, parts)
			outcomes[i] = outcome{want: s.y[i], said: main.first, about: traitsOf(main, &whole, parts), inScope: whole.inScope()}
		}
	}
}

// judgeKnown judges tokens of which the vector is there already.
func (m *Model) judgeKnown(tokens []token, x vector) judgement {
	if intent, rule := ruleOf(tokens); rule != "" {
		return ruled(intent, rule, len(tokens))
	}
	return m.opinions.judge(x, len(tokens))
}

func trustIn(outcomes []outcome) trust {
	var seen []traits
	var right []bool
	for i := range outcomes {
		if o := &outcomes[i]; o.said != other {
			seen, right = append(seen, o.about), append(right, o.said == o.want)
		}
	}
	return learnTrust(seen, right)
}

// leastLimit is what the limit is at least: the model would guess on what it has never heard of.
const leastLimit = 0.6

// chooseLimit takes the lowest with which answers are as precise as was asked for.
func chooseLimit(outcomes []outcome) float64 {
	sorted := slices.Clone(outcomes)
	slices.SortFunc(sorted, func(a, b outcome) int { return cmp.Compare(b.trust, a.trust) })
	limit, right := 1.0, 0
	for n, o := range sorted {
		if o.trust < leastLimit {
			break
		}
		if o.said == o.want {
			right++
		}
		last := n+1 == len(sorted) || sorted[n+1].trust < o.trust // of those with the same trust
		if last && share(right, n+1) >= examined {
			limit = o.trust
		}
	}
	return limit
}

func summary(outcomes []outcome, limit float64) Check {
	c := Check{Asked: len(outcomes)}
	var table [classes][classes]int
	var scores []scored
	ours, answered, ofOurs, good := 0, 0, 0, 0
	for i := range outcomes {
		o := &outcomes[i]
		table[o.want][o.said]++
		scores = append(scores, scored{o.inScope, o.want != other})
		if o.want != other {
			ours++
		}
		if o.said != other && o.trust >= limit {
			answered++
			if o.want != other {
				ofOurs++
			}
			if o.said == o.want {
				good++
			}
		}
	}
	right := 0
	for k := range table {
		ic := intentCheck(k, table[k])
		right += ic.Right
		if ic.Asked > 0 {
			c.Intents = append(c.Intents, ic)
		}
	}
	c.Accuracy = share(right, len(outcomes))
	c.Precision = share(good, answered)
	c.Coverage = share(ofOurs, ours)
	c.AUROC = auroc(scores)
	return c
}

func intentCheck(k int, row [classes]int) IntentCheck {
	ic := IntentCheck{Intent: All[k], Right: row[k]}
	for other, n := range row {
		ic.Asked += n
		if other != k && n > ic.Times {
			ic.Missed, ic.Times = All[other], n
		}
	}
	return ic
}

func share(part, of int) float64 {
	if of == 0 {
		return 0
	}
	return float64(part) / float64(of)
}

// scored is a text's score, and whether it should be high.
type scored struct {
	score float64
	high  bool
}

// auroc is how often a text that should score high does score higher than one that should not; ties count half.
func auroc(all []scored) float64 {
	slices.SortFunc(all, func(a, b scored) int {
		switch {
		case a.score < b.score:
			return -1
		case a.score > b.score:
			return 1
		}
		return 0
	})
	var low, high, above float64
	for i := 0; i < len(all); {
		j, h := i, 0.0
		for ; j < len(all) && all[j].score == all[i].score; j++ {
			if all[j].high {
				h++
			}
		}
		l := float64(j-i) - h
		above += h * (low + l/2)
		low, high, i = low+l, high+h, j
	}
	if low == 0 || high == 0 {
		return math.NaN()
	}
	return above / (low * high)
}
