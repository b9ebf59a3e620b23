package processors

import (
	"context"
	"strings"

	"leadstream/processors/intent"
	"leadstream/streams"
)

// Adviser has a second opinion on messages: package llm has one. Triage waits for it, so it keeps to a few seconds.
type Adviser interface {
	// Advise answers an opinion for each question of a batch that has leads leads in all; where it has none to add, the
	// offline one.
	Advise(ctx context.Context, leads int, questions []Question) []Opinion
}

// Question is a lead with a message, and what the classifier makes of it.
type Question struct {
	Lead    *streams.Lead // only to be read
	Offline intent.Result
}

// By whom a message was understood.
const (
	ByOffline = "offline"
	ByModel   = "llm"
	ByBoth    = "both"
)

// Opinion is what a message wants by the classifier and the adviser together.
type Opinion struct {
	intent.Result
	By       string
	Disagree bool   // both are sure, of different things: a person decides
	Model    string // the adviser's main intent; empty: it has none
	Words    Words
}

// Words are the customer's own, where the adviser has found particulars; each stands in the message.
type Words struct {
	Service, When, Name, Order string
}

// Pupil hears how each message was judged, to learn from it later. It does not keep the lead.
type Pupil interface {
	// Judged: unclear says that two that were sure disagreed.
	Judged(l *streams.Lead, unclear bool)
}

// consult lets the adviser look at the messages that were read, and says of which leads it is unclear what they want.
func (t *Triage) consult(ctx context.Context, leads []*streams.Lead, read []*intent.Result) (unclear []bool) {
	unclear = make([]bool, len(leads))
	if t.Adviser == nil {
		return unclear
	}
	var questions []Question
	var at []int
	for i, r := range read {
		if r != nil {
			questions, at = append(questions, Question{leads[i], *r}), append(at, i)
		}
	}
	if len(questions) == 0 {
		return unclear
	}
	for n, o := range t.Adviser.Advise(ctx, len(leads), questions) {
		if o.Model == "" {
			continue
		}
		unclear[at[n]] = o.Disagree
		wanted(leads[at[n]], o.Result)
		t.fillWords(leads[at[n]], o.Words)
		t.Log.Debug().Str("lead", leads[at[n]].ID).Str("by", o.By).Str("llm", o.Model).Bool("disagree", o.Disagree).Msg("a second opinion")
	}
	return unclear
}

// fillWords takes the particulars that the classifier has not found. They go the way of a sender's own words: a time must
// be one that is understood, a service is named as the business names it.
func (t *Triage) fillWords(l *streams.Lead, w Words) {
	at := written(l)
	if l.Service == "" && w.Service != "" {
		if l.Service = t.Slots.Read(w.Service, at).Service; l.Service == "" {
			l.Service = w.Service
		}
	}
	if l.Name == "" {
		l.Name = w.Name
	}
	var more streams.Slots
	if l.Slots != nil {
		more = *l.Slots
	}
	if l.Time == "" && w.When != "" {
		if when, ok := t.Slots.When(w.When, at); ok {
			more.When, l.Time = &when, wished(when)
		}
	}
	if more.Order == "" && strings.ContainsAny(w.Order, "0123456789") {
		more.Order = strings.ToUpper(w.Order)
	}
	if more != (streams.Slots{}) {
		l.Slots = &more
	}
}
