package talk

import (
	"cmp"
	"context"
	"net/http"
	"time"

	"leadstream/sinks"
	"leadstream/sinks/sms"
	"leadstream/streams"
	"leadstream/streams/outbound"
)

// smsKind is a gateway's: its protocol, codes and states are package sms's.
func smsKind(k Kind, settings func() any, line func(any) sms.Settings) Kind {
	k.Channel, k.Address, k.First, k.Short = "sms", Phone, true, true
	k.Rate.Burst, k.Pair, k.Timeout = max(k.Rate.Burst, 1), time.Second, 40*time.Second // gateways are slow under load
	k.Settings = settings
	k.Open = func(settings any, env sinks.Env) (outbound.Channel, error) {
		l, err := sms.NewLine(line(settings), env)
		if err != nil {
			return nil, err
		}
		if l.Asks() {
			return askedTexts{texts{l, k.Keyed}}, nil
		}
		return texts{l, k.Keyed}, nil
	}
	return k
}

// texts are SMS through a gateway.
type texts struct {
	line  *sms.Line
	looks bool // the gateway is asked for a message that comes again
}

// Send sends Short or, without one, the text with its answers written out.
func (t texts) Send(ctx context.Context, to string, w outbound.Words) outbound.Tried {
	return t.line.Send(ctx, w.ID, to, cmp.Or(w.Short, written(w)), t.looks && w.Again)
}

// Check asks the gateway whether the account is good.
func (t texts) Check(ctx context.Context) error { return t.line.Check(ctx) }

// askedTexts are SMS through a gateway that tells what became of them.
type askedTexts struct{ texts }

// Ask asks the gateway.
func (t askedTexts) Ask(ctx context.Context, to, remote string) (outbound.StepState, string, error) {
	return t.line.Ask(ctx, to, remote)
}

const smsParts = 3 // segments: a Russian text of 201 characters

// SMSC.ru knows our id of a message, but does not refuse a second one by it: it is asked for the id before a second try.
func smscKind() Kind {
	return smsKind(Kind{Rate: streams.Rate{PerSecond: 4}, Keyed: true, Tells: outbound.Delivered, Sure: true, Later: sms.SMSCSettings{}.Means},
		func() any { return &SMSCSettings{BaseURL: "https://smsc.ru", Parts: smsParts, LookAfter: time.Minute} },
		func(settings any) sms.Settings {
			s := settings.(*SMSCSettings)
			return sms.SMSCSettings{From: s.From, Login: s.Login, Password: s.Password, APIKey: s.APIKey, Parts: s.Parts, LookAfter: s.LookAfter,
				BaseURL: s.BaseURL, AllowPrivate: s.AllowPrivate, CAFile: s.CAFile, Proxy: s.Proxy}
		})
}

// SMSCSettings are the keys of a channel through SMSC.ru.
type SMSCSettings struct {
	From         string        `koanf:"from"`
	Login        string        `koanf:"login"` // with password; or
	Password     string        `koanf:"password"`
	APIKey       string        `koanf:"api_key"` // this alone
	Parts        int           `koanf:"parts"`   // most segments of one message: a longer one is not sent
	LookAfter    time.Duration `koanf:"look_after"`
	BaseURL      string        `koanf:"base_url"`
	AllowPrivate bool          `koanf:"allow_private"`
	CAFile       string        `koanf:"ca_file"`
	Proxy        string        `koanf:"proxy"`
}

func smsruKind() Kind {
	return smsKind(Kind{Rate: streams.Rate{PerSecond: 5}, Tells: outbound.Delivered, Sure: true, Later: sms.SMSRuSettings{}.Means},
		func() any { return &SMSRuSettings{BaseURL: "https://sms.ru", Parts: smsParts} },
		func(settings any) sms.Settings {
			s := settings.(*SMSRuSettings)
			return sms.SMSRuSettings{From: s.From, APIID: s.APIID, Parts: s.Parts, BaseURL: s.BaseURL, AllowPrivate: s.AllowPrivate, CAFile: s.CAFile, Proxy: s.Proxy}
		})
}

// SMSRuSettings are the keys of a channel through SMS.ru.
type SMSRuSettings struct {
	From         string `koanf:"from"`
	APIID        string `koanf:"api_id"`
	Parts        int    `koanf:"parts"`
	BaseURL      string `koanf:"base_url"`
	AllowPrivate bool   `koanf:"allow_private"`
	CAFile       string `koanf:"ca_file"`
	Proxy        string `koanf:"proxy"`
}

