package sinks

import (
	"fmt"
	"strings"

	"leadstream/streams"
)

// scoreWords are the reasons of a lead's score, as people read them. A test of the daemon holds them complete.
var scoreWords = map[string]map[string]string{
	"ru": {
		"urgent": "срочно", "call me": "просит позвонить", "today": "сегодня", "booking": "хочет записаться", "price": "спрашивает цену",
		"rescheduling": "переносит запись", "named time": "назвал время", "phone": "есть телефон", "just asking": "просто спрашивает",
		"bought before": "уже покупал", "active": "часто обращается", "dear service": "дорогая услуга", "budget named": "назвал бюджет",
		"advertisement": "пришёл с рекламы", "messenger": "пишет в мессенджере", "not content": "недоволен", "writes again": "пишет повторно",
		"asks for less": "говорит о цене или скидке",
	},
	"en": {"rescheduling": "reschedules", "booking": "wants to book", "price": "asks for a price", "call me": "asks for a call", "named time": "named a time",
		"phone": "has a phone", "just asking": "is just asking", "dear service": "an expensive service", "active": "often in touch",
		"advertisement": "came by an advertisement", "messenger": "writes in a messenger", "asks for less": "speaks of price or discount"},
}

// ScoreText is a lead's score with its reasons, for a person: "72 из 100: срочно, есть телефон". It is empty for a lead
// without one.
func ScoreText(l *streams.Lead, language string) string {
	if l.Score == 0 {
		return ""
	}
	names := make([]string, len(l.Reasons))
	for i, r := range l.Reasons {
		if names[i] = ReasonText(r, language); names[i] == "" {
			names[i] = r
		}
	}
	of := "%d of 100"
	if language == "ru" {
		of = "%d из 100"
	}
	return strings.TrimSuffix(fmt.Sprintf(of, l.Score)+": "+strings.Join(names, ", "), ": ")
}

// ReasonText is one reason in a language; in English most read as they are named.
func ReasonText(reason, language string) string {
	if text := scoreWords[language][reason]; text != "" || language != "en" {
		return text
	}
	return reason
}
