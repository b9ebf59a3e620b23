package intent

import (
	"strings"
	"sync/atomic"
	"unicode"
	"unicode/utf8"

	"github.com/kljensen/snowball/english"
	"github.com/kljensen/snowball/russian"
	"golang.org/x/text/unicode/norm"
)

// maxText is how much of a message is read: what it wants stands near the beginning.
const maxText = 2 << 10

// token is a word as the model sees it.
type token struct {
	word string // folded: lower case, ё as е, runs of a letter shortened
	stem string // or the placeholder: <num>, <day>, <service> …
	gap  gap    // what stands before it

	concepts []uint64
	runs     []int32 // of letters, those that the vocabulary has; see spell
	met      int     // and how many there are
}

func (t token) placeholder() bool { return t.stem[0] == '<' }

// gap is what parts a word from the one before it.
type gap byte

const (
	space gap = iota
	comma     // or a dash
	stop      // the end of a sentence
)

// message is a text taken apart. Greetings and words of mere politeness are left out of its tokens.
type message struct {
	tokens  []token
	greeted bool
	digits  string // all that a message of a mere number holds
	sign    byte   // a message that is nothing but + or -
}

// Placeholders stand for what differs from customer to customer and says nothing of the intent.
const (
	numberMark  = "<num>"
	timeMark    = "<time>"
	dateMark    = "<date>"
	dayMark     = "<day>"
	partMark    = "<part>" // of a day
	phoneMark   = "<phone>"
	mailMark    = "<mail>"
	linkMark    = "<link>"
	serviceMark = "<service>"
)

// textReader takes messages apart. It is built before the model, then only read.
type textReader struct {
	letters  *letters
	services map[string][][]string             // by first stem: the rest of the stems, longest first
	stems    map[string]string                 // of words that were met in examples
	lately   *[1 << 12]atomic.Pointer[stemmed] // and of others that customers write, each at the place of its hash
	concepts *concepts
}

// read takes a message apart.
func (r *textReader) read(text string) message {
	text = cut(text)
	text = r.letters.repair(text)
	tokens := r.scan(fold(text))
	tokens = r.markServices(mergeDates(tokens))
	m := politeOut(tokens)
	switch bare := strings.TrimSpace(text); {
	case bare == "+" || bare == "-":
		m.sign = bare[0]
	case len(bare) <= 2 && bare != "" && isDigit(rune(bare[0])):
		m.digits = strings.TrimRight(bare, ".)")
	}
	return m
}

func cut(text string) string {
	if len(text) <= maxText {
		return text
	}
	end := maxText
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end]
}

// fold brings letters to one spelling; what is no letter stays.
func fold(text string) string {
	for _, r := range text {
		if r < utf8.RuneSelf || 'А' <= r && r <= 'я' {
			continue
		}
		if (r < 'Ѐ' || r > 'ӿ') && unicode.IsLetter(r) || unicode.Is(unicode.Mn, r) {
			text = norm.NFKC.String(text)
			break
		}
	}
	return strings.Map(func(r rune) rune {
		switch { // nearly all
		case 'а' <= r && r <= 'я', 'a' <= r && r <= 'z', r == ' ':
			return r
		case 'А' <= r && r <= 'Я':
			return r + 'а' - 'А'
		}
		if '\u0300' <= r && r <= '\u036f' {
			return -1 // a mark over a letter, which composing did not take in
		}
		switch r = unicode.ToLower(r); r {
		case 'ё':
			return 'е'
		case '’', '‘', 'ʼ', '`', '´':
			return '\''
		case '\u00ad', '\u200b', '\u200d', '\ufe0f': // what is not seen
			return -1
		}
		return r
	}, text)
}

// scan cuts a folded text into tokens.
func (r *textReader) scan(text string) []token {
	tokens := make([]token, 0, 16)
	before := space
	add := func(word, stem string) {
		tokens = append(tokens, token{word: word, stem: stem, gap: before, concepts: r.concepts.of(word)})
		before = space
	}
	for at := 0; at < len(text); {
		c, size := utf8.DecodeRuneInString(text[at:])
		switch {
		case isLetter(c):
			if mark, n := address(text[at:]); n > 0 {
				add(mark, mark)
				at += n
				continue
			}
			n := wordLength(text[at:])
			r.addWord(text[at:at+n], add)
			at += n
		case isDigit(c) || c == '+' && at+1 < len(text) && isDigit(rune(text[at+1])):
			mark, n := number(text[at:])
			add(mark, mark)
			at += n
		default:
			before = max(before, gapOf(c))
			at += size
		}
	}
	return tokens
}

