package talk_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"leadstream/sinks/sim/meta"
	"leadstream/sinks/talk"
	"leadstream/streams"
	"leadstream/streams/outbound"
)

const ourNumber = "555000111222333"

var whatsAppService = service{
	kind: "whatsapp", to: "79990000011", remote: "wamid.1",
	configure: func(set any, url string) {
		s := set.(*talk.WhatsAppSettings)
		s.Token, s.Phone, s.BaseURL, s.AllowPrivate = canarySecret, ourNumber, url+"/v23.0/", true
	},
	healthy: func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			_, _ = io.WriteString(w, `{"id":"`+ourNumber+`","status":"CONNECTED"}`)
			return
		}
		_, _ = io.WriteString(w, `{"messaging_product":"whatsapp","contacts":[{"input":"79990000011","wa_id":"79990000011"}],"messages":[{"id":"wamid.1","message_status":"accepted"}]}`)
	},
}

func TestWhatsAppSuffers(t *testing.T) { t.Parallel(); whatsAppService.suffer(t) }

// graphRow is an answer with a code of Meta's, under a status that says nothing: the code decides.
func graphRow(status int, code string, result streams.Result, means outbound.Means, after time.Duration) row {
	main, sub, _ := strings.Cut(code, "/")
	if sub != "" {
		sub = `,"error_subcode":` + sub
	}
	return row{status: status, result: result, means: means, code: code, after: after,
		body: fmt.Sprintf(`{"error":{"message":"(#%s) ECHO","type":"OAuthException","code":%s%s,"error_data":{"messaging_product":"whatsapp","details":"ECHO"},"fbtrace_id":"A"}}`, main, main, sub)}
}

// every says that the table knows each code that the channel does.
func every(t *testing.T, codes []string, rows map[string]row) {
	t.Helper()
	for _, code := range codes {
		if _, ok := rows[code]; !ok {
			t.Errorf("code %s is in no row", code)
		}
	}
}

func TestWhatsAppAnswers(t *testing.T) {
	t.Parallel()
	rows := map[string]row{}
	put := func(result streams.Result, means outbound.Means, after time.Duration, codes ...string) {
		for i, code := range codes {
			rows[code] = graphRow([]int{400, 500, 403}[i%3], code, result, means, after)
		}
	}
	put(streams.Pause, "", 5*time.Minute, "0", "3", "10", "102", "190", "100/33", "33", "131045", "133010", "131005", "131057", "4", "17", "32", "80007")
	put(streams.Pause, "", time.Hour, "368", "131031", "131042", "131048")
	put(streams.Pause, "", 2*time.Second, "130429")
	put(streams.Wait, "", 10*time.Minute, "134101")
	put(streams.Permanent, outbound.NeedsTemplate, 0, "131047")
	put(streams.Permanent, outbound.Unreachable, 0, "131026", "131021", "131030", "131062")
	put(streams.Permanent, outbound.NotThis, 0, "131049", "130472")
	put(streams.Permanent, outbound.OptedOut, 0, "131050")
	put(streams.Permanent, "", 0, "100", "131008", "131009", "131051", "132000", "132001", "132005", "132007", "132012", "132015", "132016", "132018", "132068")
	put(streams.Retry, "", 0, "131052", "131053", "132069")
	put(streams.Ambiguous, "", 0, "1", "2", "131000", "131016", "133004")
	pair := graphRow(400, "131056", streams.Wait, "", 6*time.Second)
	pair.scope = streams.ScopeKey
	rows["131056"] = pair
	every(t, talk.WhatsAppCodes, rows)

	rows["a right"] = graphRow(403, "200", streams.Pause, "", 5*time.Minute)
	rows["a right, the last"] = graphRow(403, "299", streams.Pause, "", 5*time.Minute)
	rows["of next year"] = graphRow(400, "139999", streams.Permanent, "", 0)
	rows["of next year, a fault"] = graphRow(500, "139998", streams.Ambiguous, "", 0)
	rows["asked to wait"] = row{status: 400, header: http.Header{"Retry-After": {"1800"}}, body: rows["80007"].body, code: "80007", result: streams.Pause, after: 30 * time.Minute}
	rows["nothing named"] = row{status: 200, body: `{"messaging_product":"whatsapp","messages":[]}`, result: streams.Ambiguous}
	rows["no JSON"] = row{status: 200, body: `{`, result: streams.Ambiguous}
	rows["a proxy's 403"] = row{status: 403, body: `<html>`, result: streams.Pause, code: "403", after: time.Minute}
	whatsAppService.table(t, rows)
}

