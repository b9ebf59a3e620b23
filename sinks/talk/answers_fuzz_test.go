package talk_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"leadstream/sinks/talk"
	"leadstream/streams"
	"leadstream/streams/outbound"
)

// FuzzGraphAnswers gives the channels of Meta's a made-up answer: none may panic, wait for ever, take for sent what names no
// message, or repeat the token, the address or the text in its error.
func FuzzGraphAnswers(f *testing.F) {
	f.Add(200, `{"messages":[{"id":"wamid.1"}],"message_id":"m_1"}`, "")
	f.Add(400, `{"error":{"code":131056,"message":"x"}}`, "99999999999999999999")
	f.Add(403, `{"error":{"code":10,"error_subcode":2018278}}`, "")
	f.Add(200, `{"error":{"code":-9223372036854775808,"error_subcode":1}}`, "")
	f.Add(500, `{"error":null,"messages":[]}`, "Wed, 21 Oct 2099 07:28:00 GMT")
	f.Add(400, `{"error":{"code":"131047"}}`, "0")
	var status int
	var body, after string
	far := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if after != "" {
			w.Header().Set("Retry-After", strings.NewReplacer("\r", "", "\n", "").Replace(after))
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	f.Cleanup(far.Close)
	channels := map[string]outbound.Channel{}
	for kind, s := range map[string]service{"whatsapp": whatsAppService, "messenger": metaService("messenger"), "instagram": metaService("instagram")} {
		set := talk.Kinds[kind].Settings()
		s.configure(set, far.URL)
		c, err := talk.Kinds[kind].Open(set, testEnv())
		if err != nil {
			f.Fatal(err)
		}
		channels[kind] = c
	}
	f.Fuzz(func(t *testing.T, code int, answer, wait string) {
		if code < 200 || code > 599 {
			return
		}
		status, body, after = code, answer, wait
		for kind, c := range channels {
			tried := send(t, t.Context(), c, "79990000011", testWords())
			if tried.After < 0 || tried.After > 24*time.Hour {
				t.Errorf("%s: after %s", kind, tried.After)
			}
			if tried.Result == streams.Done && (tried.Remote == "" || !strings.Contains(answer, "id")) {
				t.Errorf("%s: %d %q passes for sent", kind, code, answer)
			}
			if code < 500 { // reads that fail so are repeated, after a while
				_ = c.Check(t.Context())
			}
		}
	})
}
