package talk_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"leadstream/sinks/sim/portal"
	"leadstream/sinks/talk"
	"leadstream/streams"
	"leadstream/streams/outbound"
)

var callService = service{
	kind: "call_task", to: mobile, remote: "42", keyed: true,
	configure: func(set any, url string) {
		s := set.(*talk.CallSettings)
		s.URL, s.Responsible, s.AllowPrivate = url+"/rest/7/"+canarySecret+"/", 7, true
	},
	creates: func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/tasks.task.add") },
	healthy: func(w http.ResponseWriter, r *http.Request) {
		body := `{"result":{"task":{"id":"42"}}}`
		switch {
		case strings.HasSuffix(r.URL.Path, "/batch"):
			body = `{"result":{"result":{"c0":{"tasks":[]},"c1":[]},"result_error":[]}}`
		case strings.HasSuffix(r.URL.Path, "/scope"):
			body = `{"result":["task"]}`
		}
		_, _ = io.WriteString(w, body)
	},
}

func TestCallSuffers(t *testing.T) { t.Parallel(); callService.suffer(t) }

func TestCallAnswers(t *testing.T) {
	t.Parallel()
	refusal := func(status int, code string, result streams.Result) row {
		return row{status: status, body: `{"error":"` + code + `","error_description":"ECHO"}`, result: result, code: code}
	}
	callService.table(t, map[string]row{
		"rate":          refusal(503, "QUERY_LIMIT_EXCEEDED", streams.Pause),
		"working time":  refusal(429, "OPERATION_TIME_LIMIT", streams.Pause),
		"blocked":       refusal(503, "OVERLOAD_LIMIT", streams.Pause),
		"webhook gone":  refusal(401, "NO_AUTH_FOUND", streams.Pause),
		"scope":         refusal(403, "insufficient_scope", streams.Pause),
		"bad data":      refusal(400, "ERROR_CORE", streams.Permanent),
		"fault":         refusal(500, "INTERNAL_SERVER_ERROR", streams.Ambiguous),
		"nothing named": {status: 200, body: `{"result":{"task":{}}}`, result: streams.Ambiguous},
	})
}

func startPortal(t *testing.T, o portal.Options) *portal.Portal {
	t.Helper()
	o.Users = []portal.User{{ID: 7, Name: "Ольга", Secret: canarySecret}}
	p := portal.New(o)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// tasks is how many tasks a portal's ledger names.
func tasks(p *portal.Portal) (n int) {
	for _, e := range p.Ledger() {
		if e.Kind == "task" {
			n++
		}
	}
	return n
}

// A task is made once, however often it is asked for, also by a daemon that has forgotten; what the portal may yet be making is
// waited for.
func TestCallInAPortal(t *testing.T) {
	t.Parallel()
	p := startPortal(t, portal.Options{})
	fresh := func() outbound.Channel {
		return open(t, "call_task", func(set any) {
			s := set.(*talk.CallSettings)
			s.URL, s.Responsible, s.AllowPrivate = p.URL(), 7, true
		})
	}
	c := fresh()
	if err := c.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	w := testWords()
	first := send(t, t.Context(), c, mobile, w)
	again := send(t, t.Context(), fresh(), mobile, w)
	if first.Result != streams.Done || first.Remote == "" || again.Remote != first.Remote || tasks(p) != 1 {
		t.Errorf("%+v, again %+v, %d tasks", first, again, tasks(p))
	}
	w.ID = "lost"
	p.Inject(portal.Fault{Method: "tasks.task.add", Times: 1, LoseAnswer: true})
	for _, want := range []streams.Result{streams.Ambiguous, streams.Done} {
		if tried := send(t, t.Context(), c, mobile, w); tried.Result != want || tasks(p) != 2 {
			t.Errorf("got %s (%v), want %s; %d tasks", tried.Result, tried.Err, want, tasks(p))
		}
	}
	w.ID = "never"
	p.Inject(portal.Fault{Method: "tasks.task.add", Times: 1, Reset: true})
	for _, want := range []streams.Result{streams.Ambiguous, streams.Wait} {
		if tried := send(t, t.Context(), c, mobile, w); tried.Result != want || tried.After > 65*time.Second || tasks(p) != 2 {
			t.Errorf("got %s after %s (%v), want %s; %d tasks", tried.Result, tried.After, tried.Err, want, tasks(p))
		}
	}
	p.Inject(portal.Fault{Method: "*", Times: 1, Status: 500})
	if tried := send(t, t.Context(), c, mobile, w); tried.Result != streams.Ambiguous {
		t.Errorf("without a look: %s", tried.Result)
	}
	w.Purpose = outbound.Promotion
	if tried := send(t, t.Context(), c, mobile, w); tried.Result != streams.Permanent || tasks(p) != 2 {
		t.Errorf("advertising: %+v", tried)
	}
}

func TestCallNeedsItsScope(t *testing.T) {
	t.Parallel()
	p := startPortal(t, portal.Options{Scopes: []string{"crm"}})
	c := open(t, "call_task", func(set any) {
		s := set.(*talk.CallSettings)
		s.URL, s.Responsible, s.AllowPrivate = p.URL(), 7, true
	})
	if err := c.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "task") {
		t.Errorf("check: %v", err)
	}
	if tried := send(t, t.Context(), c, mobile, testWords()); tried.Result != streams.Pause || tried.Scope != streams.ScopeSink {
		t.Errorf("got %s, scope %q (%v)", tried.Result, tried.Scope, tried.Err)
	}
	_, err := talk.Kinds["call_task"].Open(&talk.CallSettings{URL: "x"}, testEnv())
	for _, want := range []string{"url:", "responsible:", "deadline:"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
}

// The task hangs on the customer's card, says whom to call and what about, and is the configured person's.
func TestCallHangsOnTheCard(t *testing.T) {
	t.Parallel()
	p := startPortal(t, portal.Options{})
	ask := func(method, body string) string {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.URL()+method, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%s: %v %d %s", method, err, res.StatusCode, text)
		}
		return string(text)
	}
	ask("crm.item.add", `{"entityTypeId":1,"fields":{"title":"x","fm":[{"typeId":"PHONE","valueType":"WORK","value":"8 999 000-00-11"}]}}`)
	c := open(t, "call_task", func(set any) {
		s := set.(*talk.CallSettings)
		s.URL, s.Responsible, s.AllowPrivate = p.URL(), 7, true
	})
	w := testWords()
	w.Buttons = []outbound.Button{{Text: "Приду"}}
	if tried := send(t, t.Context(), c, mobile, w); tried.Result != streams.Done {
		t.Fatal(tried.Err)
	}
	got := ask("tasks.task.list", `{"filter":{"UF_CRM_TASK":"L_1"}}`)
	for _, want := range []string{"Позвонить клиенту " + mobile + " [ls:", w.Text, "– Приду"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in %s", want, got)
		}
	}
}
