package intake

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"leadstream/streams"
)

// memory is a Taker that keeps everything in slices, and fails when fail says so.
type memory struct {
	mu          sync.Mutex
	taken       []Taken
	quarantined []Quarantined
	fail        error
	most        int // bytes of a lead; 0: any
}

func (m *memory) Take(ctx context.Context, t Taken) (Receipt, error) {
	receipts, err := m.TakeAll(ctx, []Taken{t})
	if err != nil {
		return Receipt{}, err
	}
	return receipts[0], nil
}

func (m *memory) TakeAll(_ context.Context, ts []Taken) ([]Receipt, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return nil, m.fail
	}
	for _, t := range ts {
		if m.most > 0 && len(t.Raw) > m.most {
			return nil, ErrTooLarge
		}
		if _, err := json.Marshal(t.Lead); err != nil {
			return nil, ErrUnavailable{Err: err}
		}
	}
	var receipts []Receipt
	for _, t := range ts {
		r := Receipt{LeadID: streams.NewID(t.Lead.Source, t.Key, string(t.Canonical)), Status: Accepted}
		for _, before := range m.taken {
			switch same := string(before.Canonical) == string(t.Canonical); {
			case before.Key == t.Key && same:
				r.Status = Duplicate
			case before.Key == t.Key && t.Key != "":
				r.Conflict = true
			}
		}
		m.taken = append(m.taken, t)
		receipts = append(receipts, r)
	}
	return receipts, nil
}

func (m *memory) Quarantine(_ context.Context, q Quarantined) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	m.quarantined = append(m.quarantined, q)
	return nil
}

const testKey = "ls_test_0123456789"

// testConfig has a source of every sort, all of them speaking English.
func testConfig() Config {
	c := Defaults()
	c.Language = "en"
	key := func(name string) []string { return []string{KeyHash("old-" + name), KeyHash(testKey + name)} }
	c.Sources = map[string]Source{
		"api":    {Keys: key("api")},
		"make":   {Preset: "make", Keys: key("make"), Fields: map[string]string{"Что болит": "service", "payment.amount": "time", "Что было": "event"}},
		"zapier": {Preset: "zapier", Keys: key("zapier"), Language: "ru"},
		"pabbly": {Preset: "pabbly", Keys: key("pabbly"), Code: 201},
		"tilda":  {Preset: "tilda", Keys: key("tilda")},
		"site": {Preset: "widget", Public: true, Origins: []string{"https://example.test"}, Keys: key("site"),
			ThankYou: []string{"https://example.test/thanks", "https://example.test/other"}, PerIP: Rate{PerSecond: 100, Burst: 100}},
		"signed": {HMAC: &HMAC{Header: "X-Signature", Secrets: []string{"new", "old"}, Encoding: "hex", Prefix: "sha256="}},
		"std": {HMAC: &HMAC{Header: "webhook-signature", IDHeader: "webhook-id", TimestampHeader: "webhook-timestamp",
			Secrets: []string{"whsec_c2VjcmV0"}, Encoding: "base64", Prefix: "v1,"}},
		"quiet": {Keys: key("quiet"), Answer: "empty", Code: 204},
	}
	return c
}

