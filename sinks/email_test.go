package sinks_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"mime"
	"mime/multipart"
	"net"
	"net/mail"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"leadstream/sinks"
	"leadstream/sinks/sinkstest"
	"leadstream/streams"
)

// mailServer is a real SMTP server that answers each stage as it is told: a reply, or an end of the connection.
type mailServer struct {
	addr    string
	replies map[string]*smtp.SMTPError // by stage: auth, from, to, data
	drop    string                     // the stage in which the connection ends
	hang    chan struct{}              // data waits for it

	mu    sync.Mutex
	mails []string
	rcpts []string
}

type mailSession struct {
	s    *mailServer
	conn *smtp.Conn
}

func (s *mailSession) Reset()        {}
func (s *mailSession) Logout() error { return nil }

func (s *mailSession) stage(name string) error {
	if s.s.drop == name {
		if tcp, ok := s.conn.Conn().(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = s.conn.Conn().Close()
		return errors.New("dropped")
	}
	if r := s.s.replies[name]; r != nil {
		return r
	}
	return nil
}

func (s *mailSession) Mail(string, *smtp.MailOptions) error { return s.stage("from") }

func (s *mailSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.s.mu.Lock()
	defer s.s.mu.Unlock()
	s.s.rcpts = append(s.s.rcpts, to)
	return s.stage("to")
}

func (s *mailSession) Data(r io.Reader) error {
	if s.s.drop == "before the dot" {
		return s.stage("before the dot")
	}
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if r := s.s.replies["data"]; r != nil {
		return r
	}
	s.s.mu.Lock()
	s.s.mails = append(s.s.mails, string(text))
	s.s.mu.Unlock()
	if s.s.hang != nil {
		<-s.s.hang
	}
	return s.stage("after the dot")
}

func (s *mailSession) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *mailSession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != "shop" || password != sinkstest.Canary {
			return &smtp.SMTPError{Code: 535, EnhancedCode: smtp.EnhancedCode{5, 7, 8}, Message: "no " + password}
		}
		return s.stage("auth")
	}), nil
}

// start serves until the test ends; with implicit, TLS begins with the first byte.
func (s *mailServer) start(t *testing.T, config *tls.Config, implicit bool) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = listener.Addr().String()
	if implicit {
		listener = tls.NewListener(listener, config)
	}
	server := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) { return &mailSession{s: s, conn: c}, nil }))
	server.Domain, server.AllowInsecureAuth, server.TLSConfig = "mail.example.test", true, config
	server.ErrorLog = discard{}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(listener) })
	t.Cleanup(func() {
		if s.hang != nil {
			close(s.hang)
		}
		_ = server.Close()
		_ = listener.Close() // Close does not know of it when Serve has not begun yet
		serving.Wait()
	})
}

type discard struct{}

func (discard) Printf(string, ...any) {}
func (discard) Println(...any)        {}

func (s *mailServer) received() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.mails...)
}

func mailSettings(t *testing.T, addr string) *sinks.EmailSettings {
	t.Helper()
	set := sinks.Email.Settings().(*sinks.EmailSettings)
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	set.Host, set.TLS, set.From, set.To = host, "opportunistic", "Салон <lead@example.test>", "manager@example.test"
	set.Port, _ = strconv.Atoi(port)
	return set
}

