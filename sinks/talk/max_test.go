package talk_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"leadstream/sinks/sim/max"
	"leadstream/sinks/talk"
	"leadstream/streams"
	"leadstream/streams/outbound"
)

var maxService = service{
	kind: "max", to: "300000007", remote: "mid.5",
	configure: func(set any, url string) {
		s := set.(*talk.MaxSettings)
		s.Token, s.BaseURL, s.AllowPrivate = canarySecret, url+"/", true
	},
	healthy: func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"user_id":5,"message":{"recipient":{"chat_id":9},"body":{"mid":"mid.5"}}}`)
	},
}

func TestMaxSuffers(t *testing.T) { t.Parallel(); maxService.suffer(t) }

func TestMaxAnswers(t *testing.T) {
	t.Parallel()
	refusal := func(status int, code string, result streams.Result, means outbound.Means) row {
		return row{status: status, body: fmt.Sprintf(`{"code":%q,"message":"ECHO"}`, code), result: result, means: means, code: fmt.Sprint(status)}
	}
	maxService.table(t, map[string]row{
		"not ready":     refusal(400, "attachment.not.ready", streams.Wait, ""),
		"payload":       refusal(400, "proto.payload", streams.Permanent, ""),
		"token":         refusal(401, "verify.token", streams.Pause, ""),
		"stopped":       refusal(403, "chat.denied", streams.Permanent, outbound.RouteDead),
		"no permission": refusal(403, "chat.send.msg.no.permission", streams.Permanent, outbound.RouteDead),
		"front page":    {status: 403, body: "<html>", result: streams.Pause, code: "403"},
		"no chat":       refusal(404, "chat.not.found", streams.Permanent, outbound.RouteDead),
		"no dialog":     refusal(404, "dialog.not.found", streams.Permanent, outbound.RouteDead),
		"no method":     refusal(404, "not.found", streams.Pause, ""),
		"wrong method":  refusal(405, "method.not.allowed", streams.Permanent, ""),
		"slow":          refusal(429, "too.many.requests", streams.Pause, ""),
		"slower":        {status: 429, header: http.Header{"Retry-After": {"7"}}, body: `{}`, result: streams.Pause, code: "429", after: 7 * time.Second},
		"fault":         refusal(500, "internal.error", streams.Ambiguous, ""),
		"busy":          refusal(503, "service.unavailable", streams.Ambiguous, ""),
		"of next year":  refusal(418, "tea", streams.Permanent, ""),
		"nothing named": {status: 200, body: `{"message":{}}`, result: streams.Ambiguous},
	})
}

// Each 429 in a row waits twice as long.
func TestMaxSlower(t *testing.T) {
	t.Parallel()
	url, _ := maxService.answers(t, 429, nil, `{"code":"too.many.requests"}`)
	c := maxService.open(t, url)
	for _, want := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second} {
		if tried := send(t, t.Context(), c, "7", testWords()); tried.After != want {
			t.Errorf("after %s, want %s", tried.After, want)
		}
	}
}

// MAX is certified by an authority that systems do not trust: that is a person's to mend, and said.
func TestMaxUnknownAuthority(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(maxService.healthy)
	defer server.Close()
	c := maxService.open(t, server.URL)
	if tried := send(t, t.Context(), c, "7", testWords()); tried.Result != streams.Pause || !strings.Contains(tried.Err.Error(), "ca_file") {
		t.Errorf("%s: %v", tried.Result, tried.Err)
	}
}

func TestMaxInAMessenger(t *testing.T) {
	t.Parallel()
	m := max.New(max.Options{Token: canarySecret})
	if err := m.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	c := maxService.open(t, m.URL())
	if tried := send(t, t.Context(), c, "7", testWords()); tried.Means != outbound.RouteDead {
		t.Errorf("to somebody who never wrote: %+v", tried)
	}
	m.Write(7, "Анна", "Здравствуйте")

	// In the first message to a person a lost answer stays unknown; later the dialog's number is known, and the text is found there.
	lost := max.Fault{Method: "POST /messages", Times: 1, LoseAnswer: true}
	m.Inject(lost)
	if tried := send(t, t.Context(), c, "7", testWords()); tried.Result != streams.Ambiguous {
		t.Errorf("the first: %s (%v)", tried.Result, tried.Err)
	}
	w := testWords()
	w.Text = "<b>5 & 6</b> *_["
	w.Buttons = []outbound.Button{{Text: "Приду", Data: "visit:yes"}, {Text: "Перенести"}, {Text: "Сайт", URL: "https://example.org"}}
	first := send(t, t.Context(), c, "7", w)
	m.Inject(lost)
	again := send(t, t.Context(), c, "7", w)
	m.Inject(max.Fault{Method: "POST /messages", Times: 1, Status: 500, Code: "internal.error"})
	never := send(t, t.Context(), c, "7", w) // the same words are there twice, of earlier messages
	told := m.Told(7)
	if first.Result != streams.Done || again.Result != streams.Done || again.Remote == first.Remote || again.Remote == "" || len(told) != 3 {
		t.Fatalf("%+v, again %+v, told %q", first, again, told)
	}
	if never.Result != streams.Ambiguous {
		t.Errorf("what never got there: %+v", never)
	}
	for _, want := range []string{w.Text, `"payload":"visit:yes"`, `"payload":"Перенести"`, `"url":"https://example.org"`} {
		if !strings.Contains(told[1], want) {
			t.Errorf("%s is not in %s", want, told[1])
		}
	}
	if err := c.Check(t.Context()); err != nil {
		t.Error(err)
	}
	w.Buttons = []outbound.Button{{Text: strings.Repeat("x", 129)}}
	send(t, t.Context(), c, "7", w)
	w.Buttons, w.Text = nil, strings.Repeat("слово ", 1000)
	if tried := send(t, t.Context(), c, "7", w); tried.Result != streams.Done || len(m.Told(7)) != 6 || !strings.HasSuffix(m.Told(7)[3], "xxx") {
		t.Errorf("written out, and in two parts: %v, %d", tried.Err, len(m.Told(7)))
	}
	m.Stop(7)
	if tried := send(t, t.Context(), c, "7", testWords()); tried.Means != outbound.RouteDead {
		t.Errorf("who has stopped the bot: %+v", tried)
	}
}
