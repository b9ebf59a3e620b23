package slots

import (
	"math/bits"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/agnivade/levenshtein"
	"github.com/kljensen/snowball/english"
	"github.com/kljensen/snowball/russian"
)

// Item is a thing of the business with the names that customers have for it.
type Item struct {
	Name  string   `koanf:"name"`  // its own name
	Code  string   `koanf:"code"`  // what it is called elsewhere, "APL-IP15PM"; empty: Name
	Also  []string `koanf:"also"`  // other names
	Price int      `koanf:"price"` // what it costs; 0: not said
}

func (i *Item) code() string {
	if i.Code == "" {
		return i.Name
	}
	return i.Code
}

// Catalog finds items in a text, in any case and number, with a letter or two wrong. A nil Catalog finds nothing.
type Catalog struct {
	names []catalogName
}

type catalogName struct {
	item  *Item
	words []catalogWord
	size  int // letters
}

// Item is the one of a name, nil if there is none.
func (c *Catalog) Item(name string) *Item {
	if c == nil {
		return nil
	}
	for _, n := range c.names {
		if n.item.Name == name {
			return n.item
		}
	}
	return nil
}

// NewCatalog makes ready to look for items. Of two that fit one place the longer name wins.
func NewCatalog(items ...Item) *Catalog {
	c := &Catalog{}
	for _, item := range items {
		for _, n := range append([]string{item.Name}, item.Also...) {
			if words := catalogWords(n); len(words) > 0 {
				for i := range words {
					words[i].stem() // now: later several goroutines read it
				}
				c.names = append(c.names, catalogName{&item, words, utf8.RuneCountInString(n)})
			}
		}
	}
	slices.SortStableFunc(c.names, func(a, b catalogName) int {
		if d := len(b.words) - len(a.words); d != 0 {
			return d
		}
		return b.size - a.size
	})
	return c
}

// find is the item that the words name. A name without mistakes goes before one with.
func (c *Catalog) find(words []catalogWord) *Item {
	if c == nil {
		return nil
	}
	for _, same := range []func(a, b *catalogWord) bool{inflected, alike} {
		for _, n := range c.names {
			for i := range words {
				if named(words[i:], n.words, same) {
					return n.item
				}
			}
		}
	}
	return nil
}

// named says whether words begin with a name; one word may stand between two of its own: "замена моторного масла".
func named(words, name []catalogWord, same func(a, b *catalogWord) bool) bool {
	at := 0
	for i := range name {
		n := &name[i]
		switch {
		case at < len(words) && same(&words[at], n):
			at++
		case i > 0 && at+1 < len(words) && same(&words[at+1], n):
			at += 2
		default:
			return false
		}
	}
	return true
}

// catalogWord is a word as it was written. Its stem is worked out when it is asked for, which is seldom.
type catalogWord struct {
	word    string
	stemmed string
	size    int    // letters
	letters uint64 // which it has, a bit for each, of which a few share one
}

func newWord(runes []rune) catalogWord {
	w := catalogWord{word: string(runes), size: len(runes)}
	for _, c := range runes {
		w.letters |= 1 << (c % 64)
	}
	return w
}

func (w *catalogWord) stem() string {
	if w.stemmed == "" {
		w.stemmed = stem(w.word)
	}
	return w.stemmed
}

// longestEnding is how many letters of a Russian word change with its case.
const longestEnding = 2

// inflected says whether two words are forms of one. The stemmer takes «замена» for a participle and «замену» for a
// noun, so that what they begin with counts as well.
func inflected(a, b *catalogWord) bool {
	if a.word == b.word {
		return true
	}
	same := 0 // bytes in common
	for same < len(a.word) && same < len(b.word) && a.word[same] == b.word[same] {
		same++
	}
	if same < 2 { // not even the first letter
		return false
	}
	if a.stem() == b.stem() {
		return true
	}
	first, _ := utf8.DecodeRuneInString(a.word)
	if first < 'а' || a.size < 5 || b.size < 5 {
		return false
	}
	n := utf8.RuneCountInString(a.word[:same]) // half a letter at the end counts as none of either
	if same < len(a.word) && !utf8.RuneStart(a.word[same]) {
		n--
	}
	return n >= 4 && a.size-n <= longestEnding && b.size-n <= longestEnding
}

// alike forgives a letter in a word of five, two in one of nine, none in a number.
func alike(a, b *catalogWord) bool {
	if inflected(a, b) {
		return true
	}
	first, _ := utf8.DecodeRuneInString(a.word)
	if other, _ := utf8.DecodeRuneInString(b.word); other != first {
		return false // few mistype a word's first letter
	}
	allowed := mistakes(min(a.size, b.size))
	// A wrong letter makes two bits differ, and so does each of an ending, of which the stem is without.
	if allowed == 0 || bits.OnesCount64(a.letters^b.letters) > 2*allowed+longestWay || max(a.size, b.size) > 40 || max(a.size, b.size)-min(a.size, b.size) > allowed+longestWay {
		return false
	}
	allowed = mistakes(min(utf8.RuneCountInString(a.stem()), utf8.RuneCountInString(b.stem())))
	if allowed == 0 || strings.ContainsAny(a.word+b.word, "0123456789") {
		return false
	}
	return levenshtein.ComputeDistance(a.stem(), b.stem()) <= allowed
}

// longestWay is how many letters the endings of two forms have, at most, that differ.
const longestWay = 6

func mistakes(size int) int {
	switch {
	case size >= 9:
		return 2
	case size >= 5:
		return 1
	}
	return 0
}

// catalogWords are the words of a text; letters and digits that touch are words of their own: "iPhone15" is "iphone 15".
func catalogWords(text string) (words []catalogWord) {
	var word []rune
	flush := func() {
		if len(word) > 0 {
			words = append(words, newWord(word))
			word = word[:0]
		}
	}
	for _, c := range strings.ToLower(text) {
		if c == 'ё' {
			c = 'е'
		}
		isWord := unicode.IsLetter(c) || unicode.IsDigit(c)
		if !isWord || len(word) > 0 && unicode.IsDigit(c) != unicode.IsDigit(word[len(word)-1]) {
			flush()
		}
		if isWord {
			word = append(word, c)
		}
	}
	flush()
	return words
}

func stem(word string) string {
	switch c, _ := utf8.DecodeRuneInString(word); {
	case 'a' <= c && c <= 'z':
		return english.Stem(word, true)
	case 'а' <= c && c <= 'я':
		return russian.Stem(word, true)
	}
	return word
}
