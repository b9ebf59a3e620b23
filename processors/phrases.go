package processors

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Phrases are looked for in folded words, by a language small enough to be read at a glance:
//
//	нет            the word
//	отмен~         a word that begins so
//	#              a number of one or two digits
//	a .. b         up to three words between (`.. ..` six)
//	(a|b)  (a )?   either, and with or without; a bracket may end within a word, as in прид(у|ем)
//
// All lists stand in one tree of words, so that a text is gone through once for all of them: most of its words begin
// no phrase and cost a look into the branch of their first letter. A regular expression of the same lists took the
// larger part of a lead's time.
var book phrasebook

// phrases adds a list to the book.
func phrases(list ...string) lists { return book.add(list...) }

// lists is a set of lists of phrases, a bit each; none is 0.
type lists uint32

// maxLists is how many bits lists has.
const maxLists = 32

// maxGap is how many words may stand where a phrase says `..`.
const maxGap = 3

// phrasebook holds the lists of phrases. Its zero value is empty.
type phrasebook struct {
	lists  [][]string     // as they are written; the place of one is its bit
	begins map[rune]*step // by the first letter of a phrase
}

// step is a place within phrases, in the order of their words.
type step struct {
	ends  lists  // whose phrases are complete here
	words []next // what may come
	gap   *step  // where it goes on after a gap
}

// next is a word that may come, and where it leads.
type next struct {
	word string
	stem bool // a longer word that begins so will do
	to   *step
}

// number is the word `#`.
const number = "#"

func (n *next) is(word string) bool {
	if n.stem {
		return strings.HasPrefix(word, n.word)
	}
	return n.word == word || n.word == number && isShortNumber(word)
}

func isShortNumber(w string) bool {
	digit := func(c byte) bool { return '0' <= c && c <= '9' }
	return len(w) == 1 && digit(w[0]) || len(w) == 2 && digit(w[0]) && digit(w[1])
}

// add compiles a list. The phrases are part of the program, so that one which cannot be read is a panic.
func (b *phrasebook) add(list ...string) lists {
	if len(b.lists) == maxLists {
		panic("phrases: too many lists")
	}
	bit := lists(1) << len(b.lists)
	b.lists = append(b.lists, list)
	for _, p := range list {
		for _, plain := range spell(p) {
			b.plant(bit, p, strings.Fields(plain))
		}
	}
	return bit
}

// plant adds one spelling of a phrase. A gap at its end asks for nothing and is left out.
func (b *phrasebook) plant(bit lists, phrase string, words []string) {
	for len(words) > 0 && words[len(words)-1] == ".." {
		words = words[:len(words)-1]
	}
	if len(words) == 0 || words[0] == ".." || words[0] == number {
		panic(fmt.Sprintf("phrase %q: it must begin with a word", phrase))
	}
	var at *step
	for _, w := range words {
		if w == ".." {
			if at.gap == nil {
				at.gap = &step{}
			}
			at = at.gap
			continue
		}
		n := wordOf(phrase, w)
		if at == nil {
			at = b.begin(n.word)
		}
		at = at.then(n)
	}
	at.ends |= bit
}

// begin is the branch of the phrases whose first word begins with the letter of this one.
func (b *phrasebook) begin(word string) *step {
	r, _ := utf8.DecodeRuneInString(word)
	if b.begins == nil {
		b.begins = map[rune]*step{}
	}
	if b.begins[r] == nil {
		b.begins[r] = &step{}
	}
	return b.begins[r]
}

// then is the step after the word n, made when there is none yet.
func (s *step) then(n next) *step {
	for _, have := range s.words {
		if have.word == n.word && have.stem == n.stem {
			return have.to
		}
	}
	n.to = &step{}
	s.words = append(s.words, n)
	return n.to
}

func wordOf(phrase, w string) next {
	if w == number {
		return next{word: number}
	}
	bare, stem := strings.CutSuffix(w, "~")
	folded := words(bare)
	if len(folded) != 1 || strings.ContainsAny(bare, "()|?~") {
		panic(fmt.Sprintf("phrase %q: %q is no word", phrase, w))
	}
	return next{word: folded[0], stem: stem}
}

// spell writes out the spellings of a phrase, one for each way through its brackets.
func spell(p string) (all []string) {
	open := strings.IndexByte(p, '(')
	if open < 0 {
		return []string{p}
	}
	inner, rest := bracket(p, open)
	for _, in := range inner {
		for _, middle := range spell(in) {
			for _, end := range spell(rest) {
				all = append(all, p[:open]+middle+end)
			}
		}
	}
	return all
}

// bracket reads what stands between the bracket that opens at open and its close, and what follows.
func bracket(p string, open int) (inner []string, rest string) {
	depth, from := 0, open+1
	for i := open; i < len(p); i++ {
		switch p[i] {
		case '(':
			depth++
		case '|':
			if depth == 1 {
				inner, from = append(inner, p[from:i]), i+1
			}
		case ')':
			if depth--; depth > 0 {
				continue
			}
			inner = append(inner, p[from:i])
			rest, optional := strings.CutPrefix(p[i+1:], "?")
			if optional {
				inner = append(inner, "")
			}
			return inner, rest
		}
	}
	panic(fmt.Sprintf("phrase %q: a bracket is not closed", p))
}

// text is a message as the rules see it: its folded words, and the lists of which it holds a phrase.
type text struct {
	words []string
	holds lists
}

// read goes through a message for the phrases of every list.
func (b *phrasebook) read(words []string) text {
	m := match{}
	for i := range words {
		b.match(words[i:], &m)
	}
	return text{words, m.lists}
}

// has says whether the text holds a phrase of any of l.
func (t text) has(l lists) bool { return t.holds&l != 0 }

// match is what was found at the beginning of some words: the lists with a phrase there, and how many words the longest
// phrase of one list takes.
type match struct {
	lists   lists
	of      lists
	longest int
}

func (b *phrasebook) match(words []string, m *match) {
	r, _ := utf8.DecodeRuneInString(words[0])
	if s := b.begins[r]; s != nil {
		s.match(words, 0, m)
	}
}

// match goes on from a step, after the first n words.
func (s *step) match(words []string, n int, m *match) {
	m.lists |= s.ends
	if s.ends&m.of != 0 {
		m.longest = max(m.longest, n)
	}
	if s.gap != nil {
		for skip := n; skip <= min(n+maxGap, len(words)); skip++ {
			s.gap.match(words, skip, m)
		}
	}
	if n == len(words) {
		return
	}
	for i := range s.words {
		if next := &s.words[i]; next.is(words[n]) {
			next.to.match(words, n+1, m)
		}
	}
}
