package reminders

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"leadstream/processors/templates"
	"leadstream/streams/outbound"
	"leadstream/streams/visits"
)

// Store is what reminders need of the records.
type Store interface {
	// Visits are the bookings, also the cancelled ones, that begin from a moment on and before another.
	Visits(ctx context.Context, from, until time.Time) ([]visits.Booking, error)
	// Language is the one in which a customer writes; empty: not known.
	Language(ctx context.Context, customer int64) (string, error)
	// AddMessages keeps messages; those that are there already, by their ids, stay as they are.
	AddMessages(ctx context.Context, all []outbound.Message) error
}

// Reminders makes the messages of visits. Its fields are set before Run.
type Reminders struct {
	Planner
	Store    Store
	Language string                              // of a customer of whom none is known
	Services map[string]string                   // code → name
	Home     func(customer int64) *time.Location // nil, or nil of it: the business's zone
	Sync     func(ctx context.Context) error     // brings the bookings up to date before something is said of one; nil: they are
	Added    func()                              // messages were added; nil: nobody asks
	Log      zerolog.Logger
	Now      func() time.Time // nil: time.Now

	made map[string]bool // ids that were added already: only to ask the records less
}

const (
	every   = 5 * time.Second
	limit   = time.Minute          // of a round
	horizon = 400 * 24 * time.Hour // nobody books later
)

// Run makes messages as they come due, until ctx ends.
func (r *Reminders) Run(ctx context.Context) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if err := r.Round(ctx); err != nil && ctx.Err() == nil {
			r.Log.Warn().Err(err).Msg("reminders are made later")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Round makes the messages that are due now.
func (r *Reminders) Round(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	now := r.now()
	due, err := r.due(ctx, now)
	if err == nil && len(due) > 0 && r.Sync != nil {
		if err := r.Sync(ctx); err != nil { // what is known is said all the same
			r.Log.Warn().Err(err).Msg("the calendar does not say what has changed in it")
		}
		due, err = r.due(ctx, now)
	}
	if err != nil || len(due) == 0 {
		return err
	}
	var messages []outbound.Message
	for _, t := range due {
		m, err := r.message(ctx, t, now)
		if err != nil {
			return err
		}
		messages = append(messages, m)
	}
	if err := r.Store.AddMessages(ctx, messages); err != nil {
		return err
	}
	for _, m := range messages {
		r.made[m.ID] = true
		r.Log.Info().Str("message", m.ID).Str("booking", m.Booking).Str("template", m.Template).Msg("a customer is to be told of a visit")
	}
	if r.Added != nil {
		r.Added()
	}
	return nil
}

// task is one thing to be told of one booking.
type task struct {
	visits.Booking
	Due
}

// cause is the same whenever the same thing is to be told of the same version: it makes one message.
func (t task) cause() string {
	what := map[string]string{Day: "day", Hour: "hour"}[t.Template]
	if what == "" {
		what = "notice"
	}
	return fmt.Sprintf("booking:%s:%d:%s", t.ID, t.Version, what)
}

func (t task) id() string { return outbound.ID(t.cause(), t.Template) }

// due are the tasks of now of which no message was made yet, as far as is remembered.
func (r *Reminders) due(ctx context.Context, now time.Time) (all []task, err error) {
	bookings, err := r.Store.Visits(ctx, now, now.Add(horizon))
	if err != nil {
		return nil, err
	}
	known := map[string]bool{}
	for _, b := range bookings {
		told := r.Plan(b, r.home(b.Customer))
		if notice, ok := Notice(b, now); ok {
			told = append(told, notice)
		}
		for _, d := range told {
			t := task{b, d}
			id := t.id()
			known[id] = true
			if !d.At.After(now) && now.Before(d.Deadline) && !r.made[id] {
				all = append(all, t)
			}
		}
	}
	still := map[string]bool{}
	for id := range r.made {
		still[id] = known[id]
	}
	r.made = still
	return all, nil
}

func (r *Reminders) message(ctx context.Context, t task, now time.Time) (outbound.Message, error) {
	language, err := r.Store.Language(ctx, t.Customer)
	if err != nil {
		return outbound.Message{}, err
	}
	if !slices.Contains(templates.Languages, language) {
		language = r.Language
	}
	m := outbound.Message{ID: t.id(), Customer: t.Customer, Cause: t.cause(), Purpose: outbound.Reminder, Template: t.Template, Language: language,
		Topic: "visit", Booking: t.ID, Version: t.Version, MadeAt: now, Due: now, Deadline: t.Deadline, State: outbound.Waiting}
	if t.Template != Day && t.Template != Hour {
		m.Purpose = outbound.Notice
	}
	service := t.Service
	if name := r.Services[service]; name != "" {
		service = name
	}
	// Words must be true for as long as the message may wait: "tomorrow" only when it is not sent after midnight.
	said := now
	if templates.At(language, t.Start, now, r.Zone) != templates.At(language, t.Start, t.Deadline.Add(-time.Millisecond), r.Zone) {
		said = t.Start.AddDate(0, 0, -2) // with the date
	}
	m.Values, err = json.Marshal(templates.Values{Service: service, Master: t.Master,
		Time: templates.At(language, t.Start, said, r.Zone), On: templates.For(language, t.Start, said, r.Zone)})
	return m, err
}

func (r *Reminders) home(customer int64) *time.Location {
	if r.Home == nil {
		return nil
	}
	return r.Home(customer)
}

func (r *Reminders) now() time.Time {
	if r.Now == nil {
		return time.Now()
	}
	return r.Now()
}
