package max

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func start(t *testing.T, o Options) *Messenger {
	t.Helper()
	m := New(o)
	if err := m.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

func ask(t *testing.T, m *Messenger, method, path, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, m.URL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "max-token")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

func TestUpdates(t *testing.T) {
	m := start(t, Options{PollRate: -1})
	m.Write(1, "Анна", "раз")
	m.Begin(2, "Пётр", "banner")
	for _, tt := range []struct {
		path string
		code int
		want string
	}{
		{"/updates?limit=1", 200, `"marker":5001`},
		{"/updates?types=bot_started", 200, `"marker":5002`},
		{"/updates?marker=5001&limit=1", 200, "banner"}, // commits the first
		{"/updates", 200, "banner"},
		{"/updates?marker=5002&timeout=0", 200, `{"marker":5002,"updates":[]}`},
		{"/updates?timeout=0", 200, `{"marker":null,"updates":[]}`},
		{"/updates?limit=1001", 400, "Invalid parameters"},
		{"/updates?marker=x", 400, "Invalid parameters"},
		{"/of_next_year", 404, "not.found"},
	} {
		if code, got := ask(t, m, "GET", tt.path, ""); code != tt.code || !strings.Contains(got, tt.want) {
			t.Errorf("%s: %d %s", tt.path, code, got)
		}
	}
	if _, got := ask(t, m, "POST", "/subscriptions", `{"url":"http://leads.example.test/in"}`); !strings.Contains(got, `"success":false`) {
		t.Errorf("plain http: %s", got)
	}
	if _, got := ask(t, m, "POST", "/subscriptions", `{"url":"https://leads.example.test/in","secret":"a b"}`); !strings.Contains(got, "secret") {
		t.Errorf("a wrong secret: %s", got)
	}
	ask(t, m, "POST", "/subscriptions", `{"url":"https://leads.example.test/in"}`)
	if code, _ := ask(t, m, "GET", "/updates", ""); code != http.StatusConflict {
		t.Errorf("long poll with a webhook: %d", code)
	}
}

func TestLimits(t *testing.T) {
	now := time.Now()
	m := start(t, Options{Clock: func() time.Time { return now }})
	for i, want := range []int{200, 200, 429} {
		if code, _ := ask(t, m, "GET", "/updates?timeout=0", ""); code != want {
			t.Errorf("call %d: %d", i, code)
		}
	}
}

// Only 200 is a success, and an address that fails for eight hours is unsubscribed.
func TestWebhook(t *testing.T) {
	var clock atomic.Int64
	var code atomic.Int64
	code.Store(http.StatusNoContent)
	begun := time.Now()
	m := start(t, Options{PlainHTTP: true, Hurry: 10000, Clock: func() time.Time { return begun.Add(time.Duration(clock.Load())) }})
	tries := make(chan string, 10000)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tries <- r.Header.Get("X-Max-Bot-Api-Secret")
		w.WriteHeader(int(code.Load()))
	}))
	defer server.Close()
	ask(t, m, "POST", "/subscriptions", `{"url":"`+server.URL+`","secret":"max_secret","update_types":["message_created"]}`)
	m.Begin(2, "Пётр", "") // not asked for
	m.Write(1, "Анна", "раз")
	for range 3 {
		if got := <-tries; got != "max_secret" {
			t.Errorf("the secret is %q", got)
		}
	}
	code.Store(http.StatusOK)
	for m.Unread() > 0 {
		time.Sleep(time.Millisecond)
	}
	code.Store(http.StatusInternalServerError)
	m.Write(1, "Анна", "два")
	clock.Store(int64(7 * time.Hour))
	if m.Webhook() == "" {
		t.Error("unsubscribed after seven hours")
	}
	clock.Store(int64(9 * time.Hour))
	for end := time.Now().Add(10 * time.Second); m.Webhook() != ""; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("still subscribed after nine hours")
		}
	}
	if _, got := ask(t, m, "GET", "/updates?timeout=0", ""); !strings.Contains(got, "два") {
		t.Errorf("what was not delivered is gone: %s", got)
	}
}
