package intake

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"leadstream/daemon/channel"
)

func eventConfig() Config {
	c := testConfig()
	c.Sources["tg"] = Source{Preset: "telegram", Secrets: []string{"the_secret"}}
	c.Sources["both"] = Source{Preset: "telegram", Secrets: []string{"the_secret"}, Keys: []string{KeyHash(testKey + "both")}}
	return c
}

const secretHeader = "X-Telegram-Bot-Api-Secret-Token"

func update(id int, text string) string {
	return fmt.Sprintf(`{"update_id":%d,"message":{"message_id":1,"from":{"id":7,"first_name":"Ольга"},"chat":{"id":7,"type":"private"},"date":1767225600,"text":%q}}`, id, text)
}

func TestEvents(t *testing.T) {
	tests := map[string]struct {
		target, body, secret string
		code                 int
		taken                int
		quarantined          string
	}{
		"a message":                   {"/in/tg", update(1, "цена?"), "the_secret", 200, 1, ""},
		"with a key in the address":   {"/in/both/" + testKey + "both", update(1, "цена?"), "the_secret", 200, 1, ""},
		"the key alone":               {"/in/both/" + testKey + "both", update(1, "цена?"), "", 401, 0, ""},
		"the secret, but not the key": {"/in/both", update(1, "цена?"), "the_secret", 401, 0, ""},
		"wrong secret":                {"/in/tg", update(1, "цена?"), "the_secre", 401, 0, ""},
		"no secret":                   {"/in/tg", update(1, "цена?"), "", 401, 0, ""},
		"nothing for us":              {"/in/tg", `{"update_id":1,"poll":{}}`, "the_secret", 200, 0, ""},
		"cut short":                   {"/in/tg", update(1, "цена?")[:50], "the_secret", 200, 0, "unreadable"},
		"another encoding":            {"/in/tg", "\xff\xfe{", "the_secret", 200, 0, "unreadable"},
		"10 MB":                       {"/in/tg", update(1, strings.Repeat("a", 10<<20)), "the_secret", 200, 0, "too_large"},
		"10 MB, with a key":           {"/in/both/" + testKey + "both", update(1, strings.Repeat("a", 10<<20)), "the_secret", 200, 0, "too_large"},
		"10 MB of somebody":           {"/in/tg", update(1, strings.Repeat("a", 10<<20)), "", 401, 0, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m := &memory{}
			w := send(newHandler(t, eventConfig(), m), tt.target, tt.body, secretHeader, tt.secret, "Content-Type", "application/json")
			if w.Code != tt.code || tt.code == 200 && w.Body.Len() > 0 {
				t.Errorf("got %d %q, want %d and nothing more", w.Code, w.Body, tt.code)
			}
			if len(m.taken) != tt.taken {
				t.Errorf("%d leads taken, want %d", len(m.taken), tt.taken)
			}
			got := ""
			if len(m.quarantined) > 0 {
				got = m.quarantined[0].Code
			}
			if got != tt.quarantined {
				t.Errorf("quarantined %q, want %q", got, tt.quarantined)
			}
		})
	}
}

// An event told again is the same lead; a journal that is away makes the service come again.
func TestEventsAreKept(t *testing.T) {
	m := &memory{}
	h := newHandler(t, eventConfig(), m)
	for range 2 {
		send(h, "/in/tg", update(5, "да"), secretHeader, "the_secret")
	}
	if len(m.taken) != 2 || m.taken[0].Key != "5" || string(m.taken[0].Canonical) != string(m.taken[1].Canonical) {
		t.Errorf("got %+v", m.taken)
	}
	if l := m.taken[0].Lead; l.Source != "tg" || l.Channel != "telegram" || l.UserID != "7" || l.ReceivedAt.IsZero() {
		t.Errorf("got %+v", l)
	}
	m.fail = ErrUnavailable{}
	for _, body := range []string{update(6, "да"), "no update"} {
		if w := send(h, "/in/tg", body, secretHeader, "the_secret"); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
			t.Errorf("got %d with Retry-After %q", w.Code, w.Header().Get("Retry-After"))
		}
	}
}