// What a template alone may not do stops templates; free words that may not pass stop everything.
func TestWhatsAppStopsTemplates(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"131042", "131048"} {
		url, _ := whatsAppService.answers(t, 400, nil, graphRow(0, code, 0, "", 0).body)
		c := whatsAppService.open(t, url)
		w := testWords()
		w.Approved = &outbound.Approved{Name: "visit", Language: "ru"}
		if tried := send(t, t.Context(), c, whatsAppService.to, w); tried.Scope != streams.ScopeMethod || tried.PauseKey != "template" {
			t.Errorf("%s: a template: scope %q of %q", code, tried.Scope, tried.PauseKey)
		}
		if tried := send(t, t.Context(), c, whatsAppService.to, testWords()); tried.Scope != streams.ScopeSink || tried.PauseKey != "" {
			t.Errorf("%s: free words: scope %q of %q", code, tried.Scope, tried.PauseKey)
		}
	}
}

// The same codes come later, in a status.
func TestWhatsAppLater(t *testing.T) {
	t.Parallel()
	later := talk.Kinds["whatsapp"].Later
	for code, want := range map[string]outbound.Means{
		"131047": outbound.NeedsTemplate, "131026": outbound.Unreachable, "131049": outbound.NotThis, "130472": outbound.NotThis,
		"131050": outbound.OptedOut, "131053": "", "131056": "", "139999": "", "": "",
	} {
		if got := later(code); got != want {
			t.Errorf("%q: %q, want %q", code, got, want)
		}
	}
}

// Each time that a customer had too many messages it waits four times as long, and nobody else does.
func TestWhatsAppPairWaits(t *testing.T) {
	t.Parallel()
	s := graphServer(t, meta.Options{})
	s.Write("79990000011", "Анна", meta.Text("да"))
	s.Write("79990000012", "Ольга", meta.Text("да"))
	c := whatsAppService.open(t, strings.TrimSuffix(s.URL(), "/v23.0"))
	now := time.Unix(1767225600, 0)
	talk.SetClock(c, func() time.Time { return now })
	try := func(to string) time.Duration { return send(t, t.Context(), c, to, testWords()).After }
	s.Doom("79990000011", meta.Fate{Refuse: "131056"})
	for i, want := range []time.Duration{6, 24, 96, 384, 1536, 3600, 3600} {
		if got := try("79990000011"); got != want*time.Second {
			t.Errorf("the wait after refusal %d is %s, want %ds", i+1, got, want)
		}
		if got := try("79990000011"); got != want*time.Second { // at the same moment
			t.Errorf("a second message at once makes it %s", got)
		}
		now = now.Add(want * time.Second)
	}
	s.Doom("79990000012", meta.Fate{Refuse: "131056"})
	if got := try("79990000012"); got != 6*time.Second {
		t.Errorf("another customer waits %s", got)
	}
	s.Doom("79990000011", meta.Fate{})
	try("79990000011")
	s.Doom("79990000011", meta.Fate{Refuse: "131056"})
	if got := try("79990000011"); got != 6*time.Second {
		t.Errorf("after a message that was taken: %s", got)
	}
}

