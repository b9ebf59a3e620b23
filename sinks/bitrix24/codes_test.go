package bitrix24

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"leadstream/sinks"
	"leadstream/streams"
)

const canary = "s3cr3tcanary"

// against is a sink whose portal is a handler.
func against(t *testing.T, h http.HandlerFunc, change ...func(*Settings)) *Sink {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	set := Defaults()
	set.URL, set.AllowPrivate = srv.URL+"/rest/7/"+canary+"/", true
	for _, f := range change {
		f(set)
	}
	s, err := Open(set, sinks.Env{Log: zerolog.Nop(), Version: "test", Language: "en"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func says(status int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

// Every row of the portal's errors, as a create, a read, and a call about one card meet it.
func TestCodes(t *testing.T) {
	const (
		done      = streams.Done
		retry     = streams.Retry
		permanent = streams.Permanent
		pause     = streams.Pause
		ambiguous = streams.Ambiguous
		wait      = streams.Wait
	)
	quick := 2 * time.Second
	cases := map[string]struct {
		status       int
		code, text   string
		body         string
		create, read streams.Result
		item         streams.Result // crm.timeline.comment.add
		scope        streams.Scope
		after        time.Duration // at least, at most +jitter
	}{
		"rate":                      {status: 503, code: "QUERY_LIMIT_EXCEEDED", create: pause, read: pause, item: pause, after: time.Second},
		"rate, lower case":          {status: 503, code: "query_limit_exceeded", create: pause, read: pause, item: pause, after: time.Second},
		"rate, odd status":          {status: 200, code: "QUERY_LIMIT_EXCEEDED", create: pause, read: pause, item: pause, after: time.Second},
		"working time":              {status: 429, code: "OPERATION_TIME_LIMIT", create: pause, read: pause, item: pause, scope: streams.ScopeMethod, after: minutes},
		"blocked by hand":           {status: 503, code: "OVERLOAD_LIMIT", create: pause, read: pause, item: pause, after: byHand},
		"webhook removed":           {status: 401, code: "NO_AUTH_FOUND", create: pause, read: pause, item: pause, after: config},
		"token":                     {status: 401, code: "expired_token", create: pause, read: pause, item: pause, after: config},
		"rights":                    {status: 403, code: "INVALID_CREDENTIALS", create: pause, read: pause, item: pause, after: config},
		"scope":                     {status: 403, code: "insufficient_scope", create: pause, read: pause, item: pause, scope: streams.ScopeMethod, after: config},
		"plan":                      {status: 403, code: "ACCESS_DENIED", text: "REST is available only on commercial plans", create: pause, read: pause, item: pause, after: byHand},
		"payment":                   {status: 403, code: "PAYMENT_REQUIRED", create: pause, read: pause, item: pause, after: byHand},
		"no right":                  {status: 400, code: "ACCESS_DENIED", text: "Access denied.", create: pause, read: pause, item: permanent, after: config},
		"no right, old":             {status: 400, code: "", text: "Access denied.", create: pause, read: pause, item: permanent, after: config},
		"not an employee":           {status: 403, code: "allowed_only_intranet_user", create: pause, read: pause, item: pause, scope: streams.ScopeMethod, after: config},
		"user":                      {status: 403, code: "user_access_error", create: pause, read: pause, item: pause, scope: streams.ScopeMethod, after: config},
		"needs an application":      {status: 403, code: "WRONG_AUTH_TYPE", create: pause, read: pause, item: pause, scope: streams.ScopeMethod, after: config},
		"no method":                 {status: 404, code: "ERROR_METHOD_NOT_FOUND", create: pause, read: pause, item: pause, scope: streams.ScopeMethod, after: config},
		"gone":                      {status: 400, code: "NOT_FOUND", create: permanent, read: permanent, item: permanent},
		"gone, other name":          {status: 400, code: "ERROR_ENTITY_NOT_FOUND", create: permanent, read: permanent, item: permanent},
		"field":                     {status: 400, code: "CRM_FIELD_ERROR_VALUE_NOT_VALID", create: permanent, read: permanent, item: permanent},
		"argument":                  {status: 400, code: "INVALID_ARG_VALUE", create: permanent, read: permanent, item: permanent},
		"required":                  {status: 400, code: "100", create: permanent, read: permanent, item: permanent},
		"a number":                  {status: 400, body: `{"error":100,"error_description":"x"}`, create: permanent, read: permanent, item: permanent},
		"core":                      {status: 400, code: "ERROR_CORE", create: permanent, read: permanent, item: permanent},
		"other 4xx":                 {status: 422, code: "SOMETHING_NEW", create: permanent, read: permanent, item: permanent},
		"no code, no text":          {status: 400, code: "", create: permanent, read: permanent, item: permanent},
		"plan's restriction":        {status: 400, code: "CREATE_DYNAMIC_ITEM_RESTRICTED", create: pause, read: pause, item: pause, after: byHand},
		"plain http":                {status: 400, code: "INVALID_REQUEST", create: pause, read: pause, item: pause, after: config},
		"fault":                     {status: 500, code: "INTERNAL_SERVER_ERROR", create: ambiguous, read: retry, item: ambiguous},
		"odd answer":                {status: 500, code: "ERROR_UNEXPECTED_ANSWER", create: ambiguous, read: retry, item: ambiguous},
		"portal deleted":            {status: 500, code: "PORTAL_DELETED", create: pause, read: pause, item: pause, after: byHand},
		"other 5xx":                 {status: 500, code: "SOMETHING_NEW", create: ambiguous, read: retry, item: ambiguous},
		"timed out there":           {status: 408, body: "", create: ambiguous, read: retry, item: ambiguous},
		"gateway":                   {status: 502, body: "<html>", create: ambiguous, read: retry, item: ambiguous},
		"gateway timed out":         {status: 504, body: "<html>", create: ambiguous, read: retry, item: ambiguous},
		"unavailable, no code":      {status: 503, body: "<html>", create: ambiguous, read: retry, item: ambiguous},
		"a login page":              {status: 200, body: "<html>", create: ambiguous, read: retry, item: ambiguous},
		"an empty page":             {status: 200, body: "", create: ambiguous, read: retry, item: ambiguous},
		"neither result nor error":  {status: 200, body: "{}", create: ambiguous, read: retry, item: ambiguous},
		"an unknown error in a 200": {status: 200, code: "SOMETHING_NEW", create: ambiguous, read: retry, item: ambiguous},
		"a page of the front":       {status: 404, body: "<html>", create: pause, read: pause, item: pause, after: config},
		"a page of the front, 403":  {status: 403, body: "<html>", create: pause, read: pause, item: pause, after: config},
		"too many, no code":         {status: 429, body: "<html>", create: wait, read: wait, item: wait, after: 10 * time.Second},
		"null error":                {status: 200, body: `{"error":null,"result":{"item":{"id":"5"}}}`, create: done, read: done, item: done},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			body := c.body
			if body == "" && (c.code != "" || c.text != "" || strings.HasPrefix(name, "no code")) {
				raw, _ := json.Marshal(map[string]string{"error": c.code, "error_description": c.text})
				body = string(raw)
			}
			for _, cmd := range []struct {
				command
				want streams.Result
			}{
				{command{method: "crm.item.add"}, c.create},
				{command{method: "crm.item.list", read: true}, c.read},
				{command{method: "crm.timeline.comment.add"}, c.item},
			} {
				r := against(t, says(c.status, body)).call(t.Context(), cmd.command)
				if c.create == done {
					if r.fail != nil {
						t.Errorf("%+v", r.fail)
					}
					continue
				}
				if r.fail == nil || r.fail.Result != cmd.want {
					t.Errorf("%s: got %+v, want result %d", cmd.method, r.fail, cmd.want)
					continue
				}
				v := r.fail
				if v.Scope != c.scope || (v.PauseKey != "") != (c.scope == streams.ScopeMethod) {
					t.Errorf("%s: scope %q %q", cmd.method, v.Scope, v.PauseKey)
				}
				if cmd.want != permanent && (v.After < c.after || v.After > c.after+quick) {
					t.Errorf("%s: after %v, want %v", cmd.method, v.After, c.after)
				}
				if v.Fault != (v.Result == ambiguous || v.Result == retry) {
					t.Errorf("%s: fault %v", cmd.method, v.Fault)
				}
				if v.Err == nil || strings.Contains(v.Err.Error(), canary) {
					t.Errorf("%s: error %v", cmd.method, v.Err)
				}
			}
		})
	}
}

func TestRetryAfterOfTheFront(t *testing.T) {
	s := against(t, says(429, "<html>", "Retry-After", "77"))
	if r := s.call(t.Context(), command{method: "crm.item.add"}); r.fail.Result != streams.Wait || r.fail.After != 77*time.Second {
		t.Errorf("%+v", r.fail)
	}
}

func TestErrorsTellNothingOfTheCustomer(t *testing.T) {
	s := against(t, says(400, `{"error":"INVALID_ARG_VALUE","error_description":"Field 'PHONE': +7 (999) 000-00-11 of Anna Belova <anna@example.test> at /rest/7/`+canary+`/"}`))
	l := &streams.Lead{ID: "x", Name: "Anna Belova", Phone: "+79990000011", Email: "anna@example.test"}
	v := s.Deliver(t.Context(), []sinks.Delivery{{Lead: l, Attempt: 1}})[0]
	got := v.Err.Error()
	for _, secret := range []string{"Anna", "999", "example.test", canary} {
		if strings.Contains(got, secret) {
			t.Errorf("shows %s: %s", secret, got)
		}
	}
	if !strings.Contains(got, "Field 'PHONE'") || v.Code != "INVALID_ARG_VALUE" {
		t.Errorf("does not help: %s, %s", v.Code, got)
	}
}

func TestRenamedPortal(t *testing.T) {
	var creates atomic.Int32
	fresh := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Fields map[string]any }
		if r.Method != http.MethodPost || json.NewDecoder(r.Body).Decode(&in) != nil || in.Fields["originId"] == nil {
			t.Errorf("%s without the lead", r.Method)
		}
		creates.Add(1)
		says(200, `{"result":{"item":{"id":8}}}`)(w, r)
	}))
	defer fresh.Close()
	var redirects atomic.Int32
	s := against(t, func(w http.ResponseWriter, r *http.Request) {
		redirects.Add(1)
		http.Redirect(w, r, fresh.URL+r.URL.Path, http.StatusFound)
	})
	for range 2 {
		l := &streams.Lead{ID: "x"}
		if v := s.Deliver(t.Context(), []sinks.Delivery{{Lead: l, Attempt: 1}})[0]; v.Remote != "8" {
			t.Fatalf("%+v", v)
		}
	}
	if creates.Load() != 2 || redirects.Load() != 1 {
		t.Errorf("%d creates, %d redirects", creates.Load(), redirects.Load())
	}

	const base = "https://old.example/rest/7/" + canary + "/"
	for location, want := range map[string]string{
		"https://new.example/rest/7/" + canary + "/crm.item.add":      "https://new.example/rest/7/" + canary + "/",
		"https://new.example/rest/7/" + canary + "/crm.item.add.json": "https://new.example/rest/7/" + canary + "/",
		"http://new.example/rest/7/" + canary + "/crm.item.add":       "",
		"https://new.example/login":                                   "",
		"https://old.example/rest/7/" + canary + "/crm.item.add":      "",
		"/rest/7/" + canary + "/crm.item.add":                         "",
		"":                                                            "",
		"://":                                                         "",
	} {
		if got := s.renamed(base, "crm.item.add", location); got != want {
			t.Errorf("%s: %q", location, got)
		}
	}
}