// service is a source that speaks a protocol, and requests as its service makes them.
type service struct {
	source  Source
	proof   func(body string) []string // headers; nil: the body itself proves who sends, or the key in the address
	content string                     // Content-Type, application/json when empty
	message string                     // becomes one lead
	news    string                     // becomes one event; may be empty
	useless string                     // of a kind that we do not know
	twenty  func(bad int) string       // twenty messages in a body, of which that one cannot be read; nil: a body tells one thing
	forged  string                     // message, from somebody who does not know the secret; empty: proof is left out
	cut     int                        // the answer's code to a message cut short: 200 where it is proven all the same
	large   int                        // and to one of 10 MB
	lenient bool                       // both are read as far as they go
	answer  string
	typ     string // Content-Type of the answer
}

var services = map[string]service{
	"telegram": {
		source:  Source{Preset: "telegram", Secrets: []string{"the_secret"}},
		proof:   func(string) []string { return []string{secretHeader, "the_secret"} },
		message: update(1, "цена?"), useless: `{"update_id":1,"poll":{}}`, cut: 200, large: 200,
	},
	"vk": {
		source:  Source{Preset: "vk", Secrets: []string{"s3cret"}, Verification: "a1b2c3d4", Accounts: []string{"1"}},
		message: vkEvent("message_new", "s3cret", `{"message":{"date":1767225600,"from_id":7,"peer_id":7,"id":1,"conversation_message_id":1,"text":"цена?"}}`),
		news:    vkEvent("message_reply", "s3cret", `{"date":1767225600,"from_id":-1,"peer_id":7,"id":2,"conversation_message_id":2,"text":"500"}`),
		useless: vkEvent("of_next_year", "s3cret", `[]`),
		forged:  vkEvent("message_new", "guess", `{"message":{"date":1767225600,"from_id":7,"peer_id":7,"id":1,"conversation_message_id":1,"text":"цена?"}}`),
		cut:     401, large: 401, answer: "ok", typ: "text/plain; charset=utf-8",
	},
	"max": {
		source: Source{Preset: "max", Secrets: []string{"s3cret"}},
		proof:  func(string) []string { return []string{"X-Max-Bot-Api-Secret", "s3cret"} },
		message: `{"update_type":"message_created","timestamp":1767225600123,"message":{"recipient":{"chat_id":9,"chat_type":"dialog"},"timestamp":1767225600000,` +
			`"sender":{"user_id":7,"first_name":"Анна"},"body":{"mid":"mid.1","seq":116000000000000001,"text":"цена?"}}}`,
		useless: `{"update_type":"of_next_year","timestamp":1}`, cut: 200, large: 200,
	},
	"whatsapp": {
		source:  Source{Preset: "whatsapp", Secrets: []string{"s3cret"}, Verification: "token", Accounts: []string{"2"}},
		proof:   metaSigned,
		message: whatsAppBody(`"messages":[` + whatsAppMessage(1) + `]`),
		news:    whatsAppBody(`"statuses":[{"id":"wamid.out","status":"read","timestamp":"1767225600","recipient_id":"79990000011"}]`),
		useless: `{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"field":"of_next_year","value":{}}]}]}`,
		twenty: func(bad int) string {
			return whatsAppBody(`"messages":[` + twenty(bad, whatsAppMessage) + `]`)
		},
		cut: 200, large: 401,
	},
	"meta": {
		source:  Source{Preset: "meta", Secrets: []string{"s3cret"}, Verification: "token"},
		proof:   metaSigned,
		message: `{"object":"page","entry":[{"id":"3","messaging":[` + messenger(1) + `]}]}`,
		news:    `{"object":"page","entry":[{"id":"3","messaging":[{"sender":{"id":"6"},"recipient":{"id":"3"},"timestamp":1767225600000,"read":{"watermark":5}}]}]}`,
		useless: `{"object":"page","entry":[{"id":"3","messaging":[{"sender":{"id":"6"},"recipient":{"id":"3"},"of_next_year":{}}]}]}`,
		twenty: func(bad int) string {
			return `{"object":"page","entry":[{"id":"3","messaging":[` + twenty(bad, messenger) + `]}]}`
		},
		cut: 200, large: 401,
	},
	"avito": {
		source: Source{Preset: "avito", Accounts: []string{"8"}},
		message: `{"id":"e1","version":"v3.0.0","timestamp":1767225600,"payload":{"type":"message","value":{"id":"m1","chat_id":"u2i-1","user_id":8,"author_id":9,` +
			`"created":1767225600,"type":"text","chat_type":"u2i","content":{"text":"цена?"}}}}`,
		useless: `{"id":"e1","payload":{"type":"of_next_year","value":{}}}`,
		cut:     200, large: 200, answer: `{"ok":true}`, typ: "application/json",
	},
	"mango": {
		source:  Source{Preset: "mango", Secrets: []string{"s3cret"}},
		content: formType,
		message: mangoForm("s3cret", `{"entry_id":"MTIz","call_direction":1,"entry_result":0,"from":{"number":"79990000088"}}`),
		useless: mangoForm("s3cret", `{"entry_id":"MTIz","call_state":"Appeared"}`),
		forged:  mangoForm("guess", `{"entry_id":"MTIz","call_direction":1,"entry_result":0,"from":{"number":"79990000088"}}`),
		cut:     401, large: 401, answer: "ok", typ: "text/plain; charset=utf-8",
	},
	"mail": {
		source:  Source{Preset: "mail"},
		content: "message/rfc822",
		message: "From: Olga <olga@example.test>\r\nMessage-ID: <1@example.test>\r\nSubject: price\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\nHow much is it, please?\r\n",
		news: "From: MAILER-DAEMON@example.test\r\nMessage-ID: <2@example.test>\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n" +
			"--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; example.test\r\n\r\nAction: failed\r\nStatus: 5.1.1\r\nFinal-Recipient: rfc822; boss@example.test\r\n\r\n" +
			"--b\r\nContent-Type: text/rfc822-headers\r\n\r\nMessage-ID: <00000000000000000000000001.mail@example.test>\r\n\r\n--b--\r\n",
		useless: "From: Shop <news@example.test>\r\nMessage-ID: <3@example.test>\r\nAuto-Submitted: auto-replied\r\n\r\nI am away\r\n",
		cut:     200, large: 200, lenient: true, answer: `{"ok":true}`, typ: "application/json",
	},
	"zadarma": {
		source: Source{Preset: "zadarma", Secrets: []string{"s3cret"}},
		proof: func(string) []string {
			mac := hmac.New(sha1.New, []byte("s3cret"))
			mac.Write([]byte("79990000088" + "74950000000" + "2026-01-01 03:00:00"))
			return []string{"Signature", base64.StdEncoding.EncodeToString([]byte(hex.EncodeToString(mac.Sum(nil))))}
		},
		content: formType,
		message: "event=NOTIFY_END&caller_id=79990000088&called_did=74950000000&call_start=2026-01-01+03%3A00%3A00&pbx_call_id=in_abc&duration=20&status_code=16&disposition=busy",
		useless: "event=NOTIFY_START&caller_id=79990000088&called_did=74950000000&call_start=2026-01-01+03%3A00%3A00&pbx_call_id=in_abc",
		cut:     200, large: 401,
	},
	"twilio": {
		source: Source{Preset: "twilio", Secrets: []string{"s3cret"}, URL: "https://leads.example.test/in/it"},
		proof: func(body string) []string {
			f, _ := url.ParseQuery(body)
			mac := hmac.New(sha1.New, []byte("s3cret"))
			mac.Write([]byte("https://leads.example.test/in/it"))
			for _, key := range slices.Sorted(maps.Keys(f)) {
				mac.Write([]byte(key + f.Get(key)))
			}
			return []string{"X-Twilio-Signature", base64.StdEncoding.EncodeToString(mac.Sum(nil))}
		},
		content: formType,
		message: "Direction=inbound&From=%2B79990000088&CallStatus=no-answer&CallSid=CA1",
		useless: "Direction=inbound&From=%2B79990000088&CallStatus=of-next-year&CallSid=CA1",
		cut:     200, large: 401, answer: `<?xml version="1.0" encoding="UTF-8"?><Response/>`, typ: "text/xml; charset=utf-8",
	},
	"uis": {
		source:  Source{Preset: "uis"},
		message: `{"event":"missed_call","call_session_id":"1","contact_phone_number":"79990000088","start_time":"2026-01-01 03:00:00"}`,
		useless: `{"event":"of_next_year","call_session_id":"1"}`,
		cut:     200, large: 200, answer: "ok", typ: "text/plain; charset=utf-8",
	},
}

