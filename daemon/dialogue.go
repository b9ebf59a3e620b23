package main

import (
	"context"
	"errors"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"leadstream/processors/dialogue"
	"leadstream/processors/lookup"
	"leadstream/processors/templates"
	"leadstream/sinks/httpx"
	"leadstream/streams/visits"
)

// newDialogue is what answers customers. calendar is nil when there is none; sms: a channel carries SMS.
func newDialogue(cfg *Config, calendar visits.Calendar, business templates.Business, sms bool, reg prometheus.Registerer, log zerolog.Logger) (*dialogue.Dialogue, error) {
	asked, answers := lookup.NewAsked(), dialogue.NewAnswers()
	order, err1 := openLookup("order", cfg.Lookups.Order, asked, log)
	courier, err2 := openLookup("courier", cfg.Lookups.Courier, asked, log)
	place, err3 := openLookup("place", cfg.Lookups.Place, asked, log)
	return &dialogue.Dialogue{Calendar: calendar, Reader: cfg.slotReader(), Services: cfg.Triage.Services, Products: cfg.Triage.Products, Currency: cfg.Currency,
		Business: business, Branches: cfg.Lookups.Branches, Order: order, Courier: courier, Place: place, SMS: sms, Answers: answers}, errors.Join(err1, err2, err3, reg.Register(asked), reg.Register(answers))
}

// mostFound is how much of a look-up's answer is read.
const mostFound = 256 << 10

// openLookup makes a look-up that asks by the one way in which we speak HTTP to the outside; nil when the config names none.
func openLookup(name string, set lookup.HTTP, asked *prometheus.HistogramVec, log zerolog.Logger) (*lookup.Lookup, error) {
	if set.URL == "" {
		return nil, nil
	}
	var secrets []string
	for _, value := range set.Headers {
		secrets = append(secrets, value)
	}
	client, err := httpx.New(httpx.Options{Timeout: set.Timeout, DialTimeout: set.Timeout, MaxBody: mostFound, UserAgent: "leadstream/" + version(),
		CAFile: set.CAFile, Proxy: set.Proxy, AllowPrivate: set.AllowPrivate, Secrets: secrets})
	if err != nil {
		return nil, err
	}
	return lookup.New(set, lookup.Options{Name: name, Get: getter{client}, Asked: asked, Log: log}), nil
}

// getter asks once more at once when that may help: a look-up changes nothing.
type getter struct{ client *httpx.Client }

func (g getter) Get(ctx context.Context, url string, header http.Header) (int, []byte, error) {
	a, err := g.client.Do(ctx, httpx.Request{URL: url, Header: header, Safe: true})
	if err == nil && a.Truncated {
		err = errors.New("the look-up's answer is too long")
	}
	return a.Status, a.Body, err
}
