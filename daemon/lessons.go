package main

import (
	"errors"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"leadstream/processors/learn"
	"leadstream/streams"
)

// lessons answers the operator who labels messages and corrects leads.
type lessons struct {
	desk    *learn.Desk
	custody *streams.Custody
}

// KeptPage are messages that wait for a label.
type KeptPage struct {
	Kept    []learn.Kept `json:"kept"` // the newest first
	Waiting int          `json:"waiting"`
}

// LabelAsk is the body of a label: an intent, or what was kept, to be put back.
type LabelAsk struct {
	Lead   string      `json:"lead,omitempty"`
	Intent string      `json:"intent,omitempty"` // empty: take it off, it teaches nothing
	Undo   *learn.Kept `json:"undo,omitempty"`
}

// CorrectAsk is the body of a correction.
type CorrectAsk struct {
	Lead   string `json:"lead"`
	Intent string `json:"intent"`
}

// TrainAsk is the body of a training.
type TrainAsk struct {
	Force bool `json:"force,omitempty"`
}

func (l *lessons) handle(mux *http.ServeMux, a *AdminAPI) {
	mux.HandleFunc("GET /v1/triage/kept", a.answer(l.kept))
	mux.HandleFunc("POST /v1/triage/label", a.answer(l.label))
	mux.HandleFunc("POST /v1/triage/correct", a.answer(l.correct))
	mux.HandleFunc("POST /v1/triage/train", a.answer(l.train))
}

func (l *lessons) kept(r *http.Request) (any, error) {
	limit := 0
	if err := (values{r}).limit(&limit); err != nil {
		return nil, err
	}
	page := KeptPage{}
	page.Kept, page.Waiting = l.desk.Waiting(limit)
	if page.Kept == nil {
		page.Kept = []learn.Kept{}
	}
	return page, nil
}

func (l *lessons) label(r *http.Request) (any, error) {
	var ask LabelAsk
	if err := readBody(r, &ask); err != nil {
		return nil, err
	}
	if ask.Undo != nil {
		return map[string]bool{"ok": true}, l.desk.Undo(*ask.Undo)
	}
	return map[string]bool{"ok": true}, lessonError(l.desk.Label(ask.Lead, ask.Intent))
}

func (l *lessons) correct(r *http.Request) (any, error) {
	var ask CorrectAsk
	if err := readBody(r, &ask); err != nil {
		return nil, err
	}
	lead, ok := l.custody.Lead(ask.Lead)
	if !ok { // another daemon's, or forgotten: it may be on the desk all the same
		return map[string]bool{"ok": true}, lessonError(l.desk.Label(ask.Lead, ask.Intent))
	}
	return map[string]bool{"ok": true}, lessonError(l.desk.Correct(lead, ask.Intent))
}

func (l *lessons) train(r *http.Request) (any, error) {
	var ask TrainAsk
	if err := readBody(r, &ask); err != nil {
		return nil, err
	}
	t, err := l.desk.Train(ask.Force)
	if errors.Is(err, learn.ErrNothingNew) {
		return t, nil // it says so: New is 0
	}
	return t, err
}

func lessonError(err error) error {
	switch {
	case errors.Is(err, learn.ErrUnknownLead):
		return ErrNotFound
	case errors.Is(err, learn.ErrUnknownIntent):
		return errAsk{"intent", "there is no such intent", "такого намерения нет"}
	}
	return err
}

// forgetErased removes the texts of leads that were erased.
func forgetErased(desk *learn.Desk, custody *streams.Custody) func(ids []string) {
	return func(ids []string) {
		var erased []string
		for _, id := range ids {
			if life, ok := custody.Life(id); ok && life.State == streams.Erased {
				erased = append(erased, id)
			}
		}
		if len(erased) == 0 {
			return
		}
		if err := desk.Forget(erased...); err != nil {
			desk.Log.Error().Err(err).Msg("texts of erased leads are still kept for labelling")
		}
	}
}

// triageGauges show how triage does.
func triageGauges(reg prometheus.Registerer, desk *learn.Desk) error {
	gauge := func(name, help string, labels prometheus.Labels, value func(learn.Health) float64) error {
		return reg.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "leadstream_triage_" + name, Help: help, ConstLabels: labels},
			func() float64 { return value(desk.Health()) }))
	}
	const accuracy = "Share of messages that triage understands: in the model's own examination (check), and of its last answers those that no person has corrected (people)."
	return errors.Join(
		gauge("accuracy", accuracy, prometheus.Labels{"by": "check"}, func(h learn.Health) float64 { return h.Check }),
		gauge("accuracy", accuracy, prometheus.Labels{"by": "people"}, func(h learn.Health) float64 { return h.Right }),
		gauge("operator_share", "Share of the last day's conversations that asked for a person.", nil, func(h learn.Health) float64 { return h.Operator }),
		gauge("unlabelled", "Messages that triage did not understand and that wait for a label.", nil, func(h learn.Health) float64 { return float64(h.Waiting) }),
	)
}
