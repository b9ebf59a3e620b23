package intake

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func eventConfig() Config {
	c := testConfig()
	c.Sources["tg"] = Source{Preset: "telegram", Secrets: []string{"the_secret"}}
	c.Sources["both"] = Source{Preset: "telegram", Secrets: []string{"the_secret"}, Keys: []string{KeyHash(testKey + "both")}}
	return c
}

const secretHeader = "X-Telegram-Bot-Api-Secret-Token"

func update(id int, text string) string {
	return fmt.Sprintf(`{"update_id":%d,"message":{"message_id":1,"from":{"id":7,"first_name":"Ольга"},"chat":{"id":7,"type":"private"},"date":1767225600,"text":%q}}`, id, text)
}

func TestEvents(t *testing.T) {
	tests := map[string]struct {
		target, body, secret string
		code                 int
		taken                int
		quarantined          string
	}{
		"a message":                   {"/in/tg", update(1, "цена?"), "the_secret", 200, 1, ""},
		"with a key in the address":   {"/in/both/" + testKey + "both", update(1, "цена?"), "the_secret", 200, 1, ""},
		"the key alone":               {"/in/both/" + testKey + "both", update(1, "цена?"), "", 401, 0, ""},
		"the secret, but not the key": {"/in/both", update(1, "цена?"), "the_secret", 401, 0, ""},
		"wrong secret":                {"/in/tg", update(1, "цена?"), "the_secre", 401, 0, ""},
		"no secret":                   {"/in/tg", update(1, "цена?"), "", 401, 0, ""},
		"nothing for us":              {"/in/tg", `{"update_id":1,"poll":{}}`, "the_secret", 200, 0, ""},
		"cut short":                   {"/in/tg", update(1, "цена?")[:50], "the_secret", 200, 0, "unreadable"},
		"another encoding":            {"/in/tg", "\xff\xfe{", "the_secret", 200, 0, "unreadable"},
		"10 MB":                       {"/in/tg", update(1, strings.Repeat("a", 10<<20)), "the_secret", 200, 0, "too_large"},
		"10 MB, with a key":           {"/in/both/" + testKey + "both", update(1, strings.Repeat("a", 10<<20)), "the_secret", 200, 0, "too_large"},
		"10 MB of somebody":           {"/in/tg", update(1, strings.Repeat("a", 10<<20)), "", 401, 0, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m := &memory{}
			w := send(newHandler(t, eventConfig(), m), tt.target, tt.body, secretHeader, tt.secret, "Content-Type", "application/json")
			if w.Code != tt.code || tt.code == 200 && w.Body.Len() > 0 {
				t.Errorf("got %d %q, want %d and nothing more", w.Code, w.Body, tt.code)
			}
			if len(m.taken) != tt.taken {
				t.Errorf("%d leads taken, want %d", len(m.taken), tt.taken)
			}
			got := ""
			if len(m.quarantined) > 0 {
				got = m.quarantined[0].Code
			}
			if got != tt.quarantined {
				t.Errorf("quarantined %q, want %q", got, tt.quarantined)
			}
		})
	}
}

// An event told again is the same lead; a journal that is away makes the service come again.
func TestEventsAreKept(t *testing.T) {
	m := &memory{}
	h := newHandler(t, eventConfig(), m)
	for range 2 {
		send(h, "/in/tg", update(5, "да"), secretHeader, "the_secret")
	}
	if len(m.taken) != 2 || m.taken[0].Key != "5" || string(m.taken[0].Canonical) != string(m.taken[1].Canonical) {
		t.Errorf("got %+v", m.taken)
	}
	if l := m.taken[0].Lead; l.Source != "tg" || l.Channel != "telegram" || l.UserID != "7" || l.ReceivedAt.IsZero() {
		t.Errorf("got %+v", l)
	}
	m.fail = ErrUnavailable{}
	for _, body := range []string{update(6, "да"), "no update"} {
		if w := send(h, "/in/tg", body, secretHeader, "the_secret"); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
			t.Errorf("got %d with Retry-After %q", w.Code, w.Header().Get("Retry-After"))
		}
	}
}

// A service that only posts is no page to look at.
func TestEventsByGet(t *testing.T) {
	w := httptest.NewRecorder()
	newHandler(t, eventConfig(), &memory{}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/in/tg", nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("got %d", w.Code)
	}
}
