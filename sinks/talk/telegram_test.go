package talk_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"leadstream/sinks/sim/phone"
	"leadstream/sinks/talk"
	"leadstream/streams"
	"leadstream/streams/outbound"
)

const botToken = "110201543:" + canarySecret

var telegramService = service{
	kind: "telegram", to: "1000001", remote: "77",
	configure: func(set any, url string) {
		s := set.(*talk.TelegramSettings)
		s.Token, s.BaseURL, s.AllowPrivate = botToken, url+"/", true
	},
	creates: func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/sendMessage") },
	healthy: func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"ok":true,"result":{"message_id":77}}`)
	},
}

func TestTelegramSuffers(t *testing.T) { t.Parallel(); telegramService.suffer(t) }

func TestTelegramAnswers(t *testing.T) {
	t.Parallel()
	refusal := func(code int, text string, result streams.Result, means outbound.Means) row {
		return row{status: code, body: fmt.Sprintf(`{"ok":false,"error_code":%d,"description":%q}`, code, text+" ECHO"), result: result, means: means, code: fmt.Sprint(code)}
	}
	dead := func(code int, text string) row { return refusal(code, text, streams.Permanent, outbound.RouteDead) }
	final := func(code int, text string) row { return refusal(code, text, streams.Permanent, "") }
	pause := func(code int, text string) row { return refusal(code, text, streams.Pause, "") }
	slow := row{status: 429, body: `{"ok":false,"error_code":429,"description":"Too Many Requests: retry after 35","parameters":{"retry_after":35}}`,
		result: streams.Pause, scope: streams.ScopeKey, code: "429", after: 35 * time.Second}
	telegramService.table(t, map[string]row{
		"blocked":       dead(403, "Forbidden: bot was blocked by the user"),
		"gone":          dead(403, "Forbidden: user is deactivated"),
		"never wrote":   dead(403, "Forbidden: bot can't initiate conversation with a user"),
		"kicked":        dead(403, "Forbidden: bot was kicked from the group chat"),
		"not there":     dead(403, "Forbidden: bot is not a member of the channel chat"),
		"deleted":       dead(403, "Forbidden: the group chat was deleted"),
		"other 403":     dead(403, "Forbidden: something new"),
		"no such chat":  dead(400, "Bad Request: chat not found"),
		"private":       dead(400, "Bad Request: private chat not found"),
		"no rights":     dead(400, "Bad Request: not enough rights to send text messages to the chat"),
		"no right":      dead(400, "Bad Request: have no rights to send a message"),
		"too long":      final(400, "Bad Request: message is too long"),
		"button":        final(400, "Bad Request: BUTTON_DATA_INVALID"),
		"many buttons":  final(400, "Bad Request: reply markup is too long"),
		"unknown":       final(400, "Bad Request: of next year"),
		"too large":     final(413, "Request Entity Too Large"),
		"token":         pause(401, "Unauthorized"),
		"no such bot":   pause(404, "Not Found"),
		"conflict":      refusal(409, "Conflict", streams.Retry, ""),
		"fault":         refusal(500, "Internal Server Error", streams.Ambiguous, ""),
		"slow":          slow,
		"nothing named": {status: 200, body: `{"ok":true,"result":{}}`, result: streams.Ambiguous},
	})
}

// A 429 says of nobody in particular: the first stops its chat, one of another chat meanwhile stops the bot.
func TestTelegramSlowScope(t *testing.T) {
	t.Parallel()
	url, _ := telegramService.answers(t, 429, nil, `{"ok":false,"error_code":429,"parameters":{"retry_after":35}}`)
	c := telegramService.open(t, url)
	for i, want := range []struct {
		to    string
		scope streams.Scope
	}{{"1000001", streams.ScopeKey}, {"1000001", streams.ScopeKey}, {"1000002", streams.ScopeSink}} {
		if tried := send(t, t.Context(), c, want.to, testWords()); tried.Scope != want.scope {
			t.Errorf("%d: scope %q, want %q", i, tried.Scope, want.scope)
		}
	}
}

func openPhone(t *testing.T, o phone.Options) *phone.Phone {
	t.Helper()
	p := phone.New(o)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// On a phone that reads as Telegram does: the customer sees the words as they are, their buttons, and each of them once.
func TestTelegramOnAPhone(t *testing.T) {
	t.Parallel()
	p := openPhone(t, phone.Options{Token: botToken})
	c := telegramService.open(t, p.URL())
	w := testWords()
	w.Text = "<b>5 & 6</b> *_[" + canaryText
	w.Buttons = []outbound.Button{{Text: "Приду", Data: "visit:yes"}, {Text: "Перенести"}, {Text: "Сайт", URL: "https://example.org"}}
	first := send(t, t.Context(), c, "1000001", w)
	got := p.Messages()
	if first.Result != streams.Done || first.Remote != "1" || len(got) != 1 || got[0].Text != w.Text {
		t.Fatalf("%+v; on the phone: %+v", first, got)
	}
	for _, want := range []string{`"callback_data":"visit:yes"`, `"callback_data":"Перенести"`, `"url":"https://example.org"`} {
		if !strings.Contains(got[0].Buttons, want) {
			t.Errorf("%s is not in %s", want, got[0].Buttons)
		}
	}
	if err := c.Check(t.Context()); err != nil {
		t.Error(err)
	}

	// What no button holds is written out.
	w.Buttons = []outbound.Button{{Text: "Да", Data: strings.Repeat("x", 65)}, {Text: "Сайт", URL: "https://example.org"}}
	send(t, t.Context(), c, "1000001", w)
	if got := p.Messages()[1]; got.Buttons != "" || !strings.HasSuffix(got.Text, "\n\n– Да\n– Сайт: https://example.org") {
		t.Errorf("written out: %+v", got)
	}

	// A long text goes in parts; those that were sent before a 429 are not sent again.
	w.Text, w.Buttons, w.ID = strings.Repeat("слово ", 1500), nil, "long"
	p.Inject(phone.Fault{Method: "sendMessage", After: false, Times: 1, Status: 429, RetryAfter: "3"})
	if tried := send(t, t.Context(), c, "1000001", w); tried.Result != streams.Pause || tried.After != 3*time.Second {
		t.Errorf("got %s after %s", tried.Result, tried.After)
	}
	if tried := send(t, t.Context(), c, "1000001", w); tried.Result != streams.Done || len(p.Messages()) != 5 {
		t.Errorf("got %s (%v), %d messages", tried.Result, tried.Err, len(p.Messages()))
	}

	// It may have got there.
	p.Inject(phone.Fault{Method: "sendMessage", Times: 1, LoseAnswer: true})
	if tried := send(t, t.Context(), c, "1000001", testWords()); tried.Result != streams.Ambiguous {
		t.Errorf("a lost answer: %s", tried.Result)
	}
	p.SetChat(phone.Chat{ID: 1000001, Type: "private", Blocked: true})
	if tried := send(t, t.Context(), c, "1000001", testWords()); tried.Result != streams.Permanent || tried.Means != outbound.RouteDead {
		t.Errorf("blocked: %s %s", tried.Result, tried.Means)
	}
}

// A Bot API server that others wrote takes what we send, and shows the customer the same.
func TestTelegramOfOthers(t *testing.T) {
	t.Parallel()
	const folder = "../../daemon/channel/testdata/clients"
	if _, err := os.Stat(folder + "/node_modules/telegram-test-api"); err != nil {
		t.Fatalf("%v: run scripts/npm-test-deps once", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", "polled.mjs", "telegram-told", botToken)
	cmd.Dir, cmd.Stderr = folder, os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := json.NewDecoder(out)
	defer func() {
		_ = in.Close()
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait() // ended by us
	}()
	var server struct{ URL string }
	if err := lines.Decode(&server); err != nil {
		t.Fatal(err)
	}
	w := testWords()
	w.Buttons = []outbound.Button{{Text: "Приду", Data: "visit:yes"}}
	if tried := send(t, ctx, telegramService.open(t, server.URL), "7", w); tried.Result != streams.Done || tried.Remote == "" {
		t.Fatalf("%+v", tried)
	}
	var told struct {
		Chat, Text string
		Keyboard   struct {
			Rows [][]struct {
				Text string
				Data string `json:"callback_data"`
			} `json:"inline_keyboard"`
		}
	}
	if err := lines.Decode(&told); err != nil {
		t.Fatal(err)
	}
	if told.Chat != "7" || told.Text != w.Text || len(told.Keyboard.Rows) != 1 || told.Keyboard.Rows[0][0].Data != "visit:yes" {
		t.Errorf("the customer is told %+v", told)
	}
}
