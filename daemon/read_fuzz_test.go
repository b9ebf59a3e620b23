package main

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

// FuzzConfig: whatever stands in config.yaml, reading it ends with every fault named and cured in words, in the same way
// each time.
func FuzzConfig(f *testing.F) {
	f.Setenv("CREDENTIALS_DIRECTORY", "")
	for _, text := range []string{
		"language: en\n" + told, "sinks: {crm: {kind: bitrix24}}\nsinks: 1\n", "listen: [::1]:80\nredis: {a: b}\n", "a: &a [*a]\n",
		"sources: {x: {keys: [1, 2], hmac: {secret: x, header: y}}}\ntriage: {dedupe_window: -1h}\n", "\xff: \x00", "--- 1\n--- 2\n",
		"tagging: {rules: [{when: 'has(message, 1)', tags: [a]}]}\nalerts: {rules: [{when: '1 > 0', for: 1s}]}\n", "!!binary x: ~\n",
	} {
		f.Add([]byte(text))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 4096 {
			return
		}
		read := func() (*Config, []Fault) {
			l := &loader{lang: "en", dir: dir, mode: 0o600, lines: map[string]int{}}
			cfg := l.load(text)
			sortFaults(l.faults)
			return cfg, l.faults
		}
		cfg, faults := read()
		if cfg == nil {
			t.Fatal("no config")
		}
		for _, fault := range faults {
			if fault.Problem == "" || fault.Cure == "" || fault.Line < 0 || fault.Line > strings.Count(string(text), "\n")+1 {
				t.Errorf("a fault without its words or place: %#v", fault)
			}
		}
		if _, again := read(); len(again) != len(faults) {
			t.Errorf("%d faults, then %d", len(faults), len(again))
		}
	})
}

// FuzzRows: a file of leads to send is read to its end, each row is JSON with a key or says why not, and rows are
// counted as a person counts.
func FuzzRows(f *testing.F) {
	f.Add([]byte("name;phone\r\nАнна;+79990000011\r\n\"a\"b;c\r\n"))
	f.Add([]byte("\xcf\xf0\xe8\xe2\xe5\xf2,phone\n1,2,3\n"))
	f.Add([]byte("{\"name\":\"a\"}\n\n{\n"))
	f.Add([]byte("\ufeffa\tb\n\"\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		next, err := readRows("en", "leads.csv", strings.NewReader(string(file)))
		if err != nil {
			return
		}
		for last := 0; ; {
			r, err := next()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				return // the rest cannot be read; it was said
			}
			if r.number <= last || last > len(file) {
				t.Fatalf("row %d after %d", r.number, last)
			}
			last = r.number
			if r.fault == "" && (!json.Valid(r.body) || r.key == "") {
				t.Errorf("row %d is %q with the key %q", r.number, r.body, r.key)
			}
		}
	})
}

// FuzzMoment: a moment or duration that an operator types is understood or refused, never half understood.
func FuzzMoment(f *testing.F) {
	for _, s := range []string{"24h", "7d", "2026-01-31", "2026-01-31T09:00:00+03:00", "-1h", "99999999999d", "1e9h", "d"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var at time.Time
		err := parseMoment("since", s, &at)
		if err != nil && !at.IsZero() || err == nil && s != "" && at.IsZero() {
			t.Errorf("%q: %v, %v", s, at, err)
		}
		if d, err := parseDuration(s); err == nil && d > 0 && at.After(time.Now()) {
			t.Errorf("%q ago is %s, in the time to come", s, at)
		}
	})
}
