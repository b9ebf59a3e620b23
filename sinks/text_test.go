package sinks

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"leadstream/streams"
)

func TestNoticesAreWholeInEveryLanguage(t *testing.T) {
	for _, language := range []string{"ru", "en"} {
		w := reflect.ValueOf(notices[language])
		for i := range w.NumField() {
			if w.Field(i).String() == "" {
				t.Errorf("%s has no text for %s", language, w.Type().Field(i).Name)
			}
		}
	}
	for _, c := range columns {
		if c.ru == "" || c.en == "" {
			t.Errorf("column %s lacks a title", c.name)
		}
	}
}

func TestLeadMessage(t *testing.T) {
	lead := streams.Lead{
		ID: "abcdefgh0123", Name: "Анна\nBcc: x", Phone: "+79990000011", Service: "стрижка", Message: "раз\r\nдва\x1b[31m",
		ReceivedAt: time.Date(2026, 3, 1, 20, 30, 0, 0, time.UTC), Problems: []string{"phone: not a number"},
	}
	hot, repeat := lead, lead
	hot.Hot = true
	repeat.RepeatOf = "zyxwvuts9876"
	env := Env{Language: "ru", Zone: time.FixedZone("", 7*3600)}
	cases := map[string]struct {
		lead     streams.Lead
		language string
		subject  string
		short    string
		text     []string
		urgent   bool
	}{
		"new": {lead, "ru", "Новая заявка: Анна Bcc: x", "Новая заявка: Анна Bcc: x, +79990000011, abcdefgh, стрижка",
			[]string{"Телефон: +79990000011", "Сообщение: раз\nдва[31m", "Получена: 02.03.2026 03:30", "Проверьте вручную: phone: not a number", "Номер заявки: abcdefgh"}, true},
		"hot": {hot, "ru", "Горячая заявка: Анна Bcc: x", "Горячая заявка: Анна Bcc: x, +79990000011, abcdefgh, стрижка", nil, true},
		"repeat": {repeat, "en", "Repeat enquiry: Анна Bcc: x", "Repeat enquiry: Анна Bcc: x, +79990000011, abcdefgh, стрижка",
			[]string{"Repeats lead: zyxwvuts", "Lead number: abcdefgh"}, false},
		"late file": {streams.Lead{ID: "abcdefgh0123", Name: "Анна", Key: streams.LateKey + "zyxwvuts9876", RepeatOf: "zyxwvuts9876", Media: []streams.Media{{Kind: "photo"}}}, "ru",
			"Файл к заявке: Анна", "Файл к заявке: Анна, контакт не указан, abcdefgh", []string{"Файлов: 1", "Повтор к заявке: zyxwvuts"}, false},
		"empty": {streams.Lead{}, "", "New lead: no name", "New lead: no name, no contact given, ", nil, true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			env := env
			env.Language = c.language
			m := LeadMessage(Delivery{Lead: &c.lead}, env)
			if m.Subject != c.subject || m.Short != c.short || m.Urgent != c.urgent {
				t.Errorf("got %q, %q, %v", m.Subject, m.Short, m.Urgent)
			}
			for _, want := range c.text {
				if !strings.Contains(m.Text, want) {
					t.Errorf("%q is not in %q", want, m.Text)
				}
			}
		})
	}
}