func mangoForm(salt, json string) string {
	sum := sha256.Sum256([]byte("key" + json + salt))
	return url.Values{"vpbx_api_key": {"key"}, "sign": {hex.EncodeToString(sum[:])}, "json": {json}}.Encode()
}

// metaSigned signs as Meta does.
func metaSigned(body string) []string {
	mac := hmac.New(sha256.New, []byte("s3cret"))
	mac.Write([]byte(body))
	return []string{"X-Hub-Signature-256", "sha256=" + hex.EncodeToString(mac.Sum(nil))}
}

func whatsAppBody(value string) string {
	return `{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"field":"messages","value":{"metadata":{"phone_number_id":"2"},` + value + `}}]}]}`
}

func whatsAppMessage(n int) string {
	return fmt.Sprintf(`{"from":"79990000011","id":"wamid.%d","timestamp":"1767225600","type":"text","text":{"body":"цена?"}}`, n)
}

func messenger(n int) string {
	return fmt.Sprintf(`{"sender":{"id":"6"},"recipient":{"id":"3"},"timestamp":1767225600000,"message":{"mid":"m%d","text":"цена?"}}`, n)
}

// twenty messages in a list, of which that one cannot be read.
func twenty(bad int, message func(n int) string) string {
	var all []string
	for n := range 20 {
		if n == bad {
			all = append(all, `{"sender":7,"id":[]}`)
			continue
		}
		all = append(all, message(n))
	}
	return strings.Join(all, ",")
}

