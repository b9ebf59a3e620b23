package slots

import (
	"strconv"
	"strings"
)

// The rules of this file read hours and parts of a day.

var (
	atWords     = set("в во на к ко около at around about @ ближе районе часиков часов примерно by")
	afterWords  = set("после after с со от from позже раньше")
	beforeWords = set("до before until till til позже")
	clockNouns  = set("часов часа час часиков ч h hrs o'clock oclock часам")
	amWords     = set("утра утром am a")
	pmWords     = set("вечера вечером pm p")
	dayEnds     = set("дня днем")
	nightEnds   = set("ночи ночью")
	counted     = set(`раз раза человек человека чел персон этаж этаже рублей рубля рубль руб р тыс тысяч тысячи км минут минуты мин дней недель недели месяц месяца
		месяцев год года лет штук штуки шт зуб зуба зубов ногтя ногтей сеанс сеанса сеансов процедур процедуры машин машины подъезд кабинет кабинете
		people persons times days weeks teeth sessions dollars bucks usd km miles years months kids cars guests minutes percent процент процента процентов`)
)

// ruleSpan: "с 10 до 12", "from 2 to 4", "между 3 и 5", "10-12".
func (p *parser) ruleSpan() bool {
	lead := p.look(0).text
	start, joint := 1, spanJoints
	switch lead {
	case "с", "со", "from":
	case "между", "between":
		joint = betweenJoints
	default:
		start, joint = 0, dashes
	}
	from, n, ok := p.hourAt(start, true)
	if !ok || !joint[p.look(start+n).text] {
		return false
	}
	to, m, ok := p.hourAt(start+n+1, true)
	if !ok || start == 0 && (p.isMinutes() || !from.colon && !to.sure && !to.colon && to.minutes <= from.minutes && to.minutes > 8*hour) {
		return false
	}
	if start == 0 && !from.colon && !to.colon && !to.sure && !p.is(-1, atWords) && !p.is(-1, dayLeads) && p.at != 0 && !p.dayBefore() {
		return false // "2-3 раза", a house number
	}
	if to.sure && !from.sure && from.minutes < 12*hour && to.minutes >= 12*hour && from.minutes+12*hour < to.minutes {
		from = clock{from.minutes + 12*hour, true, from.colon}
	}
	if p.after == nil && p.before == nil && p.clock == nil {
		p.after, p.before = &from, &to
	}
	p.at += start + n + 1 + m
	return true
}

var (
	spanJoints    = set("до по to till until til -")
	betweenJoints = set("и and")
	dashes        = set("- – —")
	greetingLeads = set("добрый доброе доброго доброй good") // "добрый вечер" is no evening
)

var dayLeads = set("с со время времени часов")

// dayBefore says whether the word before names a day: "завтра 10-12".
func (p *parser) dayBefore() bool {
	w := p.look(-1).text
	_, day := dayWords[w]
	_, weekday := weekdays[w]
	return day || weekday || months[w] > 0
}

// isMinutes says whether "в 15-30" stands here: Russians write so for 15:30.
func (p *parser) isMinutes() bool {
	m := p.look(2)
	return p.is(-1, atWords) && len(m.text) == 2 && (m.n >= 24 || m.n%15 == 0 || m.n == 10 || m.n == 20)
}

// rulePart: "утром", "с утра", "после обеда", "in the evening", "до обеда".
func (p *parser) rulePart() bool {
	if p.is(-1, greetingLeads) {
		return false
	}
	first, second := p.look(0).text, p.look(1).text
	type phrase struct {
		part hours
		used int
	}
	var found phrase
	switch {
	case first == "до" && (second == "обеда" || second == "полудня"), first == "before" && (second == "lunch" || second == "noon"):
		found = phrase{morning, 2}
	case first == "после" && (second == "обеда" || second == "полудня"), first == "after" && (second == "lunch" || second == "noon"):
		found = phrase{afternoon, 2}
	case first == "после" && second == "работы", first == "after" && second == "work":
		found = phrase{evening, 2}
	case first == "до" && second == "вечера":
		found = phrase{hours{0, evening.from}, 2}
	case (first == "первой" || first == "первую" || first == "первая") && strings.HasPrefix(second, "половин"):
		found = phrase{morning, 2}
	case (first == "второй" || first == "вторую" || first == "вторая") && strings.HasPrefix(second, "половин"):
		found = phrase{afternoon, 2}
	default:
		part, ok := parts[first]
		if !ok {
			return false
		}
		found = phrase{part, 1}
	}
	p.setPart(found.part)
	p.at += found.used
	return true
}

