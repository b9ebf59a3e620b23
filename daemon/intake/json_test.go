package intake

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// Line breaks that a no-code tool pasted into a string are repaired; nothing else is guessed.
func TestRepair(t *testing.T) {
	tests := map[string]struct{ body, want string }{
		"line break":         {"{\"a\":\"x\ny\"}", `{"a":"x\ny"}`},
		"return and tab":     {"{\"a\":\"x\r\n\ty\"}", `{"a":"x\r\n\ty"}`},
		"between members":    {"{\n\t\"a\":\r\n1}", "{\n\t\"a\":\r\n1}"},
		"escaped quote":      {"{\"a\":\"x\\\"\n\"}", `{"a":"x\"\n"}`},
		"escaped backslash":  {"{\"a\":\"x\\\\\"\n}", "{\"a\":\"x\\\\\"\n}"},
		"other control":      {"{\"a\":\"x\x01\"}", "{\"a\":\"x\x01\"}"},
		"backslash at end":   {"{\"a\":\"\\", "{\"a\":\"\\"},
		"quote in the value": {`{"a":"x "y" z"}`, `{"a":"x "y" z"}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := string(repair([]byte(tt.body))); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// FuzzDecodeJSON holds our walk over JSON to encoding/json.
func FuzzDecodeJSON(f *testing.F) {
	for _, seed := range []string{
		`{"name":"Ольга","a":{"b":[1,2,{"c":null}]},"a":"\u041e\"\\"}`, `[{"a":1},{},5]`, `{"leads":[{"a":1}]}`, "{\"a\":\"x\ny\"}",
		"{}\n{\"a\":1}\n", `"{\"a\":1}"`, `{"a":1e5,"b":-0.1,"c":true , "d" : [ ] }`, `{"\u0061":1,"a":2}`, `{"a":"\u0000"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		items, err := decode(body, "application/json")
		if err != nil {
			if !errors.As(err, new(*Error)) {
				t.Errorf("%v is no *Error", err)
			}
			return
		}
		for _, it := range items {
			checkItem(t, it)
		}
	})
}

// checkItem tests what must hold of every item that can be read.
func checkItem(t *testing.T, it item) {
	t.Helper()
	if it.err != nil {
		return
	}
	last := map[string]json.RawMessage{}
	for _, m := range it.members {
		if !json.Valid(m.val) {
			t.Fatalf("member %q is %q", m.key, m.val)
		}
		last[m.key] = m.val
	}
	if !it.form && bytes.IndexByte(it.raw, '{') >= 0 {
		var want map[string]json.RawMessage
		if err := json.Unmarshal(it.raw, &want); err != nil {
			t.Fatalf("%q: %v", it.raw, err)
		}
		if !slices.Equal(slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(last))) {
			t.Fatalf("%q: keys %q", it.raw, slices.Sorted(maps.Keys(last)))
		}
		for key, val := range want {
			if !bytes.Equal(val, last[key]) {
				t.Errorf("%q: %q is %q, want %q", it.raw, key, last[key], val)
			}
		}
	}
	once := canonical(nil, it.members, nil)
	again := objectItem(once)
	if !json.Valid(once) || again.err != nil || !bytes.Equal(once, canonical(nil, again.members, nil)) {
		t.Errorf("canonical %q, and of that %q", once, canonical(nil, again.members, nil))
	}
}

// FuzzRequest throws bodies of every type at the whole handler: it never panics, answers what it should, and every lead
// it makes has a JSON that reads back.
func FuzzRequest(f *testing.F) {
	f.Add(`name=%CE%EB&phone=8+999&payment[amount]=5`, formType)
	f.Add(`{"name":"a","fields":{"fields":{"x":1}},"contact":{"phone":[{"value":7.9e10}]}}`, "application/json")
	f.Add("--x\r\nContent-Disposition: form-data; name=a; filename=b\r\n\r\nabc\r\n--x--", "multipart/form-data; boundary=x")
	f.Add("a=1\r\nb\r\n", "text/plain")
	f.Add("{\"COOKIES\":\"TILDAUTM=utm_source%3D%zz|||a\",\"url\":\"?utm_term=%\"}", "text/plain; charset=koi8-r")
	f.Add("{}\n[", "application/x-ndjson")
	c := testConfig()
	m := &memory{}
	h, err := New(c, m, prometheus.NewRegistry(), zerolog.New(io.Discard))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body, contentType string) {
		m.taken, m.quarantined = nil, nil
		w := send(h, "/in/make", body, "Content-Type", contentType, "X-Api-Key", testKey+"make")
		if w.Code >= 500 || !json.Valid(w.Body.Bytes()) {
			t.Fatalf("got %d %q", w.Code, w.Body)
		}
		if w.Code == 200 && len(m.taken)+len(m.quarantined) == 0 || w.Code != 200 && len(m.taken) > 0 {
			t.Errorf("%d, %d taken, %d in quarantine", w.Code, len(m.taken), len(m.quarantined))
		}
		for _, taken := range m.taken {
			wire, err := json.Marshal(taken.Lead)
			if err != nil || !json.Valid(taken.Canonical) || bytes.Contains(wire, []byte(`\u0000`)) && !strings.Contains(body, `\\u0000`) {
				t.Errorf("lead %q, canonical %q, %v", wire, taken.Canonical, err)
			}
		}
	})
}

const benchBody = `{"name":"Ольга Петрова","phone":"8 (999) 000-00-11","email":"olga@example.test","service":"чистка зубов","message":"Добрый день! Хочу записаться на чистку, лучше вечером, после шести.","utm_source":"yandex","utm_medium":"cpc","utm_campaign":"autumn","page":"https://example.test/price","formname":"Запись","row":12345}`

func BenchmarkDecodeJSON(b *testing.B) {
	s := &source{region: "RU"}
	now := time.Now()
	b.ReportAllocs()
	b.SetBytes(int64(len(benchBody)))
	body := []byte(benchBody)
	for b.Loop() {
		items, err := decode(body, "application/json")
		if err != nil {
			b.Fatal(err)
		}
		new(draft).read(s, items[0], now, "")
		canonical(make([]byte, 0, len(body)), items[0].members, s.volatile)
	}
}

// BenchmarkDecodeMap is what the standard way costs, into a map and back, for comparison.
func BenchmarkDecodeMap(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		var m map[string]json.RawMessage
		if err := json.Unmarshal([]byte(benchBody), &m); err != nil {
			b.Fatal(err)
		}
		if _, err := json.Marshal(m); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHandler(b *testing.B) {
	h := newHandler(b, testConfig(), nothing{})
	b.ReportAllocs()
	for b.Loop() {
		if w := send(h, "/v1/leads", benchBody, "Content-Type", "application/json", "X-Api-Key", testKey+"api"); w.Code != 200 {
			b.Fatal(w.Body)
		}
	}
}
