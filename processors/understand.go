package processors

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"leadstream/processors/intent"
	"leadstream/processors/slots"
	"leadstream/streams"
)

// understand says what a lead wants, and takes from its message what the sender left out. It answers what it
// has read in the message, nil when the sender has said what the lead wants.
func (t *Triage) understand(l *streams.Lead) (read *intent.Result) {
	r, said := t.wants(l)
	wanted(l, r)
	t.fill(l)
	if said || strings.TrimSpace(l.Message) == "" {
		return nil
	}
	return &r
}

func wanted(l *streams.Lead, r intent.Result) {
	l.Intent, l.Intents, l.Answered = r.Intent, r.Intents, r.Answered
	l.Confidence = math.Round(1000*r.Confidence) / 1000
}

// wants believes a sender that names an intent of ours. A form without words that names a service or a time asks for a
// visit; else the message decides.
func (t *Triage) wants(l *streams.Lead) (r intent.Result, said bool) {
	sent := strings.ToLower(strings.TrimSpace(l.Intent))
	switch {
	case slices.Contains(intent.All, sent):
		return surely(sent), true
	case sent != "": // a word of the sender's own
		l.Fields = maps.Clone(l.Fields)
		if l.Fields == nil {
			l.Fields = map[string]json.RawMessage{}
		}
		if _, ok := l.Fields["intent"]; !ok {
			l.Fields["intent"], _ = json.Marshal(l.Intent)
		}
	}
	if strings.TrimSpace(l.Message) == "" && (l.Service != "" || l.Time != "") {
		return surely(intent.Booking), true
	}
	if t.Wants == nil {
		return intent.Result{Intent: intent.Other, Intents: []string{intent.Other}}, false
	}
	return t.Wants.Read(l.Message), false
}

func surely(wanted string) intent.Result {
	return intent.Result{Intent: wanted, Intents: []string{wanted}, Confidence: 1, Answered: wanted != intent.Other}
}

// fill takes the particulars out of the message. The sender's own fields stay as they are.
func (t *Triage) fill(l *streams.Lead) {
	at := written(l)
	s := t.Slots.Read(l.Message, at)
	if l.Time != "" {
		s.When = nil
		if w, ok := t.Slots.When(l.Time, at); ok {
			s.When = &w
		}
	} else if s.When != nil {
		l.Time = wished(*s.When)
	}
	given := func(field *string, found string) {
		if *field == "" {
			*field = found
		}
	}
	given(&l.Service, s.Service)
	given(&l.Name, s.Name)
	given(&l.Phone, s.Phone)
	given(&l.Email, s.Email)
	l.Slots = nil
	if rest := (streams.Slots{When: s.When, Order: s.Order, Product: s.Product, Branch: s.Branch, Price: s.Price}); rest != (streams.Slots{}) {
		l.Slots = &rest
	}
}

// written is when the customer wrote.
func written(l *streams.Lead) time.Time {
	switch {
	case !l.EventAt.IsZero():
		return l.EventAt
	case !l.ReceivedAt.IsZero():
		return l.ReceivedAt
	}
	return time.Now()
}

// wished is a time that was read from a message, for the field that holds it as written.
func wished(w streams.When) string {
	const day, clock = "2006-01-02", "15:04"
	start := w.Start.Format(day)
	switch w.Kind {
	case slots.Exact:
		return start + " " + w.Start.Format(clock)
	case slots.PartOfDay:
		end := w.End.Format(clock)
		if end == "00:00" {
			end = "24:00"
		}
		return start + " " + w.Start.Format(clock) + "–" + end
	}
	if last := w.End.AddDate(0, 0, -1).Format(day); last > start {
		return start + " – " + last
	}
	return start
}
