package sms

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"leadstream/sinks"
	"leadstream/sinks/httpx"
	"leadstream/streams"
	"leadstream/streams/outbound"
)

// Template sends through any gateway that takes an HTTP request: address, headers and body are templates in which
// {to} is the number in digits, {plus} the same with a plus, {from}, {text}, and {id} the message's id. What stands
// there is escaped by its place: in an address as a query, in a body by its content_type.
var Template = sinks.Kind{
	Settings: func() any {
		return &TemplateSettings{Method: http.MethodPost, ContentType: "application/json", Parts: 1}
	},
	Open: func(settings any, env sinks.Env) (sinks.Sink, error) {
		return open(*settings.(*TemplateSettings), env)
	},
	Class:       sinks.Blind,
	OnAmbiguous: "retry",
	Policy:      streams.MessagePolicy,
	Human:       true,
}

// TemplateSettings are the keys of a destination at any gateway.
type TemplateSettings struct {
	To           string            `koanf:"to"`   // the person's mobile number
	From         string            `koanf:"from"` // sender
	Method       string            `koanf:"method"`
	URL          string            `koanf:"url"`
	Headers      map[string]string `koanf:"headers"`
	ContentType  string            `koanf:"content_type"`
	Body         string            `koanf:"body"`         // empty: a GET or a POST without a body
	SuccessText  string            `koanf:"success_text"` // regular expression that a good answer matches
	SuccessJSON  string            `koanf:"success_json"` // path=value that a good answer has
	RefusedText  string            `koanf:"refused_text"` // in 2xx: the gateway will never take this
	RetryText    string            `koanf:"retry_text"`   // in 2xx: the gateway has not taken it now
	IDJSON       string            `koanf:"id_json"`      // path of the gateway's own id in a good answer
	CheckURL     string            `koanf:"check_url"`    // asked with GET before work starts; empty: nothing is
	Parts        int               `koanf:"parts"`        // most segments of one message
	AllowPrivate bool              `koanf:"allow_private"`
	CAFile       string            `koanf:"ca_file"`
	Proxy        string            `koanf:"proxy"`
}

type template struct {
	set            TemplateSettings
	http           *httpx.Client
	success        sinks.Success
	refused, retry *regexp.Regexp
}

var placeholder = regexp.MustCompile(`\{[a-z_]+\}`)

func (s TemplateSettings) gateway(env sinks.Env) (gateway, Common, error) {
	c := Common{To: s.To, From: s.From, Parts: s.Parts, AllowPrivate: s.AllowPrivate, CAFile: s.CAFile, Proxy: s.Proxy}
	g := &template{set: s}
	faults := append(c.faults(), checkURL("url", s.fill(s.URL, text{}, none)))
	var err error
	g.success, err = sinks.NewSuccess(s.SuccessText, s.SuccessJSON)
	faults = append(faults, err)
	g.refused, err = pattern("refused_text", s.RefusedText)
	faults = append(faults, err)
	g.retry, err = pattern("retry_text", s.RetryText)
	faults = append(faults, err, s.placeholders())
	if s.CheckURL != "" {
		faults = append(faults, checkURL("check_url", s.CheckURL))
	}
	if !regexp.MustCompile(`^(GET|POST|PUT)$`).MatchString(s.Method) {
		faults = append(faults, errors.New("method: use GET, POST or PUT"))
	}
	hidden := []string{}
	for name, value := range s.Headers {
		hidden = append(hidden, value)
		if strings.ContainsAny(name+value, "\r\n") || name == "" {
			faults = append(faults, fmt.Errorf("headers: %q or its value has a line break", name))
		}
	}
	if err := errors.Join(faults...); err != nil {
		return nil, c, err
	}
	if g.http, err = c.client(env, hidden...); err != nil {
		return nil, c, err
	}
	return g, c, nil
}

func pattern(key, s string) (*regexp.Regexp, error) {
	if s == "" {
		return nil, nil
	}
	re, err := regexp.Compile(s)
	if err != nil {
		return nil, fmt.Errorf("%s: is no regular expression: %w", key, err)
	}
	return re, nil
}