func TestRedirectElsewhereStopsTheSink(t *testing.T) {
	s := against(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://login.example/?back="+r.URL.Path, http.StatusFound)
	})
	v := s.Deliver(t.Context(), []sinks.Delivery{{Lead: &streams.Lead{ID: "x"}, Attempt: 1}})[0]
	if v.Result != streams.Pause || !strings.Contains(v.Err.Error(), "login.example") || strings.Contains(v.Err.Error(), canary) {
		t.Errorf("%+v", v)
	}
}

// Old list methods ignore a filter that they do not know and answer with everything.
func TestForeignCardsAreNotAdopted(t *testing.T) {
	s := against(t, func(w http.ResponseWriter, r *http.Request) {
		body := `{"result":[{"ID":"3","ORIGIN_ID":"y"},{"ID":"4","ORIGIN_ID":null},{"ID":"12","ORIGIN_ID":"x"},{"ID":"9","ORIGIN_ID":"x"}]}`
		if strings.HasSuffix(r.URL.Path, ".add") {
			t.Error("created")
		}
		says(200, body)(w, r)
	}, func(set *Settings) { set.API = "lead" })
	v := s.Deliver(t.Context(), []sinks.Delivery{{Lead: &streams.Lead{ID: "x"}, Attempt: 2, Unsure: time.Now().Add(-time.Hour)}})[0]
	if v.Remote != "9" || v.Err == nil {
		t.Errorf("%+v", v)
	}
}

