// Package mail is a simulated mail server that keeps what arrives for its people. It leaves out everything a mail
// server does after it has answered 250.
package mail

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"mime"
	"net"
	netmail "net/mail"
	"slices"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
)

// Message is a mail that arrived.
type Message struct {
	At      time.Time `json:"at"`
	To      string    `json:"to"`
	From    string    `json:"from"`
	Subject string    `json:"subject"`
	ID      string    `json:"id"` // Message-ID
	Raw     string    `json:"-"`
}

// Server is a simulated mail server.
type Server struct {
	server   *smtp.Server
	listener net.Listener
	serving  sync.WaitGroup

	mu       sync.Mutex
	messages []Message
	replies  map[string]*smtp.SMTPError // by stage
	slow     time.Duration
}

// New makes a server. It does no I/O.
func New() *Server {
	s := &Server{replies: map[string]*smtp.SMTPError{}}
	s.server = smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &session{server: s}, nil }))
	s.server.Domain, s.server.MaxMessageBytes = "localhost", 10<<20
	s.server.ReadTimeout, s.server.WriteTimeout = time.Minute, time.Minute
	return s
}

// Start opens an address on loopback and serves until Close.
func (s *Server) Start() error {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("simulated mail server: %w", err)
	}
	s.listener = l
	s.serving.Go(func() { _ = s.server.Serve(l) })
	return nil
}

// Close ends the sessions.
func (s *Server) Close() error {
	if s.listener != nil {
		_ = s.listener.Close() // the server does not know it yet when Close comes right after Start
		_ = s.server.Close()   // its error is the listener's, closed here on purpose
		s.serving.Wait()
	}
	return nil
}

// Addr is where the server listens. Start comes first.
func (s *Server) Addr() *net.TCPAddr { return s.listener.Addr().(*net.TCPAddr) }

// Messages is what has arrived, oldest first.
func (s *Server) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.messages)
}

// Reply has the server refuse at a stage, from, to or data, with a code and an enhanced one; with 0 it is as it was.
func (s *Server) Reply(stage string, code int, enhanced [3]int, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.replies[stage] = nil
	if code != 0 {
		s.replies[stage] = &smtp.SMTPError{Code: code, EnhancedCode: enhanced, Message: text}
	}
}

// Slow has the server take so long over each mail.
func (s *Server) Slow(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.slow = d
}

// at is the server's refusal at a stage, if there is to be one.
func (s *Server) at(stage string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.replies[stage]; e != nil {
		return e
	}
	return nil
}

// session is one client's connection.
type session struct {
	server *Server
	from   string
	to     []string
}

func (s *session) Reset()        { s.from, s.to = "", nil }
func (s *session) Logout() error { return nil }

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	s.from = from
	return s.server.at("from")
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = append(s.to, to)
	return s.server.at("to")
}

func (s *session) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if err := s.server.at("data"); err != nil {
		return err
	}
	m, err := netmail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return fmt.Errorf("reading the mail: %w", err)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if err != nil {
		subject = m.Header.Get("Subject")
	}
	s.server.mu.Lock()
	slow := s.server.slow
	s.server.mu.Unlock()
	time.Sleep(slow)
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	for _, to := range s.to {
		s.server.messages = append(s.server.messages, Message{At: time.Now(), To: to, From: s.from, Subject: subject, ID: m.Header.Get("Message-Id"), Raw: string(raw)})
	}
	return nil
}