var parts = func() map[string]hours {
	all := map[string]hours{}
	for words, part := range map[string]hours{
		"утром утра утречком утро утру morning": morning, "днем днём afternoon": afternoon, "вечером вечера вечерком вечер вечеру вечерок evening": evening,
		"ночью ночи night": night, "обед обеду обеденное lunchtime lunch": lunch,
	} {
		for w := range strings.FieldsSeq(words) {
			all[w] = part
		}
	}
	return all
}()

func (p *parser) setPart(part hours) {
	if p.part == nil {
		p.part = &part
	}
}

// ruleClock: "в 15:30", "после двух", "до 6 вечера", "к семи", "5pm".
func (p *parser) ruleClock() bool {
	lead := 0
	kind := &p.clock
	switch text := p.look(0).text; {
	case text == "не" && (p.look(1).text == "раньше" || p.look(1).text == "ранее"):
		lead, kind = 2, &p.after
	case text == "не" && (p.look(1).text == "позже" || p.look(1).text == "позднее"):
		lead, kind = 2, &p.before
	case (text == "later" || text == "earlier") && p.look(1).text == "than":
		lead, kind = 2, &p.after
		if (text == "later") == (p.look(-1).text == "not" || p.look(-1).text == "no") {
			kind = &p.before
		}
	case afterWords[text] && text != "позже":
		lead, kind = 1, &p.after
	case beforeWords[text]:
		lead, kind = 1, &p.before
	case atWords[text]:
		lead = 1
	}
	c, n, ok := p.hourAt(lead, lead > 0)
	if !ok || p.is(lead+n, dateNouns) { // "до 15 числа"
		return false
	}
	if *kind == nil && p.clock == nil && (lead == 0 || p.after == nil && p.before == nil || kind != &p.clock) {
		*kind = &c
	}
	p.at += lead + n
	return true
}

// hourAt reads an hour i places ahead, and of how many tokens. A mere number is one only after a word that leads to an
// hour (led) and when nothing is counted by it.
func (p *parser) hourAt(i int, led bool) (c clock, used int, ok bool) {
	t := p.look(i)
	if h, m, ok := colonTime(t.text, led); ok {
		c = clock{minutes: h*hour + m, colon: true, sure: h == 0 || len(t.text) == 5 && t.text[0] == '0'}
		n := p.half(i+1, &c, true)
		return c, 1 + n, true
	}
	switch t.text {
	case "полдень", "noon", "midday":
		return clock{minutes: 12 * hour, sure: true}, 1, true
	case "полночь", "midnight":
		return clock{minutes: 24 * hour, sure: true}, 1, true
	case "час", "часу", "часа", "часик":
		if !led {
			return c, 0, false
		}
		c = clock{minutes: hour}
		return c, 1 + p.half(i+1, &c, true), true
	}
	if c, used, ok := p.fraction(i); ok {
		return c, used + p.half(i+used, &c, true), true
	}
	if t.n < 0 || t.n > 24 || len(t.text) > 2 && !t.word {
		return c, 0, false
	}
	return p.plainHour(i, led)
}

// plainHour reads "5", "5 часов", "5 30", "5 вечера".
func (p *parser) plainHour(i int, led bool) (c clock, used int, ok bool) {
	c = clock{minutes: p.look(i).n * hour, sure: p.look(i).n == 0}
	used = 1
	noun := p.is(i+1, clockNouns)
	if noun {
		used++
	}
	switch m := p.look(i + used); {
	case p.look(i+used).text == "-" && led && p.minutesToken(i+used+1):
		c.minutes, c.colon, used = c.minutes+p.look(i+used+1).n, true, used+2
	case p.minutesToken(i+used) && (led || noun):
		c.minutes, c.colon, used = c.minutes+m.n, true, used+1
		if p.is(i+used, minuteWords) {
			used++
		}
	}
	n := p.half(i+used, &c, led || noun)
	if n == 0 && (!led && !noun || p.is(i+used, counted) || p.is(i+used, ordinalEnds) || p.look(i+used).text == "-" && p.is(i+used+1, ordinalEnds) || months[p.look(i+used).text] > 0) {
		return c, 0, false
	}
	if noun && !led && p.look(i).n < 7 && n == 0 {
		return c, 0, false // "3 часа" is how long
	}
	return c, used + n, true
}

