package slots

import (
	"maps"
	"strings"
	"time"
)

// The kinds of When: how exactly a time is named.
const (
	Exact     = "exact"       // End is Start
	PartOfDay = "part_of_day" // "завтра утром", "after 2", "с 10 до 12"
	Day       = "day"         // a day or several: "в пятницу", "next week"
)

// When reads the wished time of a message that was written at now. Of several it takes the first. What is named by
// itself lies in the future: "в 15:00" after that hour is tomorrow, "10 марта" in April is next year's. An hour without
// morning or evening is one at which businesses work: "в 3" is 15:00, "в 9" is 9:00.
func (r *Reader) When(text string, now time.Time) (When, bool) {
	now = now.In(r.zone())
	p := &parser{tokens: scan(text), now: now}
	p.run()
	return p.when()
}

// NamesDay says whether a message names a day, or a moment from now: "в пять" does not.
func (r *Reader) NamesDay(text string, now time.Time) bool {
	p := &parser{tokens: scan(cut(text)), now: now.In(r.zone())}
	p.run()
	p.settle()
	return p.hasDay || p.moment != nil
}

// hours is a span of a day, in minutes from midnight.
type hours struct{ from, to int }

const hour = 60

// late is when the day of a business ends at the latest: "after 7" is until then.
const late = 23 * hour

// The parts of a day.
var (
	morning   = hours{6 * hour, 12 * hour}
	afternoon = hours{12 * hour, 18 * hour}
	evening   = hours{18 * hour, late}
	night     = hours{0, 6 * hour}
	lunch     = hours{12 * hour, 14 * hour}
)

// clock is an hour as it was said.
type clock struct {
	minutes int
	sure    bool // it is known which half of the day
	colon   bool // written as 7:30
}

// parser collects what a message says of time.
type parser struct {
	tokens []tok
	at     int
	now    time.Time

	every    bool       // the rules are tried at every word, to see that nothing is missed
	moment   *time.Time // "через час"
	from, to time.Time  // days; to is the day after the last
	hasDay   bool
	named    *int // weekday, from Monday, 0
	next     bool // it is the next week's
	week     *int // 0: this one, 1: the next
	weeks    int  // "через неделю", also "в пятницу"
	clock    *clock
	after    *clock
	before   *clock
	part     *hours
}

// run tries the rules at each place, the longer readings first.
func (p *parser) run() {
	rules := []func() bool{p.ruleIn, p.ruleDate, p.ruleWeek, p.ruleDayWord, p.ruleSpan, p.rulePart, p.ruleClock}
	for p.at < len(p.tokens) {
		if !p.every && !begins(p.tokens[p.at]) {
			p.at++
			continue
		}
		matched := false
		for _, rule := range rules {
			if start := p.at; rule() && p.at > start {
				matched = true
				break
			}
		}
		if !matched {
			p.at++
		}
	}
}

// begins says whether a rule may match from a token on: at most words none does.
func begins(t tok) bool {
	return t.n >= 0 || isDigit(rune(t.text[0])) || firstWords[t.text] || strings.HasPrefix(t.text, "пол")
}

// firstWords are all words with which a rule may begin, besides numbers.
var firstWords = func() map[string]bool {
	all := set(`day tonight between между до before после after первой первую первая второй вторую вторая не later earlier
		час часу часа часик полдень noon midday полночь midnight четверть без half quarter`)
	for _, words := range []map[string]bool{inWords, nextWords, thisWords, restWords, afterWords, beforeWords, atWords} {
		maps.Copy(all, words)
	}
	for _, words := range []map[string]int{months, weekdays, dayWords} {
		for w := range words {
			all[w] = true
		}
	}
	for w := range parts {
		all[w] = true
	}
	return all
}()

// when puts together what was found.
func (p *parser) when() (When, bool) {
	p.settle()
	switch {
	case p.moment != nil:
		return When{Start: *p.moment, End: *p.moment, Kind: Exact}, true
	case !p.hasDay && p.clock == nil && p.after == nil && p.before == nil && p.part == nil:
		return When{}, false
	}
	named := p.hasDay
	if !named {
		p.from = p.today()
	}
	w, kind := p.span()
	if kind == Day {
		return When{Start: p.from, End: p.to, Kind: Day}, true
	}
	start, end := p.on(w.from), p.on(w.to)
	if !named && !end.After(p.now) { // today it is over
		p.from = p.from.AddDate(0, 0, 1)
		start, end = p.on(w.from), p.on(w.to)
	}
	return When{Start: start, End: end, Kind: kind}, true
}

// span is the hours of the day that was named.
func (p *parser) span() (hours, string) {
	switch {
	case p.after != nil && p.before != nil:
		from, to := p.resolve(p.after), p.resolve(p.before)
		if to <= from && to+12*hour <= 24*hour {
			to += 12 * hour
		}
		if from+12*hour < to && !p.after.sure && from < 9*hour {
			from += 12 * hour
		}
		return hours{from, max(from, to)}, PartOfDay
	case p.after != nil:
		to := late
		from := p.resolve(p.after)
		if from >= late {
			to = 24 * hour
		}
		if p.part != nil && p.part.to > from {
			to = p.part.to
		}
		return hours{from, to}, PartOfDay
	case p.before != nil:
		from := 0
		to := p.resolve(p.before)
		if p.part != nil && p.part.from < to {
			from = p.part.from
		}
		return hours{from, to}, PartOfDay
	case p.clock != nil:
		at := p.resolve(p.clock)
		return hours{at, at}, Exact
	case p.part != nil:
		return *p.part, PartOfDay
	}
	return hours{}, Day
}

// resolve chooses the half of the day of an hour.
func (p *parser) resolve(c *clock) int {
	if c.sure || c.minutes >= 13*hour {
		return c.minutes
	}
	if p.part != nil {
		return halfBy(*p.part, c.minutes)
	}
	h := c.minutes / hour
	if h <= 6 || h == 7 && !c.colon {
		return c.minutes + 12*hour
	}
	if p.from.Equal(p.today()) && !p.on(c.minutes).After(p.now) && h < 12 && p.on(c.minutes+12*hour).After(p.now) && p.hasDay {
		return c.minutes + 12*hour // "сегодня в 9", said at noon
	}
	return c.minutes
}

// halfBy puts an hour into a part of the day.
func halfBy(part hours, minutes int) int {
	switch {
	case part == night && minutes >= 12*hour && minutes < 13*hour:
		return minutes - 12*hour
	case part == night && minutes >= 9*hour && minutes < 12*hour,
		part == evening && minutes < 12*hour,
		(part == afternoon || part == lunch) && minutes < 7*hour:
		return minutes + 12*hour
	}
	return minutes
}

func (p *parser) today() time.Time {
	y, m, d := p.now.Date()
	return time.Date(y, m, d, 0, 0, 0, 0, p.now.Location())
}

func (p *parser) on(minutes int) time.Time {
	y, m, d := p.from.Date()
	return time.Date(y, m, d, 0, minutes, 0, 0, p.now.Location())
}

// setDay keeps the first days that are named.
func (p *parser) setDay(from time.Time, days int) {
	if p.hasDay {
		return
	}
	p.from, p.to, p.hasDay = from, from.AddDate(0, 0, days), true
}
