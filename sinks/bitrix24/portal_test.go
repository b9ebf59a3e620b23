package bitrix24

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"leadstream/sinks"
	"leadstream/sinks/sim/portal"
	"leadstream/streams"
)

// clock is a time that passes when told.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// world is a sink, its portal, and the time of both.
type world struct {
	*testing.T
	portal *portal.Portal
	sink   *Sink
	clock  *clock
	set    *Settings
	env    sinks.Env
}

func newWorld(t *testing.T, o portal.Options, change ...func(*Settings)) *world {
	t.Helper()
	w := &world{T: t, clock: &clock{t: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}}
	o.Clock = w.clock.now
	if o.Limits == (portal.Limits{}) {
		o.Limits = portal.NoLimits
	}
	w.portal = portal.New(o)
	if err := w.portal.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.portal.Close(); err != nil {
			t.Error(err)
		}
	})
	w.set = Defaults()
	w.set.URL, w.set.AllowPrivate = w.portal.URL(), true
	for _, f := range change {
		f(w.set)
	}
	w.env = sinks.Env{Name: "crm", Version: "test", Log: zerolog.Nop()}
	w.restart()
	return w
}

// restart is what a crash leaves of the sink: its settings.
func (w *world) restart() {
	w.Helper()
	s, err := Open(w.set, w.env)
	if err != nil {
		w.Fatal(err)
	}
	s.now = w.clock.now
	s.after = func(d time.Duration) <-chan time.Time {
		w.clock.pass(d)
		return time.After(0)
	}
	w.Cleanup(s.Close)
	w.sink = s
}

func (w *world) lead(n int) *streams.Lead {
	return &streams.Lead{
		ID: streams.NewID("test", strconv.Itoa(n)), Source: "site", ReceivedAt: w.clock.now(), Name: "Анна",
		Phone: fmt.Sprintf("+7999000%04d", n), Email: "anna@example.test", Service: "кухня", Message: "Жду звонка",
		Channel: "telegram", UserID: "77", Level: "новый клиент",
		UTM:    map[string]string{"source": "yandex", "campaign": "a&b=c"},
		Fields: map[string]json.RawMessage{"цвет": json.RawMessage(`"белый"`), "rooms": json.RawMessage(`3`)},
	}
}

func (w *world) once(d sinks.Delivery) streams.Verdict {
	w.Helper()
	got := w.sink.Deliver(w.Context(), []sinks.Delivery{d})
	if len(got) != 1 {
		w.Fatalf("%d verdicts", len(got))
	}
	return got[0]
}

// drive tries a lead as the engine does, until it has ended, and answers all verdicts.
func (w *world) drive(d sinks.Delivery) []streams.Verdict {
	w.Helper()
	d.Attempt = max(d.Attempt, 1)
	var all []streams.Verdict
	for len(all) < 20 && d.Attempt <= 5 {
		v := w.once(d)
		all = append(all, v)
		switch v.Result {
		case streams.Done, streams.Permanent, streams.Drop:
			return all
		case streams.Ambiguous:
			d.Unsure = w.clock.now()
			d.Attempt++
		case streams.Retry:
			d.Attempt++
		}
		w.clock.pass(max(v.After, time.Second))
	}
	w.Fatalf("no end: %+v", all)
	return nil
}

func last(vs []streams.Verdict) streams.Verdict { return vs[len(vs)-1] }

