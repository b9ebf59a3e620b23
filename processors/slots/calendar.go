package slots

import (
	"strconv"
	"strings"
	"time"
)

// The rules of this file read days: dates, weekdays, weeks, and spans from now.

var (
	inWords     = set("через спустя in")
	minuteWords = set("минут минуты минуту минутку минуток мин minute minutes min mins")
	hourWords   = set("час часа часов часик часика часиков ч hour hours hr hrs")
	daysWords   = set("день дня дней денька деньков day days")
	weekWords   = set("неделю недели недель недельку неделе неделька week weeks")
	monthWords  = set("месяц месяца месяцев месяцок month months")
	halfWords   = set("полчаса полчасика полчасик")
	nextWords   = set("следующий следующую следующее следующей следующих следующие след next")
	thisWords   = set("этот эту это этой этих эти ближайший ближайшую ближайшее ближайшие ближайших this coming")
	restWords   = set("выходные выходных выхи weekend weekends")
)

// ruleIn: "через час", "через 2 недели", "in three days".
func (p *parser) ruleIn() bool {
	if !p.is(0, inWords) {
		return false
	}
	if p.is(1, halfWords) {
		return p.later(2, 30*time.Minute)
	}
	switch first, second, third := p.look(1).text, p.look(2).text, p.look(3).text; {
	case first == "полтора" && hourWords[second]:
		return p.later(3, 90*time.Minute)
	case first == "пол" && hourWords[second]:
		return p.later(3, 30*time.Minute)
	case first == "half" && (second == "an" || second == "a") && hourWords[third]:
		return p.later(4, 30*time.Minute)
	case (first == "an" || first == "one") && hourWords[second] && third == "and" && p.look(4).text == "a" && p.look(5).text == "half":
		return p.later(6, 90*time.Minute)
	}
	n, unit := 1, 1
	if first := p.look(1); first.n >= 0 {
		n, unit = first.n, 2
	} else if first.text == "a" || first.text == "an" {
		unit = 2
	}
	if p.look(unit).text == "of" { // a couple of
		unit++
	}
	if p.look(1).text == "a" && p.look(2).n > 0 {
		n, unit = p.look(2).n, 3
		if p.look(unit).text == "of" {
			unit++
		}
	}
	return p.inUnits(n, unit)
}

func (p *parser) inUnits(n, unit int) bool {
	switch {
	case n > 1000:
		return false
	case p.is(unit, minuteWords):
		return p.later(unit+1, time.Duration(n)*time.Minute)
	case p.is(unit, hourWords):
		return p.later(unit+1, time.Duration(n)*time.Hour)
	case p.is(unit, daysWords):
		if unit == 1 { // "через день": not the next one, the one after
			n = 2
		}
		p.setDay(p.today().AddDate(0, 0, n), 1)
	case p.is(unit, weekWords):
		p.weeks = n
	case p.is(unit, monthWords):
		p.setDay(monthsOn(p.today(), n), 1)
	default:
		return false
	}
	p.at += unit + 1
	return true
}

// monthsOn is the same day n months on, or the last of a month that has none: a month after January 31 February ends.
func monthsOn(day time.Time, n int) time.Time {
	at := day.AddDate(0, n, 0)
	if at.Day() != day.Day() {
		at = at.AddDate(0, 0, -at.Day())
	}
	return at
}

// later takes a moment from now, to the minute.
func (p *parser) later(tokens int, d time.Duration) bool {
	if p.moment == nil {
		at := p.now.Add(d).Truncate(time.Minute)
		p.moment = &at
	}
	p.at += tokens
	return true
}

// ruleDate: "25.12", "2026-12-25", "25 декабря", "December 25th", "25-го", "в декабре".
func (p *parser) ruleDate() bool {
	if d, m, y, ok := p.numericDate(); ok {
		return p.date(d, m, y, 1)
	}
	if day, used, marked := p.dayOfMonth(); used > 0 {
		next := used
		if p.look(next).text == "of" {
			next++
		}
		if m := months[p.look(next).text]; m > 0 {
			return p.dateWithYear(day, m, next+1)
		}
		return marked && p.comingDay(day, used)
	}
	m := months[p.look(0).text]
	if m == 0 {
		return false
	}
	if day := p.look(1); day.n >= 1 && day.n <= 31 && !strings.HasSuffix(p.look(0).text, "е") {
		used := 2
		if p.is(used, ordinalEnds) {
			used++
		}
		return p.dateWithYear(day.n, m, used)
	}
	return p.month(m)
}

