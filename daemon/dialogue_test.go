package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"leadstream/processors"
	"leadstream/processors/dialogue"
	"leadstream/processors/lookup"
	"leadstream/processors/slots"
	"leadstream/processors/templates"
	"leadstream/sinks"
	"leadstream/sinks/calendar"
	"leadstream/sinks/records"
	"leadstream/streams"
	"leadstream/streams/visits"
)

// What config.yaml says of the business is what a customer is answered.
func TestDialogue(t *testing.T) {
	far := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, `{"status":"в пути"}`) }))
	t.Cleanup(far.Close)
	cfg := Defaults()
	cfg.Triage.Services = []slots.Item{{Name: "Стрижка", Price: 1500}}
	cfg.Lookups.Order.URL, cfg.Lookups.Order.Values, cfg.Lookups.Order.AllowPrivate = far.URL+"/{order}", map[string]string{"status": "status"}, true
	var none visits.Calendar
	d, err := newDialogue(cfg, none, templates.Business{}, false, prometheus.NewRegistry(), zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	for want, lead := range map[string]*streams.Lead{
		"1500 ₽": {ID: "a", Message: "сколько стоит стрижка?", Service: "Стрижка", Intent: "price", Intents: []string{"price"}, Answered: true},
		"в пути": {ID: "b", Message: "где заказ 17?", Slots: &streams.Slots{Order: "17"}, Intent: "order_status", Intents: []string{"order_status"}, Answered: true},
	} {
		r, err := d.Answer(t.Context(), dialogue.Turn{Lead: lead, Now: time.Now()})
		if err != nil || len(r.Say) != 1 || r.Say[0].Values.Price+r.Say[0].Values.Status != want {
			t.Errorf("%s: %+v, %v", want, r.Say, err)
		}
	}
	cfg.Lookups.Courier.URL, cfg.Lookups.Courier.CAFile = far.URL, "/no/such/file"
	if _, err := newDialogue(cfg, none, templates.Business{}, false, prometheus.NewRegistry(), zerolog.Nop()); err == nil {
		t.Error("a file that is not there is no error")
	}
}

// The real client follows no redirect, reads no endless answer, and shows neither the key nor the customer's number.
func TestLookup(t *testing.T) {
	far := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/A1":
			fmt.Fprintf(w, `{"status":"%s"}`, r.Header.Get("X-Key"))
		case "/moved":
			http.Redirect(w, r, "/A1", http.StatusFound)
		case "/long":
			fmt.Fprint(w, `{"status":"`+strings.Repeat("x", mostFound)+`"}`)
		default:
			panic(http.ErrAbortHandler)
		}
	}))
	t.Cleanup(far.Close)
	set := lookup.Defaults().Order
	set.URL, set.Headers, set.Values, set.AllowPrivate = far.URL+"/{order}?phone={phone}", map[string]string{"X-Key": "hush-hush"}, map[string]string{"status": "status"}, true
	l, err := openLookup("order", set, lookup.NewAsked(), zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	if found, err := l.Find(t.Context(), map[string]string{"order": "A1", "phone": "+79161234567"}); err != nil || found["status"] != "hush-hush" {
		t.Errorf("%v %v", found, err)
	}
	for _, order := range []string{"moved", "long", "broken"} {
		found, err := l.Find(t.Context(), map[string]string{"order": order, "phone": "+79161234567"})
		if err == nil || strings.Contains(err.Error(), "9161234567") || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v %v", order, found, err)
		}
	}
	if l, err := openLookup("order", lookup.Defaults().Order, nil, zerolog.Nop()); l != nil || err != nil {
		t.Error(l, err)
	}
}

// Two customers and the calendar that is shipped: who is later is offered another time, and what is cancelled or moved away is
// free at once.
func TestDialogueOnTheCalendar(t *testing.T) {
	cfg := Defaults()
	cfg.Triage.Services = []slots.Item{{Name: "Стрижка", Code: "cut"}}
	cfg.Calendar.Kind, cfg.Calendar.Hours = calendar.Builtin, map[string]string{"mon-sun": "10:00-20:00"}
	cfg.Calendar.Services = map[string]time.Duration{"cut": 90 * time.Minute}
	set := records.Defaults()
	opened, err := records.Kind.Open(&set, sinks.Env{Name: "history", DataDir: t.TempDir(), Region: "RU", Zone: cfg.Zone(), Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	kept := opened.(*records.Sink).Store
	t.Cleanup(func() { kept.Close() })
	visiting, err := calendar.Open(cfg.Calendar, cfg.calendarEnv(kept, zerolog.Nop()))
	if err != nil {
		t.Fatal(err)
	}
	d, err := newDialogue(cfg, visiting, templates.Business{}, false, prometheus.NewRegistry(), zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	triage := &processors.Triage{Slots: cfg.slotReader(), Language: "ru", Log: zerolog.Nop()}
	now, n := time.Now().In(cfg.Zone()), 0
	states, cards := map[string]json.RawMessage{}, map[string]int64{}
	say := func(who, wanted, text string) dialogue.Say {
		t.Helper()
		n++
		v := triage.Handle(t.Context(), []*streams.Entry{{Lead: &streams.Lead{ID: fmt.Sprint("lead", n), Source: "site", Phone: who, Message: text, Intent: wanted, ReceivedAt: now}}})
		l := v[0].Followers[0].Lead
		ids, err := kept.Write(t.Context(), cfg.Zone(), []*streams.Lead{l})
		if err != nil {
			t.Fatal(err)
		}
		cards[who] = ids[0]
		of, err := visiting.Of(t.Context(), ids[0])
		if err != nil {
			t.Fatal(err)
		}
		var r dialogue.Reply
		for range 2 { // as after a crash
			if r, err = d.Answer(t.Context(), dialogue.Turn{Lead: l, Customer: ids[0], Phone: true, State: states[who], Now: now, Bookings: of}); err != nil || len(r.Say) != 1 {
				t.Fatalf("%q: %+v %v", text, r, err)
			}
			if of, err = kept.Bookings(t.Context(), ids[0]); err != nil { // those that were cancelled among them
				t.Fatal(err)
			}
		}
		states[who] = r.State
		return r.Say[0]
	}
	const anna, olga = "+79161234501", "+79161234502"
	wants := func(s dialogue.Say, template string) {
		t.Helper()
		if s.Template != template {
			t.Errorf("%+v, want %s", s, template)
		}
	}
	wants(say(anna, "booking", "запишите на стрижку завтра в 15:00"), "confirmed")
	taken := say(olga, "booking", "запишите на стрижку завтра в 15:30")
	wants(taken, "taken")
	for _, b := range taken.Buttons {
		if hour := b.Data[len(b.Data)-5:]; hour > "13:30" && hour < "16:30" {
			t.Errorf("%s is offered: the visit from 15:00 to 16:30 is in the way", b.Data)
		}
	}
	wants(say(anna, "reschedule", "перенесите на послезавтра в 12:00"), "moved")
	wants(say(olga, "booking", "а завтра в 15:30"), "confirmed")
	wants(say(olga, "cancel", "отмените"), "cancel")
	wants(say(anna, "reschedule", "верните на завтра в 15:30"), "moved")
	if all, err := visiting.Of(t.Context(), cards[anna]); err != nil || len(all) != 1 || all[0].End.Sub(all[0].Start) != 90*time.Minute || all[0].Service != "cut" {
		t.Errorf("%+v, %v", all, err)
	}
}
