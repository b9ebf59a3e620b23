package monitor

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"leadstream/processors"
)

func TestFaults(t *testing.T) {
	set := Settings{
		GroupInterval: time.Minute, QuietFrom: "25:00", QuietUntil: "09:00", AliveAt: "nine",
		Escalation: []Step{{0, []string{"pigeon"}}, {0, nil}},
		Rules: []Rule{
			{Name: "a", When: "queue_lenght > 50"},
			{Name: "a", When: "queue_length > 50", Clear: "queue_length", Severity: "loud"},
			{Name: "b", When: "true", Inhibits: []string{"c"}, MinSample: 3},
			{Name: "d", When: "queue_length > 1", Sample: "tries", MinSample: 3, Texts: Texts{"ru": {Title: "{{.Valu}}"}}},
		},
	}
	_, err := New(set, Options{Notifiers: map[string]processors.Notifier{"telegram": phone{}}})
	if err == nil {
		t.Fatal("no fault found")
	}
	for _, key := range []string{"rules[0].when", "rules[1].name", "rules[1].clear", "rules[1].severity", "rules[2].when", "rules[2].inhibits",
		"rules[2].min_sample", "rules[3].sample", "rules[3].texts", "quiet_from", "alive_at", "escalation[0].to", "escalation[1].to", "escalation[1].after", "alerts: every"} {
		if !strings.Contains(err.Error(), key) {
			t.Errorf("no fault for %s in:\n%v", key, err)
		}
	}
}

func TestDefaultRules(t *testing.T) {
	metrics := slices.Sorted(maps.Keys(Metrics))
	for _, language := range []string{"ru", "en"} {
		rules, err := compile(DefaultRules(), metrics, language)
		if err != nil {
			t.Fatal(err)
		}
		m := &Monitor{language: language}
		for _, r := range rules {
			a := &alert{Rule: r.Name, Value: 12345, rule: r,
				Labels: map[string]string{"queue": "to:bitrix24", "destination": "bitrix24", "source": "site-form"}}
			if slices.Contains([]string{"retry_success_rate", "triage_accuracy", "operator_asked"}, r.Name) {
				a.Value = 0.79
			}
			text := m.textOf(a)
			if text.Title == "" || text.Do == "" || !processors.FitsSMS(text.SMS) {
				t.Errorf("%s %s: title %q, do %q, sms %q (%d characters)", language, r.Name, text.Title, text.Do, text.SMS, len([]rune(text.SMS)))
			}
			if russian := strings.ContainsAny(text.Title+text.Do+text.SMS, "абвгдеиоу"); russian != (language == "ru") {
				t.Errorf("%s %s is in another language: %+v", language, r.Name, text)
			}
		}
	}
}

func TestRelated(t *testing.T) {
	crm := map[string]string{"destination": "crm"}
	tests := map[string]struct {
		cause, alert map[string]string
		want         bool
	}{
		"a cause without labels explains all": {nil, crm, true},
		"same":                                {crm, crm, true},
		"same among others":                   {crm, map[string]string{"destination": "crm", "queue": "to:crm"}, true},
		"another":                             {crm, map[string]string{"destination": "history"}, false},
		"nothing shared":                      {crm, nil, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := related(tt.cause, tt.alert); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestRepeatIsAMultipleOfTheInterval(t *testing.T) {
	set := Defaults()
	set.Repeat = 11 * time.Minute
	set.Escalation = []Step{{To: []string{"x"}}}
	m, err := New(set, Options{Notifiers: map[string]processors.Notifier{"x": phone{}}})
	if err != nil || m.set.Repeat != 15*time.Minute {
		t.Errorf("repeat %v, %v; want 15m", m.set.Repeat, err)
	}
}
