package chat

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func start(t *testing.T, o Options) *Server {
	t.Helper()
	s := New(o)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// vendor finds node and the vendor's client.
func vendor(t *testing.T) (node, folder string) {
	t.Helper()
	folder = "testdata/openai"
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatalf("%v: run scripts/npm-test-deps once", err)
	}
	if _, err := os.Stat(folder + "/node_modules/openai"); err != nil {
		t.Fatalf("%v: run scripts/npm-test-deps once", err)
	}
	return node, folder
}

// TestVendorsOwnClient holds the server to the client that OpenAI publishes: what it makes of our answers and errors is
// what it makes of theirs.
func TestVendorsOwnClient(t *testing.T) {
	node, folder := vendor(t)
	s := start(t, Options{Key: "right-key", Answer: func(q Request) Reply {
		switch q.User() {
		case "json":
			return Reply{Content: `{"sure":true}`}
		case "refuse":
			return Reply{Refusal: "I cannot."}
		case "long":
			return Reply{Content: strings.Repeat("word ", 50)}
		}
		return Reply{Content: "Hello!"}
	}})
	for word, f := range map[string]Fault{
		"limited": {Status: 429, Code: "rate_limit_exceeded", Description: "Rate limit reached", RetryAfter: "1"},
		"quota":   {Status: 429, Code: "insufficient_quota", Description: "You exceeded your current quota"},
		"down":    {Status: 500, Description: "The server had an error"},
		"hang":    {Hang: true},
		"later":   {Status: 429, Code: "rate_limit_exceeded", Description: "Rate limit reached", Times: 1, Header: map[string]string{"retry-after-ms": "300"}},
	} {
		f.Method = "chat:" + word
		s.Inject(f)
	}

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, node, "held.mjs", s.URL())
	cmd.Dir = folder
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	raw, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s%s", err, raw, stderr.Bytes())
	}
	var got map[string]any
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatalf("%v\n%s", err, raw)
	}
	failed := func(class string, status, code, param, kind any) map[string]any {
		return map[string]any{"class": class, "status": status, "code": code, "param": param, "type": kind}
	}
	const invalid = "invalid_request_error"
	want := map[string]any{
		"plain":        map[string]any{"content": "Hello!", "finish": "stop", "total": true, "request": "req_sim"},
		"parsed":       map[string]any{"sure": true},
		"parts":        "Hello!",
		"refusal":      map[string]any{"role": "assistant", "content": nil, "refusal": "I cannot."},
		"cut":          "length",
		"models":       []any{"sim-1"},
		"wrongKey":     failed("AuthenticationError", 401.0, "invalid_api_key", nil, invalid),
		"noModel":      failed("NotFoundError", 404.0, "model_not_found", "model", invalid),
		"badSchema":    failed("BadRequestError", 400.0, "invalid_value", nil, invalid),
		"unknownField": failed("BadRequestError", 400.0, "invalid_value", nil, invalid),
		"limited":      failed("RateLimitError", 429.0, "rate_limit_exceeded", nil, "requests"),
		"quota":        failed("RateLimitError", 429.0, "insufficient_quota", nil, "requests"),
		"down":         failed("InternalServerError", 500.0, nil, nil, "server_error"),
		"hang":         failed("APIConnectionTimeoutError", nil, nil, nil, nil),
		"retried":      "Hello!",
		"waited":       true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := len(s.Breaches()); got != 2 { // badSchema and unknownField
		t.Errorf("%d requests against the schema: %q", got, s.Breaches())
	}
}

func TestRefusesWhatItDoesNotKnow(t *testing.T) {
	ask := `{"model":"sim-1","messages":[{"role":"user","content":"hi"}]`
	tests := map[string]struct {
		o      Options
		body   string
		status int
	}{
		"plain":                {Options{}, ask + `}`, 200},
		"no messages":          {Options{}, `{"model":"sim-1","messages":[]}`, 400},
		"not JSON":             {Options{}, `{"model":`, 400},
		"text and image":       {Options{}, `{"model":"sim-1","messages":[{"role":"user","content":[{"type":"image_url"}]}]}`, 400},
		"old server":           {Options{OldLimit: true}, ask + `,"max_completion_tokens":5}`, 400},
		"old server, old word": {Options{OldLimit: true}, ask + `,"max_tokens":5}`, 200},
		"new model":            {Options{NewLimit: true}, ask + `,"max_tokens":5}`, 400},
		"temperature":          {Options{NoTemperature: true}, ask + `,"temperature":0}`, 400},
		"no JSON mode":         {Options{Formats: []string{}}, ask + `,"response_format":{"type":"json_object"}}`, 400},
		"loose schema": {Options{}, ask + `,"response_format":{"type":"json_schema","json_schema":{"name":"x","strict":true,"schema":
			{"type":"object","additionalProperties":false,"required":[],"properties":{"a":{"type":"string"}}}}}}`, 400},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := start(t, tt.o)
			r, err := http.Post(s.URL()+"/chat/completions", "application/json", strings.NewReader(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			r.Body.Close()
			if r.StatusCode != tt.status {
				t.Errorf("status %d, want %d", r.StatusCode, tt.status)
			}
		})
	}
}
