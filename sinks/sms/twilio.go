package sms

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"leadstream/sinks"
	"leadstream/sinks/httpx"
	"leadstream/streams"
	"leadstream/streams/outbound"
)

// Twilio sends through Twilio. It has no idempotency key for messages, but lists what was sent to a number, and a notice
// holds its lead's number: so it is Searchable.
var Twilio = sinks.Kind{
	Settings: func() any {
		return &TwilioSettings{BaseURL: "https://api.twilio.com", Parts: 1, LookAfter: time.Minute}
	},
	Open: func(settings any, env sinks.Env) (sinks.Sink, error) {
		return open(*settings.(*TwilioSettings), env)
	},
	Class:  sinks.Searchable,
	Policy: streams.MessagePolicy,
	Human:  true,
}

// TwilioSettings are the keys of a Twilio destination.
type TwilioSettings struct {
	To           string        `koanf:"to"`                // the person's mobile number
	From         string        `koanf:"from"`              // number or name of the sender; or
	Service      string        `koanf:"messaging_service"` // MG…
	Account      string        `koanf:"account"`           // AC…
	Key          string        `koanf:"key"`               // SK… of an API key; empty: the account itself
	Secret       string        `koanf:"secret"`            // the key's secret, or the account's token
	Parts        int           `koanf:"parts"`             // most segments of one message
	LookAfter    time.Duration `koanf:"look_after"`        // how long a message may take to show in the list
	BaseURL      string        `koanf:"base_url"`
	AllowPrivate bool          `koanf:"allow_private"`
	CAFile       string        `koanf:"ca_file"`
	Proxy        string        `koanf:"proxy"`
}

type twilio struct {
	set  TwilioSettings
	http *httpx.Client
}

func (s TwilioSettings) gateway(env sinks.Env) (gateway, Common, error) {
	c := Common{To: s.To, From: s.From, Parts: s.Parts, LookAfter: s.LookAfter, AllowPrivate: s.AllowPrivate, CAFile: s.CAFile, Proxy: s.Proxy}
	faults := append(c.faults(), checkURL("base_url", s.BaseURL))
	if !strings.HasPrefix(s.Account, "AC") || strings.ContainsAny(s.Account, "/?#") {
		faults = append(faults, errors.New("account: is not an account's number; copy the one that begins with AC"))
	}
	if s.Secret == "" {
		faults = append(faults, errors.New("secret: is missing; give the account's token, or the key's secret"))
	}
	if (s.From == "") == (s.Service == "") {
		faults = append(faults, errors.New("from: give it or messaging_service, one of the two"))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, c, err
	}
	basic := base64.StdEncoding.EncodeToString([]byte(cmp.Or(s.Key, s.Account) + ":" + s.Secret))
	client, err := c.client(env, s.Secret, basic)
	if err != nil {
		return nil, c, err
	}
	return &twilio{set: s, http: client}, c, nil
}

var twilioRules = map[string]rule{
	"20003": {streams.Pause, aPerson, "the key is refused: correct account, key and secret"},
	"20008": {streams.Pause, aPerson, "the test account may not do this: give the live one"},
	"20404": {streams.Pause, aPerson, "there is no such account: correct account"},
	"21606": {streams.Pause, aPerson, "the sender is not the account's: correct from"},
	"21659": {streams.Pause, aPerson, "the sender is not the account's: correct from"},
	"21660": {streams.Pause, aPerson, "the sender is another account's: correct from"},
	"30002": {streams.Pause, aPerson, "the account is suspended: ask Twilio"},
	"21211": {streams.Permanent, 0, "the number is wrong: correct to"},
	"21614": {streams.Permanent, 0, "the number is not a mobile one: correct to"},
	"21610": {streams.Permanent, 0, "the person has answered STOP: they must answer START"},
	"21408": {streams.Permanent, 0, "the number's country is switched off: allow it in the account"},
	"21617": {streams.Permanent, 0, "the text is too long: lower parts"},
	"30003": {streams.Permanent, 0, "the phone is unreachable"},
	"30004": {streams.Permanent, 0, "the number is blocked"},
	"30005": {streams.Permanent, 0, "the number is unknown"},
	"30006": {streams.Permanent, 0, "the number is a landline: correct to"},
	"30007": {streams.Permanent, 0, "an operator has filtered the text"},
	"14107": {streams.Permanent, 0, "two programs answer each other: find the loop"},
	"20429": {streams.Wait, 10 * time.Second, "too many requests"},
	"21611": {streams.Retry, aMinute, "the sender's queue is full"},
	"30001": {streams.Retry, aMinute, "the queue is full"},
	"30008": {streams.Retry, aMinute, "not delivered, the reason is not known"},
	"30036": {streams.Retry, aMinute, "not delivered in time"},
	"20500": {streams.Ambiguous, 0, "the gateway has a fault"},
}

// Means are those of the codes, of refusals and of later failures.
func (TwilioSettings) Means(code string) outbound.Means {
	switch code {
	case "21211", "21614", "21408", "30003", "30004", "30005", "30006":
		return outbound.Unreachable
	case "21610":
		return outbound.OptedOut
	}
	return outbound.NothingMore
}