func newHandler(t testing.TB, c Config, taker Taker) *Handler {
	t.Helper()
	h, err := New(c, taker, prometheus.NewRegistry(), zerolog.New(io.Discard))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// send posts a body; headers come in pairs.
func send(h http.Handler, target, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, target, strings.NewReader(body))
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func sendJSON(h http.Handler, source, body string, headers ...string) *httptest.ResponseRecorder {
	return send(h, "/in/"+source, body, append(headers, "Content-Type", "application/json", "X-Api-Key", testKey+source)...)
}

func TestAnswers(t *testing.T) {
	const lead = `{"name":"Ольга","phone":"+79990000011"}`
	tests := map[string]struct {
		target, body string
		headers      []string
		code         int
		answer       string // the whole body, or its beginning when it ends in …
		taken        int
		quarantined  string // code
	}{
		"one lead": {"/v1/leads", lead, []string{"X-Api-Key", testKey + "api"}, 200,
			`{"ok":true,"lead_id":"…`, 1, ""},
		"unread fields are no fault": {"/v1/leads", `{"x":{"y":[1]}}`, []string{"X-Api-Key", testKey + "api"}, 200, `{"ok":true,"lead_id":"…`, 1, ""},
		"no contact is no fault":     {"/v1/leads", `{"name":"Ольга"}`, []string{"X-Api-Key", testKey + "api"}, 200, `{"ok":true,"lead_id":"…`, 1, ""},
		"ok for Tilda":               {"/in/tilda/" + testKey + "tilda", "Name=Olga", []string{"Content-Type", "application/x-www-form-urlencoded"}, 200, "ok", 1, ""},
		"Tilda's probe":              {"/in/tilda/" + testKey + "tilda", "test=test", []string{"Content-Type", "application/x-www-form-urlencoded"}, 200, "ok", 0, ""},
		"a code of its own":          {"/in/pabbly?key=" + testKey + "pabbly", lead, nil, 201, `{"ok":true,"lead_id":"…`, 1, ""},
		"an empty answer":            {"/in/quiet?key=" + testKey + "quiet", lead, nil, 204, "", 1, ""},
		"test in the address":        {"/in/make?test=1&key=" + testKey + "make", lead, nil, 200, `{"ok":true,"status":"ignored"}`, 0, ""},
		"test in a header":           {"/in/make", lead, []string{"X-Test", "1", "X-Api-Key", testKey + "make"}, 200, `{"ok":true,"status":"ignored"}`, 0, ""},
		"nothing in it": {"/in/zapier", `{"name":"","phone":null}`, []string{"X-Api-Key", testKey + "zapier"}, 200,
			`{"ok":true,"status":"ignored"}`, 0, "empty"},
		"broken JSON": {"/in/make", `{"name":"Ольга",}`, []string{"X-Api-Key", testKey + "make"}, 400,
			`{"ok":false,"error":{"code":"bad_json","message":"The body is not valid JSON (1:17)"}}`, 0, "bad_json"},
		"broken JSON in Russian": {"/in/zapier", `{"name"`, []string{"X-Api-Key", testKey + "zapier"}, 400,
			`{"ok":false,"error":{"code":"bad_json","message":"Тело запроса не является корректным JSON (1:7)"}}`, 0, "bad_json"},
		"broken JSON, a test": {"/in/make?test=1", `{"name"`, []string{"X-Api-Key", testKey + "make"}, 400, `{"ok":false…`, 0, ""},
		"a number":            {"/in/make", `[5]`, []string{"X-Api-Key", testKey + "make"}, 400, `{"ok":false,"results":[{"ok":false,"error":{"code":"not_an_object"…`, 0, "not_an_object"},
		"XML": {"/in/make", `<lead/>`, []string{"X-Api-Key", testKey + "make", "Content-Type", "application/xml"}, 415,
			`{"ok":false,"error":{"code":"unsupported_type","message":"This content type is not understood","field":"Content-Type"}}`, 0, "unsupported_type"},
		"brotli":      {"/in/make", lead, []string{"X-Api-Key", testKey + "make", "Content-Encoding", "br"}, 415, `{"ok":false,"error":{"code":"unsupported_coding"…`, 0, "unsupported_coding"},
		"empty body":  {"/in/make", "", []string{"X-Api-Key", testKey + "make"}, 400, `{"ok":false,"error":{"code":"empty_body"…`, 0, ""},
		"too large":   {"/in/make", `{"a":"` + strings.Repeat("x", 256<<10) + `"}`, []string{"X-Api-Key", testKey + "make"}, 413, `{"ok":false,"error":{"code":"too_large"…`, 0, "too_large"},
		"other paths": {"/in/", lead, nil, 404, `{"ok":false,"error":{"code":"no_such_path"…`, 0, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m := &memory{}
			w := send(newHandler(t, testConfig(), m), tt.target, tt.body, tt.headers...)
			beginning, open := strings.CutSuffix(tt.answer, "…")
			if got := w.Body.String(); w.Code != tt.code || got != tt.answer && !(open && strings.HasPrefix(got, beginning)) {
				t.Errorf("got %d %s, want %d %s", w.Code, got, tt.code, tt.answer)
			}
			if len(m.taken) != tt.taken {
				t.Errorf("%d leads taken, want %d", len(m.taken), tt.taken)
			}
			got := ""
			if len(m.quarantined) > 0 {
				got = m.quarantined[0].Code
			}
			if got != tt.quarantined || len(m.quarantined) > 1 {
				t.Errorf("quarantined %+v, want %q", m.quarantined, tt.quarantined)
			}
		})
	}
}

func TestQuarantineKeepsTheBody(t *testing.T) {
	m := &memory{}
	h := newHandler(t, testConfig(), m)
	sendJSON(h, "make", `{"phone":"+79990000011"`)
	if len(m.quarantined) != 1 || string(m.quarantined[0].Raw) != `{"phone":"+79990000011"` || m.quarantined[0].Source != "make" {
		t.Errorf("got %+v", m.quarantined)
	}
}

