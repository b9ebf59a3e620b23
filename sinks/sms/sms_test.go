package sms

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"leadstream/sinks"
	"leadstream/sinks/sim/phone"
	"leadstream/sinks/sinkstest"
	"leadstream/streams"
)

const manager = "+79990000099"

// kinds are all of them, as they are configured against a far side at url, with a healthy far side's answer.
var kinds = map[string]sinkstest.Case{
	"smsc": {
		Kind: SMSC,
		Configure: func(settings any, url string) {
			s := settings.(*SMSCSettings)
			s.To, s.Login, s.Password, s.BaseURL, s.AllowPrivate = manager, "shop", sinkstest.Canary, url, true
		},
		Healthy: answerBy("/sys/send.php", `{"id":5,"cnt":1}`, `{"balance":"412.50"}`),
		Creates: pathIs("/sys/send.php"),
	},
	"smsru": {
		Kind: SMSRu,
		Configure: func(settings any, url string) {
			s := settings.(*SMSRuSettings)
			s.To, s.APIID, s.BaseURL, s.AllowPrivate = manager, sinkstest.Canary, url, true
		},
		Healthy: answerBy("/sms/send", `{"status":"OK","status_code":100,"sms":{"79990000099":{"status":"OK","status_code":100,"sms_id":"1"}}}`, `{"status_code":100}`),
		Creates: pathIs("/sms/send"),
	},
	"twilio": {
		Kind: Twilio,
		Configure: func(settings any, url string) {
			s := settings.(*TwilioSettings)
			s.To, s.From, s.Account, s.Secret, s.BaseURL, s.AllowPrivate = manager, "+15550000001", phone.TwilioAccount, sinkstest.Canary, url, true
		},
		Healthy: answerBy("/2010-04-01/Accounts/"+phone.TwilioAccount+"/Messages.json", `{"sid":"SM1","status":"queued","error_code":null}`, `{"sid":"AC","status":"active"}`),
		Busy: func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusTooManyRequests)
			_, _ = io.WriteString(w, `{"code":20429,"message":"Too Many Requests","status":429}`)
		},
	},
	"kannel": {
		Kind: Kannel,
		Configure: func(settings any, url string) {
			s := settings.(*KannelSettings)
			s.To, s.Username, s.Password, s.URL = manager, "shop", sinkstest.Canary, url+"/cgi-bin/sendsms"
		},
		Healthy: func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Get("to") == "" {
				w.WriteHeader(http.StatusBadRequest)
				_, _ = io.WriteString(w, "Missing receiver number, rejected")
				return
			}
			w.WriteHeader(http.StatusAccepted)
			_, _ = io.WriteString(w, "0: Accepted for delivery")
		},
		Creates: func(r *http.Request) bool { return r.URL.Query().Get("to") != "" },
	},
	"template": {
		Kind: Template,
		Configure: func(settings any, url string) {
			s := settings.(*TemplateSettings)
			s.To, s.URL, s.AllowPrivate = manager, url+"/send?key="+sinkstest.Canary, true
			s.Headers, s.Body = map[string]string{"X-Key": sinkstest.Canary}, `{"to":"{plus}","text":"{text}"}`
			s.CheckURL = url + "/check?key=" + sinkstest.Canary
		},
		Healthy: func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"ok":true}`) },
	},
}

func pathIs(path string) func(*http.Request) bool {
	return func(r *http.Request) bool { return r.URL.Path == path }
}

func answerBy(path, is, other string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body := other
		if r.URL.Path == path {
			body = is
		}
		_, _ = io.WriteString(w, body)
	}
}

func TestSuite(t *testing.T) {
	for name, c := range kinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sinkstest.Run(t, c)
		})
	}
}

func openKind(t *testing.T, name, url string, change func(any)) sinks.Sink {
	t.Helper()
	c := kinds[name]
	settings := c.Kind.Settings()
	c.Configure(settings, url)
	if change != nil {
		change(settings)
	}
	sink, err := c.Kind.Open(settings, sinks.Env{Name: "sms", Language: "ru", Region: "RU"})
	if err != nil {
		t.Fatal(err)
	}
	return sink
}

// reply answers everything the same.
func reply(t *testing.T, status int, body string) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// Every row of the gateways' tables of codes, and how it is answered.
func TestCodes(t *testing.T) {
	type row struct {
		kind   string
		status int
		body   string // %s is the code
		codes  string
		want   streams.Result
	}
	smsc := func(codes string, want streams.Result) row {
		return row{"smsc", 200, `{"error":"x","error_code":%s}`, codes, want}
	}
	smsru := func(codes string, want streams.Result) row {
		return row{"smsru", 200, `{"status":"OK","status_code":100,"sms":{"7":{"status":"ERROR","status_code":%s}}}`, codes, want}
	}
	twilio := func(status int, codes string, want streams.Result) row {
		return row{"twilio", status, `{"code":%s,"message":"x"}`, codes, want}
	}
	kannel := func(status int, body string, want streams.Result) row {
		return row{"kannel", status, "%.0s" + body, "-", want}
	}
	rows := []row{
		smsc("1 5 6 7 8", streams.Permanent), smsc("2 3 4", streams.Pause), smsc("9", streams.Retry), smsc("77", streams.Permanent),
		{"smsc", 200, `{"error":"x","error_code":"%s"}`, "2", streams.Pause},
		{"smsc", 200, `{"id":%s}`, "1", streams.Ambiguous},
		smsru("200 300 301 302 201 204 206 210 211 212", streams.Pause),
		smsru("202 203 205 207 208 209 213 214 215 150 230 232 233 999", streams.Permanent),
		smsru("220 231", streams.Retry), smsru("500", streams.Ambiguous),
		{"smsru", 200, `{"status":"ERROR","status_code":%s}`, "200 201", streams.Pause},
		{"smsru", 200, `{"status":"OK","status_code":%s}`, "100", streams.Ambiguous},
		twilio(401, "20003", streams.Pause), twilio(404, "20404", streams.Pause),
		twilio(400, "20008 21606 21659 21660 30002", streams.Pause),
		twilio(400, "21211 21614 21610 21408 21617 30003 30004 30005 30006 30007 14107 55555", streams.Permanent),
		twilio(429, "20429", streams.Wait), twilio(400, "21611 30001 30008 30036", streams.Retry),
		twilio(500, "20500 55555", streams.Ambiguous), twilio(429, "55555", streams.Wait),
		{"twilio", 201, `{"sid":"SM1","error_code":%s}`, "30006", streams.Permanent},
		{"twilio", 201, `{"sid":"SM1","error_code":%s}`, "null", streams.Done},
		{"twilio", 201, `{"status":"%s"}`, "queued", streams.Ambiguous},
		kannel(202, "0: Accepted for delivery", streams.Done), kannel(202, "3: Queued for later delivery", streams.Done),
		kannel(202, "Sent. Message splits: 2", streams.Done), kannel(202, "Sent. Denied receivers are: 7", streams.Permanent),
		kannel(403, "Authorization failed for sendsms", streams.Pause), kannel(403, "Not routable. Do not try again.", streams.Permanent),
		kannel(403, "something else", streams.Pause), kannel(400, "Missing receiver number, rejected", streams.Permanent),
		kannel(400, "Empty receiver number not allowed, rejected", streams.Permanent), kannel(404, "", streams.Pause),
		kannel(500, "Sending failed.", streams.Ambiguous), kannel(503, "Temporal failure, try again later.", streams.Retry),
		kannel(202, "Hello", streams.Ambiguous), kannel(200, "0: Accepted for delivery", streams.Ambiguous),
	}
	for _, r := range rows {
		for code := range strings.FieldsSeq(r.codes) {
			t.Run(fmt.Sprintf("%s %d %s %.20s", r.kind, r.status, code, r.body), func(t *testing.T) {
				sink := openKind(t, r.kind, reply(t, r.status, fmt.Sprintf(r.body, code)), nil)
				v := sink.Deliver(t.Context(), sinkstest.Batch(1))[0]
				if v.Result != r.want {
					t.Errorf("got result %d (%v), want %d", v.Result, v.Err, r.want)
				}
				if v.Result == streams.Pause && v.After <= 0 {
					t.Error("a pause without an end")
				}
			})
		}
	}
}

func TestSMSCStops(t *testing.T) {
	sink := openKind(t, "smsc", reply(t, 200, `{"error_code":6}`), nil)
	var got []streams.Result
	for _, d := range sinkstest.Batch(3) {
		got = append(got, sink.Deliver(t.Context(), []sinks.Delivery{d})[0].Result)
	}
	if diff := cmp.Diff([]streams.Result{streams.Permanent, streams.Permanent, streams.Pause}, got); diff != "" {
		t.Errorf("a sender that is forbidden for every text: %s", diff)
	}
}

// startPhone is a phone whose gateways know what the kinds are configured with.
func startPhone(t *testing.T) *phone.Phone {
	t.Helper()
	p := phone.New(phone.Options{Secret: sinkstest.Canary})
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// A notice arrives at the phone, and one whose answer was lost is not sent again where the gateway can tell.
func TestLostAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		method string
		copies int
	}{
		"smsc":   {"smsc.send", 1},
		"twilio": {"twilio.send", 1},
		"smsru":  {"smsru.send", 1}, // it refuses the same text for a minute, which tells as well
		"kannel": {"kannel.send", 2},
	} {
		t.Run(name, func(t *testing.T) {
			p := startPhone(t)
			sink := openKind(t, name, p.URL(), nil)
			if err := sink.Check(t.Context()); err != nil {
				t.Errorf("check: %v", err)
			}
			p.Inject(phone.Fault{Method: c.method, Times: 1, LoseAnswer: true})
			d := sinkstest.Batch(1)
			if v := sink.Deliver(t.Context(), d)[0]; v.Result != streams.Ambiguous {
				t.Fatalf("got result %d (%v), want ambiguous", v.Result, v.Err)
			}
			if kinds[name].Kind.Class == sinks.Searchable {
				sink = openKind(t, name, p.URL(), nil) // after a crash
				d[0].Unsure = time.Now()
			}
			if v := sink.Deliver(t.Context(), d)[0]; v.Result != streams.Done {
				t.Fatalf("got result %d (%v), want done", v.Result, v.Err)
			}
			got := p.Messages()
			if len(got) != c.copies || !strings.Contains(got[0].Text, sinks.ShortID(d[0].Lead.ID)) || got[0].Parts != 1 {
				t.Errorf("on the phone: %+v, want %d", got, c.copies)
			}
		})
	}
}

// What was never taken is sent, but not before the gateway must know of an earlier try.
func TestLooksInTime(t *testing.T) {
	for _, name := range []string{"smsc", "twilio"} {
		t.Run(name, func(t *testing.T) {
			p := startPhone(t)
			sink := openKind(t, name, p.URL(), nil)
			d := sinkstest.Batch(1)
			d[0].Unsure = time.Now()
			if v := sink.Deliver(t.Context(), d)[0]; v.Result != streams.Wait || v.After <= 0 || v.After > time.Minute {
				t.Errorf("got result %d after %v, want a wait of up to a minute", v.Result, v.After)
			}
			d[0].Unsure = time.Now().Add(-2 * time.Minute)
			if v := sink.Deliver(t.Context(), d)[0]; v.Result != streams.Done || len(p.Messages()) != 1 {
				t.Errorf("got result %d (%v) and %d messages", v.Result, v.Err, len(p.Messages()))
			}
			p.Inject(phone.Fault{Method: name + ".status", Status: 500})
			p.Inject(phone.Fault{Method: name + ".list", Status: 500})
			if v := sink.Deliver(t.Context(), d)[0]; v.Result != streams.Retry || len(p.Messages()) != 1 {
				t.Errorf("without knowing: got result %d and %d messages", v.Result, len(p.Messages()))
			}
		})
	}
}

func TestSMSCStates(t *testing.T) {
	for state, want := range map[string]streams.Result{
		"-1": streams.Done, "0": streams.Done, "1": streams.Done, "2": streams.Done, "4": streams.Done, "-2": streams.Permanent,
		"3": streams.Permanent, "20": streams.Permanent, "22": streams.Permanent, "23": streams.Permanent, "24": streams.Pause, "25": streams.Permanent,
	} {
		server := httptest.NewServer(answerBy("/sys/status.php", `{"status":`+state+`}`, `{"id":1,"cnt":1}`))
		d := sinkstest.Batch(1)
		d[0].Unsure = time.Now().Add(-time.Hour)
		if v := openKind(t, "smsc", server.URL, nil).Deliver(t.Context(), d)[0]; v.Result != want {
			t.Errorf("status %s: got result %d (%v), want %d", state, v.Result, v.Err, want)
		}
		server.Close()
	}
}

// An alert has no Unsure: the sink itself remembers that its first try may have gone through.
func TestAlertIsLookedFor(t *testing.T) {
	p := startPhone(t)
	sink := openKind(t, "smsc", p.URL(), nil).(sinks.Messenger)
	p.Inject(phone.Fault{Method: "smsc.send", Times: 1, LoseAnswer: true})
	m := sinks.Message{ID: "alert", Text: strings.Repeat("длинный текст ", 20), Short: "Очередь стоит"}
	for _, want := range []streams.Result{streams.Ambiguous, streams.Done} {
		if v := sink.Send(t.Context(), m); v.Result != want {
			t.Fatalf("got result %d (%v), want %d", v.Result, v.Err, want)
		}
	}
	if got := p.Messages(); len(got) != 1 || got[0].Text != m.Short {
		t.Errorf("on the phone: %+v", got)
	}
}

func TestTemplate(t *testing.T) {
	hostile := `"]} </x>&{to}` + "\n"
	for name, c := range map[string]struct {
		contentType, body string
		want              string
	}{
		"json": {"application/json", `{"text":"{text}","n":{"to":{to}}}`, `{"text":"\"]} \u003c/x\u003e\u0026{to}","n":{"to":79990000099}}`},
		"form": {"application/x-www-form-urlencoded", "to={plus}&text={text}", "to=%2B79990000099&text=" + url.QueryEscape(strings.TrimSpace(hostile))},
		"xml":  {"text/xml", "<to>{to}</to><t>{text}</t>", "<to>79990000099</to><t>&#34;]} &lt;/x&gt;&amp;{to}</t>"},
		"text": {"text/plain", "{to} {text}", "79990000099 " + strings.TrimSpace(hostile)},
	} {
		t.Run(name, func(t *testing.T) {
			var body, query string
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				b, _ := io.ReadAll(r.Body)
				body, query = string(b), r.URL.Query().Get("q")
				_, _ = io.WriteString(w, `{"id":7,"state":"ok"}`)
			}))
			defer server.Close()
			sink := openKind(t, "template", server.URL, func(settings any) {
				s := settings.(*TemplateSettings)
				s.URL, s.ContentType, s.Body = server.URL+"/?q={text}", c.contentType, c.body
				s.SuccessJSON, s.IDJSON = "state=ok", "id"
			}).(sinks.Messenger)
			v := sink.Send(t.Context(), sinks.Message{ID: "m", Text: hostile})
			if v.Result != streams.Done || v.Remote != "7" {
				t.Errorf("got result %d (%v), id %q", v.Result, v.Err, v.Remote)
			}
			if body != c.want || query != strings.TrimSpace(hostile) {
				t.Errorf("got body %s and query %s, want %s", body, query, c.want)
			}
		})
	}
}

