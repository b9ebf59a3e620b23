package sinks_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"leadstream/sinks"
	"leadstream/sinks/sinkstest"
	"leadstream/streams"
)

func openHook(t *testing.T, url string, change func(*sinks.WebhookSettings)) sinks.Sink {
	t.Helper()
	set := sinks.Webhook.Settings().(*sinks.WebhookSettings)
	set.URL, set.AllowPrivate = url, true
	if change != nil {
		change(set)
	}
	sink, err := sinks.Webhook.Open(set, sinks.Env{})
	if err != nil {
		t.Fatal(err)
	}
	return sink
}

func TestWebhookSuite(t *testing.T) {
	t.Parallel()
	for name, keyed := range map[string]bool{"keyed": true, "blind": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kind := sinks.Webhook
			if !keyed {
				kind.Class = sinks.Blind
			}
			sinkstest.Run(t, sinkstest.Case{
				Kind: kind,
				Configure: func(settings any, url string) {
					s := settings.(*sinks.WebhookSettings)
					s.URL, s.AllowPrivate, s.Keyed = url+"/"+sinkstest.Canary, true, keyed
					s.Secrets, s.Headers = []string{sinkstest.Canary}, map[string]string{"X-Key": sinkstest.Canary}
				},
				Healthy: func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "Accepted") },
			})
		})
	}
}

// What a receiver written by the rules of Standard Webhooks does with our request.
func TestWebhookSignature(t *testing.T) {
	key := []byte("0123456789abcdef0123456789abcdef")
	secrets := []string{"whsec_" + base64.StdEncoding.EncodeToString(key), "an older secret, in plain"}
	var bodies []string
	var header http.Header
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		bodies, header = append(bodies, string(body)), r.Header
		w.WriteHeader(http.StatusAccepted)
	}))
	defer server.Close()
	sink := openHook(t, server.URL, func(s *sinks.WebhookSettings) {
		s.Secrets, s.Headers = secrets, map[string]string{"X-Salon": "1"}
	})
	lead := sinkstest.Lead(0)
	for attempt := range 2 {
		deliver(t, sink, sinks.Delivery{Lead: lead, Attempt: attempt + 1})
	}
	var got streams.Lead
	if err := json.Unmarshal([]byte(bodies[0]), &got); err != nil || cmp.Diff(*lead, got) != "" || bodies[0] != bodies[1] {
		t.Errorf("the body is not the lead, twice the same: %v %s", err, cmp.Diff(*lead, got))
	}
	if header.Get("Idempotency-Key") != lead.ID || header.Get("Webhook-Id") != lead.ID || header.Get("X-Salon") != "1" {
		t.Errorf("got headers %v", header)
	}
	signatures := strings.Fields(header.Get("Webhook-Signature"))
	for _, secret := range [][]byte{key, []byte(secrets[1])} {
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(lead.ID + "." + header.Get("Webhook-Timestamp") + "." + bodies[1]))
		if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); !slices.Contains(signatures, want) {
			t.Errorf("%q is not in %q", want, signatures)
		}
	}
}

func TestWebhookAnswers(t *testing.T) {
	type want struct {
		Result streams.Result
		After  time.Duration
	}
	cases := map[string]struct {
		status     int
		body       string
		text, json string
		want       want
	}{
		"accepted":           {status: 200, body: "Accepted", want: want{}},
		"empty":              {status: 204, want: want{}},
		"expected text":      {status: 200, body: "OK 17", text: `^OK \d+$`, want: want{}},
		"another text":       {status: 200, body: "ERROR", text: `^OK`, want: want{Result: streams.Retry}},
		"expected value":     {status: 200, body: `{"data":[{"ok":true}]}`, json: "data.0.ok=true", want: want{}},
		"another value":      {status: 200, body: `{"ok":false}`, json: "ok=true", want: want{Result: streams.Retry}},
		"no such value":      {status: 200, body: `{"data":[]}`, json: "data.0.ok=true", want: want{Result: streams.Retry}},
		"page":               {status: 200, body: "\n<HTML>Sign in</HTML>", want: want{Result: streams.Retry}},
		"queue is full":      {status: 429, want: want{streams.Wait, 10 * time.Second}},
		"bad data":           {status: 400, want: want{Result: streams.Permanent}},
		"too large":          {status: 413, want: want{Result: streams.Permanent}},
		"key":                {status: 401, want: want{streams.Pause, 5 * time.Minute}},
		"scenario is off":    {status: 404, want: want{streams.Pause, 5 * time.Minute}},
		"scenario is gone":   {status: 410, want: want{streams.Pause, 5 * time.Minute}},
		"far side is broken": {status: 500, want: want{Result: streams.Retry}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body)
			}))
			defer server.Close()
			sink := openHook(t, server.URL, func(s *sinks.WebhookSettings) { s.SuccessText, s.SuccessJSON = c.text, c.json })
			v := sink.Deliver(t.Context(), sinkstest.Batch(1))[0]
			if diff := cmp.Diff(c.want, want{v.Result, v.After}); diff != "" {
				t.Errorf("%s (%v)", diff, v.Err)
			}
		})
	}
}

func TestWebhookClass(t *testing.T) {
	for keyed, want := range map[bool]sinks.Class{true: sinks.Keyed, false: sinks.Blind} {
		var key string
		server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { key = r.Header.Get("Idempotency-Key") }))
		sink := openHook(t, server.URL, func(s *sinks.WebhookSettings) { s.Keyed = keyed })
		deliver(t, sink, sinkstest.Batch(1)...)
		server.Close()
		if got := sink.(sinks.Classer).Class(); got != want || (key != "") != keyed {
			t.Errorf("keyed %v: got class %d, key %q", keyed, got, key)
		}
	}
}

func TestWebhookFaultsOfConfig(t *testing.T) {
	_, err := sinks.Webhook.Open(&sinks.WebhookSettings{
		URL: "example.test/hook", Secrets: []string{"short", "whsec_!"}, SuccessText: "(", SuccessJSON: "ok",
		Headers: map[string]string{"Bad Name": "x", "idempotency-key": "x", "X-A": "a\r\nX-B: b"},
	}, sinks.Env{})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"url:", "number 1", "number 2", "success_text:", "success_json:", `"Bad Name"`, "idempotency-key is set", "X-A has a line break"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
}
