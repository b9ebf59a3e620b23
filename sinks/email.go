package sinks

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"html"
	"net"
	netmail "net/mail"
	"os"
	"strings"
	"time"

	"github.com/wneessen/go-mail"

	"leadstream/streams"
	"leadstream/streams/outbound"
)

// Email tells a person about leads by mail. SMTP has neither keys nor a search, so it is Blind; but a Message-ID that
// stays the same over all tries lets many servers and programs show one copy of two, so the default is to retry.
var Email = Kind{
	Settings:    func() any { return &EmailSettings{TLS: "starttls"} },
	Open:        func(settings any, env Env) (Sink, error) { return openEmail(*settings.(*EmailSettings), env) },
	Class:       Blind,
	OnAmbiguous: "retry",
	// Greylisting lets through what comes again after minutes, not seconds.
	Policy: streams.Policy{Attempts: 8, Base: time.Minute, Factor: 3, Max: time.Hour, Jitter: 0.2},
	Human:  true,
}

// EmailSettings are the keys of an email destination.
type EmailSettings struct {
	Host     string `koanf:"host"`     // of the mail server
	Port     int    `koanf:"port"`     // 0: 587, or 465 with tls, or 25 with none
	TLS      string `koanf:"tls"`      // starttls, tls (from the first byte), opportunistic, none
	CAFile   string `koanf:"ca_file"`  // PEM, trusted besides the system's own authorities
	Username string `koanf:"username"` // empty: no login
	Password string `koanf:"password"`
	From     string `koanf:"from"`     // address, or Name <address>; most servers want the login's own
	To       string `koanf:"to"`       // the person's address
	ReplyTo  string `koanf:"reply_to"` // empty: From
}

type email struct {
	*Mailer
	env Env
	to  *netmail.Address
}

// MailServer says by which server mail goes, and in whose name. It is common to those who tell people of leads and those who
// write to customers.
type MailServer struct {
	Host     string
	Port     int    // 0: 587, or 465 with tls, or 25 with none
	TLS      string // starttls, tls (from the first byte), opportunistic, none
	CAFile   string
	Username string
	Password string
	From     string
	ReplyTo  string
}

// Mailer sends mail, each on a connection of its own. It is safe for concurrent use.
type Mailer struct {
	set     MailServer
	name    string // of who sends: part of each Message-ID
	timeout time.Duration
	tls     *tls.Config
	from    *netmail.Address
	options []mail.Option
}

// Mail is one mail.
type Mail struct {
	To      *netmail.Address
	ID      string // Message-ID without its domain: the same over all tries
	Subject string
	Text    string
	HTML    bool // beside the text, the same in HTML
	Header  map[string]string
}

// emailTimeout is long: the time between the last dot and the answer to it is when a server files the mail, and who
// gives up in it does not know whether it was filed.
const (
	emailTimeout = 2 * time.Minute
	dialTimeout  = 10 * time.Second
)

var emailPorts = map[string]int{"starttls": 587, "tls": 465, "opportunistic": 25, "none": 25}

func openEmail(s EmailSettings, env Env) (Sink, error) {
	m, err := NewMailer(MailServer{s.Host, s.Port, s.TLS, s.CAFile, s.Username, s.Password, s.From, s.ReplyTo}, env)
	to, wrong := mailAddress("to", s.To)
	if err := errors.Join(err, wrong); err != nil {
		return nil, err
	}
	return &email{Mailer: m, env: env, to: to}, nil
}

func mailAddress(key, value string) (*netmail.Address, error) {
	a, err := netmail.ParseAddress(value)
	if err != nil || strings.ContainsAny(value, "\r\n") {
		return nil, fmt.Errorf("%s: is not one mail address; write name@example.com", key)
	}
	return a, nil
}