// A deal that could not be made must not leave a second contact behind.
func TestContactIsMadeOnce(t *testing.T) {
	for status, want := range map[int]streams.Result{http.StatusTooEarly: streams.Ambiguous, http.StatusTooManyRequests: streams.Wait} {
		var contacts, deals atomic.Int32
		s := against(t, func(w http.ResponseWriter, r *http.Request) {
			var in struct{ EntityTypeID int }
			switch _ = json.NewDecoder(r.Body).Decode(&in); {
			case in.EntityTypeID == contactType:
				contacts.Add(1)
				says(200, `{"result":{"item":{"id":3}}}`)(w, r)
			case deals.Add(1) == 1:
				says(status, "<html>")(w, r)
			default:
				says(200, `{"result":{"item":{"id":4}}}`)(w, r)
			}
		}, func(set *Settings) { set.Entity = "deal" })
		d := sinks.Delivery{Lead: &streams.Lead{ID: "x"}, Attempt: 1}
		if v := s.Deliver(t.Context(), []sinks.Delivery{d})[0]; v.Result != want {
			t.Errorf("%d: %+v", status, v)
		}
		if v := s.Deliver(t.Context(), []sinks.Delivery{d})[0]; v.Remote != "4" || contacts.Load() != 1 {
			t.Errorf("%d: %+v, %d contacts", status, v, contacts.Load())
		}
	}
}

