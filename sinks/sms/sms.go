// Package sms sends SMS through SMSC.ru, SMS.ru, Twilio, a Kannel gateway of one's own, or any gateway that takes an HTTP
// request: to a person of the business, about leads and whatever else they must know, or by a Line to anybody. A gateway's
// file is its protocol and its table of codes; texts, segments, numbers and looking before a second try are here. Only a
// Line asks what became of a message: a manager who cannot be reached is found out by the lead that stays unanswered.
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
	"leadstream/streams/outbound"
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
	since  time.Time // before that the same words to the same number are another SMS
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

// asker is a gateway that tells what became of an SMS.
type asker interface {
	ask(ctx context.Context, to, remote string) (state outbound.StepState, code string, err error)
}

// Settings are those of one of the kinds.
type Settings interface {
	// gateway does no I/O. Its error names the keys and the cure; To is not among them.
	gateway(env sinks.Env) (gateway, Common, error)
	// Means is what a code says of the route to a customer, whether the message was refused or failed later.
	Means(code string) outbound.Means
}

// Line sends to anybody through one gateway. It is safe for concurrent use.
type Line struct {
	gateway
	kind   Settings
	set    Common
	region string
	now    func() time.Time

	mu     sync.Mutex
	unsure map[string]time.Time // messages whose last try may have been sent
}

// NewLine does no I/O. To of the settings has no meaning here.
func NewLine(s Settings, env sinks.Env) (*Line, error) {
	g, c, err := s.gateway(env)
	if err != nil {
		return nil, err
	}
	return &Line{gateway: g, kind: s, set: c, region: env.Region, now: time.Now, unsure: map[string]time.Time{}}, nil
}

// sink sends to one person.
type sink struct {
	*Line
	to  string
	env sinks.Env
}

func open(s Settings, env sinks.Env) (sinks.Sink, error) {
	g, c, err := s.gateway(env)
	to, wrong := Number(c.To, env.Region)
	if wrong != nil {
		err = errors.Join(fmt.Errorf("to: %w", wrong), err)
	}
	if err != nil {
		return nil, err
	}
	return &sink{Line: &Line{gateway: g, kind: s, set: c, region: env.Region, now: time.Now, unsure: map[string]time.Time{}}, to: to, env: env}, nil
}

// faults are those of the common keys but To.
func (c Common) faults() []error {
	var all []error
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

// tell sends unless an earlier try turns out to have done so.
func (s *sink) tell(ctx context.Context, m sinks.Message, unsure time.Time) streams.Verdict {
	body := Fit(Smart(sinks.Clean(cmp.Or(m.Short, m.Whole()))), s.set.Parts)
	if body == "" {
		return streams.Verdict{Result: streams.Permanent, Code: "empty", Err: errors.New("sms: the message has no text")}
	}
	return s.try(ctx, text{id: m.ID, to: s.to, body: body, ucs2: !gsm(body), unsure: unsure})
}

// Send sends a customer's message: whole, or not at all. Where the gateway shows what it has taken, it is looked up there as
// soon as an answer is lost, and before it is sent if it comes again.
func (l *Line) Send(ctx context.Context, id, to, body string, again bool) outbound.Tried {
	refuse := func(code, say string, means outbound.Means) outbound.Tried {
		return outbound.Tried{Means: means, Verdict: streams.Verdict{Result: streams.Permanent, Code: code, Err: errors.New("sms: " + say)}}
	}
	number, err := Number(to, l.region)
	body = Smart(sinks.Clean(body))
	switch parts := Segments(body); {
	case err != nil:
		return refuse("number", "the number "+err.Error(), outbound.Unreachable)
	case parts == 0:
		return refuse("empty", "the message has no text", "")
	case parts > l.set.Parts:
		return refuse("too_long", fmt.Sprintf("the text takes %d segments: shorten it, or raise parts", parts), "")
	}
	t := text{id: id, to: number, body: body, ucs2: !gsm(body), since: l.now().Add(-10 * time.Minute)} // the tries of one are nearer
	l.mu.Lock()
	if again && l.unsure[id].IsZero() {
		t.unsure = l.now().Add(-l.set.LookAfter) // of another daemon's try, long ago
	}
	l.mu.Unlock()
	v := l.try(ctx, t)
	l.mu.Lock()
	if _, doubt := l.unsure[id]; doubt && v.Result == streams.Retry {
		v.Result = streams.Ambiguous // as it was
	}
	l.mu.Unlock()
	if f, ok := l.gateway.(finder); ok && v.Result == streams.Ambiguous {
		if found, ok := l.soon(ctx, f, t); ok {
			v = found
		}
	}
	tried := outbound.Tried{Verdict: v}
	if v.Result == streams.Permanent {
		tried.Means = l.kind.Means(v.Code)
	}
	return tried
}

// soon looks for a message that the gateway may have taken a second ago.
func (l *Line) soon(ctx context.Context, f finder, t text) (streams.Verdict, bool) {
	t.unsure = l.now()
	wait := time.NewTimer(time.Second)
	defer wait.Stop()
	select {
	case <-ctx.Done():
		return streams.Verdict{}, false
	case <-wait.C:
		return f.find(ctx, t)
	}
}

// Asks tells whether the gateway can be asked what became of a message.
func (l *Line) Asks() bool {
	_, ok := l.gateway.(asker)
	return ok
}

// Ask asks what became of a message, by the number that it went to and the gateway's id.
func (l *Line) Ask(ctx context.Context, to, remote string) (outbound.StepState, string, error) {
	a, ok := l.gateway.(asker)
	number, err := Number(to, l.region)
	if !ok || err != nil {
		return "", "", errors.New("sms: the gateway cannot be asked for this message")
	}
	return a.ask(ctx, number, remote)
}

// Check asks the gateway whether the account is good.
func (l *Line) Check(ctx context.Context) error { return l.check(ctx) }

// try sends once, unless an earlier try turns out to have done so. What the engine does not know of, an alert's earlier try
// or a customer's, is remembered here while the daemon runs.
func (l *Line) try(ctx context.Context, t text) streams.Verdict {
	l.mu.Lock()
	if t.unsure.IsZero() {
		t.unsure = l.unsure[t.id]
	}
	l.mu.Unlock()
	v := l.sendOnce(ctx, t)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case v.Result == streams.Ambiguous && t.id != "":
		if len(l.unsure) >= 1000 {
			clear(l.unsure)
		}
		l.unsure[t.id] = l.now()
	case v.Result == streams.Done || v.Result == streams.Permanent:
		delete(l.unsure, t.id)
	}
	return v
}

func (l *Line) sendOnce(ctx context.Context, t text) streams.Verdict {
	f, ok := l.gateway.(finder)
	if !ok || t.unsure.IsZero() {
		return l.send(ctx, t)
	}
	if v, found := f.find(ctx, t); found || v.Result != streams.Done {
		return v
	}
	if wait := l.set.LookAfter - l.now().Sub(t.unsure); wait > 0 {
		return streams.Verdict{Result: streams.Wait, After: wait, Err: errors.New("sms: the gateway may yet show the earlier try")}
	}
	return l.send(ctx, t)
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
