package sinks_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"leadstream/sinks"
	"leadstream/sinks/sinkstest"
	"leadstream/streams"
)

const (
	botToken = "123456:" + sinkstest.Canary
	group    = "-1001234567890"
)

// bot is a Bot API that gives the answers it is told to, one a request, then good ones.
type bot struct {
	url     string
	answers []string // "status body"

	mu   sync.Mutex
	sent []map[string]any
}

func startBot(t *testing.T, answers ...string) *bot {
	b := &bot{answers: answers}
	server := httptest.NewServer(http.HandlerFunc(b.serve))
	t.Cleanup(server.Close)
	b.url = server.URL
	return b
}

func (b *bot) serve(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var call map[string]any
	d := json.NewDecoder(r.Body)
	d.UseNumber()
	_ = d.Decode(&call)
	b.sent = append(b.sent, call)
	if n := len(b.sent); n <= len(b.answers) && b.answers[n-1] != "" {
		status, body, _ := strings.Cut(b.answers[n-1], " ")
		var code int
		_, _ = fmt.Sscan(status, &code)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
		return
	}
	goodBot(w, r)
}

func goodBot(w http.ResponseWriter, r *http.Request) {
	if !strings.HasPrefix(r.URL.Path, "/bot"+botToken+"/") {
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"ok":false,"error_code":404,"description":"Not Found"}`)
		return
	}
	_, _ = io.WriteString(w, `{"ok":true,"result":{"message_id":77,"id":1,"chat":{"id":-1001234567890}}}`)
}

func openBot(t *testing.T, url string, change func(*sinks.TelegramSettings)) sinks.Sink {
	t.Helper()
	set := sinks.Telegram.Settings().(*sinks.TelegramSettings)
	set.Token, set.Chat, set.BaseURL, set.AllowPrivate = botToken, group, url+"/", true
	if change != nil {
		change(set)
	}
	sink, err := sinks.Telegram.Open(set, sinks.Env{Language: "ru", Zone: time.UTC, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	return sink
}

func TestTelegramSuite(t *testing.T) {
	t.Parallel()
	sinkstest.Run(t, sinkstest.Case{
		Kind: sinks.Telegram,
		Configure: func(settings any, url string) {
			s := settings.(*sinks.TelegramSettings)
			s.Token, s.Chat, s.BaseURL, s.AllowPrivate = botToken, group, url, true
		},
		Healthy: goodBot,
		Creates: func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/sendMessage") },
		Busy: func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusTooManyRequests)
			_, _ = io.WriteString(w, `{"ok":false,"error_code":429,"parameters":{"retry_after":35}}`)
		},
	})
}

func TestTelegramAnswers(t *testing.T) {
	refusal := func(code int, description string) string {
		return fmt.Sprintf(`%d {"ok":false,"error_code":%d,"description":%q}`, code, code, description)
	}
	type want struct {
		Result streams.Result
		After  time.Duration
		Code   string
		Calls  int
	}
	dead := func(code string) want { return want{streams.Permanent, 0, code, 1} }
	cases := map[string]struct {
		answers []string
		want    want
	}{
		"sent":             {want: want{Calls: 1}},
		"too many":         {[]string{`429 {"ok":false,"error_code":429,"description":"Too Many Requests: retry after 35","parameters":{"retry_after":35}}`}, want{streams.Pause, 35 * time.Second, "429", 1}},
		"blocked":          {[]string{refusal(403, "Forbidden: bot was blocked by the user")}, dead("403")},
		"deactivated":      {[]string{refusal(403, "Forbidden: user is deactivated")}, dead("403")},
		"kicked":           {[]string{refusal(403, "Forbidden: bot was kicked from the supergroup chat")}, dead("403")},
		"not a member":     {[]string{refusal(403, "Forbidden: bot is not a member of the channel chat")}, dead("403")},
		"deleted":          {[]string{refusal(403, "Forbidden: the group chat was deleted")}, dead("403")},
		"never started":    {[]string{refusal(403, "Forbidden: bot can't initiate conversation with a user")}, dead("403")},
		"unknown 403":      {[]string{refusal(403, "Forbidden: SOMETHING_NEW")}, dead("403")},
		"no chat":          {[]string{refusal(400, "Bad Request: chat not found")}, dead("400")},
		"no private chat":  {[]string{refusal(400, "Bad Request: private chat not found")}, dead("400")},
		"no rights":        {[]string{refusal(400, "Bad Request: not enough rights to send text messages to the chat")}, dead("400")},
		"no right to send": {[]string{refusal(400, "Bad Request: have no rights to send a message")}, dead("400")},
		"topic closed":     {[]string{refusal(400, "Bad Request: TOPIC_CLOSED")}, dead("400")},
		"no topic":         {[]string{refusal(400, "Bad Request: message thread not found")}, dead("400")},
		"too long":         {[]string{refusal(400, "Bad Request: message is too long")}, dead("400")},
		"no text":          {[]string{refusal(400, "Bad Request: message text is empty")}, dead("400")},
		"button":           {[]string{refusal(400, "Bad Request: BUTTON_DATA_INVALID")}, dead("400")},
		"buttons":          {[]string{refusal(400, "Bad Request: reply markup is too long")}, dead("400")},
		"unknown 400":      {[]string{refusal(400, "Bad Request: SOMETHING_NEW")}, dead("400")},
		"markup, once":     {[]string{refusal(400, "Bad Request: can't parse entities: <")}, want{Calls: 2}},
		"markup, twice":    {[]string{refusal(400, "Bad Request: can't parse entities"), refusal(400, "Bad Request: can't parse entities")}, want{streams.Permanent, 0, "400", 2}},
		"token":            {[]string{refusal(401, "Unauthorized")}, want{streams.Pause, 5 * time.Minute, "401", 1}},
		"no such bot":      {[]string{refusal(404, "Not Found")}, want{streams.Pause, 5 * time.Minute, "404", 1}},
		"conflict":         {[]string{refusal(409, "Conflict")}, want{streams.Retry, 0, "409", 1}},
		"too large":        {[]string{refusal(413, "Request Entity Too Large")}, dead("413")},
		"down 500":         {[]string{refusal(500, "Internal Server Error")}, want{streams.Ambiguous, 0, "500", 1}},
		"down 502":         {[]string{refusal(502, "Bad Gateway")}, want{streams.Ambiguous, 0, "502", 1}},
		"down 503":         {[]string{refusal(503, "Service Unavailable")}, want{streams.Ambiguous, 0, "503", 1}},
		"down 504":         {[]string{"504 <html>"}, want{streams.Ambiguous, 0, "504", 1}},
		"no message in ok": {[]string{`200 {"ok":true,"result":{}}`}, want{streams.Ambiguous, 0, "", 1}},
		"a proxy's 403":    {[]string{"403 <html>"}, want{streams.Pause, 5 * time.Minute, "403", 1}},
		"moved": {[]string{`400 {"ok":false,"error_code":400,"description":"Bad Request: group chat was upgraded to a supergroup chat","parameters":{"migrate_to_chat_id":-1009}}`},
			want{Calls: 2}},
		"moved for ever": {[]string{`400 {"ok":false,"error_code":400,"parameters":{"migrate_to_chat_id":-1009}}`, `400 {"ok":false,"error_code":400,"parameters":{"migrate_to_chat_id":-1008}}`},
			want{streams.Permanent, 0, "400", 2}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			b := startBot(t, c.answers...)
			v := openBot(t, b.url, nil).Deliver(t.Context(), sinkstest.Batch(1))[0]
			if diff := cmp.Diff(c.want, want{v.Result, v.After, v.Code, len(b.sent)}); diff != "" {
				t.Errorf("%s (%v)", diff, v.Err)
			}
		})
	}
}

func TestTelegramNotice(t *testing.T) {
	b := startBot(t)
	sink := openBot(t, b.url, func(s *sinks.TelegramSettings) {
		s.Thread = 5
		s.Buttons = []sinks.TelegramButton{{Text: "Взять", Data: "take:{id}"}, {Text: "Открыть", URL: "https://example.test/{id}"}}
	})
	lead := sinkstest.Lead(0)
	lead.Name, lead.Message = "Анна <b> & Ко", "</b>"
	deliver(t, sink, sinks.Delivery{Lead: lead})
	got := b.sent[0]
	if got["chat_id"] != json.Number(group) || got["parse_mode"] != "HTML" || got["message_thread_id"] != json.Number("5") {
		t.Errorf("got %v", got)
	}
	text := got["text"].(string)
	for _, want := range []string{"<b>Новая заявка: Анна &lt;b&gt; &amp; Ко</b>\n", "&lt;/b&gt;", lead.Phone, sinks.ShortID(lead.ID)} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in %q", want, text)
		}
	}
	if markup, _ := json.Marshal(got["reply_markup"]); !strings.Contains(string(markup), `"callback_data":"take:`+lead.ID+`"`) {
		t.Errorf("no button: %s", markup)
	}
}

func TestTelegramRemembersTheNewChat(t *testing.T) {
	b := startBot(t, `400 {"ok":false,"error_code":400,"parameters":{"migrate_to_chat_id":-1009}}`)
	sink := openBot(t, b.url, nil)
	for range 2 {
		deliver(t, sink, sinkstest.Batch(1)...)
	}
	var chats []any
	for _, call := range b.sent {
		chats = append(chats, call["chat_id"])
	}
	if diff := cmp.Diff([]any{json.Number(group), json.Number("-1009"), json.Number("-1009")}, chats); diff != "" {
		t.Error(diff)
	}
}

// A long message goes in parts; being stopped between two, it goes on with the one that is missing.
func TestTelegramParts(t *testing.T) {
	b := startBot(t, "", `429 {"ok":false,"error_code":429,"parameters":{"retry_after":1}}`)
	sink := openBot(t, b.url, nil).(sinks.Messenger)
	line := strings.Repeat("🙂", 40) + " &\n"
	m := sinks.Message{ID: "m", Subject: "Тема", Text: strings.Repeat(line, 100)}
	if v := sink.Send(t.Context(), m); v.Result != streams.Pause {
		t.Fatalf("got result %d", v.Result)
	}
	if v := sink.Send(t.Context(), m); v.Result != streams.Done || v.Remote != "77" {
		t.Fatalf("got result %d (%v)", v.Result, v.Err)
	}
	var whole strings.Builder
	for i, call := range b.sent {
		text := strings.NewReplacer("<b>", "", "</b>", "", "&amp;", "&").Replace(call["text"].(string))
		if n := len(utf16.Encode([]rune(text))); n > 4096 {
			t.Errorf("part %d has %d units", i, n)
		}
		if i != 1 { // refused, and sent again
			whole.WriteString(text + "\n")
		}
	}
	if got, want := strings.Fields(whole.String()), strings.Fields(m.Whole()); cmp.Diff(want, got) != "" {
		t.Errorf("%d words arrived, want %d", len(got), len(want))
	}
	if b.sent[0]["disable_notification"] != true {
		t.Error("not urgent, yet with a sound")
	}
}

func TestTelegramFaultsOfConfig(t *testing.T) {
	_, err := sinks.Telegram.Open(&sinks.TelegramSettings{
		Token: "x" + sinkstest.Canary, Chat: "my group", BaseURL: "example.test",
		Buttons: []sinks.TelegramButton{{Text: "a"}, {Text: "b", Data: "{id}" + strings.Repeat("x", 60)}},
	}, sinks.Env{})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"token:", "chat:", "base_url:", "number 1", "number 2"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
	if strings.Contains(err.Error(), sinkstest.Canary) {
		t.Errorf("the token is shown: %v", err)
	}
}
