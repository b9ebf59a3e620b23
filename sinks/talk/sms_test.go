package talk_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"leadstream/sinks/sim/phone"
	"leadstream/sinks/talk"
	"leadstream/streams"
	"leadstream/streams/outbound"
)

const mobile = "+79990000011"

var smsServices = map[string]service{
	"sms_smsc": {
		configure: func(set any, url string) {
			s := set.(*talk.SMSCSettings)
			s.Login, s.Password, s.BaseURL, s.AllowPrivate = "shop", canarySecret, url, true
		},
		creates: func(r *http.Request) bool { return r.URL.Path == "/sys/send.php" },
		healthy: func(w http.ResponseWriter, r *http.Request) {
			body := map[string]string{"/sys/send.php": `{"id":5,"cnt":1}`, "/sys/status.php": `{"status":-3}`}[r.URL.Path]
			if body == "" {
				body = `{"balance":"412.50"}`
			}
			_, _ = io.WriteString(w, body)
		},
		remote: "5", keyed: true,
	},
	"sms_ru": {
		configure: func(set any, url string) {
			s := set.(*talk.SMSRuSettings)
			s.APIID, s.BaseURL, s.AllowPrivate = canarySecret, url, true
		},
		creates: func(r *http.Request) bool { return r.URL.Path == "/sms/send" },
		healthy: func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"status":"OK","status_code":100,"sms":{"7":{"status":"OK","status_code":100,"sms_id":"1-2"}}}`)
		},
		remote: "1-2",
	},
	"sms_twilio": {
		configure: func(set any, url string) {
			s := set.(*talk.TwilioSettings)
			s.Account, s.Secret, s.From, s.BaseURL, s.AllowPrivate = phone.TwilioAccount, canarySecret, "+15550000001", url, true
		},
		healthy: func(w http.ResponseWriter, r *http.Request) {
			body := `{"sid":"SM1","status":"active","error_code":null}`
			if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/Messages.json") {
				body = `{"messages":[]}`
			}
			_, _ = io.WriteString(w, body)
		},
		remote: "SM1",
	},
	"sms_kannel": {
		configure: func(set any, url string) {
			s := set.(*talk.KannelSettings)
			s.URL, s.Username, s.Password = url+"/cgi-bin/sendsms", "shop", canarySecret
		},
		creates: func(r *http.Request) bool { return r.URL.Query().Get("to") != "" },
		healthy: func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Get("to") == "" {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			w.WriteHeader(http.StatusAccepted)
			_, _ = io.WriteString(w, "0: Accepted for delivery")
		},
	},
	"sms_http": {
		configure: func(set any, url string) {
			s := set.(*talk.SMSHTTPSettings)
			s.URL, s.Body, s.IDJSON, s.AllowPrivate = url+"/gateway/send?key="+canarySecret, `{"to":"{to}","text":"{text}"}`, "id", true
			s.CheckURL, s.RefusedText = url+"/check", "refused"
		},
		healthy: func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"id":"9"}`) },
		remote:  "9",
	},
}

func smsService(kind string) service {
	s := smsServices[kind]
	s.kind, s.to = kind, mobile
	return s
}

func TestSMSSuffers(t *testing.T) {
	t.Parallel()
	for kind := range smsServices {
		t.Run(kind, func(t *testing.T) { t.Parallel(); smsService(kind).suffer(t) })
	}
}

// What the gateways' codes mean for the route; their verdicts are tested beside them.
func TestSMSMeans(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind, body string
		status     int
		codes      string
		means      outbound.Means
	}{
		{"sms_smsc", `{"error":"ECHO","error_code":%s}`, 200, "7 8", outbound.Unreachable},
		{"sms_smsc", `{"error":"ECHO","error_code":%s}`, 200, "1 5 6 77", ""},
		{"sms_ru", `{"status_code":100,"sms":{"7":{"status_code":%s,"status_text":"ECHO"}}}`, 200, "202 207 214 150 230 232", outbound.Unreachable},
		{"sms_ru", `{"status_code":100,"sms":{"7":{"status_code":%s}}}`, 200, "209 215", outbound.OptedOut},
		{"sms_ru", `{"status_code":100,"sms":{"7":{"status_code":%s}}}`, 200, "203 205 208 213 233 999", ""},
		{"sms_twilio", `{"code":%s,"message":"ECHO"}`, 400, "21211 21614 21408 30003 30004 30005 30006", outbound.Unreachable},
		{"sms_twilio", `{"code":%s,"message":"ECHO"}`, 400, "21610", outbound.OptedOut},
		{"sms_twilio", `{"code":%s,"message":"ECHO"}`, 400, "21617 30007 14107 55555", ""},
		{"sms_kannel", "Not routable. Do not try again.%.0s", 403, "-", outbound.Unreachable},
		{"sms_kannel", "Sent. Denied receivers are: 7%.0s", 202, "-", outbound.Unreachable},
		{"sms_kannel", "Empty text%.0s", 400, "-", ""},
		{"sms_http", "refused%.0s", 200, "-", ""},
	} {
		for code := range strings.FieldsSeq(c.codes) {
			s := smsService(c.kind)
			url, _ := s.answers(t, c.status, nil, fmt.Sprintf(c.body, code))
			if tried := send(t, t.Context(), s.open(t, url), mobile, testWords()); tried.Result != streams.Permanent || tried.Means != c.means {
				t.Errorf("%s %s: got %s, means %q, want %q (%v)", c.kind, code, tried.Result, tried.Means, c.means, tried.Err)
			}
		}
	}
}

