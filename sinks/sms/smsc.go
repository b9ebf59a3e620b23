package sms

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"leadstream/sinks"
	"leadstream/sinks/httpx"
	"leadstream/streams"
	"leadstream/streams/outbound"
)

// SMSC sends through SMSC.ru. It is Searchable: the gateway takes an id of ours and tells the state of that id.
var SMSC = sinks.Kind{
	Settings: func() any {
		return &SMSCSettings{BaseURL: "https://smsc.ru", Parts: 1, LookAfter: time.Minute}
	},
	Open:   func(settings any, env sinks.Env) (sinks.Sink, error) { return open(*settings.(*SMSCSettings), env) },
	Class:  sinks.Searchable,
	Policy: streams.MessagePolicy,
	Human:  true,
}

// SMSCSettings are the keys of an SMSC.ru destination.
type SMSCSettings struct {
	To           string        `koanf:"to"`         // the person's mobile number
	From         string        `koanf:"from"`       // sender's name, as registered; empty: the account's default
	Login        string        `koanf:"login"`      // with password; or
	Password     string        `koanf:"password"`   // …
	APIKey       string        `koanf:"api_key"`    // this alone
	Parts        int           `koanf:"parts"`      // most segments of one message
	LookAfter    time.Duration `koanf:"look_after"` // how long a message may take to show in the status
	BaseURL      string        `koanf:"base_url"`   // or the mirror, https://www2.smsc.ru
	AllowPrivate bool          `koanf:"allow_private"`
	CAFile       string        `koanf:"ca_file"`
	Proxy        string        `koanf:"proxy"`
}

type smsc struct {
	set       SMSCSettings
	http      *httpx.Client
	forbidden atomic.Int32 // code 6 in a row
}

func (s SMSCSettings) gateway(env sinks.Env) (gateway, Common, error) {
	c := Common{To: s.To, From: s.From, Parts: s.Parts, LookAfter: s.LookAfter, AllowPrivate: s.AllowPrivate, CAFile: s.CAFile, Proxy: s.Proxy}
	faults := append(c.faults(), checkURL("base_url", s.BaseURL))
	if s.APIKey == "" && (s.Login == "" || s.Password == "") {
		faults = append(faults, errors.New("api_key: is missing; give it, or login and password"))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, c, err
	}
	client, err := c.client(env, s.Password, s.APIKey)
	if err != nil {
		return nil, c, err
	}
	return &smsc{set: s, http: client}, c, nil
}

// smscRules: whatever is the account's or the sender's fault stops the destination, since every message would meet it.
var smscRules = map[string]rule{
	"1": {streams.Permanent, 0, "a parameter is wrong"},
	"2": {streams.Pause, aPerson, "login, password or address refused: correct login and password or api_key, and allow this machine's address in the account"},
	"3": {streams.Pause, aPerson, "no money: fill up the account"},
	"4": {streams.Pause, anHour, "this machine's address is blocked for a while, for too many bad requests"},
	"5": {streams.Permanent, 0, "a date is wrong"},
	"6": {streams.Permanent, 0, "text or sender is forbidden: register the sender's name"},
	"7": {streams.Permanent, 0, "the number is wrong: correct to"},
	"8": {streams.Permanent, 0, "cannot be delivered to this number"},
	"9": {streams.Retry, aMinute, "the same message within a minute, or too many at once"},
}

// smscStates are the states of a message that the gateway has taken: those below 3, and 4, are on their way or there.
var smscStates = map[string]rule{
	"-2": {streams.Permanent, 0, "stopped at the gateway"},
	"3":  {streams.Permanent, 0, "the phone was not reached in time"},
	"20": {streams.Permanent, 0, "cannot be delivered"},
	"22": {streams.Permanent, 0, "the number is wrong: correct to"},
	"23": {streams.Permanent, 0, "forbidden"},
	"24": {streams.Pause, aPerson, "no money: fill up the account"},
	"25": {streams.Permanent, 0, "the number is unreachable"},
}

// Means are those of the codes, and of the states that ask and find name.
func (SMSCSettings) Means(code string) outbound.Means {
	switch code {
	case "7", "8", "status 3", "status 20", "status 22", "status 23", "status 25":
		return outbound.Unreachable
	}
	return outbound.NothingMore
}

