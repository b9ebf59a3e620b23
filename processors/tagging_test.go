package processors

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/expr-lang/expr/vm"
	"github.com/google/go-cmp/cmp"

	"leadstream/streams"
)

func TestTagging(t *testing.T) {
	rules := []Rule{
		{When: `has(message, "продвижение сайт")`, Drop: "spam"},
		{When: `count_word(message, "скидк") > 3`, Tags: []string{"price-sensitive"}},
		{When: `intent == "price"`, Tags: []string{"price"}, Priority: 5},
		{When: `"price" in tags and hour >= 18`, Tags: []string{"evening"}, Priority: 3},
		{When: `utm.source == "vk"`, Sinks: []string{"managers"}},
		{When: `weekday == 7`, Sinks: []string{"managers", "history"}, Hot: true, Stop: true},
		{When: `(fields.budget ?? 0) > 100`, Tags: []string{"rich"}},
		{When: `any(words, # startsWith "корпоратив")`, Tags: []string{"company"}},
		{When: `event == "won"`, Sinks: []string{"history"}},
		{When: `sentiment < 0.3`, Tags: []string{"unhappy"}},
		{When: `"address" in intents and answered and confidence > 0.9 and person == "legal"`, Tags: []string{"asked where"}},
		{When: `slots.kind == "exact" and slots.start.Hour() == 15 and slots.end == slots.start`, Tags: []string{"named an hour"}},
		{When: `slots.order != "" or slots.product == "X-1" or slots.branch != "" or slots.price_from > 10 and slots.price_to < 1000`, Tags: []string{"particular"}},
	}
	krasnoyarsk := time.FixedZone("+07", 7*3600)
	sunday := time.Date(2026, 3, 1, 2, 0, 0, 0, time.UTC)
	tests := map[string]struct {
		in     streams.Lead
		want   streams.Lead // of the marks only
		queues []string
		result streams.Result
		reason string
	}{
		"no rule": {queues: []string{"to:crm"}},
		"three discounts are not enough (G-02)": {
			in: streams.Lead{Message: "скидка, скидки, скидку"}, queues: []string{"to:crm"},
		},
		"more than three are": {
			in:   streams.Lead{Message: "Скидка? СКИДКИ! скидку, скиидкой"},
			want: streams.Lead{Tags: []string{"price-sensitive"}}, queues: []string{"to:crm"},
		},
		"later rules see earlier tags, the highest priority stays": {
			in:   streams.Lead{Intent: "price", ReceivedAt: time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)},
			want: streams.Lead{Tags: []string{"price", "evening"}, Priority: 5}, queues: []string{"to:crm"},
		},
		"several rules add destinations, each once; stop": {
			in:     streams.Lead{UTM: map[string]string{"source": "vk"}, ReceivedAt: sunday, Message: "корпоратив"},
			want:   streams.Lead{Hot: true},
			queues: []string{"to:managers:hot", "to:history:hot"},
		},
		"hot from triage":     {in: streams.Lead{Hot: true}, want: streams.Lead{Hot: true}, queues: []string{"to:crm:hot"}},
		"words of an element": {in: streams.Lead{Message: "Корпоративный заказ"}, want: streams.Lead{Tags: []string{"company"}}, queues: []string{"to:crm"}},
		"number in a field": {
			in:   streams.Lead{Fields: map[string]json.RawMessage{"budget": json.RawMessage("250.5")}},
			want: streams.Lead{Tags: []string{"rich"}}, queues: []string{"to:crm"},
		},
		"a word where a number was meant": {
			in:     streams.Lead{Fields: map[string]json.RawMessage{"budget": json.RawMessage(`"много"`)}},
			want:   streams.Lead{Problems: []string{"Rule 7 could not be judged and was skipped."}},
			queues: []string{"to:crm"},
		},
		"level kept": {in: streams.Lead{Level: "vip"}, want: streams.Lead{Level: "vip"}, queues: []string{"to:crm"}},
		"news end here, whatever rules say of enquiries": {
			in:     streams.Lead{Event: "read", UTM: map[string]string{"source": "vk"}, ReceivedAt: sunday},
			result: streams.Drop, reason: EventCounted,
		},
		"sentiment": {
			in:   streams.Lead{Message: "Ужасно, верните деньги 👎"},
			want: streams.Lead{Tags: []string{"unhappy"}}, queues: []string{"to:crm"},
		},
		"news that a rule asks for": {in: streams.Lead{Event: "won", About: "abc"}, queues: []string{"to:history"}},
		"dropped":                   {in: streams.Lead{Message: "Предлагаем продвижение сайтов"}, result: streams.Drop, reason: "spam"},
		"what triage understood": {
			in:   streams.Lead{Intents: []string{"price", "address"}, Answered: true, Confidence: 0.95, Person: "legal"},
			want: streams.Lead{Tags: []string{"asked where"}}, queues: []string{"to:crm"},
		},
		"an hour was named": {
			in:   streams.Lead{Slots: &streams.Slots{When: &streams.When{Start: sunday.Add(13 * time.Hour), End: sunday.Add(13 * time.Hour), Kind: "exact"}}},
			want: streams.Lead{Tags: []string{"named an hour"}}, queues: []string{"to:crm"},
		},
		"order":       {in: streams.Lead{Slots: &streams.Slots{Order: "5"}}, want: streams.Lead{Tags: []string{"particular"}}, queues: []string{"to:crm"}},
		"product":     {in: streams.Lead{Slots: &streams.Slots{Product: "X-1"}}, want: streams.Lead{Tags: []string{"particular"}}, queues: []string{"to:crm"}},
		"branch":      {in: streams.Lead{Slots: &streams.Slots{Branch: "b"}}, want: streams.Lead{Tags: []string{"particular"}}, queues: []string{"to:crm"}},
		"price range": {in: streams.Lead{Slots: &streams.Slots{Price: &streams.Price{From: 500, To: 900}}}, want: streams.Lead{Tags: []string{"particular"}}, queues: []string{"to:crm"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tg := &Tagging{
				Rules: rules, Sinks: []string{"crm"}, Known: []string{"crm", "managers", "history"}, Zone: krasnoyarsk,
			}
			if err := tg.Compile(); err != nil {
				t.Fatal(err)
			}
			if tt.in.ReceivedAt.IsZero() {
				tt.in.ReceivedAt = time.Date(2026, 3, 2, 3, 0, 0, 0, time.UTC) // Monday, 10:00
			}
			v := tg.Handle(context.Background(), []*streams.Entry{{Lead: &tt.in}})[0]
			if v.Result != tt.result || v.Reason != tt.reason {
				t.Fatalf("verdict %+v, want result %v, reason %q", v, tt.result, tt.reason)
			}
			var queues []string
			for _, f := range v.Followers {
				queues = append(queues, f.Queue)
			}
			if diff := cmp.Diff(tt.queues, queues); diff != "" {
				t.Errorf("queues (-want +got):\n%s", diff)
			}
			if tt.result == streams.Drop {
				return
			}
			l := v.Followers[0].Lead
			got := streams.Lead{Tags: l.Tags, Priority: l.Priority, Hot: l.Hot, Problems: l.Problems, Level: l.Level}
			if tt.want.Level == "" && tt.in.Event == "" {
				tt.want.Level = NewCustomer
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("marks (-want +got):\n%s", diff)
			}
			if len(tt.in.Tags) > 0 || tt.in.Level != "" && tt.in.Level != "vip" {
				t.Error("the entry's own lead was changed")
			}
		})
	}
}