func twilioKind() Kind {
	return smsKind(Kind{Rate: streams.Rate{PerSecond: 10, Burst: 5}, Tells: outbound.Delivered, Sure: true, Later: sms.TwilioSettings{}.Means},
		func() any {
			return &TwilioSettings{BaseURL: "https://api.twilio.com", Parts: smsParts, LookAfter: time.Minute}
		},
		func(settings any) sms.Settings {
			s := settings.(*TwilioSettings)
			return sms.TwilioSettings{From: s.From, Service: s.Service, Account: s.Account, Key: s.Key, Secret: s.Secret, Parts: s.Parts, LookAfter: s.LookAfter,
				BaseURL: s.BaseURL, AllowPrivate: s.AllowPrivate, CAFile: s.CAFile, Proxy: s.Proxy}
		})
}

// TwilioSettings are the keys of a channel through Twilio.
type TwilioSettings struct {
	From         string        `koanf:"from"`              // number or name of the sender; or
	Service      string        `koanf:"messaging_service"` // MG…
	Account      string        `koanf:"account"`           // AC…
	Key          string        `koanf:"key"`               // SK… of an API key; empty: the account itself
	Secret       string        `koanf:"secret"`            // the key's secret, or the account's token
	Parts        int           `koanf:"parts"`
	LookAfter    time.Duration `koanf:"look_after"`
	BaseURL      string        `koanf:"base_url"`
	AllowPrivate bool          `koanf:"allow_private"`
	CAFile       string        `koanf:"ca_file"`
	Proxy        string        `koanf:"proxy"`
}

// Kannel tells by calling back, which nobody here hears: what it has taken is the last that is known.
func kannelKind() Kind {
	return smsKind(Kind{Rate: streams.Rate{PerSecond: 10, Burst: 5}, Tells: outbound.Accepted},
		func() any {
			return &KannelSettings{URL: "http://127.0.0.1:13013/cgi-bin/sendsms", Parts: smsParts, AllowPrivate: true}
		},
		func(settings any) sms.Settings {
			s := settings.(*KannelSettings)
			return sms.KannelSettings{From: s.From, URL: s.URL, Username: s.Username, Password: s.Password, SMSC: s.SMSC, Parts: s.Parts,
				AllowPrivate: s.AllowPrivate, CAFile: s.CAFile, Proxy: s.Proxy}
		})
}

// KannelSettings are the keys of a channel through a Kannel of one's own.
type KannelSettings struct {
	From         string `koanf:"from"`
	URL          string `koanf:"url"`      // of smsbox, with its sendsms-url
	Username     string `koanf:"username"` // of a sendsms-user
	Password     string `koanf:"password"`
	SMSC         string `koanf:"smsc"` // id of the connection to use; empty: by routing
	Parts        int    `koanf:"parts"`
	AllowPrivate bool   `koanf:"allow_private"`
	CAFile       string `koanf:"ca_file"`
	Proxy        string `koanf:"proxy"`
}

func smsHTTPKind() Kind {
	return smsKind(Kind{Rate: streams.Rate{PerSecond: 5}, Tells: outbound.Accepted},
		func() any {
			return &SMSHTTPSettings{Method: http.MethodPost, ContentType: "application/json", Parts: smsParts}
		},
		func(settings any) sms.Settings {
			s := settings.(*SMSHTTPSettings)
			return sms.TemplateSettings{From: s.From, Method: s.Method, URL: s.URL, Headers: s.Headers, ContentType: s.ContentType, Body: s.Body,
				SuccessText: s.SuccessText, SuccessJSON: s.SuccessJSON, RefusedText: s.RefusedText, RetryText: s.RetryText, IDJSON: s.IDJSON,
				CheckURL: s.CheckURL, Parts: s.Parts, AllowPrivate: s.AllowPrivate, CAFile: s.CAFile, Proxy: s.Proxy}
		})
}

// SMSHTTPSettings are the keys of a channel through any gateway that takes an HTTP request; the places of address, headers and
// body are those of the sink of that kind.
type SMSHTTPSettings struct {
	From         string            `koanf:"from"`
	Method       string            `koanf:"method"`
	URL          string            `koanf:"url"`
	Headers      map[string]string `koanf:"headers"`
	ContentType  string            `koanf:"content_type"`
	Body         string            `koanf:"body"`
	SuccessText  string            `koanf:"success_text"`
	SuccessJSON  string            `koanf:"success_json"`
	RefusedText  string            `koanf:"refused_text"`
	RetryText    string            `koanf:"retry_text"`
	IDJSON       string            `koanf:"id_json"`
	CheckURL     string            `koanf:"check_url"`
	Parts        int               `koanf:"parts"`
	AllowPrivate bool              `koanf:"allow_private"`
	CAFile       string            `koanf:"ca_file"`
	Proxy        string            `koanf:"proxy"`
}