// ask tells the state of an id of ours.
func (g *smsc) ask(ctx context.Context, to, remote string) (outbound.StepState, string, error) {
	a, answer, err := g.call(ctx, "status", url.Values{"phone": {to}, "id": {remote}}, true)
	switch {
	case err != nil || !a.OK():
		return "", "", httpx.Verdict(a, err, true).Err
	case answer.Status == "" || answer.Status == "-3":
		return "", "", fmt.Errorf("smsc: the state of the message is not told (code %s)", answer.Code)
	}
	switch state := answer.Status.String(); state {
	case "-1":
		return outbound.Accepted, "", nil
	case "0":
		return outbound.Sent, "", nil
	case "1":
		return outbound.Delivered, "", nil
	case "2", "4":
		return outbound.Read, "", nil
	default:
		if _, bad := smscStates[state]; bad {
			return outbound.NotSent, "status " + state, nil
		}
		return outbound.Accepted, "", nil // a state that we do not know is no failure
	}
}

type smscAnswer struct {
	ID     json.Number `json:"id"`
	Count  json.Number `json:"cnt"`
	Code   json.Number `json:"error_code"`
	Status json.Number `json:"status"`
	Money  json.Number `json:"balance"`
}

func (g *smsc) send(ctx context.Context, t text) streams.Verdict {
	id := smscID(t)
	args := url.Values{"phones": {t.to}, "mes": {t.body}, "id": {id}, "charset": {"utf-8"}}
	if g.set.From != "" {
		args.Set("sender", g.set.From)
	}
	a, answer, err := g.call(ctx, "send", args, false)
	if err == nil && answer.Code == "" && (answer.ID == "" || answer.Count == "") {
		err = errors.New("smsc: the answer names neither an id nor an error")
	}
	if err != nil || answer.Code == "" {
		v := httpx.Verdict(a, err, false)
		if v.Result == streams.Done {
			v.Remote = answer.ID.String()
			g.forbidden.Store(0)
		}
		return v
	}
	v := smscRules[answer.Code.String()].verdict("smsc", answer.Code.String())
	switch {
	case answer.Code == "9":
		if found, ok := g.find(ctx, t); ok {
			return found
		}
	case answer.Code == "6" && g.forbidden.Add(1) >= 3:
		// Not this text, then, but the sender: stop before every message is given up.
		v.Result, v.After = streams.Pause, aPerson
	}
	return v
}

// find asks for the state of our id.
func (g *smsc) find(ctx context.Context, t text) (streams.Verdict, bool) {
	a, answer, err := g.call(ctx, "status", url.Values{"phone": {t.to}, "id": {smscID(t)}}, true)
	switch {
	case err != nil || !a.OK():
		return httpx.Verdict(a, err, true), false
	case answer.Status == "-3" || answer.Status == "" && (answer.Code == "3" || answer.Code == "8"): // 3 is about money in sending alone
		return streams.Verdict{}, false
	case answer.Status == "":
		code := answer.Code.String()
		if smscRules[code].result == streams.Pause {
			return smscRules[code].verdict("smsc", code), false
		}
		return rule{streams.Retry, aMoment, "the state of an earlier try is not told"}.verdict("smsc", code), false
	}
	if r, bad := smscStates[answer.Status.String()]; bad {
		return r.verdict("smsc", "status "+answer.Status.String()), true
	}
	return streams.Verdict{Remote: smscID(t)}, true
}

func (g *smsc) check(ctx context.Context) error {
	a, answer, err := g.call(ctx, "balance", url.Values{}, true)
	switch {
	case err != nil:
		return err
	case answer.Code != "":
		return smscRules[answer.Code.String()].verdict("smsc", answer.Code.String()).Err
	case !a.OK():
		return httpx.Verdict(a, nil, true).Err
	case answer.Money == "":
		return errors.New("smsc: base_url: no SMSC answers there")
	}
	return nil
}

func (g *smsc) call(ctx context.Context, method string, args url.Values, safe bool) (httpx.Answer, smscAnswer, error) {
	if g.set.APIKey != "" {
		args.Set("apikey", g.set.APIKey)
	} else {
		args.Set("login", g.set.Login)
		args.Set("psw", g.set.Password)
	}
	args.Set("fmt", "3")
	body, header := form(args)
	a, err := g.http.Do(ctx, httpx.Request{URL: g.set.BaseURL + "/sys/" + method + ".php", Header: header, Body: body, Safe: safe})
	var answer smscAnswer
	if err == nil && a.OK() {
		err = a.JSON(&answer)
	}
	return a, answer, wrap("smsc", err)
}

// smscID is an id of ours in the 31 bits that the gateway has for it, the same on every try.
func smscID(t text) string {
	sum := sha256.Sum256([]byte(fmt.Sprintf("%s\x00%s", t.id, t.to)))
	return strconv.FormatUint(uint64(max(binary.BigEndian.Uint32(sum[:4])>>1, 1)), 10)
}
