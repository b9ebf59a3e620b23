package intent

import "slices"

// Comparison is how two models did on examples that neither had seen: how many they were asked, and of how many each
// found what they want.
type Comparison struct {
	Asked  int `json:"asked"`
	Before int `json:"before"`
	After  int `json:"after"`
}

// Compare examines a model that learns from before beside one that learns from after, which has the same examples and more.
// Fold by fold, both are asked what was held out from both, of after's examples. It takes about twice as long as Train.
func Compare(before, after Examples) (Comparison, error) {
	if err := after.Check(); err != nil {
		return Comparison{}, err
	}
	r, s := prepare(after)
	texts := make([][]token, len(s.messages))
	for i, m := range s.messages {
		texts[i] = m.tokens
	}
	m := &Model{text: r, vocab: learnVocabulary(texts)}
	for i := range s.messages {
		s.x = append(s.x, m.vocab.vectorOf(texts[i]))
	}
	old := oldRows(before, s)
	c := Comparison{Asked: len(s.y)}
	for fold := range folds {
		var rowsBefore, rowsAfter []int
		for i := range s.y {
			if s.fold[i] == fold {
				continue
			}
			rowsAfter = append(rowsAfter, i)
			if old[i] {
				rowsBefore = append(rowsBefore, i)
			}
		}
		c.Before += m.rightOf(s, fold, rowsBefore)
		c.After += m.rightOf(s, fold, rowsAfter)
	}
	return c, nil
}

// oldRows says which rows are examples of before.
func oldRows(before Examples, s *sample) []bool {
	type phrase struct {
		text   string
		intent int
	}
	count := map[phrase]int{}
	for intent, groups := range before.Phrases {
		for _, g := range groups {
			for _, p := range g.Phrases {
				count[phrase{p, index(intent)}]++
			}
		}
	}
	old := make([]bool, len(s.examples))
	for i, e := range s.examples {
		if key := (phrase{e.text, e.intent}); count[key] > 0 {
			count[key]--
			old[i] = true
		}
	}
	return old
}

// rightOf is how many of a fold's examples a model gets right that has learnt from rows.
func (m *Model) rightOf(s *sample, fold int, rows []int) (right int) {
	taught := &Model{text: m.text, vocab: m.vocab, opinions: learn(s.x, s.y, rows, len(m.vocab.idf))}
	for i := range s.y {
		if s.fold[i] == fold {
			if j := taught.judgeKnown(s.messages[i].tokens, s.x[i]); j.first == s.y[i] {
				right++
			}
		}
	}
	return right
}

// Learn adds one example, a group of its own.
func (e *Examples) Learn(text, intent string) {
	if e.Phrases == nil {
		e.Phrases = map[string][]Group{}
	}
	e.Phrases[intent] = append(slices.Clip(e.Phrases[intent]), Group{Phrases: []string{text}})
}

// Lacks is how many more examples of an intent there must be before anything can be learnt of it.
func (e *Examples) Lacks(intent string) int {
	n := 0
	for _, g := range e.Phrases[intent] {
		n += len(g.Phrases)
	}
	return max(folds-n, 0)
}
