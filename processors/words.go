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

// fold brings a text to one spelling: words of letters and digits with a space between, lower case, ё as е, apostrophes
// gone, each run of one letter a single letter ("Приветттт" and "привет" are equal, and so are "adress" and "address").
func fold(text string) string {
	if len(text) > maxText {
		cut := maxText
		for cut > 0 && !utf8.RuneStart(text[cut]) {
			cut--
		}
		text = text[:cut]
	}
	if !plain(text) {
		text = norm.NFKC.String(text)
	}
	folded := make([]byte, 0, len(text))
	var last rune // a letter, or ' ' for all that is neither letter nor digit
	for _, r := range text {
		switch r = lower(r); r {
		case 'ё':
			r = 'е'
		case '\'', '’', '‘', 'ʼ', '\u0301': // "can't" is one word, and a stress mark splits none
			continue
		}
		switch {
		case isLetter(r):
			if r == last {
				continue
			}
		case !isDigit(r):
			last = ' '
			continue
		}
		if last == ' ' && len(folded) > 0 {
			folded = append(folded, ' ')
		}
		last = r
		folded = utf8.AppendRune(folded, r)
	}
	return string(folded)
}

// plain says that a text holds only what most do, in which normalisation changes no word: ASCII, Cyrillic, dashes,
// quotation marks and pictures. Asking the library costs more than all the rest of folding.
func plain(text string) bool {
	for _, r := range text {
		switch {
		case r < utf8.RuneSelf, 'Ѐ' <= r && r <= 'ѿ', r == '«', r == '»', '‒' <= r && r <= '…' && r != '‗',
			'\U0001F300' <= r && r <= '\U0001F6FF':
		default:
			return false
		}
	}
	return true
}

// words are the folded words of a text.
func words(text string) []string {
	line := fold(text)
	if line == "" {
		return nil
	}
	return strings.Split(line, " ")
}

// language tells Russian from English by the letters used; fallback when there are none of either.
func language(fallback string, texts ...string) string {
	var cyrillic, latin int
	for _, text := range texts {
		for _, r := range text {
			switch {
			case r < utf8.RuneSelf && !isLetter(r):
			case isRussian(r) || unicode.Is(unicode.Cyrillic, r):
				cyrillic++
			case unicode.Is(unicode.Latin, r):
				latin++
			}
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

// The tables of package unicode are searched letter by letter; what nearly all letters are is asked first.

func isRussian(r rune) bool { return 'А' <= r && r <= 'я' }

func isLetter(r rune) bool {
	if r < utf8.RuneSelf {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
	}
	return isRussian(r) || unicode.IsLetter(r)
}

func isDigit(r rune) bool {
	return '0' <= r && r <= '9' || r >= utf8.RuneSelf && unicode.IsDigit(r)
}

func lower(r rune) rune {
	if isRussian(r) {
		if r < 'а' {
			r += 'а' - 'А'
		}
		return r
	}
	return unicode.ToLower(r)
}