// count is how many things of a kind the portal has made.
func (w *world) count(kind string) int {
	n := 0
	for _, e := range w.portal.Ledger() {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

// item is a card as the portal shows it.
func (w *world) item(entity int, id string) map[string]any {
	w.Helper()
	r := w.sink.call(w.Context(), command{method: "crm.item.get", params: map[string]any{"entityTypeId": entity, "id": id}, read: true})
	if r.fail != nil {
		w.Fatal(r.fail.Err)
	}
	var out struct{ Item map[string]any }
	if err := json.Unmarshal(r.result, &out); err != nil {
		w.Fatal(err)
	}
	return out.Item
}

func (w *world) texts(cmd command) []string {
	w.Helper()
	texts, fail := notes(w.sink.call(w.Context(), cmd))
	if fail != nil {
		w.Fatal(fail.Err)
	}
	var out []string
	for _, s := range texts {
		if s != "" {
			out = append(out, s)
		}
	}
	return out
}

func (w *world) comments(card string) []string {
	w.Helper()
	return w.texts(w.sink.listComments(&job{card: card}))
}

func TestCard(t *testing.T) {
	for _, api := range []string{"item", "lead"} {
		t.Run(api, func(t *testing.T) {
			w := newWorld(t, portal.Options{UserFields: []string{"UF_CRM_1700000001"}}, func(set *Settings) {
				set.API, set.AssignedBy, set.Stage = api, 1, "IN_PROCESS"
				set.Sources = map[string]string{"telegram": "CALLBACK"}
				set.Fields = map[string]string{"level": map[string]string{"item": "ufCrm_1700000001", "lead": "UF_CRM_1700000001"}[api]}
			})
			if err := w.sink.Check(t.Context()); err != nil {
				t.Fatal(err)
			}
			l := w.lead(1)
			v := w.once(sinks.Delivery{Lead: l, Attempt: 1})
			if diff := cmp.Diff(streams.Verdict{Remote: "1"}, v); diff != "" {
				t.Fatal(diff)
			}
			item := w.item(1, "1")
			var fm []string
			for _, row := range item["fm"].([]any) {
				m := row.(map[string]any)
				fm = append(fm, fmt.Sprint(m["typeId"], " ", m["valueType"], " ", m["value"]))
			}
			got := map[string]any{"fm": strings.Join(fm, "; ")}
			want := map[string]any{
				"title": "Заявка: кухня, Анна", "name": "Анна", "sourceId": "CALLBACK", "sourceDescription": "site / telegram",
				"stageId": "IN_PROCESS", "originatorId": "leadstream", "originId": l.ID, "utmSource": "yandex",
				"utmCampaign": "a&b=c", "ufCrm_1700000001": "новый клиент", "assignedById": 1.0,
				"comments": "Жду звонка\nУслуга: кухня\nУровень клиента: новый клиент\nrooms: 3\nцвет: белый",
				"fm":       "PHONE MOBILE +79990000001; EMAIL WORK anna@example.test; IM TELEGRAM 77",
			}
			for k := range want {
				if k != "fm" {
					got[k] = item[k]
				}
			}
			if api == "lead" { // rows come by type
				got["fm"] = want["fm"]
				if len(fm) != 3 {
					t.Errorf("multi-fields %v", fm)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			if n := w.count("search"); n != 1 { // Check's own
				t.Errorf("%d searches: a lead that surely is new was looked for", n)
			}
		})
	}
}

func TestDealWithContact(t *testing.T) {
	w := newWorld(t, portal.Options{}, func(set *Settings) { set.Entity = "deal" })
	one, two := w.lead(1), w.lead(2)
	two.Phone = one.Phone
	if v := w.once(sinks.Delivery{Lead: one, Attempt: 1}); v.Result != streams.Done {
		t.Fatalf("%+v", v)
	}
	v := w.once(sinks.Delivery{Lead: two, Attempt: 1})
	contact := w.item(2, v.Remote)["contactId"]
	if contact == nil || contact != w.item(2, "1")["contactId"] {
		t.Errorf("two deals of one customer hang on contacts %v and %v", w.item(2, "1")["contactId"], contact)
	}
	if n := w.count("create"); n != 3 {
		t.Errorf("%d things created, want two deals and a contact", n)
	}

	// The contact's answer is lost: it must be found, not made again.
	w.portal.Inject(portal.Fault{Method: "crm.item.add", Times: 1, LoseAnswer: true})
	three := w.lead(3)
	three.Phone, three.Email = "", "" // cannot be found by these
	if v := last(w.drive(sinks.Delivery{Lead: three})); v.Result != streams.Done || w.item(2, v.Remote)["contactId"] == nil {
		t.Errorf("%+v", v)
	}
	if d := w.portal.Duplicates(); len(d) > 0 {
		t.Errorf("twice: %v", d)
	}
}

// Whatever happens to the answer, the portal ends with one card, one task and one comment of each lead.
func TestOnceWhateverIsLost(t *testing.T) {
	long := strings.Repeat("имя", 40)
	cases := map[string]struct {
		fault portal.Fault
		lag   time.Duration
		crash bool
	}{
		"card's answer lost":             {fault: portal.Fault{Method: "crm.item.add", LoseAnswer: true}},
		"card's answer lost, crash":      {fault: portal.Fault{Method: "crm.item.add", LoseAnswer: true}, crash: true},
		"search lags":                    {fault: portal.Fault{Method: "crm.item.add", LoseAnswer: true}, lag: 100 * time.Second},
		"reset before work":              {fault: portal.Fault{Method: "crm.item.add", Reset: true}},
		"reset in the answer":            {fault: portal.Fault{Method: "crm.item.add", CutAfter: 20, After: true}},
		"gateway page after work":        {fault: portal.Fault{Method: "crm.item.add", After: true, Status: 504, Body: "<html>", ContentType: "text/html"}},
		"login page after work":          {fault: portal.Fault{Method: "crm.item.add", After: true, HTML200: true}},
		"nothing after work":             {fault: portal.Fault{Method: "crm.item.add", After: true, Empty: true}},
		"nothing, 201":                   {fault: portal.Fault{Method: "crm.item.add", After: true, Empty: true, Status: 201}},
		"no id":                          {fault: portal.Fault{Method: "crm.item.add", After: true, Status: 200, Body: `{"result":[]}`}},
		"endless answer":                 {fault: portal.Fault{Method: "crm.item.add", After: true, Fill: 2 << 20, Gzip: true}},
		"error after work":               {fault: portal.Fault{Method: "crm.item.add", After: true, Code: "INTERNAL_SERVER_ERROR"}},
		"unknown error in a 200":         {fault: portal.Fault{Method: "crm.item.add", After: true, Status: 200, Code: "NEWS"}},
		"steps' answer lost":             {fault: portal.Fault{Method: "batch", LoseAnswer: true}},
		"steps' answer lost, crash":      {fault: portal.Fault{Method: "batch", LoseAnswer: true}, crash: true},
		"steps' answer is a page":        {fault: portal.Fault{Method: "batch", After: true, HTML200: true}, crash: true},
		"steps refused for the rate":     {fault: portal.Fault{Method: "batch", Status: 503, Code: "OVERLOAD_LIMIT", Times: 1}},
		"task alone refused":             {fault: portal.Fault{Method: "crm.activity.todo.add", Code: "INTERNAL_SERVER_ERROR"}},
		"task alone refused, crash":      {fault: portal.Fault{Method: "crm.activity.todo.add", Code: "INTERNAL_SERVER_ERROR"}, crash: true},
		"looking for the steps is cut":   {fault: portal.Fault{Method: "crm.timeline.comment.*", Code: "QUERY_LIMIT_EXCEEDED"}, crash: true},
		"second lost answer, other call": {fault: portal.Fault{Method: "*", LoseAnswer: true, Times: 2}, crash: true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, portal.Options{Lag: c.lag})
			c.fault.Times = max(c.fault.Times, 1)
			w.portal.Inject(c.fault)
			l := w.lead(1)
			l.Hot, l.Name = true, long
			d := sinks.Delivery{Lead: l, Attempt: 1}
			if c.crash {
				w.once(d) // whatever came of it, nobody wrote it down
				d.Unsure = w.clock.now()
				w.restart()
			}
			v := last(w.drive(d))
			if v.Result != streams.Done || c.fault.Code != "OVERLOAD_LIMIT" && v.Err != nil {
				t.Fatalf("%+v", v)
			}
			if got := w.portal.Created(l.ID); len(got) != 1 || v.Remote != strconv.Itoa(got[0]) {
				t.Errorf("cards %v, remote %s", got, v.Remote)
			}
			wantSteps := 1
			if c.fault.Code == "OVERLOAD_LIMIT" {
				wantSteps = 0 // blocked for long: the lead has arrived, the rest is told
				if v.Err == nil {
					t.Error("nobody is told of the missing task")
				}
			}
			if a, n := w.count("activity"), w.count("comment"); a != wantSteps || n != wantSteps {
				t.Errorf("%d tasks, %d comments", a, n)
			}
		})
	}
}

// The portal finishes after we have given up: the wait before looking must cover it.
func TestFinishesLate(t *testing.T) {
	w := newWorld(t, portal.Options{})
	w.env.Timeout = 500 * time.Millisecond
	w.restart()
	w.portal.Inject(portal.Fault{Method: "crm.item.add", Times: 1, FinishLate: time.Second})
	d := sinks.Delivery{Lead: w.lead(1), Attempt: 1}
	if v := w.once(d); v.Result != streams.Ambiguous || !v.Fault {
		t.Fatalf("%+v", v)
	}
	w.env.Timeout = 0
	w.restart()
	d.Unsure, d.Attempt = w.clock.now(), 2
	v := w.once(d)
	if v.Result != streams.Wait || v.After != 65*time.Second || w.count("search") != 0 {
		t.Fatalf("did not wait for the portal: %+v", v)
	}
	for deadline := time.Now().Add(10 * time.Second); w.count("create") == 0 && time.Now().Before(deadline); {
		time.Sleep(5 * time.Millisecond)
	}
	w.clock.pass(v.After)
	if v := last(w.drive(d)); v.Remote != "1" {
		t.Errorf("%+v", v)
	}
	if n := w.count("create"); n != 1 {
		t.Errorf("%d cards", n)
	}
}

func TestSeveralCardsAlready(t *testing.T) {
	w := newWorld(t, portal.Options{})
	l := w.lead(1)
	for range 2 {
		w.once(sinks.Delivery{Lead: l, Attempt: 1})
	}
	unsure := w.clock.now()
	w.clock.pass(time.Hour)
	v := w.once(sinks.Delivery{Lead: l, Attempt: 2, Unsure: unsure})
	if v.Result != streams.Done || v.Remote != "1" || v.Err == nil || !strings.Contains(v.Err.Error(), "1, 2") {
		t.Errorf("%+v", v)
	}
}

func TestFailedSearchStaysUnsure(t *testing.T) {
	for code, want := range map[string]streams.Result{
		"INTERNAL_SERVER_ERROR": streams.Ambiguous, "INVALID_ARG_VALUE": streams.Ambiguous, "QUERY_LIMIT_EXCEEDED": streams.Pause,
	} {
		w := newWorld(t, portal.Options{})
		w.portal.Inject(portal.Fault{Method: "crm.item.list", Code: code})
		unsure := w.clock.now()
		w.clock.pass(time.Hour)
		if v := w.once(sinks.Delivery{Lead: w.lead(1), Attempt: 2, Unsure: unsure}); v.Result != want || w.count("create") != 0 {
			t.Errorf("%s: %+v, %d created", code, v, w.count("create"))
		}
	}
}

func TestRepeats(t *testing.T) {
	setup := func(t *testing.T) (*world, *streams.Lead, *streams.Lead) {
		w := newWorld(t, portal.Options{})
		first, second := w.lead(1), w.lead(2)
		second.RepeatOf, second.Message = first.ID, "Ещё вопрос [ls:подделка]"
		if v := w.once(sinks.Delivery{Lead: first, Attempt: 1}); v.Remote != "1" {
			t.Fatalf("%+v", v)
		}
		return w, first, second
	}
	merged := func(t *testing.T, w *world, v streams.Verdict, l *streams.Lead) {
		t.Helper()
		if v.Result != streams.Done || v.Outcome != "merged" || v.Remote != "1" || w.count("create") != 1 {
			t.Errorf("%+v, %d cards", v, w.count("create"))
		}
		got := w.comments("1")
		if len(got) != 1 || !strings.Contains(got[0], "Ещё вопрос") || !strings.Contains(got[0], marker(l.ID, 0)) || strings.Contains(got[0], "[ls:подделка") {
			t.Errorf("comments %q", got)
		}
	}
	t.Run("told in the first one's card", func(t *testing.T) {
		w, _, l := setup(t)
		merged(t, w, w.once(sinks.Delivery{Lead: l, Attempt: 1, Of: &sinks.Earlier{Remote: "1"}}), l)
	})
	t.Run("found by origin", func(t *testing.T) {
		w, _, l := setup(t)
		merged(t, w, w.once(sinks.Delivery{Lead: l, Attempt: 1, Of: &sinks.Earlier{}}), l)
	})
	t.Run("answer lost", func(t *testing.T) {
		w, _, l := setup(t)
		w.portal.Inject(portal.Fault{Method: "crm.timeline.comment.add", Times: 1, LoseAnswer: true})
		merged(t, w, last(w.drive(sinks.Delivery{Lead: l, Of: &sinks.Earlier{Remote: "1"}})), l)
	})
	t.Run("pending", func(t *testing.T) {
		w, _, l := setup(t)
		if v := w.once(sinks.Delivery{Lead: l, Attempt: 1, Of: &sinks.Earlier{Pending: true}}); v.Result != streams.Wait || v.After <= 0 {
			t.Errorf("%+v", v)
		}
	})
	t.Run("hot", func(t *testing.T) {
		w, _, l := setup(t)
		l.Hot = true
		merged(t, w, w.once(sinks.Delivery{Lead: l, Attempt: 1, Of: &sinks.Earlier{Remote: "1"}}), l)
		if n := w.count("activity"); n != 1 {
			t.Errorf("%d tasks", n)
		}
	})
	own := func(t *testing.T, w *world, v streams.Verdict, l *streams.Lead) {
		t.Helper()
		if v.Result != streams.Done || v.Outcome != "" || v.Remote != "2" || len(w.portal.Created(l.ID)) != 1 {
			t.Errorf("%+v, cards %v", v, w.portal.Created(l.ID))
		}
	}
	t.Run("deleted by a manager", func(t *testing.T) {
		w, _, l := setup(t)
		if r := w.sink.call(t.Context(), command{method: "crm.item.delete", params: map[string]any{"entityTypeId": 1, "id": 1}}); r.fail != nil {
			t.Fatal(r.fail.Err)
		}
		own(t, w, w.once(sinks.Delivery{Lead: l, Attempt: 1, Of: &sinks.Earlier{Remote: "1"}}), l)
	})
	t.Run("first never arrived", func(t *testing.T) {
		w, _, l := setup(t)
		l.RepeatOf = "nowhere"
		own(t, w, w.once(sinks.Delivery{Lead: l, Attempt: 1, Of: &sinks.Earlier{}}), l)
	})
	t.Run("own card's answer lost, first known since", func(t *testing.T) {
		w, first, l := setup(t)
		l.RepeatOf = "nowhere"
		w.portal.Inject(portal.Fault{Method: "crm.item.add", Times: 1, LoseAnswer: true})
		if v := w.once(sinks.Delivery{Lead: l, Attempt: 1, Of: &sinks.Earlier{}}); v.Result != streams.Ambiguous {
			t.Fatalf("%+v", v)
		}
		l.RepeatOf = first.ID
		own(t, w, last(w.drive(sinks.Delivery{Lead: l, Attempt: 2, Unsure: w.clock.now(), Of: &sinks.Earlier{Remote: "1"}})), l)
	})
}

// A customer writes again, and the manager is done with the card: nobody would see a comment in it, so a task says so.
func TestRepeatInAClosedCard(t *testing.T) {
	for name, c := range map[string]struct {
		api, entity, stage string
		want               int
	}{
		"lead in work":        {"item", "lead", "IN_PROCESS", 0},
		"lead won":            {"item", "lead", "CONVERTED", 1},
		"lead lost":           {"item", "lead", "JUNK", 1},
		"old portal, in work": {"lead", "lead", "PROCESSED", 0},
		"old portal, lost":    {"lead", "lead", "JUNK", 1},
		"deal in work":        {"item", "deal", "C5:EXECUTING", 0},
		"deal won":            {"item", "deal", "C5:WON", 1},
	} {
		for _, crash := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, crash %v", name, crash), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, portal.Options{}, func(set *Settings) { set.API, set.Entity, set.Stage, set.Contact = c.api, c.entity, c.stage, false })
				first, l := w.lead(1), w.lead(2)
				v := w.once(sinks.Delivery{Lead: first, Attempt: 1})
				l.RepeatOf = first.ID
				d := sinks.Delivery{Lead: l, Attempt: 1, Of: &sinks.Earlier{Remote: v.Remote}}
				if crash {
					w.once(d)
					d.Unsure = w.clock.now()
					w.restart()
				}
				if v := last(w.drive(d)); v.Result != streams.Done || v.Outcome != string(streams.Merged) {
					t.Fatalf("%+v", v)
				}
				if n := w.count("activity"); n != c.want {
					t.Errorf("%d tasks, want %d", n, c.want)
				}
			})
		}
	}
}

// Portals that do not say what a stage means are known by the names of their first ones.
func TestStagesWithoutMeaning(t *testing.T) {
	s := &Sink{api: dialectOf(Defaults())}
	for stage, want := range map[string]bool{"NEW": false, "CONVERTED": true, "C12:LOSE": true, "C12:NEW": false, "UC_Q1W2": false, "": false} {
		if got := s.ended(fmt.Appendf(nil, `{"item":{"stageId":%q}}`, stage)); got != want {
			t.Errorf("%q has ended: %v, want %v", stage, got, want)
		}
	}
	if !s.ended([]byte(`{"item":{"stageId":"UC_Q1W2","stageSemanticId":"F"}}`)) || s.ended([]byte(`[]`)) {
		t.Error("the meaning is not read")
	}
}
