package meta

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestTemplatesAndButtons(t *testing.T) {
	now := time.Unix(1767225600, 0)
	s := start(t, Options{Now: func() time.Time { return now }})
	messages := s.URL() + "/555000111222333/messages"
	s.Approve("visit", "ru", 1)
	s.Write("RU.1349abc", "Анна", Text("да"))
	to := func(rest string) string {
		return `{"messaging_product":"whatsapp","recipient":"RU.1349abc",` + rest + `}`
	}
	visit := func(language string, parameters ...string) string {
		var all []string
		for _, p := range parameters {
			all = append(all, fmt.Sprintf(`{"type":"text","text":%q}`, p))
		}
		return to(`"type":"template","template":{"name":"visit","language":{"code":"` + language + `"},"components":[{"type":"body","parameters":[` + strings.Join(all, ",") + `]}]}`)
	}
	buttons := func(titles ...string) string {
		var all []string
		for i, title := range titles {
			all = append(all, fmt.Sprintf(`{"type":"reply","reply":{"id":"%d","title":%q}}`, i, title))
		}
		return to(`"type":"interactive","interactive":{"type":"button","body":{"text":"Когда?"},"action":{"buttons":[` + strings.Join(all, ",") + `]}}`)
	}
	list := func(label string, rows int) string {
		var all []string
		for i := range rows {
			all = append(all, fmt.Sprintf(`{"id":"%d","title":"t%d"}`, i, i))
		}
		return to(`"type":"interactive","interactive":{"type":"list","body":{"text":"Когда?"},"action":{"button":"` + label + `","sections":[{"rows":[` + strings.Join(all, ",") + `]}]}}`)
	}
	for name, tt := range map[string]struct{ body, want string }{
		"template":               {visit("ru", "Анна"), "<nil>"},
		"another language":       {visit("en", "Анна"), "132001"},
		"a parameter too many":   {visit("ru", "Анна", "x"), "132000"},
		"an empty parameter":     {visit("ru", ""), "131008"},
		"a line break in one":    {visit("ru", "Анна\nx"), "100"},
		"buttons":                {buttons("Да", "Нет", "Позже"), "<nil>"},
		"four buttons":           {buttons("1", "2", "3", "4"), "131009"},
		"two alike":              {buttons("Да", "Да"), "131009"},
		"a long title":           {buttons(strings.Repeat("я", 21)), "131009"},
		"no buttons":             {buttons(), "131009"},
		"list":                   {list("Выбрать", 10), "<nil>"},
		"a long list":            {list("Выбрать", 11), "131009"},
		"a list that none opens": {list("", 2), "131009"},
		"nobody":                 {`{"messaging_product":"whatsapp","type":"text","text":{"body":"x"}}`, "131009"},
		"an id as a number":      {`{"messaging_product":"whatsapp","to":"RU.1349abc","type":"text","text":{"body":"x"}}`, "131009"},
	} {
		if _, out := call(t, http.MethodPost, messages, "token", tt.body); code(out) != tt.want {
			t.Errorf("%s: %v, want %s", name, out, tt.want)
		}
	}
	s.Doom("RU.1349abc", Fate{Refuse: "131026"})
	if _, out := call(t, http.MethodPost, messages, "token", visit("ru", "Анна")); code(out) != "131026" {
		t.Errorf("who has none: %v", out)
	}
	got := ""
	for n := 0; n <= throughput && got == ""; n++ {
		s.Doom("", Fate{Untold: true})
		number := fmt.Sprintf("7999000%04d", n)
		s.Write(number, "Анна", Text("да"))
		if _, out := call(t, http.MethodPost, messages, "token", `{"messaging_product":"whatsapp","to":"`+number+`","text":{"body":"x"}}`); code(out) != "<nil>" {
			got = code(out)
		}
	}
	if got != "130429" {
		t.Errorf("%d messages in one moment: %s", throughput+4, got)
	}
	now = now.Add(2 * time.Second)
	if _, out := call(t, http.MethodPost, messages, "token", `{"messaging_product":"whatsapp","to":"79990000001","text":{"body":"x"}}`); code(out) != "<nil>" {
		t.Errorf("later: %v", out)
	}
}

func TestReplies(t *testing.T) {
	now := time.Unix(1767225600, 0)
	s := start(t, Options{Now: func() time.Time { return now }})
	s.Tell("messenger", "600", "да")
	s.Tell("instagram", "700", "да")
	page, instagram := s.URL()+"/300000000000001/messages", s.URL()+"/17800000000000001/messages"
	say := func(to, text, rest string) string {
		return fmt.Sprintf(`{"recipient":{"id":%q},"messaging_type":"RESPONSE","message":{"text":%q%s}}`, to, text, rest)
	}
	quick := func(n int) string {
		return `,"quick_replies":[` + strings.TrimSuffix(strings.Repeat(`{"content_type":"text","title":"t","payload":"p"},`, n), ",") + `]`
	}
	table := func(cases map[string]struct{ url, token, body, want string }) {
		t.Helper()
		for name, tt := range cases {
			_, out := call(t, http.MethodPost, tt.url, tt.token, tt.body)
			got := code(out)
			if e, ok := out["error"].(map[string]any); ok && e["error_subcode"] != nil {
				got += "/" + fmt.Sprintf("%.0f", e["error_subcode"])
			}
			if got != tt.want {
				t.Errorf("%s: %v, want %s", name, out, tt.want)
			}
		}
	}
	table(map[string]struct{ url, token, body, want string }{
		"messenger":                {page, "token-page", say("600", "Ждём", ""), "<nil>"},
		"instagram, by the page":   {page, "token-page", say("700", "Ждём", quick(13)), "<nil>"},
		"instagram, by itself":     {instagram, "token-page", say("700", "Ждём", ""), "<nil>"},
		"the page's on Instagram":  {instagram, "token-page", say("600", "Ждём", ""), "100/2534014"},
		"a stranger":               {page, "token-page", say("601", "Ждём", ""), "100/2018001"},
		"not the page's token":     {page, "token", say("600", "Ждём", ""), "190"},
		"a long text":              {page, "token-page", say("600", strings.Repeat("я", 2001), ""), "100"},
		"a long text, in bytes":    {page, "token-page", say("700", strings.Repeat("я", 501), ""), "100"},
		"fourteen answers":         {page, "token-page", say("600", "Ждём", quick(14)), "100"},
		"an answer without a word": {page, "token-page", say("600", "Ждём", `,"quick_replies":[{"content_type":"text","title":"t"}]`), "100"},
		"no type":                  {page, "token-page", `{"recipient":{"id":"600"},"message":{"text":"Ждём"}}`, "100"},
	})
	now = now.Add(window + time.Second)
	table(map[string]struct{ url, token, body, want string }{
		"messenger, a day later": {page, "token-page", say("600", "Ждём", ""), "10/2018278"},
		"instagram, a day later": {page, "token-page", say("700", "Ждём", ""), "10/2534022"},
	})
	if n := len(s.Sent()); n != 3 {
		t.Errorf("%d were sent", n)
	}
	for url, token := range map[string]string{"/555000111222333?fields=id,status": "token", "/300000000000001?fields=id": "token-page"} {
		if status, out := call(t, http.MethodGet, s.URL()+url, token, ""); status != http.StatusOK || out["id"] == "" {
			t.Errorf("%s: %d %v", url, status, out)
		}
	}
}
