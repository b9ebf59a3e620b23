package main

import (
	"testing"

	"leadstream/processors"
	"leadstream/sinks"
	"leadstream/streams"
)

// Every reason of a score has words in both languages.
func TestReasonsHaveWords(t *testing.T) {
	for _, r := range processors.Reasons() {
		if sinks.ReasonText(r, "ru") == "" || sinks.ReasonText(r, "en") == "" {
			t.Errorf("%q has no words", r)
		}
	}
	l := &streams.Lead{Score: 72, Reasons: []string{"urgent", "call me"}}
	for language, want := range map[string]string{"ru": "72 из 100: срочно, просит позвонить", "en": "72 of 100: urgent, asks for a call"} {
		if got := sinks.ScoreText(l, language); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if got := sinks.ScoreText(&streams.Lead{}, "ru"); got != "" {
		t.Errorf("a lead without a score: %q", got)
	}
}
