package intent

import (
	"math"
	"slices"
	"sync"
	"unicode/utf8"
)

// A text has features of three kinds, weighed apart: stems and pairs of stems, which carry the meaning; runs of 3 or 4
// letters within a word, which forgive misspellings and endings; and concepts, which know a word that no example has.
const (
	wordBlock = iota
	letterBlock
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
	block   []uint8
	scratch sync.Pool
}

// scratch counts the features of one text.
type scratch struct {
	count []uint16 // by number; zero between uses
	met   []int32
	value []float32
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

// walk calls visit for each feature of the tokens, as often as it occurs.
func walk(tokens []token, visit func(block uint8, hash uint64)) {
	before := hashString(hashStart, "^")
	for i, t := range tokens {
		h := hashString(hashStart, t.stem)
		visit(wordBlock, mix(h))
		visit(wordBlock, mix(before*hashPrime^h))
		if before = h; i == len(tokens)-1 {
			visit(wordBlock, mix(before*hashPrime^hashString(hashStart, "$")))
		}
		if t.placeholder() {
			continue
		}
		walkLetters(t.word, visit)
	}
	walkConcepts(tokens, visit)
}

func mix(h uint64) uint64 {
	h ^= h >> 32
	h *= 0xd6e8feb86659fd93
	return h ^ h>>29
}

// walkLetters visits the runs of letters of a word, whose ends count as letters.
func walkLetters(word string, visit func(block uint8, hash uint64)) {
	var buffer [48]rune
	runes := append(buffer[:0], ' ')
	for len(word) > 0 && len(runes) < 40 {
		c, size := utf8.DecodeRuneInString(word)
		runes, word = append(runes, c), word[size:]
	}
	runes = append(runes, ' ')
	for i := range runes {
		h := uint64(hashStart + letterBlock)
		for n := 1; n <= longestRun && i+n <= len(runes); n++ {
			h = (h ^ uint64(runes[i+n-1])) * hashPrime
			if n >= shortestRun {
				visit(letterBlock, mix(h))
			}
		}
	}
}

// learnVocabulary takes the features that occur in two texts or more: one that occurs once is learnt by heart, no more.
func learnVocabulary(texts [][]token) *vocabulary {
	type seen struct {
		texts, last int
		block       uint8
	}
	df := make(map[uint64]seen, 1<<15)
	for i, tokens := range texts {
		walk(tokens, func(block uint8, hash uint64) {
			if s, ok := df[hash]; !ok || s.last != i {
				df[hash] = seen{s.texts + 1, i, block}
			}
		})
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
		v.block = append(v.block, df[h].block)
	}
	v.scratch.New = func() any { return &scratch{count: make([]uint16, len(v.idf))} }
	return v
}

// with calls use with the vector of the tokens, which is good only until use returns.
func (v *vocabulary) with(tokens []token, use func(vector)) {
	s := v.scratch.Get().(*scratch)
	s.met, s.value = s.met[:0], s.value[:0]
	walk(tokens, func(_ uint8, hash uint64) {
		if n, ok := v.at[hash]; ok {
			if s.count[n]++; s.count[n] == 1 {
				s.met = append(s.met, n)
			}
		}
	})
	var square [blocks]float32
	for _, n := range s.met {
		x := v.idf[n]
		if c := s.count[n]; c > 1 {
			x *= float32(1 + math.Log(float64(c)))
		}
		s.value = append(s.value, x)
		square[v.block[n]] += x * x
		s.count[n] = 0
	}
	for b := range square {
		square[b] = float32(1 / math.Sqrt(max(1e-9, float64(square[b]))))
	}
	for i, n := range s.met {
		s.value[i] *= square[v.block[n]]
	}
	use(vector{s.met, s.value})
	v.scratch.Put(s)
}

// vectorOf is a vector to keep.
func (v *vocabulary) vectorOf(tokens []token) (kept vector) {
	v.with(tokens, func(x vector) { kept = vector{slices.Clone(x.at), slices.Clone(x.value)} })
	return kept
}
