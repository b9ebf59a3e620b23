package slots

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// tok is a word, a number or a mark of a message.
type tok struct {
	text string // lower case, ё as е
	n    int    // its number, also of a number in words; -1: none
	word bool   // a number in words
}

// tokenEnd is where the token ends that begins at i, and whether one does: a date or an hour in digits, a number, a word,
// a dash or a stop.
func tokenEnd(s string, i int) (end int, ok bool) {
	c, size := utf8.DecodeRuneInString(s[i:])
	switch {
	case isDigit(c):
		return numberEnd(s, i), true
	case isLetter(c):
		end = lettersEnd(s, i)
		if rest := s[end:]; strings.HasPrefix(rest, "'") {
			if more := lettersEnd(s, end+1); more > end+1 {
				end = more
			}
		}
		return end, true
	}
	return i + size, strings.ContainsRune("-–—.,;!?()", c)
}

// numberEnd is where a number ends, with what makes it a date (2026-12-25, 25.12.26, 25/12) or an hour (15:30, 15.30).
func numberEnd(s string, i int) int {
	first := digitsEnd(s, i)
	if first-i == 4 && byteAt(s, first) == '-' {
		if end := first + 6; digitsEnd(s, first+1) == first+3 && byteAt(s, first+3) == '-' && digitsEnd(s, first+4) >= end {
			return end
		}
	}
	sep := byteAt(s, first)
	if first-i > 2 || sep != '.' && sep != '/' && sep != ':' {
		return first
	}
	if end := digitsEnd(s, first+1); sep != ':' && end > first+3 {
		return end // 15.000 km
	}
	second := min(digitsEnd(s, first+1), first+3)
	n := second - first - 1
	switch {
	case n == 0 || sep == ':' && n != 2:
		return first
	case sep != ':' && (byteAt(s, second) == '.' || byteAt(s, second) == '/'):
		switch year := digitsEnd(s, second+1) - second - 1; {
		case year >= 4:
			return second + 5
		case year >= 2:
			return second + 3
		}
	}
	return second
}

func byteAt(s string, i int) byte {
	if i < len(s) {
		return s[i]
	}
	return 0
}

func digitsEnd(s string, i int) int {
	for i < len(s) && isDigit(rune(s[i])) {
		i++
	}
	return i
}

func lettersEnd(s string, i int) int {
	for i < len(s) {
		c, size := utf8.DecodeRuneInString(s[i:])
		if !isLetter(c) {
			break
		}
		i += size
	}
	return i
}

func isDigit(c rune) bool { return '0' <= c && c <= '9' }

func isLetter(c rune) bool {
	return 'a' <= c && c <= 'z' || 'а' <= c && c <= 'я' || c >= utf8.RuneSelf && unicode.IsLetter(c) || 'A' <= c && c <= 'Z'
}

var oneSpelling = strings.NewReplacer("ё", "е", "’", "'")

func scan(text string) []tok {
	text = oneSpelling.Replace(strings.ToLower(text))
	all := make([]tok, 0, 24)
	for i := 0; i < len(text); {
		end, ok := tokenEnd(text, i)
		s := text[i:end]
		i = end
		if !ok {
			continue
		}
		t := tok{text: s, n: -1}
		if isDigit(rune(s[0])) {
			if n, err := strconv.Atoi(s); err == nil {
				t.n = n
			}
		} else if n, ok := numbers[s]; ok {
			t.n, t.word = n, true
		}
		// "двадцать пятого" is one number.
		if last := len(all) - 1; t.word && last >= 0 && all[last].word && all[last].n%10 == 0 && all[last].n >= 20 && t.n > 0 && t.n < 10 {
			all[last].n += t.n
			continue
		}
		all = append(all, t)
	}
	return all
}

// look is the token i places ahead; an empty one behind the end.
func (p *parser) look(i int) tok {
	if at := p.at + i; at >= 0 && at < len(p.tokens) {
		return p.tokens[at]
	}
	return tok{n: -1}
}