// twilioStates are how far a message got; the others say that it did not.
var twilioStates = map[string]outbound.StepState{
	"accepted": outbound.Accepted, "scheduled": outbound.Accepted, "queued": outbound.Accepted, "sending": outbound.Accepted,
	"sent": outbound.Sent, "delivered": outbound.Delivered, "partially_delivered": outbound.Delivered, "read": outbound.Read,
	"undelivered": outbound.NotSent, "failed": outbound.NotSent, "canceled": outbound.NotSent,
}

// ask tells the state of a message by Twilio's id.
func (g *twilio) ask(ctx context.Context, _, remote string) (outbound.StepState, string, error) {
	var m twilioMessage
	a, err := g.do(ctx, httpx.Request{URL: g.url("/Messages/" + url.PathEscape(remote) + ".json"), Safe: true}, &m)
	if v := httpx.Verdict(a, err, true); v.Err != nil {
		return "", "", v.Err
	}
	state, known := twilioStates[m.State]
	if !known {
		return "", "", errors.New("twilio: the state of the message is not told")
	}
	if state != outbound.NotSent {
		return state, "", nil
	}
	return state, cmp.Or(m.Error.String(), m.State), nil
}

type twilioMessage struct {
	SID     string      `json:"sid"`
	Body    string      `json:"body"`
	Code    json.Number `json:"code"`
	Error   json.Number `json:"error_code"`
	State   string      `json:"status"`
	Created string      `json:"date_created"` // RFC 2822
}

func (g *twilio) send(ctx context.Context, t text) streams.Verdict {
	args := url.Values{"To": {"+" + t.to}, "Body": {t.body}}
	if g.set.Service != "" {
		args.Set("MessagingServiceSid", g.set.Service)
	} else {
		args.Set("From", g.set.From)
	}
	body, header := form(args)
	var m twilioMessage
	a, err := g.do(ctx, httpx.Request{URL: g.url("/Messages.json"), Header: header, Body: body}, &m)
	code := cmp.Or(m.Error, m.Code).String()
	switch {
	case a.OK() && err == nil && code == "" && m.SID == "":
		err = errors.New("twilio: the answer names no message")
	case a.OK() && err == nil && code == "":
		return streams.Verdict{Remote: m.SID}
	}
	if r, known := twilioRules[code]; known {
		v := r.verdict("twilio", code)
		if a.Asked {
			v.After = a.RetryAfter
		}
		return v
	}
	v := httpx.Verdict(a, err, false)
	if v.Result == streams.Done { // queued with an error that we do not know
		return rule{}.verdict("twilio", code)
	}
	if v.Code = cmp.Or(code, v.Code); a.Status == http.StatusNotFound {
		v.Result, v.After = streams.Pause, aPerson
	}
	return v
}

// find looks for the text among what was sent to the number since the day of the try.
func (g *twilio) find(ctx context.Context, t text) (streams.Verdict, bool) {
	since := t.unsure.UTC().Add(-time.Hour).Format(time.DateOnly)
	query := "?To=" + url.QueryEscape("+"+t.to) + "&" + url.QueryEscape("DateSent>") + "=" + since + "&PageSize=1000"
	var list struct {
		Messages []twilioMessage `json:"messages"`
	}
	a, err := g.do(ctx, httpx.Request{URL: g.url("/Messages.json") + query, Safe: true}, &list)
	if err == nil && list.Messages == nil {
		err = errors.New("twilio: the answer is no list of messages")
	}
	if v := httpx.Verdict(a, err, true); v.Result != streams.Done {
		return v, false
	}
	for _, m := range list.Messages {
		at, err := time.Parse(time.RFC1123Z, m.Created)
		if m.Body == t.body && (err != nil || !at.Before(t.since)) {
			return streams.Verdict{Remote: m.SID}, true
		}
	}
	return streams.Verdict{}, false
}

func (g *twilio) check(ctx context.Context) error {
	var account twilioMessage
	a, err := g.do(ctx, httpx.Request{URL: g.url(".json"), Safe: true}, &account)
	switch r, known := twilioRules[account.Code.String()]; {
	case known:
		return r.verdict("twilio", account.Code.String()).Err
	case a.Status == http.StatusNotFound:
		return errors.New("twilio: there is no such account: correct account")
	}
	if v := httpx.Verdict(a, err, true); v.Err != nil {
		return v.Err
	}
	if account.State != "active" {
		return errors.New("twilio: the account is not active: ask Twilio")
	}
	return nil
}

func (g *twilio) url(path string) string {
	return g.set.BaseURL + "/2010-04-01/Accounts/" + g.set.Account + path
}

func (g *twilio) do(ctx context.Context, r httpx.Request, out any) (httpx.Answer, error) {
	if r.Header == nil {
		r.Header = http.Header{}
	}
	basic := base64.StdEncoding.EncodeToString([]byte(cmp.Or(g.set.Key, g.set.Account) + ":" + g.set.Secret))
	r.Header.Set("Authorization", "Basic "+basic)
	a, err := g.http.Do(ctx, r)
	if err == nil {
		if err = a.JSON(out); err != nil && !a.OK() {
			err = nil // a page from something in between: its status tells
		}
	}
	return a, wrap("twilio", err)
}
