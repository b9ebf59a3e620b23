package processors

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// maxText is how much of a message is judged: intents and hot words stand near its beginning, and a pasted novel must
// not hold up the queue.
const maxText = 8 << 10

// fold brings a text to one spelling: lower case, ё as е, apostrophes gone, each run of one letter a single letter
// ("Приветттт" and "привет" are equal, and so are "adress" and "address").
func fold(text string) string {
	if len(text) > maxText {
		cut := maxText
		for cut > 0 && !utf8.RuneStart(text[cut]) {
			cut--
		}
		text = text[:cut]
	}
	var b strings.Builder
	var last rune
	for _, r := range norm.NFKC.String(text) {
		switch r = unicode.ToLower(r); r {
		case 'ё':
			r = 'е'
		case '\'', '’', '‘', 'ʼ', '\u0301': // "can't" is one word, and a stress mark splits none
			continue
		}
		if r == last && unicode.IsLetter(r) {
			continue
		}
		last = r
		b.WriteRune(r)
	}
	return b.String()
}

// words splits a text into folded words of letters and digits.
func words(text string) []string {
	return strings.FieldsFunc(fold(text), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
}

// language tells Russian from English by the letters used; fallback when there are none of either.
func language(text, fallback string) string {
	var cyrillic, latin int
	for _, r := range text {
		switch {
		case unicode.Is(unicode.Cyrillic, r):
			cyrillic++
		case unicode.Is(unicode.Latin, r):
			latin++
		}
	}
	switch {
	case cyrillic == 0 && latin == 0:
		return fallback
	case 2*cyrillic >= latin: // a Russian sentence with a brand in it is Russian
		return "ru"
	}
	return "en"
}