// measures make a fraction of what could be a date: "2.5 литра".
var measures = set("л литр литра литров кг кило см мм км тонны тонн раза часа года процента тысячи тыс миллиона млн tdi tsi liter liters litre litres kg cm mm km hours")

// numericDate reads a date written with digits alone. "15.30" is an hour, and so is "15.10" where one says "в 15.10".
func (p *parser) numericDate() (d, m, y int, ok bool) {
	s := p.look(0).text
	parts := strings.FieldsFunc(s, func(c rune) bool { return c == '.' || c == '/' || c == '-' })
	if len(parts) < 2 || strings.Contains(s, ":") || s == "24/7" || len(parts) == 2 && len(parts[1]) == 1 && p.is(1, measures) {
		return 0, 0, 0, false
	}
	var n [3]int
	for i, part := range parts {
		n[i], _ = strconv.Atoi(part)
	}
	switch {
	case len(parts[0]) == 4:
		return n[2], n[1], n[0], true
	case len(parts) == 3:
		d, m, y = n[0], n[1], n[2]
		if y < 100 {
			y += 2000
		}
	case strings.Contains(s, ".") && p.is(-1, atWords) && n[0] < 24 && len(parts[1]) == 2 && n[1] < 60 && p.look(-1).text != "на":
		return 0, 0, 0, false
	default:
		d, m = n[0], n[1]
	}
	if m > 12 && d <= 12 && strings.Contains(s, "/") {
		d, m = m, d // as Americans write
	}
	return d, m, y, m >= 1 && m <= 12 && d >= 1 && d <= 31
}

var (
	ordinalEnds = set("го ого th st nd rd е")
	dateNouns   = set("числа число")
)

// dayOfMonth reads "25", "25-го", "25th", "двадцать пятого", and whether it can be nothing else than a day.
func (p *parser) dayOfMonth() (day, used int, marked bool) {
	t := p.look(0)
	if t.n < 1 || t.n > 31 {
		return 0, 0, false
	}
	used = 1
	if p.look(1).text == "-" && p.is(2, ordinalEnds) {
		used, marked = 3, true
	} else if p.is(1, ordinalEnds) {
		used, marked = 2, true
	}
	if p.is(used, dateNouns) {
		used, marked = used+1, true
	}
	return t.n, used, marked
}

func (p *parser) dateWithYear(day, month, used int) bool {
	year := 0
	if y := p.look(used).n; y >= 2000 && y < 2100 {
		year = y
		used++
		if p.look(used).text == "года" || p.look(used).text == "г" {
			used++
		}
	}
	return p.date(day, month, year, used)
}

// date sets a day; without a year it is the next one that comes.
func (p *parser) date(day, month, year, used int) bool {
	y := year
	if y == 0 {
		y = p.now.Year()
	}
	at := time.Date(y, time.Month(month), day, 0, 0, 0, 0, p.now.Location())
	if year == 0 && at.Before(p.today()) {
		at = time.Date(y+1, time.Month(month), day, 0, 0, 0, 0, p.now.Location())
	}
	if at.Day() != day {
		return false // there is no 31 of June
	}
	p.setDay(at, 1)
	p.at += used
	return true
}

// comingDay is the next day with that number.
func (p *parser) comingDay(day, used int) bool {
	y, m, _ := p.now.Date()
	for n := range 13 {
		at := time.Date(y, m+time.Month(n), day, 0, 0, 0, 0, p.now.Location())
		if at.Day() == day && !at.Before(p.today()) {
			p.setDay(at, 1)
			p.at += used
			return true
		}
	}
	return false
}

var monthLeads = set("в начале конце середине in")