// The customer gets the short words, or the long ones with the answers; a landline and what is too long get nothing.
func TestSMSOnAPhone(t *testing.T) {
	t.Parallel()
	for kind := range smsServices {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			p := openPhone(t, phone.Options{Secret: canarySecret})
			s := smsService(kind)
			c := open(t, kind, func(set any) {
				s.configure(set, p.URL())
				if http, ok := set.(*talk.SMSHTTPSettings); ok {
					http.CheckURL = ""
				}
			})
			if err := c.Check(t.Context()); err != nil {
				t.Error(err)
			}
			w := testWords()
			if tried := send(t, t.Context(), c, mobile, w); tried.Result != streams.Done {
				t.Fatalf("%v", tried.Err)
			}
			w.ID, w.Short, w.Text, w.Buttons = "second", "", "Придёте завтра?", []outbound.Button{{Text: "Да"}, {Text: "Нет"}}
			if tried := send(t, t.Context(), c, "8 (999) 000-00-11", w); tried.Result != streams.Done {
				t.Fatalf("%v", tried.Err)
			}
			got := p.Messages()
			if len(got) != 2 || got[0].Text != testWords().Short || got[1].Text != "Придёте завтра?\n\n– Да\n– Нет" || strings.TrimPrefix(got[1].To, "+") != "79990000011" {
				t.Errorf("on the phone: %+v", got)
			}
			if tried := send(t, t.Context(), c, "+74950000011", w); tried.Means != outbound.Unreachable || tried.Code != "number" {
				t.Errorf("a landline: %+v", tried)
			}
			w.Short = strings.Repeat("ж", 3*67+1)
			if tried := send(t, t.Context(), c, mobile, w); tried.Result != streams.Permanent || tried.Code != "too_long" || len(p.Messages()) != 2 {
				t.Errorf("too long: %+v", tried)
			}
		})
	}
}

// After a lost answer a gateway that shows what it has taken is asked; so there is one SMS, and it is known by its id.
func TestSMSLostAnswer(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]struct {
		method string
		result streams.Result
	}{"sms_smsc": {"smsc.send", streams.Done}, "sms_twilio": {"twilio.send", streams.Done}, "sms_ru": {"smsru.send", streams.Ambiguous},
		"sms_kannel": {"kannel.send", streams.Ambiguous}} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			p := openPhone(t, phone.Options{Secret: canarySecret})
			c := smsService(kind).open(t, p.URL())
			w := testWords()
			w.ID = "earlier"
			p.Inject(phone.Fault{Method: want.method, Times: 1, LoseAnswer: true})
			tried := send(t, t.Context(), c, mobile, w)
			if tried.Result != want.result || len(p.Messages()) != 1 || (tried.Remote != "") != (want.result == streams.Done) {
				t.Errorf("got %s (%v), %d SMS", tried.Result, tried.Err, len(p.Messages()))
			}
		})
	}
	// What the gateway has not taken is sent again once it must show it, or would refuse it as a second one.
	p := openPhone(t, phone.Options{Secret: canarySecret})
	c := open(t, "sms_smsc", func(set any) {
		smsServices["sms_smsc"].configure(set, p.URL())
		set.(*talk.SMSCSettings).LookAfter = 0
	})
	p.Inject(phone.Fault{Method: "smsc.send", Times: 1, Reset: true})
	for _, want := range []streams.Result{streams.Ambiguous, streams.Done} {
		if tried := send(t, t.Context(), c, mobile, testWords()); tried.Result != want {
			t.Errorf("got %s (%v), want %s", tried.Result, tried.Err, want)
		}
	}
	if n := len(p.Messages()); n != 1 {
		t.Errorf("%d SMS", n)
	}
	// A daemon that has forgotten its first try is told by the gateway's refusal.
	if tried := send(t, t.Context(), smsService("sms_smsc").open(t, p.URL()), mobile, testWords()); tried.Result != streams.Done || len(p.Messages()) != 1 {
		t.Errorf("after a restart: got %s (%v), %d SMS", tried.Result, tried.Err, len(p.Messages()))
	}
}

