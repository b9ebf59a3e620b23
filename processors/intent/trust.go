package intent

import "math"

// A judgement's own probability says little of how often such a judgement is right: it is as high for a word that stands
// by chance in a story. Trust is a second regression, of two outcomes, that learns from the examination which judgements
// came true: by how sure both opinions were, whether they agree, how much of the text was known, what the other clauses
// say, and of which intent it is.

// traits are what trust looks at.
const (
	traitBias = iota
	traitOdds
	traitMargin
	traitAgree
	traitKnown
	traitLength
	traitClauses
	traitWhole // the whole says the same
	traitWholeP
	traitClash // another clause says something else
	traitOther
	traitRule
	traitIntent // one for each
	traitCount  = traitIntent + classes
)

type traits [traitCount]float64

// trust gives the probability that a decision is right.
type trust [traitCount]float64

func (t *trust) of(x *traits) float64 {
	sum := 0.0
	for i, v := range x {
		sum += v * t[i]
	}
	return 1 / (1 + math.Exp(-sum))
}

// How trust learns; there are a few thousand judgements and two dozen traits, so that nothing can be learnt by heart.
const (
	trustRounds = 60
	trustStep   = 0.5
	trustDecay  = 1e-3
)

// learnTrust fits it to decisions of which right is known, by gradient descent with a step of its own for each trait.
func learnTrust(seen []traits, right []bool) (t trust) {
	var squares trust
	for range trustRounds {
		var gradient trust
		for n := range seen {
			miss := t.of(&seen[n])
			if right[n] {
				miss--
			}
			for i, v := range seen[n] {
				gradient[i] += miss * v
			}
		}
		for i, g := range gradient {
			g = g/float64(len(seen)) + trustDecay*t[i]
			squares[i] += g * g
			if squares[i] > 0 {
				t[i] -= trustStep * g / math.Sqrt(squares[i])
			}
		}
	}
	return t
}

// traitsOf describes a decision.
func traitsOf(main, whole *judgement, parts []part) (x traits) {
	p := min(max(float64(main.p[main.first]), 0.01), 0.99)
	x[traitBias] = 1
	x[traitOdds] = math.Log(p / (1 - p))
	x[traitMargin] = float64(main.p[main.first] - main.second())
	x[traitAgree] = yes(main.agree)
	x[traitKnown] = float64(main.known)
	x[traitLength] = math.Log1p(float64(main.size))
	x[traitClauses] = yes(len(parts) > 0)
	x[traitWhole] = yes(whole.first == main.first)
	x[traitWholeP] = float64(whole.p[main.first])
	for i := range parts {
		if q := &parts[i].judgement; q.first != main.first && q.first != other {
			x[traitClash] = max(x[traitClash], float64(q.p[q.first]))
		}
	}
	x[traitOther] = float64(whole.p[other])
	x[traitRule] = yes(main.rule != "")
	x[traitIntent+main.first] = 1
	return x
}

func yes(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
