package sinks

import (
	"cmp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"leadstream/streams"
)

// words are the fixed texts of a lead notice in one language.
type words struct {
	lead, hot, repeat, news, file                          string // kinds of notice, first words of the subject
	name, phone, email, service, wished, message           string
	channel, source, received, problems, number, repeatsTo string
	files                                                  string
	score                                                  string
	nobody                                                 string // stands for a missing name
	noContact                                              string
	cut                                                    string
}

// notices holds every language that people are told about leads in; a test holds them complete.
var notices = map[string]words{
	"ru": {
		lead: "Новая заявка", hot: "Горячая заявка", repeat: "Повторное обращение", news: "Новость о клиенте", file: "Файл к заявке",
		name: "Имя", phone: "Телефон", email: "Почта", service: "Услуга", wished: "Желаемое время",
		files: "Файлов", message: "Сообщение", channel: "Канал", source: "Источник", received: "Получена",
		problems: "Проверьте вручную", number: "Номер заявки", repeatsTo: "Повтор к заявке",
		score: "Вероятность продажи", nobody: "без имени", noContact: "контакт не указан", cut: "… (обрезано)",
	},
	"en": {
		lead: "New lead", hot: "Hot lead", repeat: "Repeat enquiry", news: "News of a customer", file: "A file of a lead",
		name: "Name", phone: "Phone", email: "E-mail", service: "Service", wished: "Wished time",
		files: "Files", message: "Message", channel: "Channel", source: "Source", received: "Received",
		problems: "Check by hand", number: "Lead number", repeatsTo: "Repeats lead",
		score: "Chance of a sale", nobody: "no name", noContact: "no contact given", cut: "… (cut)",
	},
}

// A lead may carry a message of any length; a person reads the beginning, the record keeps the whole.
const (
	longestLine    = 300
	longestMessage = 6000
)

// LeadMessage is what a person reads about the lead of d: a new one, a hot one, or a repeat, which says so. Its text
// carries the lead's short id, so that a person recognises a second copy.
func LeadMessage(d Delivery, env Env) Message {
	l, w := d.Lead, wordsOf(env.Language)
	kind := w.lead
	switch {
	case l.Event != "":
		kind = w.news + " (" + Line(l.Event, 40) + ")"
	case l.BringsFiles():
		kind = w.file
	case l.RepeatOf != "":
		kind = w.repeat
	case l.Hot:
		kind = w.hot
	}
	name := cmp.Or(Line(l.Name, longestLine), w.nobody)
	contact := cmp.Or(Line(cmp.Or(l.Phone, l.Email), longestLine), w.noContact)
	return Message{
		ID:      l.ID,
		Subject: kind + ": " + name,
		Text:    leadBody(l, w, env.Language, env.Zone),
		Short:   shortText(kind, name, contact, l),
		Urgent:  l.Event == "" && (l.Hot || l.RepeatOf == ""),
	}
}

func leadBody(l *streams.Lead, w words, language string, zone *time.Location) string {
	var b strings.Builder
	add := func(label, value string) {
		if value != "" {
			b.WriteString(label + ": " + value + "\n")
		}
	}
	add(w.name, Line(l.Name, longestLine))
	add(w.phone, Line(l.Phone, longestLine))
	add(w.email, Line(l.Email, longestLine))
	add(w.service, Line(l.Service, longestLine))
	add(w.wished, Line(l.Time, longestLine))
	add(w.message, Cut(Clean(l.Message), longestMessage, w.cut))
	if n := len(l.Media); n > 0 {
		add(w.files, strconv.Itoa(n))
	}
	add(w.score, ScoreText(l, language))
	add(w.channel, Line(l.Channel, longestLine))
	add(w.source, Line(l.Source, longestLine))
	if !l.ReceivedAt.IsZero() {
		if zone == nil {
			zone = time.UTC
		}
		add(w.received, l.ReceivedAt.In(zone).Format("02.01.2006 15:04"))
	}
	for _, p := range l.Problems {
		add(w.problems, Line(p, longestLine))
	}
	if l.RepeatOf != "" {
		add(w.repeatsTo, ShortID(l.RepeatOf))
	}
	add(w.number, ShortID(l.ID))
	return strings.TrimSuffix(b.String(), "\n")
}

// shortText puts the contact and the number before the service: an SMS is cut at its end, and a call back needs the contact.
func shortText(kind, name, contact string, l *streams.Lead) string {
	s := kind + ": " + Cut(name, 20, "…") + ", " + contact + ", " + ShortID(l.ID)
	if l.Service != "" {
		s += ", " + Line(l.Service, 40)
	}
	return s
}

// Whole is the text of m with its subject as the first line, for those who have no subject line of their own.
func (m Message) Whole() string {
	switch {
	case m.Subject == "" || strings.HasPrefix(m.Text, m.Subject):
		return m.Text
	case m.Text == "":
		return m.Subject
	}
	return m.Subject + "\n\n" + m.Text
}

// ShortID is the part of a lead id that people see and say. Eight of its letters and digits tell a salon's leads apart,
// and find the lead in the console.
func ShortID(id string) string { return Cut(Line(id, 64), 8, "") }

// Clean makes outside text fit to be shown: valid UTF-8, line breaks as \n, no control characters, and none of the
// invisible marks that turn the direction of what follows.
func Clean(s string) string {
	s = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u2028", "\n", "\u2029", "\n").Replace(strings.ToValidUTF8(s, "\uFFFD"))
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case unicode.IsControl(r), r >= 0x202A && r <= 0x202E, r >= 0x2066 && r <= 0x2069:
			return -1
		}
		return r
	}, s)
	return strings.TrimSpace(s)
}

// Line is Clean on one line, cut to so many characters.
func Line(s string, most int) string {
	return Cut(strings.Join(strings.Fields(Clean(s)), " "), most, "…")
}

// Cut shortens s to at most so many characters, the mark included.
func Cut(s string, most int, mark string) string {
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	keep := max(most-utf8.RuneCountInString(mark), 0)
	r := []rune(s)
	return strings.TrimRightFunc(string(r[:keep]), unicode.IsSpace) + mark
}

func wordsOf(language string) words {
	if w, ok := notices[language]; ok {
		return w
	}
	return notices["en"]
}
