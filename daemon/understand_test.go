package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"leadstream/processors"
	"leadstream/processors/intent"
	"leadstream/processors/learn"
	"leadstream/processors/slots"
)

func TestTriageKeys(t *testing.T) {
	path := write(t, "language: en\n"+told+`
triage:
  examples: [mine.yaml]
  services: [Маникюр, {name: Стрижка, also: [подстричься], price: 1500}]
  products: [{name: iPhone 15, code: APL-15}]
  branches: [на Ленина]
  escalate: {intents: [price], medical: false, words: [опт]}
`)
	mine := filepath.Join(filepath.Dir(path), "mine.yaml")
	if err := os.WriteFile(mine, []byte(few), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, faults := load(t, path)
	want := Defaults().Triage
	want.Examples = []string{mine}
	want.Services = []slots.Item{{Name: "Маникюр"}, {Name: "Стрижка", Also: []string{"подстричься"}, Price: 1500}}
	want.Products, want.Branches = []slots.Item{{Name: "iPhone 15", Code: "APL-15"}}, []slots.Item{{Name: "на Ленина"}}
	want.Escalate = processors.Escalate{Intents: []string{"price"}, Legal: true, Words: []string{"опт"}, Tag: "needs_person"}
	if diff := cmp.Diff(want, cfg.Triage); diff != "" || len(faults) > 0 {
		t.Error(diff, faults)
	}
	taught := &intent.Current{}
	if err := teach(&learn.Desk{Current: taught, Base: cfg.Triage.examples}, zerolog.Nop()); err != nil {
		t.Fatal(err)
	}
	if n, _ := taught.Model().Size(); n > 30 {
		t.Errorf("%d examples: those of the file were to replace the others", n)
	}
	if r := cfg.slotReader(); r.Services.Item("Стрижка").Price != 1500 || r.Zone.String() != "Europe/Moscow" {
		t.Errorf("%+v", r)
	}
}

func TestTriageFaults(t *testing.T) {
	for name, tt := range map[string]struct{ file, yaml, want string }{
		"no file":      {"", "examples: [other.yaml]", "other.yaml"},
		"not a file":   {"a", "examples: [mine.yaml]", "mine.yaml: yaml:"},
		"unknown":      {"intents: {hi: [hi]}", "examples: [mine.yaml]", "there is no such intent"},
		"too few":      {"mode: replace\nintents: {price: [сколько], other: [a, b, c, d, e]}", "examples: [mine.yaml]", "intents.price: 1 examples"},
		"no name":      {"", "services: [{also: [a]}]", "triage.services[0]: it has no name"},
		"escalate":     {"", "escalate: {intents: [complain]}", `triage.escalate.intents[0]: there is no intent "complain"`},
		"escalate key": {"", "escalate: {medcal: true}", "medical"},
	} {
		path := write(t, "language: en\n"+told+"triage: {"+tt.yaml+"}\n")
		if err := os.WriteFile(filepath.Join(filepath.Dir(path), "mine.yaml"), []byte(tt.file), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, faults := load(t, path); len(faults) != 1 || !strings.Contains(faults[0], tt.want) {
			t.Errorf("%s: %q, want %q", name, faults, tt.want)
		}
	}
}
