package channel

import (
	"encoding/json"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"leadstream/daemon/mail"
	"leadstream/streams"
)

// fieldsOf writes the expected Fields without noise.
func fieldsOf(pairs ...string) map[string]json.RawMessage {
	m := make(map[string]json.RawMessage)
	for i := 0; i+1 < len(pairs); i += 2 {
		m[pairs[i]] = json.RawMessage(pairs[i+1])
	}
	return m
}

// told is a case of what a body tells: the leads, and for the rest why nothing of it is kept.
type told struct {
	body    string
	leads   []streams.Lead
	ignored []string
	bad     int // events that cannot be read
}

// tellAll holds a protocol to its cases.
func tellAll(t *testing.T, p Protocol, contentType string, tests map[string]told) {
	t.Helper()
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			events, err := p.Read([]byte(tt.body), contentType)
			if err != nil {
				events = []Event{{Err: err, Raw: []byte(tt.body)}}
			}
			var leads []streams.Lead
			var ignored []string
			bad := 0
			for _, e := range events {
				switch {
				case len(e.Raw) == 0:
					t.Error("an event without its raw text")
				case e.Err != nil:
					bad++
				case e.Ignore != "":
					ignored = append(ignored, e.Ignore)
				default:
					leads = append(leads, e.Lead)
				}
			}
			if diff := cmp.Diff(tt.leads, leads); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(tt.ignored, ignored); diff != "" {
				t.Error(diff)
			}
			if bad != tt.bad {
				t.Errorf("%d events cannot be read, want %d", bad, tt.bad)
			}
		})
	}
}

// request is a POST as a service makes it.
func request(body string, headers ...string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/in/x", nil)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

func at(unix int64) time.Time { return time.Unix(unix, 0).UTC() }

func TestMissing(t *testing.T) {
	for _, name := range Names() {
		k := kinds[name]
		got := Missing(name, Config{})
		for key, needed := range map[string]bool{"secrets": k.secrets, "accounts": k.accounts, "verification": k.verification, "url": k.url} {
			if _, said := got[key]; said != needed {
				t.Errorf("%s: %s said to be missing: %v, want %v", name, key, said, needed)
			}
		}
		whole := Config{Secrets: []string{"s"}, Accounts: []string{"1"}, Verification: "v", URL: "https://leads.example.test/in/x"}
		if got := Missing(name, whole); len(got) > 0 {
			t.Errorf("%s: %v", name, got)
		}
		if !k.open && !k.secrets {
			t.Errorf("%s: nothing proves who sends, and it does not say so", name)
		}
	}
}

// The same event told twice is the same lead, one that reuses the number of another is not.
func TestCanonical(t *testing.T) {
	a := Event{Lead: streams.Lead{Channel: "telegram", UserID: "1", Key: "5", EventAt: at(100), Message: "да"}, Raw: []byte("a")}
	again, other, news := a, a, a
	news.Lead.Event = "sent"
	again.Raw, again.Lead.Name = []byte("b"), "Ольга"
	other.Lead.Message = "нет"
	if string(a.Canonical()) != string(again.Canonical()) {
		t.Error("an event told again is another lead")
	}
	if string(a.Canonical()) == string(news.Canonical()) {
		t.Error("what a customer wrote is the same lead as news of the same number")
	}
	if string(a.Canonical()) == string(other.Canonical()) {
		t.Error("another event of the same number is the same lead")
	}
	if got, want := string(a.Canonical()), "telegram\x001\x005\x00100\x00\x00да\x00"; got != want {
		t.Errorf("what was told before an update is another lead after it: %q, want %q", got, want)
	}
	anna, boris, olga, more := a, a, a, a
	anna.Form = []mail.Field{{Label: "Имя", Value: "Анна"}}
	boris.Form = []mail.Field{{Label: "Имя", Value: "Борис"}}
	olga.Form, olga.Lead.Email = anna.Form, "olga@example.test"
	more.Form = append(slices.Clone(anna.Form), mail.Field{Label: "Телефон", Value: "1"})
	seen := map[string]bool{}
	for _, e := range []Event{a, anna, boris, olga, more} {
		seen[string(e.Canonical())] = true
	}
	if len(seen) != 5 {
		t.Errorf("of 5 customers who filled a form in the same second, %d are left", len(seen))
	}
}

// Nothing that a service sends as a moment makes a lead that is no JSON.
func TestSeconds(t *testing.T) {
	for _, n := range []int64{-1, 0, 1767225600, 1767225600000, 253402300799999, 253402300800000, 9000000000000000, math.MaxInt64} {
		if _, err := json.Marshal(seconds(n)); err != nil {
			t.Errorf("%d: %v", n, err)
		}
	}
	if got := seconds(1767225600000); !got.Equal(seconds(1767225600)) {
		t.Errorf("milliseconds are %s", got)
	}
}

// Whatever comes: no panic, and each event either kept, ignored or said to be unreadable.
func FuzzRead(f *testing.F) {
	for _, name := range Names() {
		for _, body := range samples[name] {
			f.Add(name, body, "application/json")
		}
	}
	f.Fuzz(func(t *testing.T, name, body, contentType string) {
		p := New(name, Config{Secrets: []string{"secret"}, Verification: "v", Region: "RU", URL: "https://leads.example.test/in/x"})
		if p == nil {
			return
		}
		events, err := p.Read([]byte(body), contentType)
		if err != nil && len(events) > 0 {
			t.Error("events and an error for the whole")
		}
		for _, e := range events {
			if e.Err != nil || e.Ignore != "" {
				continue
			}
			if e.Lead.Key == "" || e.Lead.Channel == "" {
				t.Errorf("a lead without key or channel: %+v", e.Lead)
			}
			if _, err := json.Marshal(e.Lead); err != nil {
				t.Errorf("a lead that is no JSON: %v", err)
			}
		}
		p.Greet(httptest.NewRequest(http.MethodGet, "/in/x", nil), nil)
		p.Verify(request(body), []byte(body))
	})
}

// samples begin the fuzzing: a body of each sort.
var samples = map[string][]string{
	"telegram": {telegramStart, telegramContact, telegramPress},
	"max":      {maxCreated, maxStarted, maxContact, maxPressed},
	"meta":     {metaLeadgen, metaMessenger, metaInstagram},
	"whatsapp": {whatsAppText, whatsAppVoice},
	"avito":    {avitoText},
	"mango":    {mangoForm(mangoSummary)},
	"zadarma":  {zadarmaEnd, inParts(zadarmaEnd)},
	"twilio":   {twilioMissed},
	"uis":      {uisMissed},
	"vk":       {vkMessageNew, vkLeadForm, vkConfirm},
}