// is says whether the token i places ahead is one of words.
func (p *parser) is(i int, words map[string]bool) bool { return words[p.look(i).text] }

func set(words string) map[string]bool {
	all := map[string]bool{}
	for w := range strings.FieldsSeq(words) {
		all[w] = true
	}
	return all
}

// table gives words the numbers of their lines, from first on.
func table(first int, lines ...string) map[string]int {
	all := map[string]int{}
	for i, line := range lines {
		for w := range strings.FieldsSeq(line) {
			all[w] = first + i
		}
	}
	return all
}

var numbers = func() map[string]int {
	all := table(1, "один одного одному час_ first one", "два две двух двум второго второе two second", "три трех трем третьего третье three third",
		"четыре четырех четырем четвертого четвертое four fourth", "пять пяти пятого пятое five fifth", "шесть шести шестого шестое six sixth",
		"семь семи седьмого седьмое seven seventh", "восемь восьми восьмого восьмое eight eighth", "девять девяти девятого девятое nine ninth",
		"десять десяти десятого десятое ten tenth", "одиннадцать одиннадцати одиннадцатого одиннадцатое eleven eleventh", "двенадцать двенадцати двенадцатого двенадцатое twelve twelfth",
		"тринадцать тринадцати тринадцатого тринадцатое thirteenth", "четырнадцать четырнадцати четырнадцатого четырнадцатое fourteenth",
		"пятнадцать пятнадцати пятнадцатого пятнадцатое fifteen fifteenth", "шестнадцать шестнадцати шестнадцатого шестнадцатое sixteenth", "семнадцать семнадцати семнадцатого семнадцатое seventeenth",
		"восемнадцать восемнадцати восемнадцатого восемнадцатое eighteenth", "девятнадцать девятнадцати девятнадцатого девятнадцатое nineteenth", "двадцать двадцати двадцатого двадцатое twenty twentieth")
	for w, n := range map[string]int{"первого": 1, "первое": 1, "пара": 2, "пару": 2, "couple": 2, "тридцать": 30, "тридцатого": 30, "тридцатое": 30, "thirty": 30, "thirtieth": 30, "сорок": 40, "пятьдесят": 50} {
		all[w] = n
	}
	delete(all, "час_")
	delete(all, "second") // a second is rather a moment
	return all
}()

var months = table(1, "января январь январе янв january jan", "февраля февраль феврале фев february feb", "марта март марте мар march mar", "апреля апрель апреле апр april apr",
	"мая май мае may", "июня июнь июне июн june jun", "июля июль июле июл july jul", "августа август августе авг august aug", "сентября сентябрь сентябре сен сент september sep sept",
	"октября октябрь октябре окт october oct", "ноября ноябрь ноябре ноя november nov", "декабря декабрь декабре дек december dec")

// weekdays count from Monday, 0.
var weekdays = table(0, "понедельник понедельника понедельнику пн пнд понед monday mon", "вторник вторника вторнику вт втр tuesday tue tues", "среда среду среды среде ср wednesday wed",
	"четверг четверга четвергу чт чтв четв thursday thu thur thurs", "пятница пятницу пятницы пятнице пт птн пятн friday fri", "суббота субботу субботы субботе сб суб субб saturday sat",
	"воскресенье воскресенья воскресенью воскресение вс вск воскр sunday sun")

// dayWords are days from today.
var dayWords = map[string]int{
	"сегодня": 0, "сегодняшний": 0, "сегодняшнего": 0, "седня": 0, "сёдня": 0, "севодня": 0, "завтра": 1, "завтрашний": 1, "завтро": 1, "завтрашнего": 1, "послезавтра": 2,
	"today": 0, "tomorrow": 1, "tmrw": 1, "tmr": 1, "tomorow": 1, "tommorow": 1, "tommorrow": 1,
}
