package bitrix24

import (
	"strings"
	"testing"

	"leadstream/sinks"
	"leadstream/sinks/sim/portal"
	"leadstream/streams"
)

// News go into the card of the lead that they are about, change the columns that are mapped, and never make a card.
func TestNews(t *testing.T) {
	setup := func(t *testing.T, api string) (*world, *streams.Lead) {
		w := newWorld(t, portal.Options{UserFields: []string{"UF_CRM_1700000001"}}, func(set *Settings) {
			set.API = api
			set.Fields = map[string]string{"priority": map[string]string{"item": "ufCrm_1700000001", "lead": "UF_CRM_1700000001"}[api]}
		})
		first := w.lead(1)
		if v := w.once(sinks.Delivery{Lead: first, Attempt: 1}); v.Remote != "1" {
			t.Fatalf("%+v", v)
		}
		return w, &streams.Lead{ID: "news1", Event: streams.EventSegment, RepeatOf: first.ID, Phone: first.Phone, Priority: -1, Hot: true, ReceivedAt: w.clock.now()}
	}
	told := func(t *testing.T, w *world, v streams.Verdict) {
		t.Helper()
		if v.Result != streams.Done || v.Outcome != "merged" || v.Remote != "1" || w.count("create") != 1 || w.count("activity") != 0 {
			t.Errorf("%+v, %d cards, %d tasks", v, w.count("create"), w.count("activity"))
		}
		got := w.comments("1")
		if len(got) != 1 || !strings.HasPrefix(got[0], "Новости о клиенте: изменился сегмент\n") || !strings.Contains(got[0], "Приоритет: -1") {
			t.Errorf("comments %q", got)
		}
		if p := w.item(1, "1")["ufCrm_1700000001"]; p != "-1" {
			t.Errorf("the column of the priority holds %v", p)
		}
	}
	for _, api := range []string{"item", "lead"} {
		t.Run(api, func(t *testing.T) {
			w, l := setup(t, api)
			told(t, w, w.once(sinks.Delivery{Lead: l, Attempt: 1, Of: &sinks.Earlier{Remote: "1"}}))
		})
	}
	t.Run("answers lost", func(t *testing.T) {
		w, l := setup(t, "item")
		w.portal.Inject(portal.Fault{Method: "crm.item.update", Times: 1, LoseAnswer: true})
		w.portal.Inject(portal.Fault{Method: "crm.timeline.comment.add", Times: 1, LoseAnswer: true})
		told(t, w, last(w.drive(sinks.Delivery{Lead: l, Of: &sinks.Earlier{}})))
	})
	for name, of := range map[string]*sinks.Earlier{"about nothing": nil, "about a lead that never arrived": {}} {
		t.Run(name, func(t *testing.T) {
			w, l := setup(t, "item")
			l.RepeatOf = map[bool]string{false: "nowhere"}[of == nil]
			v := last(w.drive(sinks.Delivery{Lead: l, Of: of}))
			if v.Result != streams.Drop || v.Reason != "no card" || w.count("create") != 1 {
				t.Errorf("%+v, %d cards", v, w.count("create"))
			}
		})
	}
	t.Run("deleted by a manager", func(t *testing.T) {
		w, l := setup(t, "item")
		if r := w.sink.call(t.Context(), command{method: "crm.item.delete", params: map[string]any{"entityTypeId": 1, "id": 1}}); r.fail != nil {
			t.Fatal(r.fail.Err)
		}
		v := w.once(sinks.Delivery{Lead: l, Attempt: 1, Of: &sinks.Earlier{Remote: "1"}})
		if v.Result != streams.Drop || w.count("create") != 1 {
			t.Errorf("%+v, %d cards", v, w.count("create"))
		}
	})
}
