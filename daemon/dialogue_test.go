package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"leadstream/processors/dialogue"
	"leadstream/processors/lookup"
	"leadstream/processors/slots"
	"leadstream/processors/templates"
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
	d, err := newDialogue(cfg, none, templates.Business{}, false)
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
	if _, err := newDialogue(cfg, none, templates.Business{}, false); err == nil {
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
	l, err := openLookup(set)
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
	if l, err := openLookup(lookup.Defaults().Order); l != nil || err != nil {
		t.Error(l, err)
	}
}
