package meta

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func start(t *testing.T, o Options) *Server {
	t.Helper()
	o.Token, o.Secret, o.Verify = "token", "secret", "verify"
	s := New(o)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func call(t *testing.T, method, url, token, body string) (int, map[string]any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	_ = json.Unmarshal(raw, &out) // a file is none
	return resp.StatusCode, out
}

// code is the number of an error.
func code(out map[string]any) string {
	e, _ := out["error"].(map[string]any)
	return fmt.Sprint(e["code"])
}

// Events are signed over their escaped form, come until they are taken, and together where they may.
func TestWebhooks(t *testing.T) {
	s := start(t, Options{Back: time.Millisecond, Batch: 10})
	var mu sync.Mutex
	got := map[string]int{}
	refusals, most := 2, 0
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			if r.URL.Query().Get("hub.verify_token") == "verify" {
				_, _ = io.WriteString(w, r.URL.Query().Get("hub.challenge"))
			}
			return
		}
		body, _ := io.ReadAll(r.Body)
		mac := hmac.New(sha256.New, []byte("secret"))
		mac.Write(body)
		if r.Header.Get("X-Hub-Signature-256") != "sha256="+hex.EncodeToString(mac.Sum(nil)) {
			t.Error("a wrong signature")
		}
		if strings.ContainsFunc(string(body), func(r rune) bool { return r > 0x7e }) || !strings.Contains(string(body), `\u0435`) {
			t.Errorf("not escaped: %s", body)
		}
		mu.Lock()
		defer mu.Unlock()
		if refusals > 0 {
			refusals--
			w.WriteHeader(http.StatusNoContent) // not 200
			return
		}
		var u struct {
			Entry []struct {
				Changes []struct {
					Value struct{ Messages []struct{ ID, From string } }
				}
			}
		}
		if err := json.Unmarshal(body, &u); err != nil {
			t.Error(err)
		}
		most = max(most, len(u.Entry))
		for _, e := range u.Entry {
			got[e.Changes[0].Value.Messages[0].ID]++
		}
	}))
	t.Cleanup(hook.Close)
	want := map[string]int{}
	for range 3 {
		want[s.Write("79990000011", "Анна", Text("ещё 😀 / да"))] = 1
	}
	if err := s.Subscribe(t.Context(), hook.URL); err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); s.Pending() > 0; time.Sleep(time.Millisecond) {
		if time.Since(began) > time.Minute {
			t.Fatal("not all events are taken")
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if diff := cmp.Diff(want, got); diff != "" || most != 3 {
		t.Errorf("%d together: %s", most, diff)
	}
	if err := s.Subscribe(context.Background(), s.URL()); err == nil {
		t.Error("an address that answers no challenge was taken")
	}
}

func TestSending(t *testing.T) {
	now := time.Unix(1767225600, 0)
	s := start(t, Options{Now: func() time.Time { return now }})
	messages := s.URL() + "/555000111222333/messages"
	text := func(to, body string) string {
		return fmt.Sprintf(`{"messaging_product":"whatsapp","to":%q,"type":"text","text":{"body":%q},"biz_opaque_callback_data":"ls:1"}`, to, body)
	}
	s.Write("79990000011", "Анна", Text("да"))
	for name, tt := range map[string]struct{ token, body, want string }{
		"good":              {"token", text("79990000011", "Здравствуйте"), "<nil>"},
		"a stranger":        {"token", text("79990000012", "Здравствуйте"), "131047"},
		"template":          {"token", `{"messaging_product":"whatsapp","to":"79990000012","type":"template","template":{"name":"lead_ack"}}`, "<nil>"},
		"no such template":  {"token", `{"messaging_product":"whatsapp","to":"79990000012","type":"template","template":{"name":"no_such"}}`, "132001"},
		"no name":           {"token", `{"messaging_product":"whatsapp","to":"79990000012","type":"template"}`, "131008"},
		"too long":          {"token", text("79990000011", strings.Repeat("я", 4097)), "100"},
		"another product":   {"token", `{"to":"79990000011","type":"text","text":{"body":"x"}}`, "100"},
		"no number":         {"token", text("Анна", "x"), "131009"},
		"wrong token":       {"guess", text("79990000011", "x"), "190"},
		"what is no JSON":   {"token", `{`, "100"},
		"a mark of reading": {"token", `{"messaging_product":"whatsapp","status":"read","message_id":"wamid.1"}`, "<nil>"},
	} {
		if _, out := call(t, http.MethodPost, messages, tt.token, tt.body); code(out) != tt.want {
			t.Errorf("%s: %v, want %s", name, out, tt.want)
		}
	}
	for n := 2; n <= pairBurst+1; n++ { // the good one was the first
		want := "<nil>"
		if n > pairBurst {
			want = "131056"
		}
		if _, out := call(t, http.MethodPost, messages, "token", text("79990000011", "ещё")); code(out) != want {
			t.Fatalf("message %d: %v, want %s", n, out, want)
		}
	}
	now = now.Add(window + time.Second)
	if _, out := call(t, http.MethodPost, messages, "token", text("79990000011", "Здравствуйте")); code(out) != "131047" {
		t.Errorf("after the window: %v", out)
	}
	sent := s.Sent()
	if len(sent) != pairBurst+1 {
		t.Fatalf("sent: %d", len(sent))
	}
	if s.Pending() != 1+2*len(sent) { // the customer's own, and each one's sent and delivered
		t.Errorf("%d events", s.Pending())
	}
	s.Status(sent[0].ID, "failed", 131026)
	if s.Pending() != 2+2*len(sent) {
		t.Error("a failure is not told")
	}
	s.Inject(Fault{Method: "send:79990000013", Code: "80007"})
	if status, out := call(t, http.MethodPost, messages, "token", text("79990000013", "x")); code(out) != "80007" || status != 400 {
		t.Errorf("%d %v", status, out)
	}
}

func TestObjects(t *testing.T) {
	now := time.Unix(1767225600, 0)
	var mu sync.Mutex
	s := start(t, Options{Now: func() time.Time { mu.Lock(); defer mu.Unlock(); return now }})
	id := s.Upload(File{Content: []byte("GIF89a"), Type: "image/gif"})
	status, out := call(t, http.MethodGet, s.URL()+"/"+id, "token", "")
	link, _ := out["url"].(string)
	if status != 200 || link == "" || out["mime_type"] != "image/gif" {
		t.Fatalf("%d %v", status, out)
	}
	for name, want := range map[string]int{"token": 200, "guess": 401} {
		if status, _ := call(t, http.MethodGet, link, name, ""); status != want {
			t.Errorf("with %s: %d", name, status)
		}
	}
	mu.Lock()
	now = now.Add(5*time.Minute + time.Second)
	mu.Unlock()
	if status, _ := call(t, http.MethodGet, link, "token", ""); status != 404 {
		t.Errorf("an old link: %d", status)
	}
	lead := s.Fill("500", map[string]string{"full_name": "Ирина"}, map[string]any{"platform": "ig"})
	for query, want := range map[string]string{"?fields=id,field_data,platform": "<nil>", "?fields=phone": "100", "": "<nil>"} {
		if _, out := call(t, http.MethodGet, s.URL()+"/"+lead+query, "token", ""); code(out) != want {
			t.Errorf("%s: %v", query, out)
		}
	}
	if _, out := call(t, http.MethodGet, s.URL()+"/500/leads?fields=id", "token", ""); len(out["data"].([]any)) != 1 {
		t.Errorf("%v", out)
	}
	s.Forget(lead)
	if _, out := call(t, http.MethodGet, s.URL()+"/"+lead, "token", ""); code(out) != "100" {
		t.Errorf("deleted: %v", out)
	}
}