// A daemon was killed after the gateway had taken the SMS: whoever sends it again, much later, looks first. Where it was not taken,
// it goes.
func TestSMSAfterACrash(t *testing.T) {
	t.Parallel()
	now := time.Now()
	p := openPhone(t, phone.Options{Secret: canarySecret, Clock: func() time.Time { return now }})
	w := testWords()
	w.Again = true
	for range 2 {
		if tried := send(t, t.Context(), smsService("sms_smsc").open(t, p.URL()), mobile, w); tried.Result != streams.Done || tried.Remote != p.Messages()[0].ID {
			t.Errorf("got %s (%v)", tried.Result, tried.Err)
		}
		now = now.Add(time.Hour)
	}
	if n := len(p.Messages()); n != 1 {
		t.Errorf("%d SMS", n)
	}
}

func TestSMSAsked(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"sms_smsc", "sms_ru", "sms_twilio"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			p := openPhone(t, phone.Options{Secret: canarySecret})
			c := smsService(kind).open(t, p.URL())
			asked := c.(outbound.Asked)
			ask := func(remote string, want outbound.StepState) string {
				t.Helper()
				state, code, err := asked.Ask(t.Context(), mobile, remote)
				if state != want || (err == nil) != (want != "") {
					t.Errorf("got %q, code %q, %v, want %q", state, code, err, want)
				}
				if err != nil {
					discreet(t, err.Error(), mobile)
				}
				return code
			}
			tried := send(t, t.Context(), c, mobile, testWords())
			ask(tried.Remote, outbound.Delivered)
			ask("404", "")
			p.SwitchOff(mobile)
			w := testWords()
			w.ID, w.Short = "second", "Второе"
			off := send(t, t.Context(), c, mobile, w)
			ask(off.Remote, outbound.Sent)
			p.Expire(mobile)
			code := ask(off.Remote, outbound.NotSent)
			if means := talk.Kinds[kind].Later(code); means != outbound.Unreachable {
				t.Errorf("code %q means %q", code, means)
			}
			p.SwitchOn(mobile)
			ask(off.Remote, outbound.NotSent)
			p.Inject(phone.Fault{Status: 500})
			ask(tried.Remote, "")
		})
	}
	for _, kind := range []string{"sms_kannel", "sms_http"} {
		if _, ok := smsService(kind).open(t, "http://127.0.0.1:1").(outbound.Asked); ok || talk.Kinds[kind].Tells != outbound.Accepted {
			t.Errorf("%s can be asked, it seems", kind)
		}
	}
}

// Each state of a gateway.
func TestSMSStates(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind, body, states string
		want               outbound.StepState
	}{
		{"sms_smsc", `{"status":%s}`, "-1 77", outbound.Accepted}, {"sms_smsc", `{"status":%s}`, "0", outbound.Sent},
		{"sms_smsc", `{"status":%s}`, "1", outbound.Delivered}, {"sms_smsc", `{"status":%s}`, "2 4", outbound.Read},
		{"sms_smsc", `{"status":%s}`, "-2 3 20 22 23 24 25", outbound.NotSent}, {"sms_smsc", `{"status":%s}`, "-3", ""},
		{"sms_ru", `{"status_code":100,"sms":{"1":{"status_code":%s}}}`, "100 101", outbound.Accepted},
		{"sms_ru", `{"status_code":100,"sms":{"1":{"status_code":%s}}}`, "102", outbound.Sent},
		{"sms_ru", `{"status_code":100,"sms":{"1":{"status_code":%s}}}`, "103", outbound.Delivered},
		{"sms_ru", `{"status_code":100,"sms":{"1":{"status_code":%s}}}`, "110", outbound.Read},
		{"sms_ru", `{"status_code":100,"sms":{"1":{"status_code":%s}}}`, "104 105 106 107 108 130 131 132 150", outbound.NotSent},
		{"sms_ru", `{"status_code":100,"sms":{"1":{"status_code":%s}}}`, "-1 200 210 220", ""}, {"sms_ru", `{"status_code":%s}`, "200 220", ""},
		{"sms_twilio", `{"status":"%s"}`, "accepted scheduled queued sending", outbound.Accepted}, {"sms_twilio", `{"status":"%s"}`, "sent", outbound.Sent},
		{"sms_twilio", `{"status":"%s"}`, "delivered partially_delivered", outbound.Delivered}, {"sms_twilio", `{"status":"%s"}`, "read", outbound.Read},
		{"sms_twilio", `{"status":"%s"}`, "undelivered failed canceled", outbound.NotSent}, {"sms_twilio", `{"status":"%s"}`, "of_next_year", ""},
	} {
		for state := range strings.FieldsSeq(c.states) {
			s := smsService(c.kind)
			s.creates = func(*http.Request) bool { return true }
			url, _ := s.answers(t, 200, nil, fmt.Sprintf(c.body, state))
			got, code, err := s.open(t, url).(outbound.Asked).Ask(t.Context(), mobile, "1")
			if got != c.want || (err == nil) != (c.want != "") || (code != "") != (got == outbound.NotSent) {
				t.Errorf("%s %s: got %q, code %q, %v, want %q", c.kind, state, got, code, err, c.want)
			}
		}
	}
}