func TestTitle(t *testing.T) {
	cases := map[string]struct {
		template string
		lead     streams.Lead
		want     string
	}{
		"default":            {lead: streams.Lead{ID: "x", Name: "Anna", Service: "kitchen", Hot: true}, want: "Urgent! Enquiry: kitchen, Anna"},
		"nothing known":      {lead: streams.Lead{ID: "x"}, want: "Enquiry"},
		"own":                {template: "{{.Source}}: {{.Phone}}", lead: streams.Lead{Source: "site", Phone: "+7"}, want: "site: +7"},
		"lines":              {template: "{{.Message}}", lead: streams.Lead{Message: " a\n b "}, want: "a b"},
		"empty":              {template: "{{.Message}}", lead: streams.Lead{ID: "x"}, want: "Enquiry x"},
		"suits not all":      {template: "{{slice .Phone 0 2}}", lead: streams.Lead{ID: "x"}, want: "Enquiry x"},
		"suits this one":     {template: "{{slice .Phone 0 2}}", lead: streams.Lead{Phone: "+7999"}, want: "+7"},
		"a lead's own marks": {template: "{{.Name}}", lead: streams.Lead{Name: "{{.Phone}}"}, want: "{{.Phone}}"},
	}
	for name, c := range cases {
		s := against(t, says(200, "{}"), func(set *Settings) { set.Title = c.template })
		if got := s.titleOf(&c.lead); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestMappedFields(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	l := &streams.Lead{
		ID: "i", Source: "s", Key: "k", Name: "n", Phone: "p", Email: "e", Service: "v", Time: "t", Message: "m", Channel: "c",
		UserID: "u", Event: "won", Sentiment: 0.25, Score: 72, HotWords: []string{"x", "y"}, Segments: []string{"z"}, Intent: "booking", Intents: []string{"booking", "price"}, Person: "legal", Slots: &streams.Slots{Order: "o", Product: "pr", Branch: "br"}, Hot: true, Language: "ru", Level: "l", Priority: 3, Tags: []string{"a", "b"},
		ReceivedAt: at, Fields: map[string]json.RawMessage{"age": json.RawMessage(`42`), "note": json.RawMessage(`"x"`), "list": json.RawMessage(`[1]`)},
	}
	want := map[string]string{
		"id": "i", "source": "s", "key": "k", "name": "n", "phone": "p", "email": "e", "service": "v", "time": "t", "message": "m",
		"channel": "c", "user_id": "u", "intent": "booking", "intents": "booking, price", "person": "legal", "order": "o", "product": "pr", "branch": "br", "hot": "Y", "language": "ru", "level": "l", "priority": "3",
		"tags": "a, b", "received_at": "2026-03-01T12:00:00Z", "event_at": "", "event": "won", "sentiment": "0.25", "hot_words": "x, y", "score": "72", "segments": "z", "age": "42", "note": "x", "list": "[1]", "none": "",
	}
	got := map[string]string{}
	for name := range want {
		got[name], _ = fieldOf(l, name)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for name := range leadFields {
		if _, ok := want[name]; !ok {
			t.Errorf("%s is not tested", name)
		}
	}
}

func TestSearchIsNarrowed(t *testing.T) {
	received := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var seen map[string]any
	s := against(t, func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Filter map[string]any }
		if strings.HasSuffix(r.URL.Path, "crm.item.list") && json.NewDecoder(r.Body).Decode(&in) == nil {
			seen = in.Filter
		}
		says(200, `{"result":{"items":[]}}`)(w, r)
	})
	l := &streams.Lead{ID: "x", ReceivedAt: received}
	s.Deliver(t.Context(), []sinks.Delivery{{Lead: l, Attempt: 2, Unsure: received.Add(time.Hour)}})
	want := map[string]any{"=originatorId": "leadstream", "=originId": "x", ">=createdTime": "2026-02-28T12:00:00Z"}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Error(diff)
	}
}

