package intent

import "strings"

// marked are the words that become placeholders.
var marked = marks(map[string]string{
	dayMark: `сегодня завтра послезавтра сегодняшний завтрашний понедельник понедельника понедельнику понедельникам вторник вторника
		вторнику вторникам среда среду среды среде средам четверг четверга четвергу четвергам пятница пятницу пятницы пятнице
		пятницам суббота субботу субботы субботе субботам воскресенье воскресенья воскресенью воскресеньям воскресение пн вт ср
		чт пт сб вс выходные выходных выходным сёдня седня севодня завтро
		today tomorrow tmrw tmr tomorow monday tuesday wednesday thursday friday saturday sunday mondays tuesdays wednesdays
		thursdays fridays saturdays sundays mon tue tues wed thu thur thurs fri weekend weekends tonight 2moro`,
	partMark: `утром утра утречком вечером вечера вечерком днём ночью ночи обеда обедом полдень morning afternoon evening noon night am pm`,
	numberMark: `два две двух двум три трёх трём четыре четырёх четырём пять пяти шесть шести семь семи восемь восьми девять девяти
		десять десяти одиннадцать одиннадцати двенадцать двенадцати двадцать двадцати тридцать сорок пятьдесят сто
		полтора двое трое двоих троих
		two three four five six seven eight nine ten eleven twelve twenty thirty`,
})

func marks(by map[string]string) map[string]string {
	all := map[string]string{}
	for mark, words := range by {
		for w := range strings.FieldsSeq(fold(words)) {
			all[w] = mark
		}
	}
	return all
}

var months = marks(map[string]string{dateMark: `января февраля марта апреля мая июня июля августа сентября октября ноября декабря
	january february march april may june july august september october november december jan feb mar apr jun jul aug sep sept
	oct nov dec янв фев мар апр авг сент окт ноя дек числа`})

// number reads what begins with a digit or +: a phone, a date, a time, or a number with what is written together with
// it (2000р, 16th).
func number(text string) (mark string, n int) {
	digits, end := 0, 0
	for i := 0; i < len(text) && i < 24; i++ {
		c := text[i]
		if isDigit(rune(c)) {
			digits, end = digits+1, i+1
		} else if strings.IndexByte("+-() ", c) < 0 || c == '+' && i > 0 {
			break
		}
	}
	if digits >= 10 && digits <= 15 {
		return phoneMark, end
	}
	n = 1
	for n < len(text) && (isDigit(rune(text[n])) || strings.IndexByte(".:/-", text[n]) >= 0 && n+1 < len(text) && isDigit(rune(text[n+1]))) {
		n++
	}
	mark = shape(text[:n])
	for _, suffix := range []string{"am", "pm", "a.m", "p.m"} {
		if strings.HasPrefix(text[n:], suffix) && wordLength(text[n:]) == len(suffix) {
			return timeMark, n + len(suffix)
		}
	}
	return mark, n
}

// shape tells a time from a date from a mere number.
func shape(s string) string {
	sep := strings.IndexAny(s, ".:/-")
	if sep < 0 {
		return numberMark
	}
	first, rest := s[:sep], s[sep+1:]
	second := rest
	if i := strings.IndexAny(rest, ".:/-"); i >= 0 {
		second = rest[:i]
	}
	a, b := small(first), small(second)
	switch {
	case s[sep] == ':' && a < 24 && b < 60:
		return timeMark
	case len(rest) > len(second): // two separators
		return dateMark
	case s[sep] == '.' && len(second) == 2 && a < 24 && b < 60 && (b > 12 || b == 0):
		return timeMark
	case a <= 31 && b <= 12 && a > 0 && b > 0 && len(second) == 2:
		return dateMark
	}
	return numberMark
}

// small is the value of a short number; longer ones are too large to be a day or an hour.
func small(s string) int {
	if len(s) > 2 {
		return 1000
	}
	n := 0
	for _, c := range s {
		n = n*10 + int(c-'0')
	}
	return n
}