// month is the whole of a month, or what is left of it.
func (p *parser) month(m int) bool {
	if !p.is(-1, monthLeads) {
		return false
	}
	y := p.now.Year()
	if m < int(p.now.Month()) {
		y++
	}
	from := time.Date(y, time.Month(m), 1, 0, 0, 0, 0, p.now.Location())
	to := from.AddDate(0, 1, 0)
	switch p.look(-1).text {
	case "начале":
		to = from.AddDate(0, 0, 10)
	case "середине":
		from, to = from.AddDate(0, 0, 10), from.AddDate(0, 0, 20)
	case "конце":
		from = from.AddDate(0, 0, 20)
	}
	if from.Before(p.today()) {
		from = p.today()
	}
	if !p.hasDay && to.After(from) {
		p.from, p.to, p.hasDay = from, to, true
	}
	p.at++
	return true
}

// ruleWeek: "на следующей неделе", "this weekend", "на выходных".
func (p *parser) ruleWeek() bool {
	which, used := 0, 0
	switch {
	case p.is(0, nextWords):
		which, used = 1, 1
	case p.is(0, thisWords):
		used = 1
	}
	monday := p.today().AddDate(0, 0, -p.weekday(p.today()))
	switch {
	case p.is(used, restWords):
		saturday := monday.AddDate(0, 0, 5+7*which)
		if saturday.Before(p.today()) {
			saturday = p.today()
		}
		days := 7 - p.weekday(saturday)
		p.setDay(saturday, days)
	case used == 1 && p.is(1, weekWords):
		p.week = &which
	default:
		return false
	}
	p.at += used + 1
	return true
}

// weekday counts from Monday, 0.
func (p *parser) weekday(t time.Time) int { return (int(t.Weekday()) + 6) % 7 }

// ruleDayWord: "завтра", "послезавтра", "в пятницу", "next Friday", "tonight".
func (p *parser) ruleDayWord() bool {
	if p.look(0).text == "day" && p.look(1).text == "after" && dayWords[p.look(2).text] == 1 {
		p.setDay(p.today().AddDate(0, 0, 2), 1)
		p.at += 3
		return true
	}
	if p.look(0).text == "tonight" {
		p.setDay(p.today(), 1)
		p.setPart(evening)
		p.at++
		return true
	}
	if n, ok := dayWords[p.look(0).text]; ok {
		if p.notMeant(1) {
			p.at++
			return true
		}
		p.setDay(p.today().AddDate(0, 0, n), 1)
		p.at++
		return true
	}
	used, next := 0, false
	if p.is(0, nextWords) {
		used, next = 1, true
	} else if p.is(0, thisWords) {
		used = 1
	}
	day, ok := weekdays[p.look(used).text]
	if !ok || p.look(used-1).text == "the" && used == 0 {
		return false
	}
	if p.named == nil && !p.notMeant(used+1) {
		p.named, p.next = &day, next
	}
	p.at += used + 1
	return true
}

// notMeant says whether the day of so many words that stands here is refused or moved from: "не завтра", "с пятницы на субботу".
func (p *parser) notMeant(used int) bool {
	before := -1
	if p.is(before, atWords) {
		before--
	}
	if first := p.look(before).text; first == "не" || first == "not" {
		return true
	}
	if lead := p.look(-1).text; lead != "с" && lead != "со" || p.look(used).text != "на" {
		return false
	}
	to := p.look(used + 1).text
	_, word := dayWords[to]
	_, day := weekdays[to]
	return word || day
}

// settle turns a weekday or a week that was named into days, when no date was.
func (p *parser) settle() {
	monday := p.today().AddDate(0, 0, -p.weekday(p.today()))
	switch {
	case p.hasDay:
	case p.named != nil:
		p.setDay(p.weekdayOf(monday), 1)
	case p.week != nil && *p.week == 0:
		p.setDay(p.today(), 7-p.weekday(p.today()))
	case p.week != nil:
		p.setDay(monday.AddDate(0, 0, 7), 7)
	case p.weeks > 0:
		p.setDay(p.today().AddDate(0, 0, 7*p.weeks), 1)
	}
}

func (p *parser) weekdayOf(monday time.Time) time.Time {
	switch {
	case p.weeks > 0:
		return monday.AddDate(0, 0, 7*p.weeks+*p.named)
	case p.next || p.week != nil && *p.week == 1:
		return monday.AddDate(0, 0, 7+*p.named)
	}
	ahead := (*p.named - p.weekday(p.today()) + 7) % 7
	if ahead == 0 {
		ahead = 7 // who means today says so
	}
	return p.today().AddDate(0, 0, ahead)
}
