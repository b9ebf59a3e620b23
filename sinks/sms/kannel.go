package sms

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"leadstream/sinks"
	"leadstream/sinks/httpx"
	"leadstream/streams"
	"leadstream/streams/outbound"
)

// Kannel sends through a Kannel gateway of one's own. It knows neither keys nor questions, so it is Blind.
var Kannel = sinks.Kind{
	Settings: func() any {
		return &KannelSettings{URL: "http://127.0.0.1:13013/cgi-bin/sendsms", Parts: 1, AllowPrivate: true}
	},
	Open: func(settings any, env sinks.Env) (sinks.Sink, error) {
		return open(*settings.(*KannelSettings), env)
	},
	Class:       sinks.Blind,
	OnAmbiguous: "retry",
	Policy:      streams.MessagePolicy,
	Human:       true,
}

// KannelSettings are the keys of a Kannel destination.
type KannelSettings struct {
	To           string `koanf:"to"`       // the person's mobile number
	From         string `koanf:"from"`     // sender
	URL          string `koanf:"url"`      // of smsbox, with its sendsms-url
	Username     string `koanf:"username"` // of a sendsms-user
	Password     string `koanf:"password"`
	SMSC         string `koanf:"smsc"`  // id of the connection to use; empty: by routing
	Parts        int    `koanf:"parts"` // most segments of one message
	AllowPrivate bool   `koanf:"allow_private"`
	CAFile       string `koanf:"ca_file"`
	Proxy        string `koanf:"proxy"`
}

type kannel struct {
	set  KannelSettings
	http *httpx.Client
}

func (s KannelSettings) gateway(env sinks.Env) (gateway, Common, error) {
	c := Common{To: s.To, From: s.From, Parts: s.Parts, AllowPrivate: s.AllowPrivate, CAFile: s.CAFile, Proxy: s.Proxy}
	faults := append(c.faults(), checkURL("url", s.URL))
	if s.Username == "" || s.Password == "" {
		faults = append(faults, errors.New("username: give username and password of a sendsms-user group"))
	}
	if strings.Contains(s.URL, "?") {
		faults = append(faults, errors.New("url: leave out what follows the question mark"))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, c, err
	}
	client, err := c.client(env, s.Password)
	if err != nil {
		return nil, c, err
	}
	return &kannel{set: s, http: client}, c, nil
}

// kannelAnswers are smsbox's answers by status and the beginning of the text, the first that fits.
var kannelAnswers = []struct {
	status int
	text   string
	rule
}{
	{202, "0: Accepted", rule{streams.Done, 0, "taken"}},
	{202, "3: Queued", rule{streams.Done, 0, "kept until the line is up"}},
	{202, "Sent.", rule{streams.Done, 0, "taken"}},
	{403, "Authorization failed", rule{streams.Pause, aPerson, "username or password is refused: correct them, and allow this machine's address in user-allow-ip"}},
	{403, "Not routable", rule{streams.Permanent, 0, "no line takes this number or sender"}},
	{400, "", rule{streams.Permanent, 0, "the call is wrong: look at to and from"}},
	{404, "", rule{streams.Pause, aPerson, "wrong path: correct url by smsbox's sendsms-url"}},
	{500, "", rule{streams.Ambiguous, 0, "smsbox has lost bearerbox"}},
	{503, "", rule{streams.Retry, aMoment, "the queue is full, or Kannel is stopping"}},
}

// Means: the one 403 that is final says that no line goes to the number.
func (KannelSettings) Means(code string) outbound.Means {
	if code == "403" || code == "denied" {
		return outbound.Unreachable
	}
	return outbound.NothingMore
}

// send is a GET, as smsbox wants it. The alphabet is named, since smsbox would else send Cyrillic as question marks.
func (g *kannel) send(ctx context.Context, t text) streams.Verdict {
	coding := "0"
	if t.ucs2 {
		coding = "2"
	}
	a, err := g.get(ctx, url.Values{
		"to": {"+" + t.to}, "from": {g.set.From}, "smsc": {g.set.SMSC},
		"text": {t.body}, "charset": {"UTF-8"}, "coding": {coding},
	}, false)
	if err != nil {
		return httpx.Verdict(a, err, false)
	}
	return kannelVerdict(a)
}

func kannelVerdict(a httpx.Answer) streams.Verdict {
	body := strings.TrimSpace(string(a.Body))
	for _, k := range kannelAnswers {
		if a.Status != k.status || !strings.HasPrefix(body, k.text) {
			continue
		}
		if k.result == streams.Done && strings.Contains(body, "Denied receivers") {
			return rule{streams.Permanent, 0, "the number is denied"}.verdict("kannel", "denied")
		}
		if k.result == streams.Done {
			return streams.Verdict{}
		}
		v := k.verdict("kannel", strconv.Itoa(a.Status))
		v.Fault = a.Status >= 500
		return v
	}
	var err error
	if a.OK() {
		err = errors.New("kannel: the answer is not smsbox's: correct url")
	}
	return httpx.Verdict(a, err, false)
}

// check sends nothing: a call without a receiver gets past the password and no further.
func (g *kannel) check(ctx context.Context) error {
	a, err := g.get(ctx, url.Values{"text": {""}}, true)
	switch {
	case err != nil:
		return fmt.Errorf("kannel: url: %w", err)
	case a.Status == http.StatusBadRequest:
		return nil
	}
	if v := kannelVerdict(a); v.Err != nil {
		return v.Err
	}
	return errors.New("kannel: url: something else than smsbox answers there")
}

func (g *kannel) get(ctx context.Context, args url.Values, safe bool) (httpx.Answer, error) {
	args.Set("username", g.set.Username)
	args.Set("password", g.set.Password)
	for name, values := range args {
		if values[0] == "" && name != "text" {
			args.Del(name)
		}
	}
	return g.http.Do(ctx, httpx.Request{Method: http.MethodGet, URL: g.set.URL + "?" + args.Encode(), Safe: safe})
}