func vkEvent(kind, secret, object string) string {
	return fmt.Sprintf(`{"type":%q,"group_id":1,"event_id":"e1","v":"5.199","secret":%q,"object":%s}`, kind, secret, object)
}

// Whatever a service sends: the answer that it wants once it has proven itself, and nothing kept for who has not.
func TestServices(t *testing.T) {
	for name, s := range services {
		t.Run(name, func(t *testing.T) {
			c := testConfig()
			target := "/in/it"
			if channel.Open(s.source.Preset) {
				s.source.Keys, target = []string{KeyHash(testKey)}, target+"/"+testKey
			}
			c.Sources["it"] = s.source
			m := &memory{}
			h := newHandler(t, c, m)
			post := func(body string, proven bool) *httptest.ResponseRecorder {
				headers := []string{"Content-Type", or(s.content, "application/json")}
				if s.proof != nil && proven {
					headers = append(headers, s.proof(body)...)
				}
				return send(h, target, body, headers...)
			}
			// kept is what a request left: leads, quarantined bodies.
			kept := func(what string, w *httptest.ResponseRecorder, code, taken, quarantined int) {
				t.Helper()
				if w.Code != code {
					t.Errorf("%s: code %d, want %d: %s", what, w.Code, code, w.Body)
				}
				if code == 200 && (w.Body.String() != s.answer || w.Header().Get("Content-Type") != s.typ) {
					t.Errorf("%s: answer %q of %q, want %q of %q", what, w.Body, w.Header().Get("Content-Type"), s.answer, s.typ)
				}
				if len(m.taken) != taken || len(m.quarantined) != quarantined {
					t.Errorf("%s: %d leads and %d quarantined, want %d and %d", what, len(m.taken), len(m.quarantined), taken, quarantined)
				}
				m.taken, m.quarantined = nil, nil
			}
			after := func(code int) int { // is one body kept?
				if code == 200 {
					return 1
				}
				return 0
			}

			kept("a message", post(s.message, true), 200, 1, 0)
			first := post(s.message, true)
			again := post(s.message, true)
			if len(m.taken) == 2 && (m.taken[0].Key != m.taken[1].Key || string(m.taken[0].Canonical) != string(m.taken[1].Canonical)) {
				t.Errorf("told again it is another lead: %q, then %q", m.taken[0].Canonical, m.taken[1].Canonical)
			}
			if l := m.taken[0].Lead; l.Source != "it" || l.Channel == "" || l.Key == "" || l.UserID+l.Phone == "" || l.Event != "" || l.ReceivedAt.IsZero() {
				t.Errorf("got %+v", l)
			}
			kept("told first", first, 200, 2, 0)
			kept("told again", again, 200, 0, 0)
			if s.news != "" {
				w := post(s.news, true)
				if len(m.taken) == 1 && m.taken[0].Lead.Event == "" {
					t.Errorf("news became an enquiry: %+v", m.taken[0].Lead)
				}
				kept("news", w, 200, 1, 0)
			}
			kept("of a kind we do not know", post(s.useless, true), 200, 0, 0)
			leads := 0
			if s.lenient {
				leads = 1
			}
			kept("cut short", post(s.message[:len(s.message)*2/3], true), s.cut, leads, after(s.cut)-leads)
			kept("10 MB", post(strings.Repeat(" ", 10<<20)+s.message, true), s.large, leads, after(s.large)-leads)
			if s.twenty != nil {
				kept("one bad among twenty", post(s.twenty(13), true), 200, 19, 1)
				kept("twenty good", post(s.twenty(-1), true), 200, 20, 0)
			}
			if channel.Open(s.source.Preset) {
				kept("without the key", send(h, "/in/it", s.message, "Content-Type", or(s.content, "application/json")), 401, 0, 0)
			} else {
				kept("of somebody else", post(or(s.forged, s.message), false), 401, 0, 0)
			}
			m.fail = ErrUnavailable{}
			w := post(s.message, true)
			if w.Header().Get("Retry-After") == "" {
				t.Error("no word on when to come again")
			}
			kept("while nothing can be kept", w, 503, 0, 0)
		})
	}
}

