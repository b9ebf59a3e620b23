package talk_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"leadstream/sinks/sim/meta"
	"leadstream/streams"
	"leadstream/streams/outbound"
)

// Somebody else's client of the Cloud API sends the very bodies that we do, meets the same answers, and reads in the
// simulated service's webhooks what became of what we have sent.
func TestWhatsAppHeldToAnotherClient(t *testing.T) {
	t.Parallel()
	const folder = "../sim/meta/testdata/cloudapi"
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatalf("%v: run scripts/npm-test-deps once", err)
	}
	if _, err := os.Stat(folder + "/node_modules/@kapso"); err != nil {
		t.Fatalf("%v: run scripts/npm-test-deps once", err)
	}
	type hook struct {
		Body      string `json:"body"`
		Signature string `json:"signature"`
	}
	var mu sync.Mutex
	var hooks []hook
	listener := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Method == http.MethodGet {
			_, _ = io.WriteString(w, r.URL.Query().Get("hub.challenge"))
			return
		}
		mu.Lock()
		defer mu.Unlock()
		hooks = append(hooks, hook{string(body), r.Header.Get("X-Hub-Signature-256")})
	}))
	t.Cleanup(listener.Close)
	s := graphServer(t, meta.Options{Secret: "app_secret", Verify: "v"})
	s.Approve("visit", "ru", 2)
	s.Write("79990000011", "Анна", meta.Text("да"))
	s.Write("RU.1349abc", "Ольга", meta.Text("да"))
	if err := s.Subscribe(t.Context(), listener.URL); err != nil {
		t.Fatal(err)
	}

	var sent map[string]any // body of ours
	relay := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		sent = nil
		_ = json.Unmarshal(raw, &sent)
		r.Body = io.NopCloser(bytes.NewReader(raw))
		s.ServeHTTP(w, r)
	}))
	t.Cleanup(relay.Close)
	c := whatsAppService.open(t, relay.URL)
	rows := func(n int) (all []outbound.Button) {
		for i := range n {
			all = append(all, outbound.Button{Text: fmt.Sprint("t", i), Data: fmt.Sprint("d", i)})
		}
		return all
	}
	approved := func(name string) *outbound.Approved {
		return &outbound.Approved{Name: name, Language: "ru", Parameters: []string{"Анна", "5 марта"}}
	}
	const to = "79990000011"
	ours := map[string]struct {
		to    string
		words outbound.Words
		fate  meta.Fate
		code  string
	}{
		"text":            {to, outbound.Words{Text: "Ждём"}, meta.Fate{}, ""},
		"hidden":          {"RU.1349abc", outbound.Words{Text: "Ждём"}, meta.Fate{}, ""},
		"buttons":         {to, outbound.Words{Text: "Когда?", Buttons: rows(3)}, meta.Fate{}, ""},
		"list":            {to, outbound.Words{Text: "Когда?", Buttons: rows(4)}, meta.Fate{}, ""},
		"link":            {to, outbound.Words{Text: "Мы здесь", Buttons: []outbound.Button{{Text: "Карта", URL: "https://a.test/?a=1&b=2"}}}, meta.Fate{}, ""},
		"template":        {to, outbound.Words{Approved: approved("visit")}, meta.Fate{Fail: 131026}, ""},
		"unknownTemplate": {to, outbound.Words{Approved: approved("no_such")}, meta.Fate{}, "132001"},
		"stranger":        {"79990000099", outbound.Words{Text: "Ждём"}, meta.Fate{}, "131047"},
	}
	bodies, statuses := map[string]any{}, map[string][]any{}
	for name, o := range ours {
		o.words.ID = "ID"
		s.Doom(o.to, o.fate)
		tried := send(t, t.Context(), c, o.to, o.words)
		if (tried.Result == streams.Done) != (o.code == "") || tried.Code != o.code {
			t.Errorf("%s: %s %s (%v)", name, tried.Result, tried.Code, tried.Err)
		}
		bodies[name] = sent
		var user, failed any
		if strings.HasPrefix(o.to, "RU.") {
			user = o.to
		}
		became := []string{"sent", "delivered"}
		if o.fate.Fail != 0 {
			became, failed = []string{"failed"}, float64(o.fate.Fail)
		}
		for _, status := range became {
			if tried.Remote != "" {
				statuses[tried.Remote] = append(statuses[tried.Remote], map[string]any{"id": tried.Remote, "status": status, "opaque": "ID", "code": failed, "user": user})
			}
		}
	}
	for began := time.Now(); s.Pending() > 0; time.Sleep(time.Millisecond) {
		if time.Since(began) > 2*time.Minute {
			t.Fatal("not all events are taken")
		}
	}
	mu.Lock()
	told, err := json.Marshal(hooks)
	mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	s.Doom(to, meta.Fate{})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, node, "held.mjs", strings.TrimSuffix(s.URL(), "/v23.0"), canarySecret, ourNumber)
	cmd.Dir, cmd.Stdin = folder, bytes.NewReader(told)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	raw, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s%s", err, raw, stderr.Bytes())
	}
	var theirs struct {
		Bodies         map[string]any    `json:"bodies"`
		IDs            map[string]string `json:"ids"`
		Errors         map[string]any    `json:"errors"`
		Scoped, Signed bool
		Statuses       []map[string]any `json:"statuses"`
	}
	if err := json.Unmarshal(raw, &theirs); err != nil {
		t.Fatalf("%v\n%s", err, raw)
	}
	if diff := cmp.Diff(theirs.Bodies, bodies); diff != "" {
		t.Errorf("bodies, theirs and ours: %s", diff)
	}
	failure := func(code float64) map[string]any {
		return map[string]any{"code": code, "status": 400.0, "class": "GraphApiError"}
	}
	if diff := cmp.Diff(map[string]any{"unknownTemplate": failure(132001), "stranger": failure(131047)}, theirs.Errors); diff != "" {
		t.Errorf("errors: %s", diff)
	}
	if len(theirs.IDs) != len(ours)-2 || !theirs.Scoped || !theirs.Signed {
		t.Errorf("they sent %v; ids scoped %v, webhooks signed %v", theirs.IDs, theirs.Scoped, theirs.Signed)
	}
	read := map[string][]any{}
	for _, status := range theirs.Statuses {
		id, _ := status["id"].(string)
		read[id] = append(read[id], status)
	}
	if diff := cmp.Diff(statuses, read); diff != "" {
		t.Errorf("statuses: %s", diff)
	}
}