// minutesToken says whether two digits stand i places ahead that can be minutes.
func (p *parser) minutesToken(i int) bool {
	t := p.look(i)
	if t.word && p.look(i-1).word { // "семь тридцать"
		return t.n >= 10 && t.n < 60 && t.n%5 == 0 && !p.is(i+1, counted)
	}
	return len(t.text) == 2 && !t.word && t.n >= 0 && t.n < 60 && (t.n >= 25 || t.n%5 == 0) && !p.is(i+1, counted) || len(t.text) == 2 && !t.word && t.n >= 0 && t.n < 60 && p.is(i+1, minuteWords)
}

// half reads which half of the day an hour is of: "утра", "pm". "3 дня" is that only after "в".
func (p *parser) half(i int, c *clock, led bool) (used int) {
	part, used := hours{}, 1
	switch {
	case (p.look(i).text == "a" || p.look(i).text == "p") && p.look(i+1).text == "." && p.look(i+2).text == "m":
		used = 3
		fallthrough
	case p.is(i, amWords) && p.look(i).text != "a", p.is(i, pmWords) && p.look(i).text != "p":
		part = morning
		if pmWords[p.look(i).text] {
			part = evening
		}
	case p.is(i, dayEnds) && led:
		part = afternoon
	case p.is(i, nightEnds):
		part = night
	default:
		return 0
	}
	if c.minutes < 13*hour {
		if part == evening && c.minutes >= 12*hour { // 12 pm
			part = afternoon
		}
		if part == morning && c.minutes >= 12*hour && p.look(i).text != "утра" && p.look(i).text != "утром" { // 12 am
			c.minutes -= 12 * hour
		}
		c.minutes = halfBy(part, c.minutes)
	}
	c.sure = true
	return used
}

// fraction reads "половине шестого", "полшестого", "без четверти шесть", "half past five", "quarter to six".
func (p *parser) fraction(i int) (c clock, used int, ok bool) {
	first, second, third := p.look(i), p.look(i+1), p.look(i+2)
	isHour := func(t tok) bool { return t.n >= 1 && t.n <= 12 }
	at := func(h, m, used int) (clock, int, bool) {
		minutes := h*hour + m
		if minutes < hour {
			minutes += 12 * hour
		}
		return clock{minutes: minutes}, used, true
	}
	switch {
	case (first.text == "половине" || first.text == "половину" || first.text == "пол") && isHour(second):
		return at(second.n-1, 30, 2)
	case strings.HasPrefix(first.text, "пол") && numbers[strings.TrimPrefix(first.text, "пол")] > 0 && numbers[strings.TrimPrefix(first.text, "пол")] <= 12:
		return at(numbers[strings.TrimPrefix(first.text, "пол")]-1, 30, 1)
	case first.text == "четверть" && isHour(second):
		return at(second.n-1, 15, 2)
	case first.text == "без" && second.text == "четверти" && isHour(third):
		return at(third.n-1, 45, 3)
	case first.text == "без" && second.n >= 5 && second.n < 30 && isHour(third):
		return at(third.n-1, 60-second.n, 3)
	case first.text == "half" && second.text == "past" && isHour(third):
		return at(third.n, 30, 3)
	case first.text == "half" && isHour(second):
		return at(second.n, 30, 2)
	case first.text == "quarter" && second.text == "past" && isHour(third):
		return at(third.n, 15, 3)
	case first.text == "quarter" && second.text == "to" && isHour(third):
		return at(third.n-1, 45, 3)
	case first.n >= 5 && first.n < 30 && second.text == "past" && isHour(third):
		return at(third.n, first.n, 3)
	case first.n >= 5 && first.n < 30 && first.word && second.text == "to" && isHour(third):
		return at(third.n-1, 60-first.n, 3)
	}
	return c, 0, false
}

// colonTime reads "15:30", and "15.30" where an hour is expected or it can be no date.
func colonTime(s string, led bool) (h, m int, ok bool) {
	a, b, colon := strings.Cut(s, ":")
	if !colon {
		if a, b, ok = strings.Cut(s, "."); !ok || len(b) != 2 {
			return 0, 0, false
		}
	}
	h, err := strconv.Atoi(a)
	m, err2 := strconv.Atoi(b)
	if err != nil || err2 != nil || h > 24 || m > 59 || h == 24 && m > 0 {
		return 0, 0, false
	}
	return h, m, colon || led || m > 12 || m == 0
}
