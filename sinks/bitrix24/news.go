package bitrix24

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"leadstream/streams"
)

// News of a customer (Lead.Event) never make a card: they become a comment in the card of the lead that they are about,
// and the columns that settings.fields maps to what is known of the customer take the new values.

// knownOfCustomer are the lead's fields that news may change in a card; the others are what the customer once said.
var knownOfCustomer = []string{"level", "priority", "segments", "tags"}

// update writes the new values into the columns. It comes before the comment: writing twice is harmless, telling is not.
func (s *Sink) update(ctx context.Context, jobs []*job) {
	var need []*job
	fields := map[*job]map[string]any{}
	for _, j := range jobs {
		if f := s.changed(j.d.Lead); len(f) > 0 {
			need, fields[j] = append(need, j), f
		}
	}
	s.round(ctx, need, func(j *job) command {
		params := map[string]any{"id": j.card, "fields": fields[j]}
		if s.api.classic {
			return command{method: "crm.lead.update", params: params}
		}
		params["entityTypeId"] = s.api.entity
		return command{method: "crm.item.update", params: params}
	}, func(j *job, r reply) {
		switch {
		case r.fail == nil:
		case gone(r.fail):
			j.card, j.merged = "", false
		case r.fail.Result == streams.Permanent: // the comment says it all the same
			j.note = errors.Join(j.note, fmt.Errorf("card %s was not updated: %w", j.card, r.fail.Err))
		default:
			s.failRepeat(j, r.fail)
		}
	})
}

func (s *Sink) changed(l *streams.Lead) map[string]any {
	fields := map[string]any{}
	if l.Event == "" {
		return fields
	}
	for from, to := range s.set.Fields {
		if !slices.Contains(knownOfCustomer, from) {
			continue
		}
		if v, ok := fieldOf(l, from); ok {
			fields[to] = v
		}
	}
	return fields
}

// cardless ends news for which there is no card: the customer's next enquiry makes one.
func cardless(jobs []*job) {
	for _, j := range jobs {
		if j.open() && j.d.Lead.Event != "" {
			j.settle(streams.Verdict{Result: streams.Drop, Reason: "no card"})
		}
	}
}

// speaks says that a customer has written: somebody is to answer.
func speaks(l *streams.Lead) bool { return l.Event == "" && !l.BringsFiles() }

// headline is the first line of the comment in the card that a lead is attached to.
func (s *Sink) headline(l *streams.Lead) string {
	w := say(s.env.Language)
	switch {
	case l.BringsFiles():
		return w.late
	case l.Event == "":
		return w.repeat
	}
	return w.news + ": " + cmp.Or(w.events[l.Event], l.Event)
}
