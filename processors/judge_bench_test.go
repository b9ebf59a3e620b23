package processors

import (
	"context"
	"testing"
	"time"

	"leadstream/processors/intent"
	"leadstream/streams"
)

// benchMessage is a customer's message of about 400 bytes, as they come.
const benchMessage = "Здравствуйте! Меня зовут Анна, хотела бы записаться на маникюр с покрытием в пятницу или субботу после обеда. " +
	"Подскажите, пожалуйста, сколько это будет стоить и есть ли свободные окошки? Если можно, перезвоните мне вечером."

func benchLead() *streams.Lead {
	return &streams.Lead{ID: "a", Source: "site", Message: benchMessage, Phone: phone1, ReceivedAt: time.Date(2026, 3, 2, 3, 0, 0, 0, time.UTC)}
}

func BenchmarkTriageJudge(b *testing.B) {
	tr := &Triage{Region: "RU", Language: "ru"}
	l := benchLead()
	b.ReportAllocs()
	for b.Loop() {
		one := *l
		tr.judge(&one)
	}
}

func BenchmarkTriageHandle(b *testing.B) {
	tr := &Triage{Region: "RU", Language: "ru"}
	batch := []*streams.Entry{{ID: "1-0", Queue: streams.Intake, Lead: benchLead()}}
	b.ReportAllocs()
	for b.Loop() {
		tr.Handle(context.Background(), batch)
	}
}

// BenchmarkTriageWhole is all that triage does with a message: what it wants, its particulars, its hot words.
func BenchmarkTriageWhole(b *testing.B) {
	examples, err := Examples()
	if err != nil {
		b.Fatal(err)
	}
	model, err := intent.Train(examples)
	if err != nil {
		b.Fatal(err)
	}
	tr := &Triage{Wants: model, Escalate: UsualEscalation(), Region: "RU", Language: "ru"}
	batch := []*streams.Entry{{ID: "1-0", Queue: streams.Intake, Lead: benchLead()}}
	b.ReportAllocs()
	for b.Loop() {
		tr.Handle(b.Context(), batch)
	}
}

func BenchmarkTagging(b *testing.B) {
	tg := &Tagging{Sinks: []string{"crm"}, Known: []string{"crm", "managers"}, Rules: []Rule{
		{When: `has(message, "продвижение сайт")`, Drop: "spam"},
		{When: `count_word(message, "скидк") > 3`, Tags: []string{"price-sensitive"}},
		{When: `intent == "price"`, Tags: []string{"price"}, Priority: 5},
		{When: `"price" in tags and hour >= 18`, Tags: []string{"evening"}, Priority: 3},
		{When: `utm.source == "vk"`, Sinks: []string{"managers"}},
		{When: `weekday == 7`, Tags: []string{"sunday"}},
	}}
	if err := tg.Compile(); err != nil {
		b.Fatal(err)
	}
	batch := []*streams.Entry{{Lead: benchLead()}}
	b.ReportAllocs()
	for b.Loop() {
		tg.Handle(b.Context(), batch)
	}
}

func BenchmarkWords(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		words(benchMessage)
	}
}
