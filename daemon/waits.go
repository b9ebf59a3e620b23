package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"leadstream/processors/unanswered"
	"leadstream/sinks/records"
	"leadstream/streams/outbound"
)

// watchWaits looks at how long customers wait for an answer; nil: there are no records to look into.
func watchWaits(set unanswered.Settings, zone *time.Location, kept *records.Store, reg prometheus.Registerer) (*unanswered.Watch, error) {
	if kept == nil {
		return nil, nil
	}
	clock, err := set.Clock(zone)
	if err != nil {
		return nil, fmt.Errorf("answers.unanswered: %w", err)
	}
	w := &unanswered.Watch{Store: kept, Clock: clock, After: set.After}
	if w.Counts, err = unanswered.NewCounts(reg); err != nil {
		return nil, err
	}
	kept.OnFirst(w.Answered)
	return w, nil
}

// waitTime bounds what is asked of the records about waits.
const waitTime = 5 * time.Second

// waits are the hot leads that nobody has answered. When the records do not say, they are left out: then an alert neither
// begins nor ends.
func (m *measure) waits(add func(string, float64, ...string)) {
	if m.watch == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), waitTime)
	defer cancel()
	late, err := m.watch.Late(ctx, time.Now())
	if err != nil {
		return
	}
	add("hot_unanswered", 0) // those of which nothing is said are answered
	for _, l := range late.Each {
		labels := []string{"lead", l.Lead, "channel", l.Channel}
		add("hot_unanswered", max(1, float64(l.Waited/time.Minute)), labels...)
		add("hot_unanswered_worth", float64(l.Worth), labels...)
	}
	add("hot_unanswered_count", float64(late.Count))
	add("hot_unanswered_longest", float64(late.Oldest/time.Minute))
	add("hot_unanswered_sum", float64(late.Worth))
}

// FirstAnswers are the first answers of the last day, and who waits for one.
type FirstAnswers struct {
	Day     map[string]*unanswered.Times `json:"day"`               // by channel; "" is all
	Hot     int                          `json:"hot"`               // hot leads that wait for too long,
	Worth   int64                        `json:"worth,omitempty"`   // the money at stake with them,
	Longest float64                      `json:"longest,omitempty"` // and seconds of working time that the oldest has waited
}

func (o *operator) answers(ctx context.Context) (*FirstAnswers, error) {
	if o.watch == nil {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, waitTime)
	defer cancel()
	now := time.Now()
	day, err := o.watch.Times(ctx, now.Add(-24*time.Hour), now)
	if err != nil {
		return nil, err
	}
	late, err := o.watch.Late(ctx, now)
	return &FirstAnswers{day, late.Count, late.Worth, late.Oldest.Seconds()}, err
}

// answers says how long customers have waited for their first answer.
func (t *terminal) answers(a *FirstAnswers) {
	if a == nil || a.Day[""].Enquiries == 0 {
		return
	}
	line := func(n *unanswered.Times) string {
		text := t.say("%d of %d answered", "отвечено %d из %d", n.Answered, n.Enquiries)
		if n.Answered > 0 {
			text += t.say("; half within %s, 99 %% within %s; %.0f %% within 3 s, %.0f %% within 30 s", "; половина за %s, 99 %% за %s; за 3 с — %.0f %%, за 30 с — %.0f %%",
				waited(n.P50), waited(n.P99), 100*n.In3s, 100*n.In30s)
		}
		return text
	}
	fmt.Fprintln(t.out, t.say("first answers of 24 h: ", "первые ответы за сутки: ")+line(a.Day[""]))
	for _, channel := range slices.Sorted(maps.Keys(a.Day)) {
		if channel != "" {
			fmt.Fprintln(t.out, "  "+channel+": "+line(a.Day[channel]))
		}
	}
}

// waited is a number of seconds, as exactly as a person wants it.
func waited(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d < 10*time.Minute:
		return d.Round(time.Second).String()
	}
	return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
}

// sign is how people write a currency.
func sign(currency string) string {
	if s, ok := map[string]string{"RUB": "₽", "USD": "$", "EUR": "€", "KZT": "₸", "BYN": "Br", "UZS": "сум"}[currency]; ok {
		return s
	}
	return currency
}

// inTime is how soon, in seconds, a first answer has to come (P-03), and programs are whose is expected so soon.
const inTime = 30

var programs = []string{outbound.Program, outbound.Dialogue}