// Every protocol stands in services.
func TestServicesAreAll(t *testing.T) {
	for _, name := range channel.Names() {
		if s, ok := services[name]; !ok || s.source.Preset != name {
			t.Errorf("%s is not tried", name)
		}
	}
}

// A service that tries the address gets the answer it wants, also where the address holds a key; nobody else does.
func TestGreetings(t *testing.T) {
	c := testConfig()
	c.Sources["vk"], c.Sources["wa"], c.Sources["zd"] = services["vk"].source, services["whatsapp"].source, services["zadarma"].source
	keyed := services["vk"].source
	keyed.Keys = []string{KeyHash(testKey)}
	c.Sources["keyed"] = keyed
	keyed = services["whatsapp"].source
	keyed.Keys = []string{KeyHash(testKey + "wa")}
	c.Sources["wakeyed"] = keyed
	tests := map[string]struct {
		method, target, body string
		code                 int
		answer               string
	}{
		"vk":                       {"POST", "/in/vk", `{"type":"confirmation","group_id":1}`, 200, "a1b2c3d4"},
		"vk, with a key":           {"POST", "/in/keyed/" + testKey, `{"type":"confirmation","group_id":1}`, 200, "a1b2c3d4"},
		"vk, without the key":      {"POST", "/in/keyed", `{"type":"confirmation","group_id":1}`, 401, ""},
		"whatsapp":                 {"GET", "/in/wa?hub.mode=subscribe&hub.verify_token=token&hub.challenge=1158201444", "", 200, "1158201444"},
		"whatsapp, wrong token":    {"GET", "/in/wa?hub.mode=subscribe&hub.verify_token=guess&hub.challenge=1158201444", "", 401, ""},
		"zadarma":                  {"GET", "/in/zd?zd_echo=a1B2", "", 200, "a1B2"},
		"zadarma, a page":          {"GET", "/in/zd?zd_echo=<b>", "", 405, ""},
		"whatsapp, with a key":     {"GET", "/in/wakeyed/" + testKey + "wa?hub.mode=subscribe&hub.verify_token=token&hub.challenge=5", "", 200, "5"},
		"whatsapp, without a key":  {"GET", "/in/wakeyed?hub.mode=subscribe&hub.verify_token=token&hub.challenge=5", "", 405, ""},
		"whatsapp, looked at":      {"GET", "/in/wa", "", 405, ""},
		"vk, of somebody's secret": {"POST", "/in/vk", `{"type":"confirmation","group_id":1,"secret":"guess"}`, 401, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m := &memory{}
			w := httptest.NewRecorder()
			newHandler(t, c, m).ServeHTTP(w, httptest.NewRequest(tt.method, tt.target, strings.NewReader(tt.body)))
			if w.Code != tt.code || tt.answer != "" && w.Body.String() != tt.answer || len(m.taken)+len(m.quarantined) > 0 {
				t.Errorf("got %d %q, want %d %q", w.Code, w.Body, tt.code, tt.answer)
			}
			if w.Code == 200 && w.Header().Get("Content-Type") != "text/plain; charset=utf-8" {
				t.Errorf("the answer is %s", w.Header().Get("Content-Type"))
			}
		})
	}
}

