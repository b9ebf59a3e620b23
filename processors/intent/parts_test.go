package intent

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// stemsOf is a message as the model sees it.
func stemsOf(m message) string {
	var all []string
	for _, t := range m.tokens {
		all = append(all, t.stem)
	}
	return strings.Join(all, " ")
}

func TestNormalize(t *testing.T) {
	m := model(t)
	tests := map[string]struct{ text, want string }{
		"lower case, ё, punctuation": {"ЁЛКА, ещё!", "елк ещ"},
		"letters repeated":           {"цеееенааааа", "цен"},
		"a Russian double letter":    {"аддрес", "адрес"},
		"an English one stays":       {"need a fee", "need a fee"},
		"an English cry":             {"priceees helppp", "price help"},
		"phone":                      {"наберите 8 (999) 000-00-11", "набер <phone>"},
		"phone with plus":            {"+7 999 000-00-11", "<phone>"},
		"mail":                       {"пишите на ivan@example.test срочно", "пиш на <mail> срочн"},
		"link":                       {"https://promo.example/win?x=1 жми", "<link> жми"},
		"time":                       {"в 15:30", "в <time>"},
		"time with a full stop":      {"в 15.30", "в <time>"},
		"English time":               {"at 5pm or 6 pm", "at <time> or <time>"},
		"part of a day":              {"в 5 вечера, утром", "в <time> <part>"},
		"date":                       {"на 25.12 или 25.12.2026", "на <date> ил <date>"},
		"date in words":              {"25 декабря, June 5", "<date> <date>"},
		"number":                     {"за 2000р", "за <num> р"},
		"number in words":            {"после шести", "посл <num>"},
		"day":                        {"завтра, в пятницу, tmrw", "<day> в <day> <day>"},
		"service":                    {"замена масла и маникюр", "<service> и <service>"},
		"service in another case":    {"на замену масла, замены колодок", "на <service> <service>"},
		"the longer service":         {"лазерная эпиляция ног", "<service> ног"},
		"greeting left out":          {"Здравствуйте! Добрый день, адрес", "адрес"},
		"courtesy left out":          {"адрес, пожалуйста", "адрес"},
		"thanks at the end":          {"скажите адрес, спасибо", "скаж адрес"},
		"thanks alone":               {"спасибо", "спасиб"},
		"wrong layout":               {"flhtc gj;fkeqcnf", "адрес"},
		"Latin letters":              {"skolko stoit", "сколк сто"},
		"a brand among Russian":      {"ремонт iPhone", "ремонт iphon"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := stemsOf(m.text.read(tt.text)); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func TestSplit(t *testing.T) {
	m := model(t)
	tests := map[string]struct {
		text string
		want []string
	}{
		"one":               {"сколько стоит стрижка", []string{"скольк сто <service>"}},
		"sentences":         {"Цена? Адрес?", []string{"цен", "адрес"}},
		"and":               {"сколько стоит и где вы", []string{"скольк сто", "и где вы"}},
		"comma":             {"сколько стоит, где вы", []string{"скольк сто", "где вы"}},
		"a word is no part": {"стрижка, завтра, утром", []string{"<service> <day> <part>"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, c := range split(m.text.read(tt.text).tokens) {
				got = append(got, stemsOf(message{tokens: c}))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// small are examples enough to learn from.
const few = `
services: "стрижка, мойка"
words: {cost: "цен~ стоит price"}
intents:
  price: |
    сколько стоит стрижка
    какая цена
    цена на мойку

    price please
    цены ваши
  other:
    - привет всем на свете
    - погода хорошая
    - купите рекламу
    - ищу работу
    - какой сегодня фильм
`

func TestExamples(t *testing.T) {
	tests := map[string]struct {
		files []string
		want  map[string]int // phrases by intent
		fault string
	}{
		"one file":          {[]string{few}, map[string]int{"price": 5, "other": 5}, ""},
		"added":             {[]string{few, "intents: {price: [по чём]}"}, map[string]int{"price": 6, "other": 5}, ""},
		"an intent anew":    {[]string{few, "intents: {price: {mode: replace, phrases: [по чём, почём]}}"}, map[string]int{"price": 2, "other": 5}, ""},
		"an intent added":   {[]string{few, "intents: {price: {mode: add, phrases: \"по чём\\nпочём\"}}"}, map[string]int{"price": 7, "other": 5}, ""},
		"all anew":          {[]string{few, "mode: replace\nintents: {hours: [когда]}"}, map[string]int{"hours": 1}, ""},
		"unknown intent":    {[]string{"intents: {prise: [x]}"}, nil, "intents.prise: there is no such intent"},
		"unknown mode":      {[]string{"mode: merge"}, nil, `mode: "merge" is none of add, replace`},
		"unknown mode of":   {[]string{"intents: {price: {mode: x}}"}, nil, "intents.price.mode"},
		"unknown key":       {[]string{"intentions: {}"}, nil, "intentions"},
		"unknown language":  {[]string{"language: fr"}, nil, "language"},
		"several faults":    {[]string{"mode: x\nintents: {a: [b]}"}, nil, "intents.a"},
		"not of this shape": {[]string{"intents: {price: 5: 6}"}, nil, "yaml: "},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var e Examples
			var err error
			for _, f := range tt.files {
				if err = e.Add([]byte(f)); err != nil {
					break
				}
			}
			if tt.fault != "" {
				if err == nil || !strings.Contains(err.Error(), tt.fault) {
					t.Fatalf("%v, want %s", err, tt.fault)
				}
				return
			}
			got := map[string]int{}
			for intent, groups := range e.Phrases {
				for _, g := range groups {
					got[intent] += len(g.Phrases)
				}
			}
			if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
				t.Error(err, diff)
			}
		})
	}
}

func TestTrainRefuses(t *testing.T) {
	for name, tt := range map[string]struct{ file, fault string }{
		"nothing":        {"intents: {}", "intents: no examples"},
		"no other":       {"intents: {price: [а б, в г, д е, ж з, и к]}", "intents.other: no examples"},
		"too few of one": {few + "\n  hours: [когда открыты]", "intents.hours: 1 examples; 5 or more are needed"},
	} {
		t.Run(name, func(t *testing.T) {
			var e Examples
			if err := e.Add([]byte(tt.file)); err != nil {
				t.Fatal(err)
			}
			if _, err := Train(e); err == nil || !strings.Contains(err.Error(), tt.fault) {
				t.Errorf("%v, want %s", err, tt.fault)
			}
		})
	}
}

// The same examples give the same model, so that a restart changes no answer.
func TestTrainTwice(t *testing.T) {
	var results [2]Result
	for n := range results {
		var e Examples
		if err := e.Add([]byte(few)); err != nil {
			t.Fatal(err)
		}
		m, err := Train(e)
		if err != nil {
			t.Fatal(err)
		}
		results[n] = m.Read("скажите цену")
	}
	if results[0].Intent != Price || !cmp.Equal(results[0], results[1]) {
		t.Errorf("%+v, then %+v", results[0], results[1])
	}
}

// No group is asked about by a model that has learnt from a part of it.
func TestGroupsStayTogether(t *testing.T) {
	e := Examples{Phrases: map[string][]Group{Price: groups([]string{"a b\nc d\n\ne f\ng h"}, false), Other: groups([]string{"i j\n\nk l\nm n\no p\nq r"}, false)}}
	_, s := prepare(e)
	folds := map[string]int{}
	for i, ex := range s.examples {
		folds[ex.text] = s.fold[i]
	}
	want := map[string]int{"a b": 0, "c d": 0, "e f": 1, "g h": 1, "i j": 0, "k l": 1, "m n": 1, "o p": 1, "q r": 2}
	if diff := cmp.Diff(want, folds); diff != "" {
		t.Error(diff)
	}
}

func TestLimit(t *testing.T) {
	several := func(n int, trust float64, said, want int) (all []outcome) {
		for range n {
			all = append(all, outcome{want: want, said: said, trust: trust})
		}
		return all
	}
	tests := map[string]struct {
		outcomes []outcome
		want     float64
	}{
		"the wrong ones are stopped":       {slices.Concat(several(95, 0.9, 0, 0), several(20, 0.7, 0, 1)), 0.9},
		"a few wrong ones are let through": {slices.Concat(several(95, 0.9, 0, 0), several(5, 0.8, 0, 1), several(50, 0.7, 0, 0)), 0.7},
		"no guessing":                      {slices.Concat(several(5, 0.9, 0, 0), several(5, 0.5, 0, 0)), 0.9},
		"never right":                      {several(5, 0.9, 0, 1), 1},
	}
	for name, tt := range tests {
		if got := chooseLimit(tt.outcomes); got != tt.want {
			t.Errorf("%s: limit %v, want %v", name, got, tt.want)
		}
	}
}

// Trust learns what a high probability is worth: here nothing, where the opinions differ.
func TestTrust(t *testing.T) {
	var seen []traits
	var right []bool
	for n := range 400 {
		x := traits{traitBias: 1, traitOdds: 2, traitAgree: float64(n % 2)}
		seen, right = append(seen, x), append(right, n%2 == 1 || n%4 == 0)
	}
	learnt := learnTrust(seen, right)
	agreed, differed := learnt.of(&traits{traitBias: 1, traitOdds: 2, traitAgree: 1}), learnt.of(&traits{traitBias: 1, traitOdds: 2})
	if agreed < 0.9 || math.Abs(differed-0.5) > 0.1 {
		t.Errorf("trust is %.2f where it was right always, %.2f where it was half the time", agreed, differed)
	}
}

func TestAUROC(t *testing.T) {
	tests := map[string]struct {
		low, high []float64
		want      float64
	}{
		"apart":     {[]float64{0.1, 0.2}, []float64{0.3, 0.9}, 1},
		"reversed":  {[]float64{0.8, 0.9}, []float64{0.1}, 0},
		"equal":     {[]float64{0.5, 0.5}, []float64{0.5}, 0.5},
		"one wrong": {[]float64{0.1, 0.6}, []float64{0.5, 0.7}, 0.75},
	}
	for name, tt := range tests {
		var all []scored
		for _, s := range tt.low {
			all = append(all, scored{s, false})
		}
		for _, s := range tt.high {
			all = append(all, scored{s, true})
		}
		if got := auroc(all); got != tt.want {
			t.Errorf("%s: %.3f, want %.3f", name, got, tt.want)
		}
	}
	if !math.IsNaN(auroc([]scored{{1, true}})) {
		t.Error("with one kind only there is nothing to tell apart")
	}
}

func TestWilson(t *testing.T) {
	for name, tt := range map[string]struct {
		part, of int
		from, to float64
	}{
		"nothing known": {0, 0, 0, 1},
		"all of ten":    {10, 10, 0.7225, 1},
		"none of ten":   {0, 10, 0, 0.2775},
		"nine of ten":   {90, 100, 0.8256, 0.9448},
	} {
		if from, to := Wilson(tt.part, tt.of); math.Abs(from-tt.from) > 1e-4 || math.Abs(to-tt.to) > 1e-4 {
			t.Errorf("%s: %.4f to %.4f, want %.4f to %.4f", name, from, to, tt.from, tt.to)
		}
	}
}

func TestEvaluate(t *testing.T) {
	m := model(t)
	r := m.Evaluate([]Row{
		{"сколько стоит стрижка", []string{Price}},
		{"Сколько стоит стрижка? Где вы находитесь?", []string{Price, Address}},
		{"сколько стоит маникюр", []string{Hours}},
		{"купите рекламу для вашего бизнеса", []string{Other}},
	})
	r.Between, r.Surely, r.Covers = [2]float64{}, [2]float64{}, [2]float64{}
	one := 1.0
	want := Report{Rows: 4, Right: 3, Accuracy: 0.75, Exact: 0.75, Answered: 3, Precision: 2.0 / 3, Coverage: 1, AUROC: &one,
		Intents:  []Score{{Price, 2, 3, 2}, {Address, 1, 1, 1}, {Hours, 1, 0, 0}, {Other, 1, 1, 1}},
		Confused: []Confusion{{Hours, Price, 1}},
		Mistakes: []Mistake{{Row: 3, Want: []string{Hours}, Got: Price, Confidence: r.Mistakes[0].Confidence, Answered: true}},
	}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Error(diff)
	}
}