func TestArrays(t *testing.T) {
	tests := map[string]struct {
		body, contentType string
		code              int
		want              string // accepted and refused items, in order
		keys              string
	}{
		"array":                 {`[{"name":"a"},{"name":"b"}]`, "application/json", 200, "++", "k#0 k#1"},
		"of one":                {`[{"name":"a"}]`, "application/json", 200, "+", "k#0"},
		"one is no object":      {`[{"name":"a"},7,{"name":"b"}]`, "application/json", 200, "+-+", "k#0 k#2"},
		"none is an object":     {`[null,"x"]`, "application/json", 400, "--", ""},
		"own keys":              {`[{"event_id":"e1","name":"a"},{"event_id":"e2","name":"b"}]`, "application/json", 200, "++", "k#0 k#1"},
		"NDJSON":                {"{\"name\":\"a\"}\n\n{\"name\":\"b\"}\r\n", "application/x-ndjson", 200, "++", "k#0 k#1"},
		"NDJSON, a bad line":    {"{\"name\":\"a\"}\n{\"name\":\n{\"name\":\"b\"}", "application/x-ndjson", 200, "+-+", "k#0 k#2"},
		"NDJSON said as JSON":   {"{\"name\":\"a\"}\n{\"name\":\"b\"}", "application/json", 200, "++", "k#0 k#1"},
		"list under one name":   {`{"leads":[{"name":"a"},{"name":"b"}]}`, "application/json", 200, "++", "k#0 k#1"},
		"text holding an array": {`[{"name":"a"},{"name":"b"}]`, "text/plain", 200, "++", "k#0 k#1"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m := &memory{}
			w := send(newHandler(t, testConfig(), m), "/in/make", tt.body, "Content-Type", tt.contentType, "X-Api-Key", testKey+"make", "Idempotency-Key", "k")
			var got strings.Builder
			for _, part := range strings.Split(w.Body.String(), `{"ok":`)[2:] {
				if strings.HasPrefix(part, "true") {
					got.WriteByte('+')
				} else {
					got.WriteByte('-')
				}
			}
			if w.Code != tt.code || got.String() != tt.want {
				t.Errorf("got %d %s: %s", w.Code, &got, w.Body)
			}
			var keys []string
			for _, taken := range m.taken {
				keys = append(keys, taken.Key)
			}
			if got := strings.Join(keys, " "); got != tt.keys {
				t.Errorf("keys %s, want %s", got, tt.keys)
			}
			if refused := strings.Count(tt.want, "-"); len(m.quarantined) != refused {
				t.Errorf("%d in quarantine, want %d", len(m.quarantined), refused)
			}
		})
	}
}

func TestSenderIsAskedToComeAgain(t *testing.T) {
	tests := map[string]struct {
		fail  error
		code  int
		after string
	}{
		"overloaded":      {ErrOverloaded{RetryAfter: 1500e6, Err: errors.New("queue")}, 429, "2"},
		"overloaded, now": {ErrOverloaded{}, 429, "1"},
		"unavailable":     {ErrUnavailable{RetryAfter: 30e9}, 503, "30"},
		"wrapped":         {errors.Join(ErrUnavailable{Err: errors.New("disk full")}), 503, "5"},
		"unknown":         {errors.New("boom"), 503, "5"},
		"time is up":      {context.DeadlineExceeded, 503, "5"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for what, body := range map[string]string{"lead": `{"name":"a"}`, "array": `[{"name":"a"},{"name":"b"}]`, "unreadable": `{`} {
				w := sendJSON(newHandler(t, testConfig(), &memory{fail: tt.fail}), "make", body)
				if w.Code != tt.code || w.Header().Get("Retry-After") != tt.after || strings.Contains(w.Body.String(), "boom") {
					t.Errorf("%s: got %d, after %q, %s", what, w.Code, w.Header().Get("Retry-After"), w.Body)
				}
			}
		})
	}
}

// What has been read in full is kept even when the sender hangs up before the answer.
func TestTakeOutlivesTheSender(t *testing.T) {
	m := &memory{}
	h := newHandler(t, testConfig(), takerFunc{m, func(ctx context.Context) error { return ctx.Err() }})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/in/make", strings.NewReader(`{"name":"a"}`))
	r.Header.Set("X-Api-Key", testKey+"make")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != 200 || len(m.taken) != 1 {
		t.Errorf("got %d, %d leads", w.Code, len(m.taken))
	}
}

// takerFunc asks a function before it takes.
type takerFunc struct {
	*memory
	before func(ctx context.Context) error
}

func (t takerFunc) Take(ctx context.Context, lead Taken) (Receipt, error) {
	if err := t.before(ctx); err != nil {
		return Receipt{}, err
	}
	return t.memory.Take(ctx, lead)
}

// nothing is a Taker that does nothing.
type nothing struct{}

func (nothing) Take(context.Context, Taken) (Receipt, error) {
	return Receipt{LeadID: "0123456789abcdefghjkmnpqrs", Status: Accepted}, nil
}

func (nothing) TakeAll(_ context.Context, ts []Taken) ([]Receipt, error) {
	return make([]Receipt, len(ts)), nil
}

func (nothing) Quarantine(context.Context, Quarantined) error { return nil }

var discard = zerolog.New(io.Discard)
