package main

import (
	"strings"
	"testing"
)

// The records are there without being asked for, take no sink's place, and can be off.
func TestHistoryIsAddedByItself(t *testing.T) {
	const sink = "sinks: {table: {kind: csv}}\n"
	for name, c := range map[string]struct{ yaml, key, route string }{
		"by itself":          {sink, "", "history"},
		"off":                {sink + "records: {url: off}\n", "", ""},
		"too short":          {sink + "records: {history: 30d}\n", "records", ""},
		"an unknown place":   {sink + "records: {url: history.db}\n", "records", ""},
		"its name is taken":  {"sinks: {history: {kind: csv}}\n", "sinks.history", ""},
		"its kind is taken":  {"sinks: {mine: {kind: records}}\n", "sinks.mine", ""},
		"leads go nowhere":   {"language: en\n", "sinks", ""},
		"a rule may name it": {sink + "tagging: {rules: [{when: 'hot', sinks: [history]}]}\n", "", "history"},
	} {
		cfg, faults, err := Load(write(t, c.yaml))
		if err != nil {
			t.Fatal(err)
		}
		var keys []string
		for _, f := range faults {
			if !f.Warning {
				keys = append(keys, f.Key)
			}
		}
		if got := strings.Join(keys, " "); got != c.key {
			t.Errorf("%s: faults at %q, want %q", name, got, c.key)
			continue
		}
		if c.key != "" {
			continue
		}
		if cfg.history() != c.route || strings.Join(cfg.Tagging.Sinks, " ") != "table" {
			t.Errorf("%s: history is %q, leads go to %q", name, cfg.history(), cfg.Tagging.Sinks)
		}
		if late := lateAfter(cfg); c.route != "" && late("history") < 1<<62 {
			t.Errorf("%s: a person is told after %s", name, late("history"))
		}
	}
}