// placeholders finds names that would be sent as they stand, and a template that forgets the text.
func (s TemplateSettings) placeholders() error {
	whole := s.URL + "\n" + s.Body
	for name, value := range s.Headers {
		whole += "\n" + name + value
	}
	for _, p := range placeholder.FindAllString(whole, -1) {
		if !strings.Contains("{to} {plus} {from} {text} {id}", p) {
			return fmt.Errorf("body: %s is not known; use {to}, {plus}, {from}, {text} and {id}", p)
		}
	}
	if !strings.Contains(whole, "{text}") {
		return errors.New("body: {text} is nowhere in url, headers or body")
	}
	return nil
}

// fill puts the values in, escaped for their place. It is one pass: a text that reads {to} stays one.
func (s TemplateSettings) fill(tmpl string, t text, escape func(string) string) string {
	return placeholder.ReplaceAllStringFunc(tmpl, func(p string) string {
		values := map[string]string{"{to}": t.to, "{plus}": "+" + t.to, "{from}": s.From, "{text}": t.body, "{id}": t.id}
		if v, ok := values[p]; ok {
			return escape(v)
		}
		return p
	})
}

func none(s string) string { return s }

// bodyEscape is by content type; in plain text there is nothing to escape.
func bodyEscape(contentType string) func(string) string {
	switch {
	case strings.Contains(contentType, "json"):
		return func(s string) string {
			b, err := json.Marshal(s)
			if err != nil {
				return ""
			}
			return string(b[1 : len(b)-1])
		}
	case strings.Contains(contentType, "form-urlencoded"):
		return url.QueryEscape
	case strings.Contains(contentType, "xml"):
		return func(s string) string {
			var b strings.Builder
			_ = xml.EscapeText(&b, []byte(s)) // a Builder does not fail
			return b.String()
		}
	}
	return none
}

// Means: nobody knows what a gateway's refusal is about.
func (TemplateSettings) Means(string) outbound.Means { return outbound.NothingMore }

func (g *template) send(ctx context.Context, t text) streams.Verdict {
	r := httpx.Request{Method: g.set.Method, URL: g.set.fill(g.set.URL, t, url.QueryEscape), Header: http.Header{}}
	for name, value := range g.set.Headers {
		r.Header.Set(name, g.set.fill(value, t, func(s string) string { return strings.Join(strings.Fields(s), " ") }))
	}
	if g.set.Body != "" {
		r.Header.Set("Content-Type", g.set.ContentType)
		r.Body = []byte(g.set.fill(g.set.Body, t, bodyEscape(g.set.ContentType)))
	}
	a, err := g.http.Do(ctx, r)
	if err == nil && a.OK() {
		switch {
		case g.refused != nil && g.refused.Match(a.Body):
			return rule{streams.Permanent, 0, "the answer matches refused_text"}.verdict("sms gateway", "refused")
		case g.retry != nil && g.retry.Match(a.Body):
			return rule{streams.Retry, aMoment, "the answer matches retry_text"}.verdict("sms gateway", "retry")
		}
		err = g.success.Check(a)
	}
	v := httpx.Verdict(a, err, false)
	if v.Result == streams.Done && g.set.IDJSON != "" {
		v.Remote, _ = sinks.JSONPath(a, strings.Split(g.set.IDJSON, ".")...) // it is taken, with an id or without
	}
	return v
}

// check asks check_url with the same headers; a gateway without one is known only by sending.
func (g *template) check(ctx context.Context) error {
	if g.set.CheckURL == "" {
		return nil
	}
	h := http.Header{}
	for name, value := range g.set.Headers {
		if !strings.Contains(value, "{") {
			h.Set(name, value)
		}
	}
	a, err := g.http.Do(ctx, httpx.Request{Method: http.MethodGet, URL: g.set.CheckURL, Header: h, Safe: true})
	if v := httpx.Verdict(a, err, true); v.Err != nil {
		return fmt.Errorf("check_url: %w", v.Err)
	}
	return nil
}