func TestTaggingFaults(t *testing.T) {
	tg := &Tagging{Known: []string{"crm"}, Sinks: []string{"crm", "hubspot"}, Rules: []Rule{
		{When: `intent = "price"`, Tags: []string{"x"}},
		{When: `intnt == "price"`, Tags: []string{"x"}},
		{When: `hour + 1`, Tags: []string{"x"}},
		{When: `hour == "five"`, Tags: []string{"x"}},
		{When: `fields.budget > 5`, Tags: []string{"x"}},
		{When: `any(1..1000, # > 5)`, Tags: []string{"x"}},
		{When: `any(words, any(tags, # == "a"))`, Tags: []string{"x"}},
		{When: `count_word(message) > 3`, Tags: []string{"x"}},
		{When: strings.Repeat("hot or ", maxNodes) + "hot", Tags: []string{"x"}},
		{When: `hot`, Sinks: []string{"telegram"}},
		{When: `hot`},
		{When: `hot`, Drop: "x", Sinks: []string{"crm"}},
		{When: `hot`, Tags: []string{"fine"}},
	}, Emoji: map[string]float64{"👍": 1.5, "да": 1, "❤️": 1}}
	err := tg.Compile()
	if err == nil {
		t.Fatal("no fault found")
	}
	got := err.Error()
	for _, key := range []string{"default sinks: ", "rules[0].when: ", "rules[1].when: ", "rules[2].when: ", "rules[3].when: ",
		"rules[4].when: ", "rules[5].when: ", "rules[6].when: ", "rules[7].when: ", "rules[8].when: ", "rules[9].sinks: ",
		"rules[10]: ", "rules[11]: ", `emoji: "👍"`, `emoji: "да"`} {
		if !strings.Contains(got, key) {
			t.Errorf("no fault for %s in:\n%s", key, got)
		}
	}
	if strings.Contains(got, "rules[12]") || strings.Contains(got, "❤️") {
		t.Errorf("a fault for the rule without one:\n%s", got)
	}
	if !strings.Contains(got, "(fields.budget ?? 0) > 100") {
		t.Errorf("no cure for a field that may be missing in:\n%s", got)
	}
}