// A service that only posts is no page to look at.
func TestEventsByGet(t *testing.T) {
	w := httptest.NewRecorder()
	newHandler(t, eventConfig(), &memory{}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/in/tg", nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("got %d", w.Code)
	}
}

// What is longer than the journal takes holds up nothing: it is kept raw, and what came with it is taken.
func TestEventsTooLongForTheJournal(t *testing.T) {
	m := &memory{most: 1000}
	h := newHandler(t, eventConfig(), m)
	long := update(2, strings.Repeat("a", 2000))
	if w := send(h, "/in/tg", long, secretHeader, "the_secret"); w.Code != 200 || len(m.taken) != 0 || len(m.quarantined) != 1 || m.quarantined[0].Code != "too_large" {
		t.Errorf("got %d, %d taken, quarantined %+v", w.Code, len(m.taken), m.quarantined)
	}
	err := h.Told(t.Context(), "tg", [][]byte{[]byte(update(3, "да")), []byte(long), []byte(update(4, "нет"))})
	if err != nil || len(m.taken) != 2 || len(m.quarantined) != 2 {
		t.Errorf("%v, %d taken, %d quarantined", err, len(m.taken), len(m.quarantined))
	}
	w := send(h, "/v1/leads", `{"name":"`+strings.Repeat("a", 2000)+`"}`, "X-Api-Key", testKey+"api")
	if w.Code != http.StatusRequestEntityTooLarge || len(m.taken) != 2 || len(m.quarantined) != 3 {
		t.Errorf("a lead: %d, %d taken, %d quarantined", w.Code, len(m.taken), len(m.quarantined))
	}
}

// undated reads what tg's protocol reads, and dates it as no calendar does.
type undated struct{ channel.Protocol }

