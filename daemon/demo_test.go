//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestDemoMessengers writes twice by each messenger from the customer's page: the first time makes a card, the second goes to it.
func TestDemoMessengers(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	out, ended := &spoken{}, make(chan error, 1)
	term := &terminal{Context: ctx, lang: "en", out: out, err: io.Discard}
	go func() {
		ended <- demoCmd{Dir: filepath.Join(shortDir(t), "data"), Listen: freeAddress(t)}.Run(term)
	}()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	said := func(what string, times int) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); strings.Count(out.String(), what) < times; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("not said %d times: %q\n%s", times, what, out.String())
			}
		}
	}
	said("write as a customer", 1)
	_, rest, _ := strings.Cut(out.String(), "VK or MAX: ")
	page, _, _ := strings.Cut(rest, "\n")
	for n, what := range []string{"Bitrix24 has lead #", "Bitrix24 has a comment in lead #"} {
		for _, by := range []string{"Telegram", "WhatsApp", "VK", "MAX"} {
			res, err := http.PostForm(page, url.Values{"by": {by}, "name": {by + " Anna"}, "text": {fmt.Sprint("a haircut ", n)}}) // each a person of their own: one phone number is one customer
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(res.Body)
			res.Body.Close()
			if err != nil || res.StatusCode != http.StatusOK || !strings.Contains(string(b), fmt.Sprint("a haircut ", n)) {
				t.Errorf("%s: %d, %v\n%s", by, res.StatusCode, err, b)
			}
		}
		said(what, 4)
		for deadline := time.Now().Add(time.Minute); strings.Count(read(t, page), `class="answer"`) < 4*(n+1); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("not all are answered: %s", read(t, page))
			}
		}
	}
	res, err := http.PostForm(page, url.Values{"by": {"Fax"}, "name": {"Anna"}, "text": {"hello"}})
	if err != nil {
		t.Fatal(err)
	}
	if res.Body.Close(); res.StatusCode != http.StatusBadRequest {
		t.Errorf("an unknown messenger: %d", res.StatusCode)
	}
}

func read(t *testing.T, page string) string {
	t.Helper()
	res, err := http.Get(page)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
