// Package sms tells a person about leads, and whatever else they must know, by SMS: through SMSC.ru, SMS.ru, Twilio,
// a Kannel gateway of one's own, or any gateway that takes an HTTP request. A gateway's file is its protocol and its
// table of codes; texts, segments, numbers and looking before a second try are here. Delivery reports are left out: a
// manager who cannot be reached is found out by the lead that stays unanswered.
package sms

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"leadstream/sinks"
	"leadstream/sinks/httpx"
	"leadstream/streams"
)

// Common are the keys that every kind of SMS destination has.
type Common struct {
	To           string        // the person's mobile number
	From         string        // sender, as registered with the operators
	Parts        int           // most segments of one message: each is paid
	LookAfter    time.Duration // how long the gateway may take to show a message that it has taken
	AllowPrivate bool
	CAFile       string
	Proxy        string
}

// text is one SMS on its way.
type text struct {
	id   string // of the message; the same on every try
	to   string // digits, with the country
	body string
	ucs2 bool

	unsure time.Time // not zero: an earlier try may have sent it
}

// gateway sends one SMS.
type gateway interface {
	send(ctx context.Context, t text) streams.Verdict
	check(ctx context.Context) error
}

// finder is a gateway that can tell whether it has taken an SMS. found is false and v zero when it has not; v is
// what became of it, or why it could not be told.
type finder interface {
	find(ctx context.Context, t text) (v streams.Verdict, found bool)
}

type sink struct {
	gateway
	set Common
	to  string
	env sinks.Env
	now func() time.Time

	mu     sync.Mutex
	unsure map[string]time.Time // messages whose last try may have been sent
}

func open(c Common, env sinks.Env, g gateway) sinks.Sink {
	to, _ := Number(c.To, env.Region) // checked by faults
	return &sink{gateway: g, set: c, to: to, env: env, now: time.Now, unsure: map[string]time.Time{}}
}

// faults are those of the common keys.
func (c Common) faults(env sinks.Env) []error {
	var all []error
	if _, err := Number(c.To, env.Region); err != nil {
		all = append(all, fmt.Errorf("to: %w", err))
	}
	if c.Parts < 1 || c.Parts > 8 {
		all = append(all, errors.New("parts: must be 1 to 8"))
	}
	if strings.ContainsAny(c.From, "\r\n&") {
		all = append(all, errors.New("from: has a character that no sender has; write the registered name or number"))
	}
	return all
}

func checkURL(key, value string) error {
	if u, err := url.Parse(value); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return fmt.Errorf("%s: is not an http or https address", key)
	}
	return nil
}

// client gives up late: a gateway that is slow under load has often taken what we would send again.
func (c Common) client(env sinks.Env, secrets ...string) (*httpx.Client, error) {
	return httpx.New(httpx.Options{
		Timeout: cmp.Or(env.Timeout, 40*time.Second), CAFile: c.CAFile, Proxy: c.Proxy, AllowPrivate: c.AllowPrivate,
		UserAgent: "leadstream/" + env.Version, Secrets: secrets,
	})
}

// Deliver sends a notice of each lead.
func (s *sink) Deliver(ctx context.Context, batch []sinks.Delivery) []streams.Verdict {
	verdicts := make([]streams.Verdict, len(batch))
	for i, d := range batch {
		verdicts[i] = s.tell(ctx, sinks.LeadMessage(d, s.env), d.Unsure)
	}
	return verdicts
}

// Send sends a message.
func (s *sink) Send(ctx context.Context, m sinks.Message) streams.Verdict {
	return s.tell(ctx, m, time.Time{})
}

// Check asks the gateway whether the account is good.
func (s *sink) Check(ctx context.Context) error { return s.check(ctx) }

// tell sends unless an earlier try turns out to have done so. What the engine does not know of, an alert's earlier try,
// is remembered here while the daemon runs.
func (s *sink) tell(ctx context.Context, m sinks.Message, unsure time.Time) streams.Verdict {
	body := Fit(Smart(sinks.Clean(cmp.Or(m.Short, m.Whole()))), s.set.Parts)
	if body == "" {
		return streams.Verdict{Result: streams.Permanent, Code: "empty", Err: errors.New("sms: the message has no text")}
	}
	s.mu.Lock()
	if unsure.IsZero() {
		unsure = s.unsure[m.ID]
	}
	s.mu.Unlock()
	t := text{id: m.ID, to: s.to, body: body, ucs2: !gsm(body), unsure: unsure}
	v := s.sendOnce(ctx, t)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case v.Result == streams.Ambiguous && m.ID != "":
		if len(s.unsure) >= 1000 {
			clear(s.unsure)
		}
		s.unsure[m.ID] = s.now()
	case v.Result == streams.Done || v.Result == streams.Permanent:
		delete(s.unsure, m.ID)
	}
	return v
}

func (s *sink) sendOnce(ctx context.Context, t text) streams.Verdict {
	f, ok := s.gateway.(finder)
	if !ok || t.unsure.IsZero() {
		return s.send(ctx, t)
	}
	if v, found := f.find(ctx, t); found || v.Result != streams.Done {
		return v
	}
	if wait := s.set.LookAfter - s.now().Sub(t.unsure); wait > 0 {
		return streams.Verdict{Result: streams.Wait, After: wait, Err: errors.New("sms: the gateway may yet show the earlier try")}
	}
	return s.send(ctx, t)
}

// rule is what to do upon one of a gateway's codes, and what to say.
type rule struct {
	result streams.Result
	after  time.Duration
	say    string
}

const (
	aMoment = 5 * time.Second
	aMinute = 61 * time.Second // longer than the minute in which gateways refuse the same text
	aPerson = 5 * time.Minute  // until the next probe, where a person must act
	anHour  = time.Hour
)

// verdict applies a rule. A code without one is final: gateways charge for each try at guessing.
func (r rule) verdict(gateway, code string) streams.Verdict {
	if r.say == "" {
		r = rule{streams.Permanent, 0, "refused for a reason that is not known"}
	}
	return streams.Verdict{
		Result: r.result, After: r.after, Code: code, Fault: r.result == streams.Ambiguous,
		Err: fmt.Errorf("%s: code %s: %s", gateway, code, r.say),
	}
}

func form(values url.Values) ([]byte, http.Header) {
	return []byte(values.Encode()), http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
}

// wrap names the gateway in an error; httpx errors know of sent and not sent, and stay as they are.
func wrap(gateway string, err error) error {
	var broken *httpx.Error
	if err == nil || errors.As(err, &broken) {
		return err
	}
	return fmt.Errorf("%s: %w", gateway, err)
}