func openMail(t *testing.T, set *sinks.EmailSettings) sinks.Sink {
	t.Helper()
	sink, err := sinks.Email.Open(set, sinks.Env{Name: "boss", Language: "ru", Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return sink
}

func TestEmailSuite(t *testing.T) {
	t.Parallel()
	sinkstest.Run(t, sinkstest.Case{
		Kind: sinks.Email,
		Configure: func(settings any, addr string) {
			s := mailSettings(t, addr)
			s.Username, s.Password = "shop", sinkstest.Canary
			*settings.(*sinks.EmailSettings) = *s
		},
		Far: mailFar,
	})
}

func mailFar(t *testing.T, f sinkstest.Fault) *sinkstest.Far {
	s := &mailServer{replies: map[string]*smtp.SMTPError{}}
	switch f {
	case sinkstest.None:
	case sinkstest.Busy:
		s.replies["to"] = &smtp.SMTPError{Code: 452, EnhancedCode: smtp.EnhancedCode{4, 3, 1}, Message: "too many recipients"}
	case sinkstest.Broken:
		s.replies["from"] = &smtp.SMTPError{Code: 421, EnhancedCode: smtp.EnhancedCode{4, 3, 2}, Message: "closing"}
	case sinkstest.Hang:
		s.hang = make(chan struct{})
	case sinkstest.Reset:
		s.drop = "after the dot"
	case sinkstest.Refused:
		return &sinkstest.Far{URL: sinkstest.Unused(t), Created: func() int { return 0 }}
	default: // a page, a flood and a redirect are HTTP's
		return nil
	}
	s.start(t, nil, false)
	return &sinkstest.Far{URL: s.addr, Created: func() int { return len(s.received()) }}
}

func TestEmailReplies(t *testing.T) {
	none := smtp.NoEnhancedCode
	cases := map[string]struct {
		stage    string
		code     int
		enhanced smtp.EnhancedCode
		want     streams.Result
	}{
		"greylisted":           {"to", 451, smtp.EnhancedCode{4, 7, 1}, streams.Retry},
		"local error":          {"to", 450, none, streams.Retry},
		"too many recipients":  {"to", 452, none, streams.Retry},
		"closing":              {"from", 421, none, streams.Retry},
		"not now, at the end":  {"data", 451, smtp.EnhancedCode{4, 3, 0}, streams.Retry},
		"too fast":             {"data", 421, smtp.EnhancedCode{4, 7, 28}, streams.Pause},
		"unknown user":         {"to", 550, smtp.EnhancedCode{5, 1, 1}, streams.Permanent},
		"no such mailbox":      {"to", 550, smtp.EnhancedCode{5, 1, 10}, streams.Permanent},
		"refused, no more":     {"to", 550, none, streams.Permanent},
		"moved":                {"to", 551, none, streams.Permanent},
		"bad address":          {"to", 553, smtp.EnhancedCode{5, 1, 3}, streams.Permanent},
		"too big":              {"data", 552, smtp.EnhancedCode{5, 3, 4}, streams.Permanent},
		"too big for them":     {"data", 552, smtp.EnhancedCode{5, 2, 3}, streams.Permanent},
		"too big, said early":  {"from", 552, smtp.EnhancedCode{5, 3, 4}, streams.Permanent},
		"spam":                 {"data", 554, smtp.EnhancedCode{5, 7, 1}, streams.Permanent},
		"bad content":          {"data", 554, smtp.EnhancedCode{5, 6, 0}, streams.Permanent},
		"mailbox full":         {"to", 552, smtp.EnhancedCode{5, 2, 2}, streams.Retry},
		"login wanted":         {"from", 530, smtp.EnhancedCode{5, 7, 0}, streams.Pause},
		"login refused":        {"auth", 535, smtp.EnhancedCode{5, 7, 8}, streams.Pause},
		"login too weak":       {"auth", 534, smtp.EnhancedCode{5, 7, 9}, streams.Pause},
		"encryption wanted":    {"auth", 538, none, streams.Pause},
		"too many logins":      {"auth", 454, smtp.EnhancedCode{4, 7, 0}, streams.Pause},
		"login, not now":       {"auth", 451, none, streams.Retry},
		"policy":               {"data", 550, smtp.EnhancedCode{5, 7, 1}, streams.Pause},
		"not proved":           {"data", 550, smtp.EnhancedCode{5, 7, 26}, streams.Pause},
		"no name":              {"from", 550, smtp.EnhancedCode{5, 7, 25}, streams.Pause},
		"sender rejected":      {"from", 550, none, streams.Pause},
		"sender not ours":      {"from", 553, none, streams.Pause},
		"daily limit":          {"data", 550, smtp.EnhancedCode{5, 4, 5}, streams.Pause},
		"bad sequence":         {"from", 503, none, streams.Permanent},
		"not understood":       {"to", 501, none, streams.Permanent},
		"something new, final": {"data", 559, none, streams.Permanent},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := &mailServer{replies: map[string]*smtp.SMTPError{
				c.stage: {Code: c.code, EnhancedCode: c.enhanced, Message: "manager@example.test 5.1.1.1 " + sinkstest.Canary},
			}}
			s.start(t, nil, false)
			set := mailSettings(t, s.addr)
			set.Username, set.Password = "shop", sinkstest.Canary
			v := openMail(t, set).Deliver(t.Context(), sinkstest.Batch(1))[0]
			if v.Result != c.want || !strings.HasPrefix(v.Code, strconv.Itoa(c.code)) {
				t.Errorf("got result %d, code %s (%v), want %d", v.Result, v.Code, v.Err, c.want)
			}
			if text := v.Err.Error(); strings.Contains(text, sinkstest.Canary) || strings.Contains(text, "manager@") {
				t.Errorf("the reply's text is shown: %s", text)
			}
			if v.Result == streams.Pause && v.After <= 0 {
				t.Error("a pause without an end")
			}
		})
	}
}

// Only a mail whose last dot may have arrived is ambiguous. Where the server hangs up before the dot, either is right: a
// short mail and its dot leave in one piece, and whether it was gone by then is a matter of moments.
func TestEmailDropped(t *testing.T) {
	for stage, want := range map[string][]streams.Result{
		"auth": {streams.Retry}, "from": {streams.Retry}, "to": {streams.Retry},
		"before the dot": {streams.Retry, streams.Ambiguous}, "after the dot": {streams.Ambiguous},
	} {
		t.Run(stage, func(t *testing.T) {
			s := &mailServer{drop: stage}
			s.start(t, nil, false)
			set := mailSettings(t, s.addr)
			set.Username, set.Password = "shop", sinkstest.Canary
			v := openMail(t, set).Deliver(t.Context(), sinkstest.Batch(1))[0]
			if !slices.Contains(want, v.Result) || !v.Fault {
				t.Errorf("got result %d, fault %v (%v), want %v", v.Result, v.Fault, v.Err, want)
			}
		})
	}
}