func TestTemplateAnswers(t *testing.T) {
	for body, want := range map[string]streams.Result{
		"OK 1": streams.Done, "ERR blocked": streams.Permanent, "ERR busy": streams.Retry, "hello": streams.Ambiguous,
	} {
		sink := openKind(t, "template", reply(t, 200, body), func(settings any) {
			s := settings.(*TemplateSettings)
			s.SuccessText, s.RefusedText, s.RetryText = "^OK", "blocked", "busy"
		})
		if v := sink.Deliver(t.Context(), sinkstest.Batch(1))[0]; v.Result != want {
			t.Errorf("%s: got result %d (%v), want %d", body, v.Result, v.Err, want)
		}
	}
}

func TestFaultsOfConfig(t *testing.T) {
	for name, c := range map[string]struct {
		kind     sinks.Kind
		settings any
		want     []string
	}{
		"smsc":     {SMSC, &SMSCSettings{To: "+74950000011", Login: "x", BaseURL: "smsc.ru"}, []string{"to:", "api_key:", "base_url:", "parts:"}},
		"smsru":    {SMSRu, &SMSRuSettings{To: "me", Parts: 9, BaseURL: "https://sms.ru"}, []string{"to:", "api_id:", "parts:"}},
		"twilio":   {Twilio, &TwilioSettings{To: "1", Account: "x", From: "a", Service: "b"}, []string{"to:", "account:", "secret:", "from:", "base_url:"}},
		"kannel":   {Kannel, &KannelSettings{URL: "http://127.0.0.1?a=1"}, []string{"to:", "username:", "url:"}},
		"template": {Template, &TemplateSettings{URL: "x", Method: "BREW", Body: "{tex}", SuccessText: "(", RefusedText: "(", CheckURL: "y"}, []string{"to:", "url:", "method:", "{tex} is not known", "success_text:", "refused_text:", "check_url:"}},
		"forgets":  {Template, &TemplateSettings{To: manager, Parts: 1, URL: "http://example.test", Method: "GET"}, []string{"{text} is nowhere"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.kind.Open(c.settings, sinks.Env{Region: "RU"})
			if err == nil {
				t.Fatal("accepted")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in: %v", want, err)
				}
			}
		})
	}
}
