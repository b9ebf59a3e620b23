package sms

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"leadstream/sinks"
	"leadstream/sinks/httpx"
	"leadstream/streams"
	"leadstream/streams/outbound"
)

// SMSRu sends through SMS.ru. The gateway takes no id of ours; only its refusal of the same text within a minute tells,
// at once after a lost answer, that the first one went through.
var SMSRu = sinks.Kind{
	Settings: func() any { return &SMSRuSettings{BaseURL: "https://sms.ru", Parts: 1} },
	Open: func(settings any, env sinks.Env) (sinks.Sink, error) {
		return open(*settings.(*SMSRuSettings), env)
	},
	Class:       sinks.Blind,
	OnAmbiguous: "retry",
	Policy:      streams.MessagePolicy,
	Human:       true,
}

// SMSRuSettings are the keys of an SMS.ru destination.
type SMSRuSettings struct {
	To           string `koanf:"to"`     // the person's mobile number
	From         string `koanf:"from"`   // sender's name, as registered; empty: the account's default
	APIID        string `koanf:"api_id"` // from the account's page
	Parts        int    `koanf:"parts"`  // most segments of one message
	BaseURL      string `koanf:"base_url"`
	AllowPrivate bool   `koanf:"allow_private"`
	CAFile       string `koanf:"ca_file"`
	Proxy        string `koanf:"proxy"`
}

type smsru struct {
	set  SMSRuSettings
	http *httpx.Client
	now  func() time.Time
}

func (s SMSRuSettings) gateway(env sinks.Env) (gateway, Common, error) {
	c := Common{To: s.To, From: s.From, Parts: s.Parts, AllowPrivate: s.AllowPrivate, CAFile: s.CAFile, Proxy: s.Proxy}
	faults := append(c.faults(), checkURL("base_url", s.BaseURL))
	if s.APIID == "" {
		faults = append(faults, errors.New("api_id: is missing; copy it from the account's page"))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, c, err
	}
	client, err := c.client(env, s.APIID)
	if err != nil {
		return nil, c, err
	}
	return &smsru{set: s, http: client, now: time.Now}, c, nil
}

var smsruRules = map[string]rule{
	"200": {streams.Pause, aPerson, "api_id is refused: copy it again"},
	"300": {streams.Pause, aPerson, "the session is refused: correct api_id"},
	"301": {streams.Pause, aPerson, "the account's password is refused: correct api_id"},
	"302": {streams.Pause, aPerson, "the account is not confirmed: confirm it at SMS.ru"},
	"201": {streams.Pause, aPerson, "no money: fill up the account"},
	"204": {streams.Pause, aPerson, "the sender is not approved: register from, or leave it out"},
	"206": {streams.Pause, anHour, "the account's daily limit is used up: raise it"},
	"210": {streams.Pause, aPerson, "the call is wrong: correct base_url"},
	"211": {streams.Pause, aPerson, "the call is wrong: correct base_url"},
	"212": {streams.Pause, aPerson, "the call is wrong: correct base_url"},
	"202": {streams.Permanent, 0, "the number is wrong: correct to"},
	"203": {streams.Permanent, 0, "there is no text"},
	"205": {streams.Permanent, 0, "the text is too long: lower parts"},
	"207": {streams.Permanent, 0, "this number cannot be sent to"},
	"208": {streams.Permanent, 0, "the time is wrong"},
	"209": {streams.Permanent, 0, "the number is in the account's stop list: take it out"},
	"213": {streams.Permanent, 0, "too many numbers"},
	"214": {streams.Permanent, 0, "the number is abroad, which the account does not allow"},
	"215": {streams.Permanent, 0, "the number is in the gateway's stop list"},
	"150": {streams.Permanent, 0, "there is no route to the number"},
	"220": {streams.Retry, aMoment, "the gateway is busy"},
	"500": {streams.Ambiguous, 0, "the gateway has a fault"},
	"230": {streams.Permanent, 0, "the number's daily limit is used up"},
	"232": {streams.Permanent, 0, "the same text to the number too often today"},
	"231": {streams.Retry, aMinute, "the same text to the number within a minute"},
	"233": {streams.Permanent, 0, "repeated code to the number"},
}