// NewMailer does no I/O. Its error names the keys and the cure.
func NewMailer(s MailServer, env Env) (*Mailer, error) {
	m := &Mailer{set: s, name: env.Name, timeout: env.Timeout, tls: &tls.Config{ServerName: s.Host, MinVersion: tls.VersionTLS12}}
	from, err := mailAddress("from", s.From)
	faults := []error{err}
	m.from = from
	if s.ReplyTo != "" {
		_, err := mailAddress("reply_to", s.ReplyTo)
		faults = append(faults, err)
	}
	faults = append(faults, s.check(), m.trust())
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	if m.set.Port == 0 {
		m.set.Port = emailPorts[s.TLS]
	}
	if m.timeout == 0 {
		m.timeout = emailTimeout
	}
	m.options = m.clientOptions()
	_, err = mail.NewClient(s.Host, m.options...)
	return m, err
}

func (s MailServer) check() error {
	var faults []error
	if s.Host == "" || strings.ContainsAny(s.Host, " /:\r\n") {
		faults = append(faults, errors.New("host: is not a server's name; write it alone, such as smtp.example.com"))
	}
	if _, known := emailPorts[s.TLS]; !known {
		faults = append(faults, fmt.Errorf("tls: %q is not known; use starttls, tls, opportunistic or none", s.TLS))
	}
	if s.Port < 0 || s.Port > 65535 {
		faults = append(faults, errors.New("port: must be 1 to 65535, or 0 for the usual one"))
	}
	if (s.Username == "") != (s.Password == "") {
		faults = append(faults, errors.New("password: give both username and password, or neither"))
	}
	if s.TLS == "none" && s.Password != "" {
		faults = append(faults, errors.New("tls: none would send the password in the clear; use starttls or tls"))
	}
	return errors.Join(faults...)
}

func (e *Mailer) trust() error {
	if e.set.CAFile == "" {
		return nil
	}
	pem, err := os.ReadFile(e.set.CAFile)
	if err != nil {
		return fmt.Errorf("ca_file: %w", err)
	}
	if e.tls.RootCAs, err = x509.SystemCertPool(); err != nil {
		e.tls.RootCAs = x509.NewCertPool()
	}
	if !e.tls.RootCAs.AppendCertsFromPEM(pem) {
		return errors.New("ca_file: holds no PEM certificate")
	}
	return nil
}

// clientOptions: with tls from the first byte the connection is encrypted when go-mail gets it, and it sees that for
// itself; "opportunistic" then only means that it does not insist on STARTTLS.
func (e *Mailer) clientOptions() []mail.Option {
	policy := map[string]mail.TLSPolicy{
		"starttls": mail.TLSMandatory, "tls": mail.TLSOpportunistic, "opportunistic": mail.TLSOpportunistic, "none": mail.NoTLS,
	}[e.set.TLS]
	options := []mail.Option{
		mail.WithPort(e.set.Port), mail.WithTLSPolicy(policy), mail.WithTLSConfig(e.tls), mail.WithTimeout(e.timeout),
		mail.WithoutNoop(), mail.WithoutRset(), // the connection is new, and of one mail
	}
	if e.set.Username != "" {
		options = append(options, mail.WithUsername(e.set.Username), mail.WithPassword(e.set.Password),
			mail.WithOpportunisticSMTPAuth(mail.SMTPAuthPlain, mail.SMTPAuthLogin, mail.SMTPAuthSCRAMSHA256, mail.SMTPAuthCramMD5))
	}
	return options
}

// dial also ends the conversation, at whatever stage it is, when ctx ends: go-mail hears ctx while it connects only.
func (e *Mailer) dial(ctx context.Context) mail.DialContextFunc {
	return func(dialing context.Context, network, address string) (net.Conn, error) {
		d := net.Dialer{Timeout: dialTimeout}
		conn, err := d.DialContext(dialing, network, address)
		if err != nil {
			return nil, err
		}
		context.AfterFunc(ctx, func() { _ = conn.Close() })
		if e.set.TLS != "tls" {
			return conn, nil
		}
		secure := tls.Client(conn, e.tls)
		if err := secure.HandshakeContext(dialing); err != nil {
			_ = conn.Close()
			return nil, err
		}
		return secure, nil
	}
}

