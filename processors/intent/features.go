package intent

import (
	"math"
	"math/bits"
	"slices"
	"sync"
	"unicode/utf8"
)

// A text has features of three kinds, weighed apart: runs of 3 or 4 letters within a word, which forgive misspellings and
// endings; stems and pairs of stems, which carry the meaning; and concepts, which know a word that no example has. A
// vector has them in this order.
const (
	letterBlock = iota
	wordBlock
	conceptBlock
	blocks
)

const (
	shortestRun = 3
	longestRun  = 4
)

// vocabulary numbers the features that the examples have, and knows how telling each is.
type vocabulary struct {
	at      numbers // a feature's hash to its number
	idf     []float32
	scratch sync.Pool
}

// numbers is a map that is filled once and then read some thousand times a message: a table twice as long as it has
// entries, in which a hash that finds its place taken stands in the next free one.
type numbers struct {
	hashes []uint64 // 0: free
	number []int32
}

func newNumbers(n int) numbers {
	size := 1 << bits.Len(uint(2*n))
	return numbers{make([]uint64, size), make([]int32, size)}
}

// place is where a hash stands, or would.
func (t numbers) place(hash uint64) int {
	last := uint64(len(t.hashes) - 1)
	i := hash & last
	for t.hashes[i] != hash && t.hashes[i] != 0 {
		i = (i + 1) & last
	}
	return int(i)
}

func (t numbers) put(hash uint64, n int32) {
	if hash != 0 {
		i := t.place(hash)
		t.hashes[i], t.number[i] = hash, n
	}
}

func (t numbers) of(hash uint64) (n int32, ok bool) {
	i := t.place(hash)
	return t.number[i], hash != 0 && t.hashes[i] == hash
}

// scratch counts the features of one text.
type scratch struct {
	count []uint16 // by number; zero between uses
	vector
}

// Features are known by a hash: 64 bits make two of some ten thousand equal but once in a hundred billion models.
const (
	hashStart = 14695981039346656037
	hashPrime = 1099511628211
)

func hashString(h uint64, s string) uint64 {
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * hashPrime
	}
	return h
}

// walk calls visit for each feature of a block that the tokens have, as often as it occurs.
func walk(block int, tokens []token, visit func(hash uint64)) {
	switch block {
	case letterBlock:
		for i := range tokens {
			if t := &tokens[i]; !t.placeholder() {
				walkLetters(t.word, visit)
			}
		}
	case wordBlock:
		walkWords(tokens, visit)
	case conceptBlock:
		walkConcepts(tokens, visit)
	}
}

var firstWord, lastWord = hashString(hashStart, "^"), hashString(hashStart, "$")

func walkWords(tokens []token, visit func(hash uint64)) {
	before := firstWord
	for i := range tokens {
		h := hashString(hashStart, tokens[i].stem)
		visit(mix(h))
		visit(mix(before*hashPrime ^ h))
		before = h
	}
	if len(tokens) > 0 {
		visit(mix(before*hashPrime ^ lastWord))
	}
}

func mix(h uint64) uint64 {
	h ^= h >> 32
	h *= 0xd6e8feb86659fd93
	return h ^ h>>29
}

// walkLetters visits the runs of letters of a word, whose ends count as letters.
func walkLetters(word string, visit func(hash uint64)) {
	var buffer [48]rune
	runes := append(buffer[:0], ' ')
	for len(word) > 0 && len(runes) < 40 {
		c, size := utf8.DecodeRuneInString(word)
		runes, word = append(runes, c), word[size:]
	}
	runes = append(runes, ' ')
	for i := range runes {
		h := uint64(hashStart + 1) // the same letters as a word are another feature
		for n := 1; n <= longestRun && i+n <= len(runes); n++ {
			h = (h ^ uint64(runes[i+n-1])) * hashPrime
			if n >= shortestRun {
				visit(mix(h))
			}
		}
	}
}

// learnVocabulary takes the features that occur in two texts or more: one that occurs once is learnt by heart, no more.
func learnVocabulary(texts [][]token) *vocabulary {
	type seen struct {
		texts, last int
	}
	df := make(map[uint64]seen, 1<<15)
	for i, tokens := range texts {
		for block := range blocks {
			walk(block, tokens, func(hash uint64) {
				if s, ok := df[hash]; !ok || s.last != i {
					df[hash] = seen{s.texts + 1, i}
				}
			})
		}
	}
	v := &vocabulary{}
	var hashes []uint64
	for h, s := range df {
		if s.texts >= 2 {
			hashes = append(hashes, h)
		}
	}
	slices.Sort(hashes) // the same examples give the same model
	v.at = newNumbers(len(hashes))
	for n, h := range hashes {
		v.at.put(h, int32(n))
		v.idf = append(v.idf, float32(1+math.Log(float64(1+len(texts))/float64(1+df[h].texts))))
	}
	v.scratch.New = func() any { return &scratch{count: make([]uint16, len(v.idf))} }
	return v
}

// spell notes the letter runs of each token, unless that was done: the clauses of a message are judged after the whole.
func (v *vocabulary) spell(tokens []token) {
	if !slices.ContainsFunc(tokens, func(t token) bool { return t.met == 0 && !t.placeholder() }) {
		return
	}
	runs := make([]int32, 0, 12*len(tokens))
	for i := range tokens {
		t, from := &tokens[i], len(runs)
		if t.placeholder() {
			continue
		}
		t.met = 0
		walkLetters(t.word, func(hash uint64) {
			t.met++
			if n, ok := v.at.of(hash); ok {
				runs = append(runs, n)
			}
		})
		t.runs = runs[from:len(runs):len(runs)]
	}
}

// with calls use with the vector of the tokens, which is good only until use returns.
func (v *vocabulary) with(tokens []token, use func(vector)) {
	s := v.scratch.Get().(*scratch)
	s.at, s.value = s.at[:0], s.value[:0]
	for block := range blocks {
		from := len(s.at)
		if block == letterBlock {
			v.spell(tokens)
			s.known = s.spelt(tokens)
		} else {
			walk(block, tokens, func(hash uint64) {
				if n, ok := v.at.of(hash); ok {
					s.add(n)
				}
			})
		}
		v.weigh(s, from)
		s.end[block] = len(s.at)
	}
	use(s.vector)
	v.scratch.Put(s)
}

// spelt adds the letter runs of tokens, and says which share of them is known.
func (s *scratch) spelt(tokens []token) float32 {
	met, known := 0, 0
	for i := range tokens {
		met += tokens[i].met
		known += len(tokens[i].runs)
		for _, n := range tokens[i].runs {
			s.add(n)
		}
	}
	return float32(known+1) / float32(met+1)
}

func (s *scratch) add(n int32) {
	if s.count[n]++; s.count[n] == 1 {
		s.at = append(s.at, n)
	}
}

// weigh gives the features from a place on their values, of which the squares sum up to 1.
func (v *vocabulary) weigh(s *scratch, from int) {
	var square float32
	for _, n := range s.at[from:] {
		x := v.idf[n]
		if c := s.count[n]; c > 1 {
			x *= float32(1 + math.Log(float64(c)))
		}
		s.count[n] = 0
		s.value = append(s.value, x)
		square += x * x
	}
	length := float32(1 / math.Sqrt(max(1e-9, float64(square))))
	for i := range s.value[from:] {
		s.value[from+i] *= length
	}
}

// vectorOf is a vector to keep.
func (v *vocabulary) vectorOf(tokens []token) (kept vector) {
	v.with(tokens, func(x vector) { kept = vector{slices.Clone(x.at), slices.Clone(x.value), x.end, x.known} })
	return kept
}
