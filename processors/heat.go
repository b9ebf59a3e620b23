package processors

import (
	"slices"
	"strconv"
	"strings"

	"leadstream/processors/intent"
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
func Heat(l *streams.Lead, wants string) (score int, reasons []string) {
	return heat(l, wants, book.read(words(l.Message)))
}

// heat takes the message as it was read already.
func heat(l *streams.Lead, wants string, t text) (score int, reasons []string) {
	if l.Time != "" {
		t = book.read(slices.Concat(t.words, words(l.Time)))
	}
	add := func(points int, reason string, is bool) {
		if is {
			score += points
			reasons = append(reasons, reason)
		}
	}
	add(3, "urgent", t.has(urgent))
	add(2, "call me", t.has(callMe))
	add(2, "today", t.has(today))
	add(2, "booking", wants == intent.Booking)
	add(1, "price", wants == intent.Price)
	add(1, "rescheduling", wants == intent.Reschedule || wants == intent.Cancel)
	add(1, "named time", l.Time != "" || t.has(namedTime) || clockTime(l.Message))
	add(1, "phone", strings.HasPrefix(l.Phone, "+"))
	add(-3, "just asking", t.has(justAsking))
	return score, reasons
}

var (
	urgent = phrases("срочн~", "скорее", "побыстрее", "поскорее", "немедленно", "горит", "не терпит", "очень нужно", "сильно болит", "острая боль",
		"не заводится", "заглох~", "сломал~", "экстренн~", "авари~", "urgent~", "asap", "emergency", "immediately", "as soon as possible", "broke down", "wont start", "right away")
	callMe = phrases("перезвон~", "позвоните", "наберите", "свяжитесь", "жду (звонка|ответа)", "call me", "call back", "ring me", "get back to me")
	today  = phrases("сегодня", "сейчас", "прямо сейчас", "в течение часа", "через (час|полчаса)", "today", "now", "tonight", "this (morning|afternoon|evening)", "within the hour")

	namedTime = phrases("завтра", "послезавтра", "утром", "днем", "вечером", "понедельник~", "вторник~", "сред(у|а)", "четверг~", "пятниц~", "суббот~", "воскресен~", "выходн~",
		"(в|к|на|до|после|at|by|after) #", "tomorrow", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday", "weekend")
	justAsking = phrases("просто (узнать|интересно|спросить|смотрю|интересуюсь)", "на будущее", "пока (не|думаю|просто)", "just (asking|looking|curious|browsing)", "for the future", "not yet")
)

// clockTime finds an hour with minutes that stands alone: 9:30 or 14.30, but not 12.05.2026.
func clockTime(s string) bool {
	other := func(r rune) bool { return (r < '0' || r > '9') && r != ':' && r != '.' }
	for run := range strings.FieldsFuncSeq(s, other) {
		colon := len(run) - 3
		if colon < 1 || colon > 2 || run[colon] != ':' && run[colon] != '.' {
			continue
		}
		hour, err := strconv.Atoi(run[:colon])
		minute, err2 := strconv.Atoi(run[colon+1:])
		if err == nil && err2 == nil && hour < 24 && minute < 60 {
			return true
		}
	}
	return false
}
