package intent

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// example is a phrase that the model has learnt.
type example struct {
	text   string
	intent int
	x      vector
}

// sample is the examples in the order of training, side by side.
type sample struct {
	examples []example
	messages []message
	x        []vector
	y        []int
	fold     []int
}

// Train learns from examples, examines itself, and sets its limits. An examination that is known of the same model is not
// held again.
func Train(e Examples, known ...Examination) (*Model, error) {
	start := time.Now()
	if err := e.Check(); err != nil {
		return nil, err
	}
	r, s := prepare(e)
	texts := make([][]token, len(s.messages))
	for i, m := range s.messages {
		texts[i] = m.tokens
	}
	m := &Model{text: r, vocab: learnVocabulary(texts)}
	for i := range s.messages {
		s.x = append(s.x, m.vocab.vectorOf(texts[i]))
		s.examples[i].x = s.x[i]
	}
	m.examples = s.examples
	m.opinions = learn(s.x, s.y, everyRow(len(s.y)), len(m.vocab.idf))
	m.digest = m.opinions.digest(s.fold)
	if m.held = !m.adopt(known); m.held {
		m.examine(s)
	}
	m.took = time.Since(start)
	return m, nil
}

// prepare reads the examples. The reader learns the alphabet from all of them before it takes the first apart.
func prepare(e Examples) (*textReader, *sample) {
	r := &textReader{letters: newLetters(), stems: map[string]string{}, lately: new([1 << 12]atomic.Pointer[stemmed]), services: map[string][][]string{}, concepts: newConcepts(e.Words)}
	intents := slices.Sorted(maps.Keys(e.Phrases))
	for _, intent := range intents {
		for _, g := range e.Phrases[intent] {
			for _, p := range g.Phrases {
				r.letters.learn(p, g.English)
			}
		}
	}
	for _, name := range e.Services {
		r.addService(name)
	}
	s := &sample{}
	for _, intent := range intents {
		for n, g := range e.Phrases[intent] {
			for _, p := range g.Phrases {
				s.add(r, p, index(intent), n%folds)
			}
		}
	}
	return r, s
}

func (s *sample) add(r *textReader, phrase string, intent, fold int) {
	m := r.read(phrase)
	if len(m.tokens) == 0 {
		return // a mere greeting, which needs no model
	}
	for i, t := range m.tokens {
		if !t.placeholder() {
			r.stems[t.word] = m.tokens[i].stem
		}
	}
	s.examples = append(s.examples, example{text: phrase, intent: intent})
	s.messages = append(s.messages, m)
	s.y, s.fold = append(s.y, intent), append(s.fold, fold)
}

// Check says whether something can be learnt.
func (e *Examples) Check() error {
	var count [classes]int
	for intent, groups := range e.Phrases {
		for _, g := range groups {
			count[index(intent)] += len(g.Phrases)
		}
	}
	var faults []error
	for k, n := range count {
		if n > 0 && n < folds {
			faults = append(faults, fmt.Errorf("intents.%s: %d examples; %d or more are needed, 20 are good", All[k], n, folds))
		}
	}
	if count[other] == 0 {
		faults = append(faults, fmt.Errorf("intents.%s: no examples; without them every text is somebody's booking", Other))
	}
	if slices.Max(count[:other]) == 0 {
		faults = append(faults, errors.New("intents: no examples"))
	}
	return errors.Join(faults...)
}

// addService makes a service's name one word of all texts, in whatever case its words stand.
func (r *textReader) addService(name string) {
	tokens := r.scan(fold(name))
	if len(tokens) == 0 || tokens[0].placeholder() {
		return
	}
	names := [][]string{nil}
	for _, t := range tokens {
		var longer [][]string
		for _, before := range names {
			for _, stem := range stemsOfForms(t) {
				longer = append(longer, append(slices.Clone(before), stem))
			}
		}
		names = longer
	}
	for _, stems := range names {
		all := append(r.services[stems[0]], stems[1:])
		slices.SortStableFunc(all, func(a, b []string) int { return len(b) - len(a) })
		r.services[stems[0]] = all
	}
}

// stemsOfForms are the stems that a word has in its cases: the stemmer takes «замена» for a participle, «замену» for a
// noun.
func stemsOfForms(t token) []string {
	stems := []string{t.stem}
	bare, ok := strings.CutSuffix(t.word, "а")
	if !ok || t.placeholder() {
		return stems
	}
	for _, ending := range []string{"у", "ы", "е", "ой"} {
		if s := stemOf(bare + ending); !slices.Contains(stems, s) {
			stems = append(stems, s)
		}
	}
	return stems
}

func everyRow(n int) []int {
	rows := make([]int, n)
	for i := range rows {
		rows[i] = i
	}
	return rows
}
