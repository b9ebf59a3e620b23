package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"leadstream/processors/lookup"
)

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