func TestDecoding(t *testing.T) {
	for raw, want := range map[string]string{
		`3465`: "3465", `"3465"`: "3465", `{"id":7}`: "7", `{"item":{"id":"8"}}`: "8", `{"task":{"id":"9"}}`: "9",
		`[]`: "", `null`: "", `false`: "", `""`: "", `{}`: "", `true`: "", `{"item":[]}`: "", `-1`: "", `0`: "", `"x"`: "", `1.5`: "",
	} {
		if got := created(json.RawMessage(raw)); got != want {
			t.Errorf("%s: %q, want %q", raw, got, want)
		}
	}
	for raw, want := range map[string]int{`[]`: 0, `null`: 0, `{}`: 0, `""`: 0, `false`: 0, `[{"a":1},{"a":2}]`: 2, `{"0":{"a":1},"3":{"a":2}}`: 2, `"x"`: -1, `[1]`: -1, `7`: -1} {
		list, ok := rows(json.RawMessage(raw))
		if got := len(list); ok != (want >= 0) || ok && got != want {
			t.Errorf("%s: %d rows, %v", raw, got, ok)
		}
	}
}

func FuzzAnswers(f *testing.F) {
	for _, s := range []string{`{"result":[]}`, `{"result":{"items":[{"id":1,"originId":"x"}]}}`, `{"error":""}`, `{"result":{"result":{"c0":1},"result_error":[]}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var env envelope
		if json.Unmarshal(raw, &env) != nil {
			return
		}
		created(env.Result)
		s := &Sink{api: dialectOf(Defaults())}
		ids, _ := s.found(reply{result: env.Result}, "x")
		for _, n := range ids {
			if id(json.RawMessage(n)) != n {
				t.Errorf("%q is no id", n)
			}
		}
		_, _ = notes(reply{result: env.Result})
		s.budget.spent("m", env.Time)
	})
}

func TestQuery(t *testing.T) {
	c := command{params: map[string]any{
		"entityTypeId": 1, "start": -1,
		"fields": map[string]any{"title": "A&B = 1+2", "fm": []any{map[string]any{"value": "+7"}}},
		"filter": map[string]any{"=originId": "x", ">=createdTime": "2026-02-28T12:00:00Z"},
	}}
	want := "entityTypeId=1&fields[fm][0][value]=%2B7&fields[title]=A%26B+%3D+1%2B2" +
		"&filter[%3DoriginId]=x&filter[%3E%3DcreatedTime]=2026-02-28T12%3A00%3A00Z&start=-1"
	if diff := cmp.Diff(want, c.query()); diff != "" {
		t.Error(diff)
	}
}

func TestCutting(t *testing.T) {
	if got := cutRunes("жжжж", 3); got != "жж…" {
		t.Errorf("%q", got)
	}
	if got := cutBytes("жжж", 5); got != "жж" {
		t.Errorf("%q", got)
	}
	if got := strings.Join(split("жжж\xff\xff", 3), "|"); strings.ReplaceAll(got, "|", "") != "жжж\xff\xff" {
		t.Errorf("%q", got)
	}
}

func TestOpenNamesKeyAndCure(t *testing.T) {
	cases := map[string]func(*Settings){
		"url":              func(s *Settings) { s.URL = "" },
		"url: the portal":  func(s *Settings) { s.URL = "http://p.example/rest/1/" + canary + "/" },
		"url: write":       func(s *Settings) { s.URL = "https://p.example/" + canary },
		"entity":           func(s *Settings) { s.Entity = "company" },
		"api":              func(s *Settings) { s.API = "v3" },
		"api: lead":        func(s *Settings) { s.API, s.Entity = "lead", "deal" },
		"originator":       func(s *Settings) { s.Originator = "" },
		"task.kind":        func(s *Settings) { s.Task.Kind = "call" },
		"task.responsible": func(s *Settings) { s.Task.Kind = "task" },
		"batch":            func(s *Settings) { s.Batch = 51 },
		"title":            func(s *Settings) { s.Title = "{{.Nmae}}" },
		"ca_file":          func(s *Settings) { s.CAFile = "/nowhere" },
		"proxy":            func(s *Settings) { s.Proxy = "x" },
	}
	for want, change := range cases {
		set := Kind.Settings().(*Settings)
		set.URL = "https://p.example/rest/1/" + canary
		if want == "url" {
			if _, err := Kind.Open(set, sinks.Env{Log: zerolog.New(os.Stderr)}); err != nil {
				t.Errorf("good settings: %v", err)
			}
		}
		change(set)
		_, err := Kind.Open(set, sinks.Env{})
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
