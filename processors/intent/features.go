package intent

import (
	"math"
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
	at      map[uint64]int32 // a feature's hash to its number
	idf     []float32
	scratch sync.Pool
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
	v := &vocabulary{at: make(map[uint64]int32, len(df)/2)}
	var hashes []uint64
	for h, s := range df {
		if s.texts >= 2 {
			hashes = append(hashes, h)
		}
	}
	slices.Sort(hashes) // the same examples give the same model
	for n, h := range hashes {
		v.at[h] = int32(n)
		v.idf = append(v.idf, float32(1+math.Log(float64(1+len(texts))/float64(1+df[h].texts))))
	}
	v.scratch.New = func() any { return &scratch{count: make([]uint16, len(v.idf))} }
	return v
}

// with calls use with the vector of the tokens, which is good only until use returns.
func (v *vocabulary) with(tokens []token, use func(vector)) {
	s := v.scratch.Get().(*scratch)
	s.at, s.value = s.at[:0], s.value[:0]
	for block := range blocks {
		from := len(s.at)
		met, known := 0, 0
		walk(block, tokens, func(hash uint64) {
			met++
			if n, ok := v.at[hash]; ok {
				known++
				if s.count[n]++; s.count[n] == 1 {
					s.at = append(s.at, n)
				}
			}
		})
		if block == letterBlock {
			s.known = float32(known+1) / float32(met+1)
		}
		v.weigh(s, from)
		s.end[block] = len(s.at)
	}
	use(s.vector)
	v.scratch.Put(s)
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
