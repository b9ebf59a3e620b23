package sms

import (
	"encoding/json"
	"encoding/xml"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"leadstream/sinks"
	"leadstream/streams"
)

// FuzzGatewayAnswers gives each gateway the same made-up answer: none may panic, wait for ever, or take for sent what a
// server refused; none may repeat the secret or the number in its error.
func FuzzGatewayAnswers(f *testing.F) {
	f.Add(200, `{"id":1,"cnt":1}`, "")
	f.Add(200, `{"status":"OK","status_code":100,"sms":{"79990000011":{"status":"OK","status_code":100,"sms_id":"1"}}}`, "")
	f.Add(201, `{"sid":"SM1","status":"queued"}`, "")
	f.Add(202, "0: Accepted for delivery", "")
	f.Add(429, `{"code":20429}`, "99999999999999999999")
	f.Add(200, `{"error":"x","error_code":2}`, "Wed, 21 Oct 2099 07:28:00 GMT")
	var status int
	var body, after string
	far := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if after != "" {
			w.Header().Set("Retry-After", strings.NewReplacer("\r", "", "\n", "").Replace(after))
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	f.Cleanup(far.Close)
	env := sinks.Env{Region: "RU", Language: "ru", Zone: time.UTC}
	gateways := map[string]sinks.Sink{}
	for name, kind := range map[string]sinks.Kind{"smsc": SMSC, "smsru": SMSRu, "twilio": Twilio, "kannel": Kannel, "any": Template} {
		settings := kind.Settings()
		switch s := settings.(type) {
		case *SMSCSettings:
			s.APIKey, s.BaseURL, s.To, s.AllowPrivate = "secret-key", far.URL, number, true
		case *SMSRuSettings:
			s.APIID, s.BaseURL, s.To, s.AllowPrivate = "secret-key", far.URL, number, true
		case *TwilioSettings:
			s.Account, s.Secret, s.BaseURL, s.To, s.From, s.AllowPrivate = "AC0123456789abcdef0123456789abcdef", "secret-key", far.URL, number, "+79990000022", true
		case *KannelSettings:
			s.URL, s.Username, s.Password, s.To, s.AllowPrivate = far.URL, "user", "secret-key", number, true
		case *TemplateSettings:
			s.URL, s.Body, s.To, s.AllowPrivate, s.SuccessJSON = far.URL+"?key=secret-key", `{"t":"{text}"}`, number, true, "ok=true"
		}
		sink, err := kind.Open(settings, env)
		if err != nil {
			f.Fatalf("%s: %v", name, err)
		}
		gateways[name] = sink
	}
	f.Fuzz(func(t *testing.T, code int, answer, wait string) {
		if code < 200 || code > 599 {
			return
		}
		status, body, after = code, answer, wait
		for name, g := range gateways {
			v := g.(sinks.Messenger).Send(t.Context(), sinks.Message{Text: "text"})
			if (v.Err == nil) != (v.Result == streams.Done) || v.After < 0 || v.After > 24*time.Hour {
				t.Errorf("%s: result %d, error %v, after %s", name, v.Result, v.Err, v.After)
			}
			if v.Result == streams.Done && code > 299 {
				t.Errorf("%s: %d %q passes for sent", name, code, answer)
			}
			if v.Err != nil && (strings.Contains(v.Err.Error(), "secret-key") || strings.Contains(v.Err.Error(), number[1:])) {
				t.Errorf("%s: %v has a secret or a number in it", name, v.Err)
			}
		}
	})
}

const number = "+79990000011"

// FuzzTemplate: whatever a text says, what the template has around it stays what it was.
func FuzzTemplate(f *testing.F) {
	f.Add(`Анна, "завтра" в 10:00 {to} & <b>`, "a\\u0000", "id")
	f.Fuzz(func(t *testing.T, body, from, id string) {
		if !utf8.ValidString(body) || !utf8.ValidString(from) || !utf8.ValidString(id) {
			return // a text has been through sinks.Clean
		}
		s := TemplateSettings{From: from}
		m := text{id: id, to: "79990000011", body: body}
		want := filled{Text: body, From: from, ID: id, To: "+79990000011"}

		var got filled
		raw := s.fill(`{"text":"{text}","from":"{from}","id":"{id}","to":"{plus}"}`, m, bodyEscape("application/json"))
		if err := json.Unmarshal([]byte(raw), &got); err != nil || got != want {
			t.Errorf("JSON: got %q, %v, want %q", got, err, want)
		}

		raw = s.fill("text={text}&from={from}&id={id}&to={plus}", m, bodyEscape("application/x-www-form-urlencoded"))
		values, err := url.ParseQuery(raw)
		got = filled{values.Get("text"), values.Get("from"), values.Get("id"), values.Get("to")}
		if err != nil || got != want || len(values) != 4 {
			t.Errorf("form: got %q, %v, want %q", values, err, want)
		}

		got = filled{}
		raw = s.fill("<m><text>{text}</text><to>{plus}</to></m>", m, bodyEscape("text/xml"))
		if err := xml.Unmarshal([]byte(raw), &got); err != nil || got.To != want.To {
			t.Errorf("XML: got %q, %v, want %q", got, err, want)
		}
	})
}

type filled struct {
	Text string `json:"text" xml:"text"`
	From string `json:"from" xml:"from"`
	ID   string `json:"id" xml:"id"`
	To   string `json:"to" xml:"to"`
}