// mergeDates makes one date of "25 декабря" and "June 5", and one time of "5 вечера" and "5 pm".
func mergeDates(tokens []token) []token {
	out := tokens[:0]
	for i, t := range tokens {
		last := len(out) - 1
		switch {
		case i > 0 && last >= 0 && t.gap == space && out[last].stem == numberMark && months[t.word] != "":
			out[last].word, out[last].stem = dateMark, dateMark
		case last >= 0 && t.gap == space && t.stem == numberMark && len(out[last].word) > 2 && months[out[last].word] != "":
			out[last].word, out[last].stem = dateMark, dateMark
		case last >= 0 && t.gap == space && t.stem == partMark && (out[last].stem == numberMark || out[last].stem == timeMark):
			out[last].word, out[last].stem = timeMark, timeMark
		default:
			out = append(out, t)
		}
	}
	return out
}

// Politeness says nothing of what is wanted, and stands in messages of every kind.
var (
	greetings = byFirst([][]string{
		{"здравствуйте"}, {"здраствуйте"}, {"здрасте"}, {"здрасьте"}, {"здравствуй"}, {"привет"}, {"приветик"}, {"приветствую"},
		{"добрый", "день"}, {"добрый", "вечер"}, {"доброе", "утро"}, {"доброго", "дня"}, {"доброго", "вечера"}, {"доброго", "утра"},
		{"доброго", "времени", "суток"}, {"добрый"}, {"доброй", "ночи"}, {"день", "добрый"}, {"вечер", "добрый"}, {"салют"}, {"хай"}, {"ку"},
		{"с", "добрым", "утром"}, {"добрыи", "день"}, {"здрастуйте"}, {"здраствуите"}, {"здравствуите"}, {"здаров"}, {"здарова"}, {"алло"}, {"ало"}, {"алё"},
		{"hello"}, {"hi"}, {"hey"}, {"hiya"}, {"hello", "there"}, {"hi", "there"}, {"hey", "there"}, {"good", "morning"},
		{"good", "afternoon"}, {"good", "evening"}, {"good", "day"}, {"greetings"}, {"morning"}, {"hi", "all"}, {"hi", "guys"}, {"hey", "guys"},
	})
	courtesies = byFirst([][]string{
		{"пожалуйста"}, {"пожалуста"}, {"пожалста"}, {"плиз"}, {"пж"}, {"пжл"}, {"плз"}, {"будьте", "добры"}, {"будьте", "любезны"},
		{"please"}, {"pls"}, {"plz"}, {"plez"}, {"kindly"},
	})
	thanks = byFirst([][]string{
		{"спасибо"}, {"заранее", "спасибо"}, {"спасибо", "заранее"}, {"спасибо", "большое"}, {"большое", "спасибо"}, {"благодарю"}, {"спс"}, {"пасиб"},
		{"thanks"}, {"thank", "you"}, {"thx"}, {"thanks", "in", "advance"}, {"many", "thanks"}, {"cheers"}, {"ty"},
	})
)

// politeOut leaves greetings and courtesies out, and thanks at the end of something longer.
func politeOut(tokens []token) message {
	m := message{tokens: tokens[:0]}
	before := space // what stood before a word that was left out parts its neighbours still
	for i := 0; i < len(tokens); {
		n := longestOf(greetings, tokens[i:])
		m.greeted = m.greeted || n > 0
		if n == 0 {
			n = longestOf(courtesies, tokens[i:])
		}
		if n > 0 {
			before = max(before, tokens[i].gap)
			i += n
			continue
		}
		t := tokens[i]
		t.gap, before = max(t.gap, before), space
		m.tokens = append(m.tokens, t)
		i++
	}
	for n := 1; n <= 3 && len(m.tokens) > n; n++ {
		at := len(m.tokens) - n
		if longestOf(thanks, m.tokens[at:]) == n {
			m.tokens = m.tokens[:at]
			break
		}
	}
	return m
}

// byFirst are phrases by their first words.
func byFirst(phrases [][]string) map[string][][]string {
	all := map[string][][]string{}
	for _, p := range phrases {
		all[p[0]] = append(all[p[0]], p)
	}
	return all
}

// longestOf is how many words the longest of phrases takes that the tokens begin with.
func longestOf(phrases map[string][][]string, tokens []token) int {
	longest := 0
	for _, p := range phrases[tokens[0].word] {
		if len(p) <= longest || len(p) > len(tokens) {
			continue
		}
		same := true
		for i, w := range p {
			if tokens[i].word != w {
				same = false
				break
			}
		}
		if same {
			longest = len(p)
		}
	}
	return longest
}
