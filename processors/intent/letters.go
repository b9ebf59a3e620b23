package intent

import (
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// letters repairs messages typed in the wrong alphabet: on the wrong keyboard layout ("ghbdtn" for "привет"), in Russian
// with Latin letters ("privet"), or with Latin letters among Russian ones that look the same. It knows how Russian and
// English words of the examples are made, by their runs of three letters, and takes the reading that looks most like
// words; what is as good as it stands is left alone.
type letters struct {
	russian, english trigrams
}

// trigrams counts runs of letters, the ends of words included.
type trigrams struct {
	three map[[3]rune]int
	two   map[[2]rune]int
	words map[string]bool
}

func newLetters() *letters {
	fresh := func() trigrams {
		return trigrams{map[[3]rune]int{}, map[[2]rune]int{}, map[string]bool{}}
	}
	return &letters{russian: fresh(), english: fresh()}
}

// learn takes in the words of an example, the Latin ones only if it is an English one.
func (l *letters) learn(text string, isEnglish bool) {
	for _, w := range strings.FieldsFunc(fold(text), func(c rune) bool { return !unicode.IsLetter(c) && c != '\'' }) {
		switch {
		case strings.IndexFunc(w, isCyrillic) >= 0:
			l.russian.learn(w)
		case isEnglish:
			l.english.learn(strings.ReplaceAll(w, "'", ""))
		}
	}
}

func (t *trigrams) learn(word string) {
	t.words[word] = true
	a, b := ' ', ' '
	for _, c := range word + " " {
		t.three[[3]rune{a, b, c}]++
		t.two[[2]rune{a, b}]++
		a, b = b, c
	}
}

// alphabet is roughly how many letters there are to choose from.
const alphabet = 30

// of is how likely a word is, as the logarithm, and over how many letters.
func (t *trigrams) of(word string) (log float64, n int) {
	a, b := ' ', ' '
	for _, c := range word + " " {
		log += math.Log((float64(t.three[[3]rune{a, b, c}]) + 0.1) / (float64(t.two[[2]rune{a, b}]) + 0.1*alphabet))
		a, b = b, c
		n++
	}
	if t.words[word] {
		log += float64(n) // a whole word that is known is worth more than its letters
	}
	return log, n
}

// mean is how likely the words of a text are, by letter.
func (t *trigrams) mean(words []string) float64 {
	log, n := 0.0, 0
	for _, w := range words {
		l, k := t.of(w)
		log, n = log+l, n+k
	}
	if n == 0 {
		return math.Inf(-1)
	}
	return log / float64(n)
}

// clear is by how much a reading must look better than the text as it stands.
const clear = 0.5

// repair gives the text in the alphabet that was meant.
func (l *letters) repair(text string) string {
	var cyrillic, latin int
	for _, c := range text {
		switch {
		case isCyrillic(c):
			cyrillic++
		case isLatin(c):
			latin++
		}
	}
	switch {
	case latin == 0 && cyrillic > 0:
		return l.fromRussianKeys(text)
	case cyrillic == 0 && latin > 0:
		return l.fromLatin(text)
	case latin > 0:
		return l.mixed(text)
	}
	return text
}

func isCyrillic(c rune) bool { return 'Ѐ' <= c && c <= 'ӿ' }
func isLatin(c rune) bool    { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }

// fromLatin judges a text without a Cyrillic letter.
func (l *letters) fromLatin(text string) string {
	lower := strings.ToLower(text)
	words := latinWords(lower)
	if !slices.ContainsFunc(words, func(w string) bool { return !l.english.words[w] }) {
		return text // nearly every English message ends here
	}
	best, score := text, l.english.mean(words)+clear
	for _, other := range []string{translate(lower, latinKeys), transliterate(lower)} {
		if s := l.russian.mean(cyrillicWords(other)); s > score {
			best, score = other, s
		}
	}
	return best
}

// fromRussianKeys judges a text without a Latin letter: English may have been typed on a Russian layout.
func (l *letters) fromRussianKeys(text string) string {
	words := cyrillicWords(strings.ToLower(text))
	for _, w := range words {
		if l.russian.words[w] {
			return text // nearly every Russian message ends here
		}
	}
	other := translate(strings.ToLower(text), russianKeys)
	if l.english.mean(latinWords(other)) > l.russian.mean(words)+2*clear {
		return other
	}
	return text
}

// mixed judges word by word: most Latin words among Russian ones are names.
func (l *letters) mixed(text string) string {
	chunks := strings.SplitAfter(text, " ")
	for i, chunk := range chunks {
		lower := strings.ToLower(strings.TrimSpace(chunk))
		if strings.IndexFunc(lower, isLatin) < 0 || strings.ContainsAny(lower, "@/") {
			continue
		}
		if strings.IndexFunc(lower, isCyrillic) >= 0 {
			if !strings.Contains(lower, "-") {
				chunks[i] = translate(strings.ToLower(chunk), lookAlikes)
			}
			continue
		}
		if l.english.words[strings.Trim(lower, ".,!?")] {
			continue
		}
		for _, other := range []string{translate(lower, latinKeys), transliterate(strings.Trim(lower, ".,!?"))} {
			if l.russian.words[strings.Trim(other, ".,!? ")] {
				chunks[i] = other + " "
				break
			}
		}
	}
	return strings.Join(chunks, "")
}

func latinWords(s string) []string {
	return strings.FieldsFunc(strings.ReplaceAll(s, "'", ""), func(c rune) bool { return !isLatin(c) })
}

func cyrillicWords(s string) []string {
	return strings.FieldsFunc(strings.ReplaceAll(s, "ё", "е"), func(c rune) bool { return !isCyrillic(c) })
}

// The keys of the two layouts, each under the other.
const (
	keysLatin   = "qwertyuiop[]asdfghjkl;'zxcvbnm,.`"
	keysRussian = "йцукенгшщзхъфывапролджэячсмитьбюё"
)

var (
	latinKeys   = pairs(keysLatin, keysRussian)
	russianKeys = pairs(keysRussian, keysLatin)
	lookAlikes  = pairs("aceopxykmtbhu", "асеорхукмтвни")
)

func pairs(from, to string) map[rune]rune {
	m, target := map[rune]rune{}, []rune(to)
	for i, c := range []rune(from) {
		m[c] = target[i]
	}
	return m
}

// translate puts one letter for another. A comma or full stop at the end of a word is one, whatever its key.
func translate(text string, by map[rune]rune) string {
	var b strings.Builder
	for i, c := range text {
		to, ok := by[c]
		if !ok || unicode.IsPunct(c) && endsWord(text[i+utf8.RuneLen(c):]) {
			to = c
		}
		b.WriteRune(to)
	}
	return b.String()
}

func endsWord(rest string) bool {
	c, _ := utf8.DecodeRuneInString(rest)
	return rest == "" || unicode.IsSpace(c)
}

// syllables of transliteration; longer ones stand first where one begins the other.
var syllables = strings.NewReplacer(
	"shch", "щ", "sch", "щ", "zh", "ж", "ch", "ч", "sh", "ш", "yo", "е", "jo", "е", "yu", "ю", "ju", "ю", "ya", "я", "ja", "я",
	"kh", "х", "ts", "ц", "tz", "ц", "ye", "е", "yi", "ый", "iy", "ий", "yy", "ый", "oy", "ой", "ey", "ей", "ay", "ай", "uy", "уй",
	"oj", "ой", "ej", "ей", "ij", "ий", "aj", "ай", "ck", "к", "ph", "ф",
	"a", "а", "b", "б", "c", "ц", "d", "д", "e", "е", "f", "ф", "g", "г", "h", "х", "i", "и", "j", "ж", "k", "к", "l", "л", "m", "м",
	"n", "н", "o", "о", "p", "п", "q", "я", "r", "р", "s", "с", "t", "т", "u", "у", "v", "в", "w", "в", "x", "х", "y", "ы", "z", "з",
	"'", "ь",
)

func transliterate(text string) string { return syllables.Replace(text) }