func (u undated) Read(body []byte, media string) ([]channel.Event, error) {
	events, err := u.Protocol.Read(body, media)
	if strings.Contains(string(body), "undated") {
		events[0].Lead.EventAt = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	return events, err
}

// A lead that no journal can write down holds up nothing: it is kept raw, and what came with it is taken. While the journal is
// away, nothing counts as kept.
func TestEventsThatCannotBeWritten(t *testing.T) {
	m := &memory{}
	h := newHandler(t, eventConfig(), m)
	h.sources["tg"].protocol = undated{h.sources["tg"].protocol}
	told := [][]byte{[]byte(update(3, "да")), []byte(update(4, "undated")), []byte(update(5, "нет"))}
	if err := h.Told(t.Context(), "tg", told); err != nil || len(m.taken) != 2 || len(m.quarantined) != 1 || m.quarantined[0].Code != "unreadable" {
		t.Errorf("%v, %d taken, quarantined %+v", err, len(m.taken), m.quarantined)
	}
	m.taken, m.quarantined, m.fail = nil, nil, ErrUnavailable{}
	if err := h.Told(t.Context(), "tg", told); err == nil {
		t.Error("the journal is away, and it counts as kept")
	}
}

// Two customers who fill a form in the same second are two leads, however their site names its mails; either mail brought
// again is the same lead.
func TestFormsOfOneSecond(t *testing.T) {
	m := &memory{}
	c := testConfig()
	c.Sources["post"] = Source{Preset: "mail", Keys: []string{KeyHash(testKey + "post")}}
	h := newHandler(t, c, m)
	form := func(name, phone string) []byte {
		return []byte("From: Site <wordpress@shop.test>\nMessage-ID: <1767225600@shop.test>\nDate: Thu, 01 Jan 2026 00:00:00 +0000\n" +
			"Content-Type: text/plain; charset=utf-8\nSubject: Заявка\n\nИмя: " + name + "\nТелефон: " + phone + "\n")
	}
	for _, one := range [][]byte{form("Анна", "+79990000011"), form("Борис", "+79990000022"), form("Анна", "+79990000011")} {
		if err := h.Told(t.Context(), "post", [][]byte{one}); err != nil {
			t.Fatal(err)
		}
	}
	if len(m.taken) != 3 || string(m.taken[0].Canonical) == string(m.taken[1].Canonical) || string(m.taken[0].Canonical) != string(m.taken[2].Canonical) {
		t.Errorf("two customers, one of them twice: %d leads", len(m.taken))
	}
}

// A mail that is taken for none of a customer's is logged without anybody's data, and kept raw where it was handed over; a mailbox
// keeps it itself. Of what surely is none nothing is kept.
func TestIgnoredMail(t *testing.T) {
	for name, tt := range map[string]struct {
		mail string
		kept int
	}{
		"a list's":   {"From: Shop <news@example.test>\nList-Id: <news.example.test>\n\nBuy now\n", 1},
		"our own":    {"From: leads@example.test\n\nКлиент Анна, @anna\n", 1},
		"spam":       {"From: olga@example.test\nX-Spam-Flag: YES\n\n+79990000011\n", 1},
		"our answer": {"From: leads@example.test\nIn-Reply-To: <1@example.test>\n\nCall +79990000011\n", 0},
		"a robot's":  {"From: olga@example.test\nAuto-Submitted: auto-replied\n\nI am away\n", 0},
		"our notice": {"From: x@example.test\nX-Leadstream: notice\n\n+79990000011\n", 0},
	} {
		t.Run(name, func(t *testing.T) {
			m := &memory{}
			c := testConfig()
			c.Sources["post"] = Source{Preset: "mail", Keys: []string{KeyHash(testKey + "post")}, Accounts: []string{"leads@example.test"}}
			h := newHandler(t, c, m)
			var log bytes.Buffer
			h.log = zerolog.New(&log).Level(zerolog.InfoLevel)
			if err := h.Told(t.Context(), "post", [][]byte{[]byte(tt.mail)}); err != nil || len(m.taken)+len(m.quarantined) != 0 {
				t.Errorf("of a mailbox: %v, %d taken, %d quarantined", err, len(m.taken), len(m.quarantined))
			}
			if !strings.Contains(log.String(), "event ignored") || strings.Contains(log.String(), "example.test") {
				t.Errorf("the log says %s", &log)
			}
			w := send(h, "/in/post", tt.mail, "Content-Type", "message/rfc822", "X-Api-Key", testKey+"post")
			if w.Code != 200 || len(m.taken) != 0 || len(m.quarantined) != tt.kept {
				t.Errorf("handed over: %d, %d taken, %d quarantined, want %d", w.Code, len(m.taken), len(m.quarantined), tt.kept)
			}
			m.fail = ErrUnavailable{}
			if w := send(h, "/in/post", tt.mail, "Content-Type", "message/rfc822", "X-Api-Key", testKey+"post"); tt.kept > 0 && w.Code != 503 {
				t.Errorf("while nothing can be kept: %d", w.Code)
			}
		})
	}
}

// What a service says when it is asked is the same lead as by its webhook, all of it or nothing.
func TestToldAsByWebhook(t *testing.T) {
	m := &memory{}
	h := newHandler(t, eventConfig(), m)
	send(h, "/in/tg", update(5, "да"), secretHeader, "the_secret")
	told := [][]byte{[]byte(update(5, "да")), []byte(update(6, "нет")), []byte("[]"), []byte(`{"update_id":7,"poll":{}}`)}
	if err := h.Told(t.Context(), "tg", told); err != nil {
		t.Fatal(err)
	}
	if len(m.taken) != 3 || m.taken[0].Key != m.taken[1].Key || string(m.taken[0].Canonical) != string(m.taken[1].Canonical) || len(m.quarantined) != 1 {
		t.Errorf("%d taken, %d quarantined", len(m.taken), len(m.quarantined))
	}
	m.fail = ErrUnavailable{}
	if err := h.Told(t.Context(), "tg", told[1:2]); err == nil {
		t.Error("the journal is away, and it counts as kept")
	}
	if err := h.Told(t.Context(), "site", told); err == nil {
		t.Error("a source without a protocol")
	}
}
