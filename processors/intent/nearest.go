package intent

// Nearest is the example of an intent that a text is most like, and how much, from 0 to 1: the reason to show a person.
// It looks through all examples, so that it is slower than Read.
func (m *Model) Nearest(text, intent string) (phrase string, likeness float64) {
	msg, k := m.text.read(text), index(intent)
	if len(msg.tokens) == 0 || k < 0 {
		return "", 0
	}
	m.vocab.with(msg.tokens, func(x vector) {
		dense := make([]float32, len(m.vocab.idf))
		for n, f := range x.at {
			dense[f] = x.value[n]
		}
		var best float32
		for i := range m.examples {
			e := &m.examples[i]
			if e.intent != k {
				continue
			}
			if s := dot(e.x, dense); s > best {
				best, phrase = s, e.text
			}
		}
		likeness = float64(best) / blocks
	})
	return phrase, min(1, likeness)
}

func dot(x vector, dense []float32) (sum float32) {
	for n, f := range x.at {
		sum += x.value[n] * dense[f]
	}
	return sum
}