// Means are those of the codes of both calls.
func (SMSRuSettings) Means(code string) outbound.Means {
	switch code {
	case "202", "207", "214", "150", "230", "232", "104", "105", "106", "107", "108", "130", "131", "132":
		return outbound.Unreachable
	case "209", "215":
		return outbound.OptedOut
	}
	return outbound.NothingMore
}

// smsruStates are the states of a message that was taken; those from 104 on that are not here are failures.
var smsruStates = map[string]outbound.StepState{
	"100": outbound.Accepted, "101": outbound.Accepted, "102": outbound.Sent, "103": outbound.Delivered, "110": outbound.Read,
}

// ask tells the state of a message by the gateway's id.
func (g *smsru) ask(ctx context.Context, _, remote string) (outbound.StepState, string, error) {
	a, answer, err := g.call(ctx, "/sms/status", url.Values{"sms_id": {remote}}, true)
	if err != nil || !a.OK() {
		return "", "", httpx.Verdict(a, err, true).Err
	}
	code := answer.SMS[remote].Code.String()
	if answer.Code != "100" || code == "" || code == "-1" {
		return "", "", fmt.Errorf("smsru: the state of the message is not told (code %s)", answer.Code)
	}
	if state, known := smsruStates[code]; known {
		return state, "", nil
	}
	if _, ours := smsruRules[code]; ours && code != "150" { // of the call, not of the message
		return "", "", fmt.Errorf("smsru: the state of the message is not told (code %s)", code)
	}
	return outbound.NotSent, code, nil
}

type smsruAnswer struct {
	Code json.Number `json:"status_code"`
	SMS  map[string]struct {
		Code json.Number `json:"status_code"`
		ID   string      `json:"sms_id"`
	} `json:"sms"`
}

// send looks at both levels: "OK" for the call may hold a refusal of the number.
func (g *smsru) send(ctx context.Context, t text) streams.Verdict {
	args := url.Values{"to": {t.to}, "msg": {t.body}}
	if g.set.From != "" {
		args.Set("from", g.set.From)
	}
	a, answer, err := g.call(ctx, "/sms/send", args, false)
	code := answer.Code
	var id string
	if err == nil && a.OK() && code == "100" {
		code, err = "", errors.New("smsru: the answer does not say what became of the number")
		for _, one := range answer.SMS { // there is one
			code, id, err = one.Code, one.ID, nil
		}
	}
	switch {
	case err != nil || !a.OK():
		return httpx.Verdict(a, err, false)
	case code == "100":
		return streams.Verdict{Remote: id}
	case code == "":
		return httpx.Verdict(a, errors.New("smsru: the answer has no code"), false)
	case code == "231" && !t.unsure.IsZero() && g.now().Sub(t.unsure) < aMinute:
		return streams.Verdict{Code: "231"} // it was our own try, whose answer was lost
	}
	return smsruRules[code.String()].verdict("smsru", code.String())
}

func (g *smsru) check(ctx context.Context) error {
	a, answer, err := g.call(ctx, "/auth/check", url.Values{}, true)
	switch {
	case err != nil:
		return err
	case !a.OK():
		return httpx.Verdict(a, nil, true).Err
	case answer.Code == "":
		return errors.New("smsru: base_url: no SMS.ru answers there")
	case answer.Code != "100":
		return smsruRules[answer.Code.String()].verdict("smsru", answer.Code.String()).Err
	}
	return nil
}

func (g *smsru) call(ctx context.Context, path string, args url.Values, safe bool) (httpx.Answer, smsruAnswer, error) {
	args.Set("api_id", g.set.APIID)
	args.Set("json", "1")
	body, header := form(args)
	a, err := g.http.Do(ctx, httpx.Request{URL: g.set.BaseURL + path, Header: header, Body: body, Safe: safe})
	var answer smsruAnswer
	if err == nil && a.OK() {
		err = a.JSON(&answer)
	}
	return a, answer, wrap("smsru", err)
}
