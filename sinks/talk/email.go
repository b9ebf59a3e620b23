package talk

import (
	"cmp"
	"context"
	"errors"
	netmail "net/mail"
	"net/url"
	"strings"
	"time"

	"leadstream/sinks"
	"leadstream/streams"
	"leadstream/streams/outbound"
)

// email writes to customers by mail: plain text, a mail each, under a Message-ID that stays the same over all tries. That the
// server has taken it is all that it tells; what comes back as undeliverable is told by the mailbox, if that is a source of leads.
func emailKind() Kind {
	return Kind{
		Settings: func() any { return &EmailSettings{TLS: "starttls"} },
		Open: func(settings any, env sinks.Env) (outbound.Channel, error) {
			s := settings.(*EmailSettings)
			m, err := sinks.NewMailer(sinks.MailServer{Host: s.Host, Port: s.Port, TLS: s.TLS, CAFile: s.CAFile, Username: s.Username,
				Password: s.Password, From: s.From, ReplyTo: s.ReplyTo}, env)
			if err != nil {
				return nil, err
			}
			return &email{mailer: m, stop: cmp.Or(s.ReplyTo, s.From)}, nil
		},
		Channel: "email", Address: Email,
		Rate: streams.Rate{PerSecond: 1, Burst: 5}, Pair: time.Second,
		First: true, Tells: outbound.Accepted, Later: bounced, Timeout: 2 * time.Minute, // a server files a mail before it answers
	}
}

// EmailSettings are the keys of an email channel.
type EmailSettings struct {
	Host     string `koanf:"host"`
	Port     int    `koanf:"port"` // 0: 587, or 465 with tls, or 25 with none
	TLS      string `koanf:"tls"`  // starttls, tls (from the first byte), opportunistic, none
	CAFile   string `koanf:"ca_file"`
	Username string `koanf:"username"` // empty: no login
	Password string `koanf:"password"`
	From     string `koanf:"from"`     // address, or Name <address>
	ReplyTo  string `koanf:"reply_to"` // empty: From
}

type email struct {
	mailer *sinks.Mailer
	stop   string // where a customer writes STOP to
}

// Send mails the text, with its answers written out below it. Remote is the Message-ID, by which a bounce names it.
func (e *email) Send(ctx context.Context, to string, w outbound.Words) outbound.Tried {
	address, err := netmail.ParseAddress(to)
	if err != nil || strings.ContainsAny(to, "\r\n") {
		return outbound.Tried{Means: outbound.RouteDead, Verdict: streams.Verdict{Result: streams.Permanent, Code: "address",
			Err: errors.New("email: the address is none")}}
	}
	text := sinks.Clean(written(w))
	if text == "" {
		return empty("email")
	}
	first, _, _ := strings.Cut(text, "\n")
	m := sinks.Mail{To: &netmail.Address{Address: address.Address}, ID: streams.NewID("mail", w.ID) + ".to." + e.mailer.Name(),
		Subject: cmp.Or(w.Subject, sinks.Line(first, 78)), Text: text}
	if w.Purpose == outbound.Promotion {
		m.Header = map[string]string{"List-Unsubscribe": "<" + e.unsubscribe() + ">"}
	}
	tried := e.mailer.Mail(ctx, m)
	if tried.Result == streams.Done {
		tried.Remote = m.ID + "@" + e.mailer.Domain()
	}
	return tried
}

// unsubscribe is a mail with the word that stops advertising: it is read like any customer's.
func (e *email) unsubscribe() string {
	to, err := netmail.ParseAddress(e.stop)
	if err != nil { // Open has read it
		return ""
	}
	return "mailto:" + (&url.URL{Path: to.Address}).EscapedPath() + "?subject=STOP"
}

// Check connects, greets and logs in, and goes no further.
func (e *email) Check(ctx context.Context) error { return e.mailer.Check(ctx) }

// bounced is what the status of a bounce means (RFC 3463): a wrong or closed address will not take the next mail either.
func bounced(status string) outbound.Means {
	switch {
	case strings.HasPrefix(status, "5.1."), strings.HasPrefix(status, "5.2.1"):
		return outbound.RouteDead
	case strings.HasPrefix(status, "5."), strings.HasPrefix(status, "4."):
		return outbound.Unreachable
	}
	return outbound.NothingMore
}