func graphServer(t *testing.T, o meta.Options) *meta.Server {
	t.Helper()
	o.Token = canarySecret
	s := meta.New(o)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func TestWhatsAppCarries(t *testing.T) {
	t.Parallel()
	s := graphServer(t, meta.Options{})
	s.Approve("visit", "ru", 2)
	for _, who := range []string{"79990000011", "RU.1349abc"} {
		s.Write(who, "Анна", meta.Text("да"))
	}
	c := whatsAppService.open(t, strings.TrimSuffix(s.URL(), "/v23.0"))
	long := strings.Repeat("я", 1025)
	buttons := func(n int, title string) (all []outbound.Button) {
		for i := range n {
			all = append(all, outbound.Button{Text: fmt.Sprint(title, i), Data: fmt.Sprint("d", i)})
		}
		return all
	}
	visit := func(parameters ...string) *outbound.Approved {
		return &outbound.Approved{Name: "visit", Language: "ru", Parameters: parameters}
	}
	link := outbound.Button{Text: "Карта", URL: "https://a.test/карта?a=1&b=2"}
	for name, tt := range map[string]struct {
		to    string
		words outbound.Words
		sent  meta.Sent // Platform, To, ID and time aside
		code  string
		means outbound.Means
	}{
		"text":                {words: outbound.Words{Text: " Ждём\r\nвас <b>&\u0000 "}, sent: meta.Sent{Type: "text", Text: "Ждём\nвас <b>&"}},
		"hides the number":    {to: "RU.1349abc", words: outbound.Words{Text: "Ждём"}, sent: meta.Sent{Type: "text", Text: "Ждём"}},
		"number in E.164":     {to: "+79990000011", words: outbound.Words{Text: "Ждём"}, sent: meta.Sent{Type: "text", Text: "Ждём"}},
		"buttons":             {words: outbound.Words{Text: "Когда?", Buttons: buttons(3, "Окно ")}, sent: meta.Sent{Type: "interactive", Text: "Когда?", Buttons: []string{"Окно 0", "Окно 1", "Окно 2"}}},
		"a list":              {words: outbound.Words{Text: "Когда?", Buttons: buttons(4, "")}, sent: meta.Sent{Type: "interactive", Text: "Когда?", Buttons: []string{"0", "1", "2", "3"}}},
		"a list, long titles": {words: outbound.Words{Text: "Когда?", Buttons: buttons(2, strings.Repeat("я", 20))}, sent: meta.Sent{Type: "interactive", Text: "Когда?", Buttons: []string{strings.Repeat("я", 20) + "0", strings.Repeat("я", 20) + "1"}}},
		"a list, long text":   {words: outbound.Words{Text: long, Buttons: buttons(1, "да")}, sent: meta.Sent{Type: "interactive", Text: long, Buttons: []string{"да0"}}},
		"too many for a list": {words: outbound.Words{Text: "Когда?", Buttons: buttons(11, "")}, sent: meta.Sent{Type: "text", Text: "Когда?\n\n– 0\n– 1\n– 2\n– 3\n– 4\n– 5\n– 6\n– 7\n– 8\n– 9\n– 10"}},
		"too long a title":    {words: outbound.Words{Text: "Когда?", Buttons: buttons(1, strings.Repeat("я", 24))}, sent: meta.Sent{Type: "text", Text: "Когда?\n\n– " + strings.Repeat("я", 24) + "0"}},
		"two alike":           {words: outbound.Words{Text: "Ок?", Buttons: []outbound.Button{{Text: "Да"}, {Text: "Да", Data: "x"}}}, sent: meta.Sent{Type: "text", Text: "Ок?\n\n– Да\n– Да"}},
		"data too long":       {words: outbound.Words{Text: "Ок?", Buttons: []outbound.Button{{Text: "Да", Data: strings.Repeat("x", 257)}}}, sent: meta.Sent{Type: "text", Text: "Ок?\n\n– Да"}},
		"link":                {words: outbound.Words{Text: "Мы здесь", Buttons: []outbound.Button{link}}, sent: meta.Sent{Type: "interactive", Text: "Мы здесь", Buttons: []string{"Карта"}}},
		"link among answers":  {words: outbound.Words{Text: "Мы здесь", Buttons: []outbound.Button{{Text: "Да"}, link}}, sent: meta.Sent{Type: "text", Text: "Мы здесь\n\n– Да\n– Карта: https://a.test/карта?a=1&b=2"}},
		"template":            {to: "79990000099", words: outbound.Words{Text: "x", Approved: visit("Анна", "5 марта")}, sent: meta.Sent{Type: "template", Template: "visit", Parameters: []string{"Анна", "5 марта"}}},
		"the longest text":    {words: outbound.Words{Text: strings.Repeat("я", 4096)}, sent: meta.Sent{Type: "text", Text: strings.Repeat("я", 4096)}},

		"a longer one":           {words: outbound.Words{Text: strings.Repeat("я", 4097)}, code: "too_long"},
		"a stranger":             {to: "79990000099", words: outbound.Words{Text: "Ждём"}, code: "131047", means: outbound.NeedsTemplate},
		"few parameters":         {words: outbound.Words{Approved: visit("Анна")}, code: "132000"},
		"no such template":       {words: outbound.Words{Approved: &outbound.Approved{Name: "visit", Language: "en"}}, code: "132001"},
		"a line break":           {words: outbound.Words{Approved: visit("Анна\n", "x")}, code: "parameter"},
		"a tab":                  {words: outbound.Words{Approved: visit("Анна\tx", "x")}, code: "parameter"},
		"four blanks":            {words: outbound.Words{Approved: visit("Анна    x", "x")}, code: "parameter"},
		"an empty parameter":     {words: outbound.Words{Approved: visit("", "x")}, code: "parameter"},
		"no language":            {words: outbound.Words{Approved: &outbound.Approved{Name: "visit"}}, code: "parameter"},
		"an address of others":   {to: "@anna", words: outbound.Words{Text: "Ждём"}, code: "address", means: outbound.Unreachable},
		"an address with a path": {to: "RU.1/../2", words: outbound.Words{Text: "Ждём"}, code: "address", means: outbound.Unreachable},
	} {
		t.Run(name, func(t *testing.T) {
			tt.words.ID = "id of " + name
			if tt.to == "" {
				tt.to = "79990000011"
			}
			before := len(s.Sent())
			calls := s.Calls("send:" + tt.to)
			tried := send(t, t.Context(), c, tt.to, tt.words)
			sent := s.Sent()[before:]
			if tt.code != "" {
				if tried.Result != streams.Permanent || tried.Code != tt.code || tried.Means != tt.means || len(sent) != 0 {
					t.Errorf("got %s, code %q, means %q (%v), sent %v", tried.Result, tried.Code, tried.Means, tried.Err, sent)
				}
				if local := !strings.HasPrefix(tt.code, "13"); local && s.Calls("send:"+tt.to) != calls {
					t.Error("it was asked what we know")
				}
				return
			}
			if tried.Result != streams.Done || len(sent) != 1 || sent[0].ID != tried.Remote {
				t.Fatalf("got %s (%v), sent %+v", tried.Result, tried.Err, sent)
			}
			tt.sent.Callback, tt.sent.Platform, tt.sent.To = tt.words.ID, "whatsapp", strings.TrimPrefix(tt.to, "+")
			if diff := cmp.Diff(tt.sent, sent[0], cmpopts.IgnoreFields(meta.Sent{}, "ID", "At")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A message may be there although nobody said so: what was sent and not answered is never taken for not sent.
func TestWhatsAppDoubtful(t *testing.T) {
	t.Parallel()
	s := graphServer(t, meta.Options{})
	s.Write("79990000011", "Анна", meta.Text("да"))
	c := whatsAppService.open(t, strings.TrimSuffix(s.URL(), "/v23.0"))
	for name, f := range map[string]meta.Fault{
		"lost answer": {LoseAnswer: true}, "reset": {Reset: true}, "fault after": {After: true, Status: 500}, "half": {CutAfter: 10}, "login page": {HTML200: true},
		"done late": {FinishLate: 10 * time.Millisecond, LoseAnswer: true}, "answered late": {After: true, Delay: time.Hour},
	} {
		f.Method, f.Times = "send:*", 1
		s.Inject(f)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		if f.Delay > 0 {
			cancel()
			ctx, cancel = context.WithTimeout(t.Context(), 400*time.Millisecond)
		}
		if tried := send(t, ctx, c, "79990000011", testWords()); tried.Result != streams.Ambiguous {
			t.Errorf("%s: %s (%v)", name, tried.Result, tried.Err)
		}
		cancel()
	}
}

func TestWhatsAppChecks(t *testing.T) {
	t.Parallel()
	for status, want := range map[string]bool{"CONNECTED": true, "": true, "FLAGGED": true, "RESTRICTED": true, "BANNED": false, "DISCONNECTED": false} {
		svc := whatsAppService
		svc.healthy = func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"id":"`+ourNumber+`","status":"`+status+`"}`)
		}
		url, _ := svc.serve(t, svc.healthy)
		if err := svc.open(t, url).Check(t.Context()); (err == nil) != want {
			t.Errorf("%s: %v", status, err)
		}
	}
	s := graphServer(t, meta.Options{})
	if err := whatsAppService.open(t, strings.TrimSuffix(s.URL(), "/v23.0")).Check(t.Context()); err != nil {
		t.Error(err)
	}
	c := open(t, "whatsapp", func(set any) {
		w := set.(*talk.WhatsAppSettings)
		w.Token, w.Phone, w.BaseURL, w.AllowPrivate = "another-token", ourNumber, s.URL(), true
	})
	err := c.Check(t.Context())
	if err == nil || !strings.Contains(err.Error(), "token") || strings.Contains(err.Error(), "another-token") {
		t.Errorf("another token: %v", err)
	}
	if len(s.Sent()) != 0 || slices.Contains(s.Refused(), "100") {
		t.Errorf("a check sends: %v %v", s.Sent(), s.Refused())
	}
}

func TestMetaKindsNameTheirFaults(t *testing.T) {
	t.Parallel()
	for kind, keys := range map[string][]string{"whatsapp": {"phone_number_id", "token", "base_url"}, "messenger": {"account", "token", "base_url"}} {
		set := talk.Kinds[kind].Settings()
		switch s := set.(type) {
		case *talk.WhatsAppSettings:
			s.Phone, s.BaseURL = "+7 999 000-00-11", "graph"
		case *talk.MetaSettings:
			s.Account, s.BaseURL = "page", "graph"
		}
		_, err := talk.Kinds[kind].Open(set, testEnv())
		for _, key := range keys {
			if err == nil || !strings.Contains(err.Error(), key+": ") {
				t.Errorf("%s: %v does not name %s", kind, err, key)
			}
		}
	}
}