func (r *textReader) addWord(raw string, add func(word, stem string)) {
	word := squeeze(strings.ReplaceAll(raw, "'", ""))
	if mark, ok := marked[word]; ok {
		add(word, mark)
		return
	}
	if word != "" {
		add(word, r.stem(word))
	}
}

func gapOf(c rune) gap {
	switch c {
	case '.', '!', '?', ';', '\n', '…':
		return stop
	case ',', '-', '–', '—', ':', '(', ')', '/':
		return comma
	}
	if c > 0x2190 { // pictures end a thought
		return comma
	}
	return space
}

func isLetter(c rune) bool {
	return 'a' <= c && c <= 'z' || 'а' <= c && c <= 'я' || c >= utf8.RuneSelf && unicode.IsLetter(c)
}

func isDigit(c rune) bool { return '0' <= c && c <= '9' }

func wordLength(text string) int {
	for i, c := range text {
		if !isLetter(c) && c != '\'' {
			return i
		}
	}
	return len(text)
}

// address finds an e-mail address or a link at the beginning of text.
func address(text string) (mark string, n int) {
	if n = strings.IndexFunc(text, unicode.IsSpace); n < 0 {
		n = len(text)
	}
	chunk := text[:n]
	switch {
	case strings.HasPrefix(chunk, "http://"), strings.HasPrefix(chunk, "https://"), strings.HasPrefix(chunk, "www."), strings.HasPrefix(chunk, "t.me/"):
		return linkMark, n
	case strings.Contains(chunk, "@") && strings.Contains(chunk[strings.Index(chunk, "@"):], "."):
		return mailMark, n
	}
	return "", 0
}

// squeeze shortens runs of a letter: three or more are an outcry, two Russian ones often a misspelling.
func squeeze(word string) string {
	var last rune
	run, clean := 0, true
	for _, c := range word {
		if run++; c != last {
			run = 1
		}
		if last = c; run > 2 || run == 2 && c > utf8.RuneSelf {
			clean = false
		}
	}
	if clean {
		return word
	}
	var out []rune
	for i, c := range []rune(word) {
		if n := len(out); i > 0 && n > 0 && out[n-1] == c && (c > utf8.RuneSelf || strings.Contains(word, string([]rune{c, c, c}))) {
			continue
		}
		out = append(out, c)
	}
	return string(out)
}

func (r *textReader) stem(word string) string {
	if s, ok := r.stems[word]; ok {
		return s
	}
	at := &r.lately[mix(hashString(hashStart, word))%uint64(len(r.lately))]
	if s := at.Load(); s != nil && s.word == word {
		return s.stem
	}
	s := &stemmed{strings.Clone(word), stemOf(word)}
	at.Store(s)
	return s.stem
}

type stemmed struct{ word, stem string }

func stemOf(word string) string {
	stem := word
	switch c, _ := utf8.DecodeRuneInString(word); {
	case 'a' <= c && c <= 'z':
		stem = english.Stem(word, true)
	case 'а' <= c && c <= 'я':
		stem = russian.Stem(word, true)
	}
	if stem == "" {
		return word
	}
	return stem
}

// markServices puts one mark where the business's services are named, the longest name first.
func (r *textReader) markServices(tokens []token) []token {
	out := tokens[:0]
	for i := 0; i < len(tokens); {
		n := 1
		for _, rest := range r.services[tokens[i].stem] {
			if begins(tokens[i+1:], rest) {
				n += len(rest)
				break
			}
			n = 1
		}
		if names, is := r.services[tokens[i].stem]; is && (n > 1 || len(names[len(names)-1]) == 0) {
			out = append(out, token{word: serviceMark, stem: serviceMark, gap: tokens[i].gap})
		} else {
			out = append(out, tokens[i])
		}
		i += n
	}
	return out
}

func begins(tokens []token, stems []string) bool {
	if len(tokens) < len(stems) {
		return false
	}
	for i, s := range stems {
		if tokens[i].stem != s {
			return false
		}
	}
	return true
}
