package templates

import (
	"fmt"
	"strings"
	"time"
)

var monthsOf = map[string][]string{
	"ru": {"января", "февраля", "марта", "апреля", "мая", "июня", "июля", "августа", "сентября", "октября", "ноября", "декабря"},
	"en": {"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"},
}

// From Sunday, as package time counts; the Russian ones answer "когда".
var daysOf = map[string][]string{
	"ru": {"в воскресенье", "в понедельник", "во вторник", "в среду", "в четверг", "в пятницу", "в субботу"},
	"en": {"on Sunday", "on Monday", "on Tuesday", "on Wednesday", "on Thursday", "on Friday", "on Saturday"},
}

// daysBetween is how many midnights lie between two moments in a zone, whatever the clock does meanwhile.
func daysBetween(from, to time.Time, zone *time.Location) int {
	day := func(t time.Time) time.Time {
		y, m, d := t.In(zone).Date()
		return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
	}
	return int(day(to).Sub(day(from)).Hours() / 24)
}

// At is a visit's time as one says it at now: "завтра в 14:00", "в пятницу, 27 ноября, в 9:30".
func At(language string, at, now time.Time, zone *time.Location) string {
	day := Day(language, at, now, zone)
	if strings.Contains(day, ",") {
		day += ","
	}
	return day + say(language, " в ", " at ") + at.In(zone).Format("15:04")
}

// Day is a visit's day as one says it at now: "завтра", "в пятницу, 27 ноября".
func Day(language string, at, now time.Time, zone *time.Location) string {
	at = at.In(zone)
	switch n := daysBetween(now, at, zone); n {
	case 0:
		return say(language, "сегодня", "today")
	case 1:
		return say(language, "завтра", "tomorrow")
	default:
		return daysOf[language][at.Weekday()] + ", " + Date(language, at, now, zone)
	}
}

// Date is "27 ноября", with the year when it might be taken for another's.
func Date(language string, at, now time.Time, zone *time.Location) string {
	at = at.In(zone)
	date := fmt.Sprintf("%d %s", at.Day(), monthsOf[language][at.Month()-1])
	if n := daysBetween(now, at, zone); at.Year() != now.In(zone).Year() && (n > 180 || n < 0) {
		date += fmt.Sprintf(" %d", at.Year())
	}
	return date
}

// For is a visit's time as it follows "на" and "for": "14:00" of today, "завтра, 14:00", "пятницу, 27 ноября, 14:00".
func For(language string, at, now time.Time, zone *time.Location) string {
	hour := at.In(zone).Format("15:04")
	if daysBetween(now, at, zone) == 0 {
		return hour
	}
	_, day, found := strings.Cut(Day(language, at, now, zone), " ") // without "в" and "on"
	if !found {
		day = Day(language, at, now, zone)
	}
	return day + ", " + hour
}

// Ago is how long ago something was, as one says it: "вчера", "3 дня назад", "2 месяца назад".
func Ago(language string, at, now time.Time, zone *time.Location) string {
	n := daysBetween(at, now, zone)
	switch {
	case n <= 0:
		return say(language, "сегодня", "today")
	case n == 1:
		return say(language, "вчера", "yesterday")
	case n < 14:
		return past(language, n, [3]string{"день", "дня", "дней"}, "day")
	case n < 60:
		return past(language, n/7, [3]string{"неделю", "недели", "недель"}, "week")
	case n < 365:
		return past(language, n/30, [3]string{"месяц", "месяца", "месяцев"}, "month")
	}
	return past(language, n/365, [3]string{"год", "года", "лет"}, "year")
}

func past(language string, n int, ru [3]string, en string) string {
	if language == "en" {
		if n > 1 {
			en += "s"
		}
		return fmt.Sprintf("%d %s ago", n, en)
	}
	word := ru[2]
	switch {
	case n%10 == 1 && n%100 != 11:
		word = ru[0]
	case n%10 >= 2 && n%10 <= 4 && (n%100 < 12 || n%100 > 14):
		word = ru[1]
	}
	return fmt.Sprintf("%d %s назад", n, word)
}

func say(language, ru, en string) string {
	if language == "en" {
		return en
	}
	return ru
}
