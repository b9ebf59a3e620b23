package main

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"leadstream/processors/llm"
	"leadstream/sinks/httpx"
)

// mostAnswer is how much of the model server's answer is read: the answer itself is a few hundred bytes.
const mostAnswer = 64 << 10

// openLLM makes the language model that triage may ask; nil when the config names none.
func openLLM(cfg *Config, reg prometheus.Registerer, log zerolog.Logger) (*llm.Model, error) {
	set := cfg.Triage.LLM
	if set.URL == "" {
		return nil, nil
	}
	post, err := llmPost(set)
	if err != nil {
		return nil, err
	}
	return llm.New(set, llm.Options{Post: post, Region: cfg.Region, Zone: cfg.Zone(), File: cfg.inData("llm.json"), Metrics: reg, Log: log})
}

// llmPost sends to the endpoint by the one way in which we speak HTTP to the outside.
func llmPost(set llm.Settings) (llm.Post, error) {
	secrets := []string{set.Key}
	header := http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json"}}
	if set.Key != "" {
		header.Set("Authorization", "Bearer "+set.Key)
	}
	for name, value := range set.Headers {
		header.Set(name, value)
		secrets = append(secrets, value)
	}
	client, err := httpx.New(httpx.Options{Timeout: set.Timeout + time.Second, DialTimeout: min(set.Timeout, 3*time.Second), MaxBody: mostAnswer,
		Retries: -1, UserAgent: "leadstream/" + version(), CAFile: set.CAFile, Proxy: set.Proxy, AllowPrivate: set.AllowPrivate, Secrets: secrets})
	if err != nil {
		return nil, err
	}
	url := completions(set.URL)
	return func(ctx context.Context, body []byte) (llm.Reply, error) {
		a, err := client.Do(ctx, httpx.Request{Method: http.MethodPost, URL: url, Header: header, Body: body})
		if err != nil {
			a.Status = 0 // a body that broke off is no answer
		}
		return llm.Reply{Status: a.Status, Header: a.Header, Body: a.Body, Truncated: a.Truncated, Sent: a.Sent, RetryAfter: a.RetryAfter}, err
	}, nil
}

// completions is the address that is called: providers name the base, people often the whole.
func completions(url string) string {
	const path = "/chat/completions"
	return strings.TrimSuffix(strings.TrimRight(url, "/"), path) + path
}
