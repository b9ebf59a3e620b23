package processors

import (
	"regexp"
	"strings"

	"leadstream/streams"
)

// HotAt is the score from which a lead is hot.
const HotAt = 4

// Heat scores how soon a lead wants to buy, and says why in fixed words. The points:
//
//	urgent        +3  "срочно", "как можно скорее", "asap", pain, a breakdown
//	call me       +2  asks to be called or answered
//	today         +2  today, now, within the hour
//	booking       +2  wants to come
//	price         +1  asks what it costs
//	rescheduling  +1  an appointment is at stake (cancel too)
//	named time    +1  a day or an hour, in the text or in the time field
//	phone         +1  can be called
//	just asking   −3  "просто узнать", "на будущее"
func Heat(l *streams.Lead, intent string) (score int, reasons []string) {
	line := " " + strings.Join(words(l.Message+" "+l.Time), " ") + " "
	add := func(points int, reason string, is bool) {
		if is {
			score += points
			reasons = append(reasons, reason)
		}
	}
	add(3, "urgent", urgent.MatchString(line))
	add(2, "call me", callMe.MatchString(line))
	add(2, "today", today.MatchString(line))
	add(2, "booking", intent == Booking)
	add(1, "price", intent == Price)
	add(1, "rescheduling", intent == Reschedule || intent == Cancel)
	add(1, "named time", l.Time != "" || namedTime.MatchString(line) || clockTime.MatchString(l.Message))
	add(1, "phone", strings.HasPrefix(l.Phone, "+"))
	add(-3, "just asking", justAsking.MatchString(line))
	return score, reasons
}

var (
	urgent = phrases("срочн~", "скорее", "побыстрее", "поскорее", "немедленно", "горит", "не терпит", "очень нужно", "сильно болит", "острая боль",
		"не заводится", "заглох~", "сломал~", "экстренн~", "авари~", "urgent~", "asap", "emergency", "immediately", "as soon as possible", "broke down", "wont start", "right away")
	callMe = phrases("перезвон~", "позвоните", "наберите", "свяжитесь", "жду (звонка|ответа)", "call me", "call back", "ring me", "get back to me")
	today  = phrases("сегодня", "сейчас", "прямо сейчас", "в течение часа", "через (час|полчаса)", "today", "now", "tonight", "this (morning|afternoon|evening)", "within the hour")

	namedTime = phrases("завтра", "послезавтра", "утром", "днем", "вечером", "понедельник~", "вторник~", "сред(у|а)", "четверг~", "пятниц~", "суббот~", "воскресен~", "выходн~",
		"(в|к|на|до|после|at|by|after) [0-9]{1,2}( час~| утра| вечера| am| pm)?", "tomorrow", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday", "weekend")
	clockTime = regexp.MustCompile(`(?:^|[^\d.:])(?:[01]?\d|2[0-3])[:.][0-5]\d(?:$|[^\d.:])`)

	justAsking = phrases("просто (узнать|интересно|спросить|смотрю|интересуюсь)", "на будущее", "пока (не|думаю|просто)", "just (asking|looking|curious|browsing)", "for the future", "not yet")
)
