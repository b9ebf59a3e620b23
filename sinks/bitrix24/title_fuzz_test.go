package bitrix24

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/rs/zerolog"

	"leadstream/sinks"
	"leadstream/streams"
)

// FuzzTitle: any title template that the config accepts gives every lead a title of one line that the portal's column
// holds, and no lead is kept from the portal by it.
func FuzzTitle(f *testing.F) {
	f.Add(`{{.Name}} {{printf "%.1000s" .Message}}`, "Анна", "a\nb")
	f.Add(`{{with .Service}}{{.}}{{end}}{{index .UTM "source"}}`, "", "\xff")
	f.Add(`{{slice .Message 3 9}}`, "a", "b")
	f.Fuzz(func(t *testing.T, text, name, message string) {
		if strings.Contains(text, "range") || strings.Contains(text, "template") || len(text) > 200 {
			return // loops without an end are the owner's own doing
		}
		title, err := parseTitle(text)
		if err != nil {
			return
		}
		set := Defaults()
		s := &Sink{set: *set, api: dialectOf(set), title: title, env: sinks.Env{Language: "ru"}, log: zerolog.Nop()}
		c := s.cardOf(&streams.Lead{ID: "01J", Name: name, Message: message})
		got, _ := c.fields["title"].(string)
		if got == "" || strings.ContainsAny(got, "\r\n\t") || utf8.RuneCountInString(got) > lineRunes {
			t.Errorf("%q gives %q", text, got)
		}
	})
}