// authority makes a test authority and a certificate of it for 127.0.0.1, and answers the authority's PEM file.
func authority(t *testing.T) (*tls.Config, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: root.NotBefore, NotAfter: root.NotAfter,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	sign := func(c *x509.Certificate) []byte {
		der, err := x509.CreateCertificate(rand.Reader, c, root, &key.PublicKey, key)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: sign(root)}), 0o600); err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{sign(leaf)}, PrivateKey: key}}, MinVersion: tls.VersionTLS12}, file
}

func TestEmailTLS(t *testing.T) {
	config, ca := authority(t)
	cases := map[string]struct {
		server   *tls.Config
		implicit bool
		tls, ca  string
		want     streams.Result
	}{
		"starttls":               {config, false, "starttls", ca, streams.Done},
		"from the first byte":    {config, true, "tls", ca, streams.Done},
		"taken when offered":     {config, false, "opportunistic", ca, streams.Done},
		"not offered":            {nil, false, "starttls", ca, streams.Pause},
		"not trusted":            {config, false, "starttls", "", streams.Pause},
		"not trusted, first":     {config, true, "tls", "", streams.Pause},
		"a plain server instead": {nil, false, "tls", ca, streams.Retry},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := &mailServer{}
			s.start(t, c.server, c.implicit)
			set := mailSettings(t, s.addr)
			set.TLS, set.CAFile, set.Username, set.Password = c.tls, c.ca, "shop", sinkstest.Canary
			sink := openMail(t, set)
			if v := sink.Deliver(t.Context(), sinkstest.Batch(1))[0]; v.Result != c.want {
				t.Errorf("got result %d (%v), want %d", v.Result, v.Err, c.want)
			}
			if err := sink.Check(t.Context()); (err == nil) != (c.want == streams.Done) {
				t.Errorf("check: %v", err)
			}
		})
	}
}

func TestEmailLetter(t *testing.T) {
	s := &mailServer{}
	s.start(t, nil, false)
	set := mailSettings(t, s.addr)
	set.ReplyTo = "desk@example.test"
	sink := openMail(t, set)
	lead := sinkstest.Lead(0)
	lead.Name, lead.Message = "Анна\r\nBcc: everyone@example.test\r\n\r\n", "раз\r\n.\r\n<b>два</b>\nFrom x"
	deliver(t, sink, sinks.Delivery{Lead: lead}, sinks.Delivery{Lead: lead, Attempt: 2})
	mails := s.received()
	if len(mails) != 2 || len(s.rcpts) != 2 || s.rcpts[0] != "manager@example.test" {
		t.Fatalf("%d mails to %v", len(mails), s.rcpts)
	}
	m, err := mail.ReadMessage(strings.NewReader(mails[0]))
	if err != nil {
		t.Fatal(err)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if err != nil || subject != "Новая заявка: Анна Bcc: everyone@example.test" {
		t.Errorf("subject %q (%v)", subject, err)
	}
	for name, want := range map[string]string{
		"Message-ID": "<" + lead.ID + ".boss@example.test>", "Auto-Submitted": "auto-generated", "X-Leadstream": "notice", "Bcc": "",
		"To": "<manager@example.test>", "Reply-To": "<desk@example.test>", "MIME-Version": "1.0",
	} {
		if got := m.Header.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if !strings.Contains(mails[1], "<"+lead.ID+".boss@example.test>") {
		t.Error("the second try has another Message-ID")
	}
	if _, err := mail.ParseDate(m.Header.Get("Date")); err != nil {
		t.Error(err)
	}
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	for _, want := range []string{"раз\n.\n<b>два</b>\nFrom x", "раз<br>\n.<br>\n&lt;b&gt;два&lt;/b&gt;"} {
		part, err := parts.NextPart()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(part)
		if got := strings.ReplaceAll(string(text), "\r\n", "\n"); err != nil || !strings.Contains(got, want) {
			t.Errorf("%q is not in %q (%v)", want, got, err)
		}
	}
	for line := range strings.SplitSeq(mails[0], "\n") {
		if len(line) > 998 {
			t.Errorf("a line of %d bytes", len(line))
		}
	}
}

func TestEmailFaultsOfConfig(t *testing.T) {
	_, err := sinks.Email.Open(&sinks.EmailSettings{
		Host: "smtp.example.test:25", Port: 70000, TLS: "ssl", Username: "x", From: "a@example.test\r\nBcc: b@example.test",
		To: "a@example.test, b@example.test", ReplyTo: "x", CAFile: "/nowhere",
	}, sinks.Env{})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"host:", "port:", "tls:", "password:", "from:", "to:", "reply_to:", "ca_file:"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
}
