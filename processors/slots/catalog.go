package slots

import (
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
	for _, same := range []func(a, b catalogWord) bool{inflected, alike} {
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
func named(words, name []catalogWord, same func(a, b catalogWord) bool) bool {
	at := 0
	for i, n := range name {
		switch {
		case at < len(words) && same(words[at], n):
			at++
		case i > 0 && at+1 < len(words) && same(words[at+1], n):
			at += 2
		default:
			return false
		}
	}
	return true
}

// catalogWord is a word as it was written and its stem.
type catalogWord struct{ word, stem string }

// longestEnding is how many letters of a Russian word change with its case.
const longestEnding = 2

// inflected says whether two words are forms of one. The stemmer takes «замена» for a participle and «замену» for a
// noun, so that what they begin with counts as well.
func inflected(a, b catalogWord) bool {
	if a.stem == b.stem {
		return true
	}
	x, y := []rune(a.word), []rune(b.word)
	if x[0] < 'а' || len(x) < 5 || len(y) < 5 {
		return false
	}
	n := 0
	for n < len(x) && n < len(y) && x[n] == y[n] {
		n++
	}
	return n >= 4 && len(x)-n <= longestEnding && len(y)-n <= longestEnding
}

// alike forgives a letter in a word of five, two in one of nine, none in a number.
func alike(a, b catalogWord) bool {
	if inflected(a, b) {
		return true
	}
	size := min(utf8.RuneCountInString(a.stem), utf8.RuneCountInString(b.stem))
	allowed := 0
	switch {
	case size >= 9:
		allowed = 2
	case size >= 5:
		allowed = 1
	}
	if allowed == 0 || strings.ContainsAny(a.stem+b.stem, "0123456789") || len(a.stem) > 64 {
		return false
	}
	return levenshtein.ComputeDistance(a.stem, b.stem) <= allowed
}

// catalogWords are the words of a text; letters and digits that touch are words of their own: "iPhone15" is "iphone 15".
func catalogWords(text string) (words []catalogWord) {
	var word []rune
	flush := func() {
		if len(word) > 0 {
			words = append(words, catalogWord{string(word), stem(string(word))})
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
