package intent

import (
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// concepts are groups of words of one meaning. What an example says of one word of a group holds for all of them.
type concepts struct {
	exact map[string][]uint64 // a word to the hashes of its concepts
	stems map[string][]uint64 // beginnings of words
	least int                 // bytes of the shortest beginning
	most  int                 // and of the longest
}

func newConcepts(words map[string][]string) *concepts {
	c := &concepts{exact: map[string][]uint64{}, stems: map[string][]uint64{}, least: 1 << 10}
	for _, name := range slices.Sorted(maps.Keys(words)) {
		hash := hashString(hashStart, "concept "+name)
		for _, w := range words[name] {
			bare, stem := strings.CutSuffix(w, "~")
			bare = squeeze(strings.ReplaceAll(fold(bare), "-", ""))
			if !stem {
				c.exact[bare] = append(c.exact[bare], hash)
				continue
			}
			c.stems[bare] = append(c.stems[bare], hash)
			c.least, c.most = min(c.least, len(bare)), max(c.most, len(bare))
		}
	}
	return c
}

// of gives the concepts of a word: those that name it, else those of its longest known beginning.
func (c *concepts) of(word string) []uint64 {
	if found, ok := c.exact[word]; ok {
		return found
	}
	for end := min(len(word), c.most); end >= c.least; end-- {
		if end < len(word) && !utf8.RuneStart(word[end]) {
			continue
		}
		if found, ok := c.stems[word[:end]]; ok {
			return found
		}
	}
	return nil
}

// walkConcepts visits the concepts of a text, and each pair of them that stand one after the other.
func walkConcepts(tokens []token, visit func(hash uint64)) {
	before := hashString(hashStart, "^")
	for _, t := range tokens {
		found := t.concepts
		if t.placeholder() {
			found = nil
			if t.stem == serviceMark {
				found = serviceConcept
			}
		}
		for _, h := range found {
			visit(mix(h))
			visit(mix(before*hashPrime ^ h))
		}
		if len(found) > 0 {
			before = found[0]
		}
	}
}

var serviceConcept = []uint64{hashString(hashStart, serviceMark)}
