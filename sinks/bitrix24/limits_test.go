package bitrix24

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"leadstream/sinks"
	"leadstream/sinks/sim/portal"
	"leadstream/streams"
)

func (w *world) deliveries(n int) []sinks.Delivery {
	batch := make([]sinks.Delivery, n)
	for i := range batch {
		batch[i] = sinks.Delivery{Lead: w.lead(i + 1), Attempt: 1}
	}
	return batch
}

func TestBatch(t *testing.T) {
	w := newWorld(t, portal.Options{Required: []string{"name"}})
	batch := w.deliveries(50)
	batch[7].Lead.Name = "" // poison
	batch[9].Lead.Hot = true
	batch[9].Lead.Message = "A&B=1+2 %20 [x] $result[c0][item][id] конец"
	for i, v := range w.sink.Deliver(t.Context(), batch) {
		if i == 7 {
			if v.Result != streams.Permanent {
				t.Errorf("poison: %+v", v)
			}
			continue
		}
		if v.Result != streams.Done || v.Err != nil {
			t.Fatalf("%d: %+v", i, v)
		}
		item := w.item(1, v.Remote)
		if item["originId"] != batch[i].Lead.ID || item["utmCampaign"] != "a&b=c" || !strings.HasPrefix(item["comments"].(string), batch[i].Lead.Message) {
			t.Errorf("%d: %v", i, item)
		}
	}
	if w.count("create") != 49 || w.count("activity") != 1 {
		t.Errorf("%d cards, %d tasks", w.count("create"), w.count("activity"))
	}
}

func TestBatchIsOneRequest(t *testing.T) {
	w := newWorld(t, portal.Options{Limits: portal.Limits{Block: 1}})
	for i, v := range w.sink.Deliver(t.Context(), w.deliveries(50)) {
		if v.Result != streams.Done {
			t.Fatalf("%d: %+v", i, v)
		}
	}
	if v := w.once(sinks.Delivery{Lead: w.lead(51), Attempt: 1}); v.Result != streams.Pause || v.Scope != streams.ScopeSink || v.After < time.Second || v.After > 2*time.Second {
		t.Errorf("over the rate: %+v", v)
	}
	if v := w.once(sinks.Delivery{Lead: w.lead(51), Attempt: 1}); v.After < 2*time.Second {
		t.Errorf("the pause does not grow: %+v", v)
	}
}

// Ten commands of one batch that are refused for the rate are one refusal, not ten in a row.
func TestLimitInsideABatch(t *testing.T) {
	w := newWorld(t, portal.Options{})
	w.portal.Inject(portal.Fault{Method: "crm.item.add", Times: 10, Status: 503, Code: "QUERY_LIMIT_EXCEEDED"})
	for i, v := range w.sink.Deliver(t.Context(), w.deliveries(10)) {
		if v.Result != streams.Pause || v.After > 2*time.Second {
			t.Errorf("%d: %+v, want a pause of 2 s at most", i, v)
		}
	}
}

func TestLostBatch(t *testing.T) {
	w := newWorld(t, portal.Options{})
	w.portal.Inject(portal.Fault{Method: "batch", Times: 1, LoseAnswer: true})
	batch := w.deliveries(20)
	for i, v := range w.sink.Deliver(t.Context(), batch[:15]) {
		if v.Result != streams.Ambiguous || !v.Fault {
			t.Fatalf("%d: %+v", i, v)
		}
	}
	for i := range batch[:15] {
		batch[i].Attempt, batch[i].Unsure = 2, w.clock.now()
	}
	w.clock.pass(time.Hour)
	for i, v := range w.sink.Deliver(t.Context(), batch) { // 15 are there, 5 are new
		if v.Result != streams.Done {
			t.Errorf("%d: %+v", i, v)
		}
	}
	if n := w.count("create"); n != 20 || len(w.portal.Duplicates()) > 0 {
		t.Errorf("%d cards, twice: %v", n, w.portal.Duplicates())
	}
}

func TestOperatingTime(t *testing.T) {
	limits := portal.Limits{Drain: -1, Operating: 10 * time.Second, Cost: 4 * time.Second}
	t.Run("watched", func(t *testing.T) {
		w := newWorld(t, portal.Options{Limits: limits}, func(set *Settings) { set.OperatingLimit = 8 * time.Second })
		var v streams.Verdict
		for i := range 3 {
			v = w.once(sinks.Delivery{Lead: w.lead(i), Attempt: 1})
		}
		if v.Result != streams.Pause || v.Scope != streams.ScopeMethod || v.PauseKey != "crm.item.add" || v.After < 9*time.Minute || w.count("refuse") != 0 {
			t.Fatalf("%+v, %d refused", v, w.count("refuse"))
		}
		w.clock.pass(v.After)
		if v := w.once(sinks.Delivery{Lead: w.lead(3), Attempt: 1}); v.Result != streams.Done {
			t.Errorf("after the reset: %+v", v)
		}
	})
	t.Run("refused", func(t *testing.T) {
		w := newWorld(t, portal.Options{Limits: limits})
		var v streams.Verdict
		for i := range 5 {
			v = w.once(sinks.Delivery{Lead: w.lead(i), Attempt: 1})
		}
		if v.Result != streams.Pause || v.Scope != streams.ScopeMethod || v.After < 9*time.Minute || w.count("refuse") != 1 {
			t.Fatalf("%+v, %d refused: a refused method is asked again", v, w.count("refuse"))
		}
	})
}

