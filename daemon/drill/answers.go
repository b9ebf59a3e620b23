package drill

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Told is one message to a customer, as the records and the simulated services have it. Times count from the drill's start.
type Told struct {
	Phase   int
	Channel string // by which it went; empty: it did not
	After   Span   // from when the enquiry was taken until the service took the answer
	Reason  string // why it was held back, was dropped or has failed; empty: it was not
	Open    bool   // it waits still
}

// Spoken is what customers were told in a phase.
type Spoken struct {
	Messages int            `json:"messages"`
	Sent     map[string]int `json:"sent"`    // by channel
	After    Quantiles      `json:"after"`   // from the enquiry to the answer
	Held     map[string]int `json:"held"`    // by why: held back, dropped or failed, also if it went later
	Waiting  int            `json:"waiting"` // at the end
	Unsent   int            `json:"unsent"`  // for good
}

// Answers are the drill's messages to customers.
type Answers struct {
	Phases  []Spoken       `json:"phases"`
	Doubled map[string]int `json:"doubled"` // by channel: messages that its service has more often than they were sent
}

// Speak fills in what follows from the messages. Nil: nobody is written to.
func (r *Report) Speak(all []Told, doubled map[string]int) {
	r.Answers = &Answers{Doubled: doubled}
	for i := range r.Plan.Phases {
		p := Spoken{Sent: map[string]int{}, Held: map[string]int{}}
		var after []Span
		for _, m := range all {
			if m.Phase != i {
				continue
			}
			p.Messages++
			if m.Reason != "" {
				p.Held[m.Reason]++
			}
			switch {
			case m.Channel != "":
				p.Sent[m.Channel]++
				after = append(after, m.After)
			case m.Open:
				p.Waiting++
			default:
				p.Unsent++
			}
		}
		p.After = quantiles(after)
		r.Answers.Phases = append(r.Answers.Phases, p)
	}
	for _, name := range slices.Sorted(maps.Keys(doubled)) {
		if n := doubled[name]; n > 0 {
			r.Faults = append(r.Faults, r.Language.Say("%s has brought %d messages to customers twice", "%s: сообщений клиентам пришло дважды: %d", name, n))
			r.OK = false
		}
	}
}

// answerRows are the table of messages to customers; nil: there were none.
func (r *Report) answerRows() [][]string {
	if r.Answers == nil {
		return nil
	}
	l := r.Language
	rows := [][]string{{l.Say("phase", "этап"), l.Say("answers", "ответов"), l.Say("went by", "ушли через"), "p50", "p95", "p99",
		l.Say("held back, and why", "задержаны, и почему"), l.Say("not sent", "не ушли"), l.Say("wait still", "ещё ждут")}}
	for i, p := range r.Answers.Phases {
		if i >= len(r.Phases) {
			break
		}
		rows = append(rows, []string{l.Name(r.Plan.Phases[i]), fmt.Sprint(p.Messages), counts(p.Sent), l.Span(p.After.P50), l.Span(p.After.P95), l.Span(p.After.P99),
			counts(p.Held), fmt.Sprint(p.Unsent), fmt.Sprint(p.Waiting)})
	}
	return rows
}

// counts are names with numbers.
func counts(by map[string]int) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(by)) {
		parts = append(parts, fmt.Sprintf("%s %d", name, by[name]))
	}
	return strings.Join(parts, ", ")
}