func TestTaggingWithoutSinks(t *testing.T) {
	if err := (&Tagging{}).Compile(); err == nil {
		t.Error("leads would go nowhere, and nothing is said")
	}
}

func TestTaggingSurvivesAPanic(t *testing.T) {
	tg := &Tagging{Sinks: []string{"crm"}, Known: []string{"crm"}, Rules: []Rule{{When: `hot`, Tags: []string{"x"}}}}
	// Not compiled: the rules have no programs, and judging panics.
	got := tg.Handle(context.Background(), []*streams.Entry{{Lead: &streams.Lead{}}, {}})
	for i, v := range got {
		if v.Result != streams.Permanent {
			t.Errorf("verdict %d: %+v, want permanent", i, v)
		}
	}
}

func TestCountWord(t *testing.T) {
	tests := map[string]struct {
		text, stem string
		want       int
	}{
		"none":           {"привет", "скидк", 0},
		"stem":           {"Скидки и скидка", "скидк", 2},
		"not inside":     {"безскидки", "скидк", 0},
		"ё and е":        {"Счёт, счет", "счет", 2},
		"phrase":         {"это слишком дорого, слишком  дорогой", "слишком дорог", 2},
		"empty stem":     {"a b", " ", 0},
		"doubled letter": {"скииидки", "скидк", 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := countWord(tt.text, tt.stem); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}

// has and count_word say the same of the folded message as of any other text.
func TestWordFunctionsInRules(t *testing.T) {
	lead := &streams.Lead{Message: "Слишком дорого, СЛИШКОМ  дорогой счёт", Service: "Счёт"}
	for when, want := range map[string]bool{
		`has(message, "слишком дорог")`:                        true,
		`has(message + "", "слишком дорог")`:                   true,
		`message | has("Счет")`:                                true,
		`has(message, "дорого слишком дешев")`:                 false,
		`has(message, "")`:                                     false,
		`has(service, "счёт")`:                                 true,
		`has(service, "дорог")`:                                false,
		`let w = "слишком"; count_word(message, w) == 2`:       true,
		`count_word(message, "слишком дорог") == 2`:            true,
		`count_word(message, " - ") == 0`:                      true,
		`count_word(message, message) == 1`:                    true,
		`not has(message, "скидк") and has(message, "дорого")`: true,
		`any(tags, has(message, "дорого"))`:                    false,
		`any(words, has(#, "дорог"))`:                          true,
	} {
		p, err := compileRule(when)
		if err != nil {
			t.Errorf("%s: %v", when, err)
			continue
		}
		if got, err := matches(&vm.VM{}, p, lineOf(lead, nil)); err != nil || got != want {
			t.Errorf("%s: %v, %v; want %v", when, got, err, want)
		}
	}
}

// The history hears of everything: beside what rules choose, of news that nobody asks for, and of what is dropped.
func TestTaggingHistory(t *testing.T) {
	tg := &Tagging{Sinks: []string{"crm"}, Known: []string{"crm", "hook", "history"}, History: "history", Rules: []Rule{
		{When: `message contains "spam"`, Drop: "spam"},
		{When: `message contains "hook"`, Sinks: []string{"hook"}},
		{When: `message contains "chosen"`, Sinks: []string{"history"}},
	}}
	if err := tg.Compile(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		in     streams.Lead
		result streams.Result
		queues []string
	}{
		"enquiry": {streams.Lead{Message: "hi"}, streams.Done, []string{"to:crm", "to:history"}},
		"repeat":  {streams.Lead{Message: "hi", RepeatOf: "abc"}, streams.Done, []string{"to:crm", "to:history"}},
		"routed":  {streams.Lead{Message: "hook"}, streams.Done, []string{"to:hook", "to:history"}},
		"chosen":  {streams.Lead{Message: "chosen"}, streams.Done, []string{"to:history"}},
		"news":    {streams.Lead{Event: "read"}, streams.Done, []string{"to:history"}},
		"dropped": {streams.Lead{Message: "spam hook"}, streams.Drop, []string{"to:history"}},
	} {
		v := tg.Handle(context.Background(), []*streams.Entry{{Lead: &c.in}})[0]
		var queues []string
		for _, f := range v.Followers {
			queues = append(queues, f.Queue)
		}
		if v.Result != c.result || !cmp.Equal(queues, c.queues) {
			t.Errorf("%s: %v to %v, want %v to %v", name, v.Result, queues, c.result, c.queues)
		}
	}
	if !cmp.Equal(tg.Sinks, []string{"crm"}) {
		t.Errorf("the default sinks have become %v", tg.Sinks)
	}
}