func TestTaskKinds(t *testing.T) {
	w := newWorld(t, portal.Options{}, func(set *Settings) { set.Task.Kind, set.Task.Responsible = "task", 1 })
	l := w.lead(1)
	l.Hot = true
	w.portal.Inject(portal.Fault{Method: "tasks.task.add", Times: 1, LoseAnswer: true})
	if v := last(w.drive(sinks.Delivery{Lead: l})); v.Result != streams.Done || v.Err != nil {
		t.Errorf("%+v", v)
	}
	if w.count("task") != 1 || w.count("create") != 1 {
		t.Errorf("%d tasks, %d cards", w.count("task"), w.count("create"))
	}
	off := newWorld(t, portal.Options{}, func(set *Settings) { set.Task.Enabled = false })
	if v := off.once(sinks.Delivery{Lead: l, Attempt: 1}); v.Result != streams.Done || off.count("activity") != 0 {
		t.Errorf("%+v", v)
	}
}

// A task that never works must not make a dead letter of a lead that has arrived.
func TestTaskNeverWorks(t *testing.T) {
	for code, tries := range map[string]int{"ACCESS_DENIED": 1, "ERROR_METHOD_NOT_FOUND": 1, "INTERNAL_SERVER_ERROR": 4} {
		w := newWorld(t, portal.Options{})
		w.portal.Inject(portal.Fault{Method: "crm.activity.todo.add", Code: code})
		l := w.lead(1)
		l.Hot = true
		all := w.drive(sinks.Delivery{Lead: l})
		sent := 0
		for _, v := range all {
			if v.Result == streams.Ambiguous || v.Result == streams.Done {
				sent++
			}
		}
		if v := last(all); v.Result != streams.Done || v.Remote != "1" || v.Err == nil || sent != tries || w.count("create") != 1 {
			t.Errorf("%s: %d tries, %+v", code, sent, v)
		}
	}
}

// A refusal for the rate passes within seconds: the task does not wait for the queue's next turn.
func TestTaskRefusedForTheRate(t *testing.T) {
	w := newWorld(t, portal.Options{})
	w.portal.Inject(portal.Fault{Method: "crm.activity.todo.add", Code: "QUERY_LIMIT_EXCEEDED", Times: 1})
	l := w.lead(1)
	l.Hot = true
	if v := w.once(sinks.Delivery{Lead: l, Attempt: 1}); v.Result != streams.Done || v.Err != nil || w.count("activity") != 1 {
		t.Errorf("%+v", v)
	}
	w.portal.Inject(portal.Fault{Method: "crm.activity.todo.add", Code: "QUERY_LIMIT_EXCEEDED"})
	l = w.lead(2)
	l.Hot = true
	v := w.once(sinks.Delivery{Lead: l, Attempt: 1})
	if v.Result != streams.Ambiguous || v.Scope != "" { // anything milder would let the card be made again
		t.Errorf("%+v", v)
	}
}

// The process that made a card knows it: it need not wait and search to go on.
func TestUnfinishedIsRemembered(t *testing.T) {
	w := newWorld(t, portal.Options{})
	w.portal.Inject(portal.Fault{Method: "crm.activity.todo.add", Code: "INTERNAL_SERVER_ERROR", Times: 1})
	l := w.lead(1)
	l.Hot = true
	var got []streams.Result
	for _, v := range w.drive(sinks.Delivery{Lead: l}) {
		got = append(got, v.Result)
	}
	if diff := cmp.Diff([]streams.Result{streams.Ambiguous, streams.Done}, got); diff != "" {
		t.Error(diff)
	}
	if len(w.sink.made) != 0 {
		t.Error("a finished lead is still remembered")
	}
}

func TestLongValues(t *testing.T) {
	for _, api := range []string{"item", "lead"} {
		w := newWorld(t, portal.Options{Strict: true}, func(set *Settings) { set.API = api })
		l := w.lead(1)
		l.Name, l.Service, l.Message = strings.Repeat("Щ", 60), strings.Repeat("ы", 300), strings.Repeat("ж", 70000)
		v := w.once(sinks.Delivery{Lead: l, Attempt: 1})
		if v.Result != streams.Done || v.Err != nil {
			t.Fatalf("%s: %+v", api, v)
		}
		all := strings.Join(w.comments(v.Remote), "")
		if !strings.Contains(all, l.Name) || !strings.Contains(all, l.Service) || strings.Count(all, "ж") != 70000 {
			t.Errorf("%s: the comments lack something: %d bytes", api, len(all))
		}
	}
}

func TestStopsInTime(t *testing.T) {
	w := newWorld(t, portal.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if v := w.sink.Deliver(ctx, w.deliveries(2))[1]; v.Result != streams.Retry || v.Fault || w.count("create") != 0 {
		t.Errorf("%+v", v)
	}
}