func (e *Mailer) client(ctx context.Context) (*mail.Client, error) {
	return mail.NewClient(e.set.Host, append(e.options[:len(e.options):len(e.options)], mail.WithDialContextFunc(e.dial(ctx)))...)
}

// Deliver mails a notice of each lead.
func (e *email) Deliver(ctx context.Context, batch []Delivery) []streams.Verdict {
	verdicts := make([]streams.Verdict, len(batch))
	for i, d := range batch {
		verdicts[i] = e.Send(ctx, LeadMessage(d, e.env))
	}
	return verdicts
}

// Send mails a message.
func (e *email) Send(ctx context.Context, m Message) streams.Verdict {
	return e.Mail(ctx, Mail{To: e.to, ID: e.messageID(m), Subject: m.Subject, Text: m.Text, HTML: true}).Verdict
}

// Mail sends one. Done has the server's words for it in Remote.
func (e *Mailer) Mail(ctx context.Context, m Mail) outbound.Tried {
	letter, err := e.letter(m)
	if err != nil {
		return outbound.Tried{Verdict: streams.Verdict{Result: streams.Permanent, Code: "message", Err: errors.New("email: the message does not become a mail")}}
	}
	ctx, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	client, err := e.client(ctx)
	if err == nil {
		err = client.DialWithContext(ctx)
	}
	if err != nil {
		return emailVerdict(stageConnect, err)
	}
	err = client.Send(letter)
	if letter.IsDelivered() { // whatever came after the server's yes
		_ = client.Close()
		return outbound.Tried{Verdict: streams.Verdict{Remote: Line(letter.ServerResponse(), 100)}}
	}
	if err == nil {
		err = errors.New("no answer to the mail")
	}
	return emailVerdict(stageOf(err), err)
}

// letter is made of cleaned text only, and go-mail encodes what it puts into headers: no line break gets there.
func (e *Mailer) letter(m Mail) (*mail.Msg, error) {
	letter := mail.NewMsg(mail.WithNoDefaultUserAgent())
	letter.FromMailAddress(e.from)
	letter.ToMailAddress(m.To)
	if e.set.ReplyTo != "" {
		if err := letter.ReplyTo(e.set.ReplyTo); err != nil {
			return nil, err
		}
	}
	text := Clean(m.Text)
	letter.Subject(Line(m.Subject, 200))
	letter.SetMessageIDWithValue(m.ID + "@" + e.Domain())
	letter.SetDate()
	letter.SetGenHeader("Auto-Submitted", "auto-generated") // so that nobody's robot answers
	letter.SetGenHeader("X-Leadstream", "notice")           // and we do not read it as an enquiry, should it come to a mailbox that we read
	for name, value := range m.Header {
		letter.SetGenHeader(mail.Header(name), Line(value, 500))
	}
	letter.SetBodyString(mail.TypeTextPlain, text+"\n")
	if m.HTML {
		letter.AddAlternativeString(mail.TypeTextHTML,
			"<!DOCTYPE html><html><body><p>"+strings.ReplaceAll(html.EscapeString(text), "\n", "<br>\n")+"</p></body></html>\n")
	}
	return letter, nil
}

// Domain is that of the sender's address.
func (e *Mailer) Domain() string {
	_, domain, _ := strings.Cut(e.from.Address, "@")
	return domain
}

// Name is that of who sends, as it stands in a Message-ID.
func (e *Mailer) Name() string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return '-'
	}, e.name)
}

// messageID is the same on every try of a message to this destination.
func (e *email) messageID(m Message) string {
	id := m.ID
	if id == "" || strings.Trim(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") != "" || len(id) > 100 {
		id = streams.NewID(m.ID, m.Subject, m.Text)
	}
	return id + "." + e.Name()
}

// Check connects, greets and logs in, and goes no further.
func (e *Mailer) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	client, err := e.client(ctx)
	if err != nil {
		return err
	}
	conversation, err := client.DialToSMTPClientWithContext(ctx)
	if err == nil {
		err = errors.Join(conversation.Noop(), conversation.Quit())
	}
	if err != nil {
		return emailVerdict(stageConnect, err).Err
	}
	return nil
}
